"""Runs configurations and ablations, and prints what was found as a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from spec.closing.configurations import CLOSING
from spec.configuration import Ablation, Configuration, Part, Progress, Reach
from spec.core.configurations import CORE
from spec.deletion.configurations import DELETION
from spec.explore import Result, explore, walk
from spec.fence import FENCE
from spec.joining.configurations import JOINING
from spec.journal.configurations import JOURNAL
from spec.maps import MAPS
from spec.push import PUSH

PARTS: tuple[Part, ...] = (CORE, FENCE, MAPS, PUSH, JOINING, CLOSING, JOURNAL, DELETION)
WALK_S = 12.0
WALK_DEPTH = 120
DULL = ("tick", "renews", "flushes", "begins the raise")
"""Steps that are always possible: walks take them less often."""

_LINE = "{:1} {:9} {:62} {:>9} {:>7}  {}"


@dataclass(slots=True)
class Options:
    """What the command line says."""

    is_short: bool = False
    only: str = ""
    traces: bool = False
    write: Callable[[str], object] = field(default=lambda text: None)

    def wants(self, part: Part, name: str) -> bool:
        return not self.only or self.only in f"{part.name}: {name}"


def run_configurations(options: Options) -> int:
    """Run what must find nothing; return how many did not turn out as expected."""
    options.write("All safeguards on: nothing may be found.")
    _head(options)
    wrong = 0
    for part, name, run in _runs(options):
        if options.wants(part, name):
            result = run()
            wrong += bool(result.violation)
            _row(options, part, name, result, expected=not result.violation)
    return wrong


def _runs(options: Options) -> Iterable[tuple[Part, str, Callable[[], Result]]]:
    for part in PARTS:
        for one in part.configurations:
            if one.is_short or not options.is_short:
                yield part, one.name, lambda one=one: run_one(one)  # type: ignore[misc]
        others: list[Progress | Reach] = [*part.progress, *part.reaches]
        for other in others:
            if other.is_short or not options.is_short:
                yield part, other.name, other.run
        if not options.is_short:
            for one in part.walks:
                yield part, one.name, lambda one=one: _walk(one)  # type: ignore[misc]


def run_one(configuration: Configuration) -> Result:
    """Visit all states of a configuration."""
    return explore(configuration.make(), seconds_max=configuration.seconds_max)


def _walk(configuration: Configuration) -> Result:
    return walk(configuration.make(), seconds=WALK_S, seed=1, depth=WALK_DEPTH, dull=DULL)


def run_ablations(options: Options) -> int:
    """Turn every safeguard off, one by one; return how many did not turn out as expected."""
    options.write("One safeguard off: a violation must be found.")
    _head(options)
    wrong = 0
    for part in PARTS:
        for ablation in part.ablations:
            if not options.wants(part, ablation.name) or (options.is_short and not ablation.is_short):
                continue
            result = run_ablation(ablation)
            is_right = is_expected(ablation, result)
            wrong += not is_right
            _row(options, part, ablation.name, result, expected=is_right)
            if ablation.redundant:
                options.write(f"    redundant: {ablation.redundant}")
    return wrong


def run_ablation(ablation: Ablation) -> Result:
    """Visit states until the violation."""
    return explore(ablation.make())


def is_expected(ablation: Ablation, result: Result) -> bool:
    """True if the violation was found, or none where the safeguard is redundant."""
    if ablation.redundant:
        return not result.violation and result.exhaustive
    return bool(result.violation)


def _head(options: Options) -> None:
    options.write(_LINE.format("", "model", "configuration", "states", "s", "result").rstrip())


def _row(options: Options, part: Part, name: str, result: Result, *, expected: bool) -> None:
    found = result.violation or "nothing found, " + ("exhaustive" if result.exhaustive else "not exhaustive")
    mark = " " if expected else "!"
    options.write(_LINE.format(mark, part.name, name, result.states, f"{result.seconds:.1f}", found))
    if result.violation and (options.traces or not expected):
        for number, step in enumerate(result.trace, 1):
            options.write(f"      {number:3} {step}")
