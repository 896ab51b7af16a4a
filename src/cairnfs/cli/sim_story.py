"""`cairn sim story`: directed scenes in a simulated cluster, told as a time line, with every guard and without one."""

import dataclasses
import difflib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cairnfs.cli.common import document, line

if TYPE_CHECKING:
    from cairnfs.sim.stories.story import Story, Told

STYLES = {"fault": "yellow", "seen": "cyan", "role": "dim", "broken": "bold red", "kept": "bold green"}
"""By `narrator.Kind`; what is not here is plain."""


@click.command()
@click.argument("name", required=False)
@click.option("--without", metavar="GUARD", default="", help="switch one guard off and see what it is for")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="of the simulated world")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def story(name: str | None, *, without: str, seed: int, as_json: bool) -> int:
    """Play a story in a simulated cluster and tell it as a time line.

    Without NAME: list the stories, and the guards that each can be played without. docs/STORIES.md explains them.

    Exit code 0: the promise was kept; with --without, it was seen to be broken, as it must be. 1: otherwise.
    """
    from cairnfs.sim.stories.story import RULES, play
    from cairnfs.sim.stories.table import STORIES

    if name is None:
        if without:
            raise click.UsageError("--without needs the name of a story")
        _list(STORIES.values(), as_json=as_json)
        return 0
    if name not in STORIES:
        raise click.UsageError(_unknown("story", name, STORIES, "`cairn sim story` lists them"))
    if without and without not in RULES:
        guards = ", ".join(STORIES[name].guards)
        raise click.UsageError(_unknown("guard", without, RULES, f"{name} needs {guards}"))
    told = play(STORIES[name], without=without, seed=seed)
    if as_json:
        document(_as_json(told))
    else:
        _print(told)
    return 0 if told.is_as_expected else 1


def _unknown(what: str, name: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"no {what} {name!r}; " + (f"did you mean {near[0]!r}?" if near else otherwise)


def _list(stories: Iterable["Story"], *, as_json: bool) -> None:
    if as_json:
        document([
            {"name": one.name, "summary": one.summary, "gfs": one.gfs, "ours": one.ours, "promise": one.promise,
             "guards": list(one.guards)}
            for one in stories
        ])  # fmt: skip
        return
    for one in stories:
        line(f"{one.name:<28}{one.summary}")
        line(f"{'':<28}--without {' or '.join(one.guards)}")


def _as_json(told: "Told") -> dict[str, object]:
    return {
        "story": told.story.name,
        "seed": told.seed,
        "without": told.without or None,
        "kept": told.is_kept,
        "as_expected": told.is_as_expected,
        "verdict": told.verdict,
        "violations": told.violations,
        "lines": [dataclasses.asdict(each) for each in told.lines],
        "hash": told.hash,
    }


def _print(told: "Told") -> None:
    from cairnfs.sim.stories.text import render

    if not sys.stdout.isatty():
        for text, _ in render(told):
            line(text)
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for text, kind in render(told):
        console.print(text, style=STYLES.get(kind))
