"""Many seeds on all cores; what failed is shrunk to the faults that it needs, and can be replayed.

    seeds ──▶ one process a core ──▶ reports ──▶ Summary            a failing one ──▶ shrink ──▶ `cairn sim replay`

Each run is a function of its seed and options alone, so the processes share nothing.
"""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import msgspec

from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.options import Mode
from cairnfs.sim.run import PROBES, Report, run_seed


class Summary(msgspec.Struct, kw_only=True):
    """What a campaign was and found."""

    mode: Mode = Mode.WITHIN
    first: int = 0
    seeds: int = 0
    cores: int = 1
    real_s: float = 0.0
    cpu_s: float = 0.0
    simulated_s: float = 0.0
    events: int = 0
    looks: int = 0
    operations: dict[str, int] = {}
    refused: dict[str, int] = {}
    faults: dict[str, int] = {}
    probes: dict[str, int] = {}
    failures: list[Report] = []

    def add(self, report: Report, cpu_s: float) -> None:
        """Count one run."""
        self.seeds += 1
        self.cpu_s += cpu_s
        self.simulated_s += report.simulated_s
        self.events += report.events
        self.looks += report.looks
        for mine, its in (
            (self.operations, report.operations),
            (self.refused, report.refused),
            (self.faults, report.faults),
            (self.probes, report.probes),
        ):
            for name, count in its.items():
                mine[name] = mine.get(name, 0) + count
        if report.failure:
            self.failures.append(report)

    @property
    def unreached(self) -> list[str]:
        """Rare states that no run has met."""
        return [probe for probe in PROBES if not self.probes.get(probe)]


def quiet() -> None:
    """Prepare a process for runs: no log, no second thread, and garbage is collected when its user says so: once a run.

    Python would walk through a whole simulated cluster each time that a part of a run ends.
    """
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.disable()


def _run_one(seed: int, mode: Mode) -> tuple[Report, float]:
    begun_s = time.process_time()
    report = run_seed(seed, mode=mode)
    gc.collect()
    return report, time.process_time() - begun_s


def run_many(
    seeds: Iterable[int],
    *,
    mode: Mode = Mode.WITHIN,
    cores: int | None = None,
    minutes: float | None = None,
    on_report: Callable[[Summary, Report], None] | None = None,
) -> Summary:
    """Run seeds until there are no more, or for so many minutes; what runs then is still waited for.

    `on_report` is called in this process after each run.
    """
    cores = cores or os.cpu_count() or 1
    summary = Summary(mode=mode, cores=cores)
    begun_s = time.monotonic()
    todo = iter(seeds)
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=quiet) as pool:
        running: dict[Future[tuple[Report, float]], None] = {}
        while True:  # ends with the seeds or the time
            is_late = minutes is not None and time.monotonic() - begun_s > 60 * minutes
            while not is_late and len(running) < 2 * cores and (seed := next(todo, None)) is not None:
                running[pool.submit(_run_one, seed, mode)] = None
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                report, cpu_s = future.result()
                summary.first = report.seed if not summary.seeds else min(summary.first, report.seed)
                summary.add(report, cpu_s)
                if on_report is not None:
                    on_report(summary, report)
    summary.failures.sort(key=lambda report: report.seed)
    summary.real_s = time.monotonic() - begun_s
    return summary


def endless(first: int) -> Iterator[int]:
    """Yield seeds from `first` on, for a campaign that ends by time."""
    seed = first
    while True:  # ends when nobody asks any more
        yield seed
        seed += 1


# ---------------------------------------------------------------------- shrinking


def shrink(report: Report, *, tries: int = 60, safeguards: Safeguards = ALL_ON) -> Report:
    """Return the run with the fewest faults found that still fails: halves are left out, then single faults.

    Ours: delta debugging (Zeller and Hildebrandt, 2002), bounded by `tries` runs.
    """
    best = report
    kept = [fault.number for fault in report.schedule]
    size = max(1, len(kept) // 2)
    while tries > 0 and kept:  # ends: each round costs a try, or makes the size smaller
        shorter = _without_a_part(report, kept, size, safeguards)
        for candidate in shorter:
            tries -= 1
            if candidate.failure:
                best, kept = candidate, [fault.number for fault in candidate.schedule]
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return best


def _without_a_part(report: Report, kept: Sequence[int], size: int, safeguards: Safeguards) -> Iterator[Report]:
    """Yield the runs in which `size` neighbouring faults are left out."""
    faults = {fault.number: fault for fault in report.schedule}
    for start in range(0, len(kept), size):
        rest = [*kept[:start], *kept[start + size :]]
        yield run_seed(
            report.seed,
            options=report.options,
            safeguards=safeguards,
            only=rest,
            schedule=[faults[number] for number in kept],
        )
