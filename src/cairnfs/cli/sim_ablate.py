"""`cairn sim ablate`: one safeguard off at a time, to see whether the simulator notices."""

import difflib

import click

from cairnfs.cli.common import document, line, table


@click.command()
@click.argument("guards", nargs=-1, metavar="[GUARD]...")
@click.option("--scenes", type=click.IntRange(min=0), default=8, show_default=True, help="seeds of the directed scene")
@click.option("--storms", type=click.IntRange(min=0), default=0, show_default=True, help="seeds of undirected storms")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, metavar="SEED")
@click.option("--cores", type=click.IntRange(min=1), help="processes at a time (default: one a core)")
@click.option("--list", "only_list", is_flag=True, help="only list the safeguards")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def ablate(  # noqa: PLR0913 - one parameter an option
    guards: tuple[str, ...],
    *,
    scenes: int,
    storms: int,
    first: int,
    cores: int | None,
    only_list: bool,
    as_json: bool,
) -> int:
    """Switch safeguards off one by one; something must be seen to be wrong. This measures the simulator itself.

    Each is tried in the directed scene that is about it, and with --storms in storms of chance besides.

    Exit code 0: each missing one was noticed. 1: one was not.
    """
    from cairnfs.safeguards import Safeguards
    from cairnfs.sim.ablation import ablate_all

    known = Safeguards.__slots__
    for guard in guards:
        if guard not in known:
            near = difflib.get_close_matches(guard, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; --list shows them"
            raise click.UsageError(f"no guard {guard!r}{hint}")
    if only_list:
        _list(known, as_json=as_json)
        return 0
    found = ablate_all(guards or known, scenes=scenes, storms=storms, first=first, cores=cores)
    missed = [one.guard for one in found if not one.is_noticed]
    if as_json:
        document({"ablations": found, "missed": missed})
        return 1 if missed else 0
    rows = [
        (one.guard, _seeds(one.scene_seeds), _seeds(one.storm_seeds), (one.scene_saw or one.storm_saw)[:90])
        for one in found
    ]
    table(("without", "scene", "storm", "what was seen"), rows, right=(1, 2))
    line(f"{len(found) - len(missed)} of {len(found)} missing safeguards were noticed")
    for guard in missed:
        line(f"NOT NOTICED: {guard}")
    return 1 if missed else 0


def _seeds(count: int) -> str:
    """Return how many seeds it took."""
    return str(count) if count else "-"


def _list(known: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        document(list(known))
        return
    for guard in known:
        line(guard)
