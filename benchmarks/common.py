"""What the benchmark scripts share: a cluster on tmpfs or on the disk, client processes, rounds beside a limit, tables.

Every figure is the median of its rounds, and every round measures the limit before and after: the ratio is to the mean
of the two. `--json FILE` writes all rounds, `--plot FILE` draws the table as bars (needs matplotlib: cairnfs[bench]).
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairnfs.cluster.processes import ProcessCluster
from cairnfs.units import format_size

TMPFS = "/dev/shm"


@dataclass
class Row:
    """One figure, beside its limit of the same rounds."""

    what: str
    unit: str
    """"/s" or "B/s"."""
    goal: float | None = None
    """Of the ratio; or of the figure, if `is_absolute`."""
    is_absolute: bool = False
    here: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        pairs = [here / limit for here, limit in zip(self.here, self.limit, strict=False) if limit]
        return statistics.median(pairs) if pairs else 0.0

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        reached = statistics.median(self.here) if self.is_absolute else self.ratio
        return "" if reached >= self.goal else "NOT REACHED"

    def take(self, measure: Callable[[], float], limit: Callable[[], float] | None = None) -> None:
        """One round."""
        before = limit() if limit is not None else 0.0
        self.here.append(measure())
        if limit is not None:
            self.limit.append((before + limit()) / 2)


def options(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", choices=("tmpfs", "disk"), default="tmpfs", help="where chunks and metadata lie")
    parser.add_argument("--durability", choices=("disk", "memory"), default="disk")
    parser.add_argument("--json", metavar="FILE", help="write all rounds there")
    parser.add_argument("--plot", metavar="FILE", help="draw the table there; needs matplotlib")
    return parser


@contextmanager
def cluster_of(arguments: argparse.Namespace, *, chunkservers: int = 3) -> Iterator[ProcessCluster]:
    """A cluster of processes, chunks and metadata at the place named."""
    settings = {"replica_trash_s": 0, "durability": arguments.durability}
    with (
        tempfile.TemporaryDirectory(dir=place_of(arguments)) as folder,
        ProcessCluster(folder, chunkservers=chunkservers, master_settings=settings) as cluster,
    ):
        yield cluster


def place_of(arguments: argparse.Namespace) -> str | None:
    return TMPFS if arguments.place == "tmpfs" else None


def side_by_side(jobs: list[tuple[Callable[..., float], tuple[Any, ...]]]) -> float:
    """Run each job in a process of its own, all at once; return the sum of what they return."""
    with multiprocessing.get_context("spawn").Pool(len(jobs)) as pool:
        return sum(one.get() for one in [pool.apply_async(job, given) for job, given in jobs])


def on_uvloop(job: Callable[[], Awaitable[float]]) -> float:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(job())  # type: ignore[arg-type]


def amount(value: float, unit: str) -> str:
    return format_size(int(value)) + "/s" if unit == "B/s" else f"{value:,.0f}{unit}"


def report(rows: list[Row], arguments: argparse.Namespace, title: str) -> None:
    """Print the table, and write what else is asked for."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "here", "limit", "ratio", "goal", "", title=title, title_justify="left")
    for row in rows:
        goal = "" if row.goal is None else amount(row.goal, row.unit) if row.is_absolute else f"{row.goal:g}"
        table.add_row(
            row.what, amount(statistics.median(row.here), row.unit),
            amount(statistics.median(row.limit), row.unit) if row.limit else "",
            f"{row.ratio:.2f}" if row.limit else "", goal, row.verdict,
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
    print(f"{arguments.place}, durability {arguments.durability}, {machine}")
    if arguments.json:
        rounds = [{"what": row.what, "unit": row.unit, "here": row.here, "limit": row.limit} for row in rows]
        Path(arguments.json).write_text(json.dumps(rounds, indent=1))
    if arguments.plot:
        plot(rows, arguments.plot, title)


def plot(rows: list[Row], path: str, title: str) -> None:
    """Draw the ratios as bars, with their goals."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install 'cairnfs[bench]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in rows if row.limit]
    figure, axis = pyplot.subplots(figsize=(7, 0.5 + 0.35 * len(shown)))
    axis.barh([row.what for row in shown], [row.ratio for row in shown], color="C0")
    for place, row in enumerate(shown):
        if row.goal is not None and not row.is_absolute:
            axis.plot([row.goal, row.goal], [place - 0.4, place + 0.4], color="C3")
    axis.invert_yaxis()
    axis.set_xlabel("of the limit in the same run")
    axis.set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
