"""`cairn sim run` and `cairn sim replay`: campaigns of seeds, and one of them again."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairnfs.cli.common import document, line, note, table

if TYPE_CHECKING:
    from cairnfs.safeguards import Safeguards
    from cairnfs.sim.run import Report
    from cairnfs.sim.swarm import Summary

MODES = click.Choice(["within", "clocks", "beyond"])
FAILURES_SHOWN = 10
_MODE_HELP = "what faults may do: within the promises, wrong clocks, or beyond what is promised"


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="how many (default: 20, or as time allows)")
@click.option("--first", type=click.IntRange(min=0), metavar="SEED", help="the first one (default: by the clock)")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="go on for so long, with fresh seeds")
@click.option("--mode", type=MODES, default="within", show_default=True, help=_MODE_HELP)
@click.option("--cores", type=click.IntRange(min=1), help="processes at a time (default: one a core)")
@click.option("--probes", "must_reach", is_flag=True, help="fail if a rare state was reached by no run")
@click.option("--save", type=click.Path(file_okay=False), help="folder for a file per failing seed")
@click.option("--no-shrink", is_flag=True, help="do not look for the fewest faults that still fail")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def run(  # noqa: PLR0913 - one parameter an option
    *,
    seeds: int | None,
    first: int | None,
    minutes: float | None,
    mode: str,
    cores: int | None,
    must_reach: bool,
    save: str | None,
    no_shrink: bool,
    as_json: bool,
) -> int:
    """Run simulated clusters under users and faults, and check every promise.

    Exit code 0: every promise was kept. 1: one was not; the command that replays it is printed.
    """
    from cairnfs.sim.options import Mode
    from cairnfs.sim.swarm import endless, quiet, run_many, shrink

    start = int(time.time()) if first is None else first
    many = range(start, start + (seeds or 20)) if seeds is not None or minutes is None else endless(start)
    with _progress(seeds if minutes is None or seeds else None, minutes) as on_report:
        summary = run_many(many, mode=Mode(mode), cores=cores, minutes=minutes, on_report=on_report)
    if summary.failures and not no_shrink:
        quiet()
        summary.failures[0] = shrink(summary.failures[0])
    if save:
        _save(summary, save)
    is_clean = not summary.failures and not (must_reach and summary.unreached)
    if as_json:
        document({**_facts(summary), "clean": is_clean, "unreached": summary.unreached})
    else:
        _print(summary, must_reach=must_reach)
    return 0 if is_clean else 1


@click.command()
@click.argument("what", metavar="SEED|FILE")
@click.option("--only", metavar="N,N...", help="of the faults of its schedule, only these")
@click.option("--without", metavar="GUARD", default="", help="with one safeguard off")
@click.option("--mode", type=MODES, default="within", show_default=True, help=_MODE_HELP)
@click.option("--trace", type=click.IntRange(min=0), default=20, show_default=True, help="events to show of a failure")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document; `hash` is that of the trace")
def replay(what: str, *, only: str | None, without: str, mode: str, trace: int, as_json: bool) -> int:
    """Run one seed again, or a run that `cairn sim run --save` has kept in a file.

    The same seed is the same run, event by event, under one version of CairnFS and one minor version of Python.
    """
    import msgspec

    from cairnfs.sim.options import Mode
    from cairnfs.sim.run import run_seed

    numbers = None if only is None else _numbers(only)
    safeguards = _without(without)
    if what.isdecimal():
        report = run_seed(int(what), mode=Mode(mode), safeguards=safeguards, only=numbers)
    else:
        kept = _load(what)
        report = run_seed(kept.seed, options=kept.options, schedule=kept.schedule, safeguards=safeguards, only=numbers)
    if as_json:
        document(msgspec.to_builtins(report))
    else:
        _print_report(report, trace)
    return 1 if report.failure else 0


# ---------------------------------------------------------------------- what was typed


def _numbers(only: str) -> list[int]:
    try:
        return [int(number) for number in only.split(",") if number.strip()]
    except ValueError:
        raise click.UsageError(f"--only takes numbers of faults, as 0,3,4; not {only!r}") from None


def _without(guard: str) -> "Safeguards":
    import difflib

    from cairnfs.safeguards import ALL_ON, Safeguards
    from cairnfs.sim.run import all_but

    if guard and guard not in Safeguards.__slots__:
        near = difflib.get_close_matches(guard, Safeguards.__slots__, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`cairn sim ablate --list` shows them"
        raise click.UsageError(f"no guard {guard!r}; {hint}")
    return all_but(guard) if guard else ALL_ON


def _load(path: str) -> "Report":
    import msgspec

    from cairnfs.sim.run import Report

    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Report)
    except OSError as error:
        raise click.UsageError(f"{path!r} is neither a seed nor a file that can be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{path!r} holds no run of this version: {error}") from None


def _save(summary: "Summary", folder: str) -> None:
    import msgspec

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for report in summary.failures:
        (place / f"{report.seed}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))


# ---------------------------------------------------------------------- what is shown


@contextmanager
def _progress(seeds: int | None, minutes: float | None) -> Iterator["Callable[[Summary, Report], None] | None"]:
    """Show a bar on a terminal: of seeds, or of time."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    begun_s = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("seeds", total=seeds or (minutes or 1) * 60)

        def show(summary: "Summary", report: "Report") -> None:
            done = summary.seeds if seeds else time.monotonic() - begun_s
            what = (
                f"{summary.seeds} seeds, {summary.simulated_s / 3600:.1f} h simulated, {len(summary.failures)} failed"
            )
            bars.update(task, completed=done, description=what)

        yield show


def _facts(summary: "Summary") -> dict[str, object]:
    import msgspec

    facts: dict[str, object] = msgspec.to_builtins(summary)
    return facts


def _print(summary: "Summary", *, must_reach: bool) -> None:
    operations, refused = sum(summary.operations.values()), sum(summary.refused.values())
    last = summary.first + summary.seeds - 1
    line(f"seeds           {summary.seeds} ({summary.first} to {last}), mode {summary.mode.value}")
    line(f"simulated       {summary.simulated_s / 3600:.2f} cluster-hours, {summary.events:,} events")
    line(
        f"took            {summary.real_s:.0f} s on {summary.cores} cores, {summary.cpu_s:.0f} s of CPU: "
        f"{summary.simulated_s / max(summary.cpu_s, 0.001):.0f} x real time per core"
    )
    line(
        f"operations      {operations:,} ({operations / max(summary.simulated_s, 1):.1f} a simulated second), "
        f"{refused:,} refused or in doubt"
    )
    line(f"faults          {sum(summary.faults.values()):,}")
    line(f"invariants      looked at {summary.looks:,} times while it ran, and once at rest after each run")
    line()
    table(("operations", "done", "refused"), [
        (name, f"{count:,}", f"{summary.refused.get(name, 0):,}") for name, count in sorted(summary.operations.items())
    ], right=(1, 2))  # fmt: skip
    line()
    for title, counts in (("faults", summary.faults), ("rare states", summary.probes)):
        table((title, "times"), [(name, f"{count:,}") for name, count in sorted(counts.items())], right=(1,))
        line()
    if summary.unreached:
        line(f"{'NOT REACHED' if must_reach else 'not reached'}: {', '.join(summary.unreached)}")
    for report in summary.failures[:FAILURES_SHOWN]:
        line(f"FAILED seed {report.seed}: {report.failure}")
        line(f"  {replay_command(report)}")
    if len(summary.failures) > FAILURES_SHOWN:
        line(f"and {len(summary.failures) - FAILURES_SHOWN} more seeds failed")
    line(
        "every promise was kept" if not summary.failures else f"{len(summary.failures)} of {summary.seeds} seeds failed"
    )


def replay_command(report: "Report") -> str:
    """Return the command that runs this again."""
    parts = ["cairn sim replay", str(report.seed)]
    if report.options.mode.value != "within":
        parts += ["--mode", report.options.mode.value]
    if report.without:
        parts += ["--without", report.without]
    if report.only is not None:
        parts += ["--only", f"'{','.join(str(number) for number in report.only)}'"]
    return " ".join(parts)


def _print_report(report: "Report", trace: int) -> None:
    options = report.options
    line(f"seed {report.seed}, mode {options.mode.value}, Python {report.python}")
    names = [name for name in options.__struct_fields__ if name not in ("mode", "faults")]
    line("  " + ", ".join(f"{name} {getattr(options, name)}" for name in names))
    line()
    for fault in report.schedule:
        line(str(fault))
    line()
    for told in report.told:
        line(told)
    line()
    line(f"{report.simulated_s:.3f} s simulated, {sum(report.operations.values())} operations, {report.events} events")
    line(f"hash {report.hash}")
    if not report.failure:
        line("every promise was kept")
        return
    for event in report.tail.splitlines()[-trace:] if trace else ():
        note(event)
    line(f"FAILED at {report.simulated_s:.3f} s: {report.failure}")
