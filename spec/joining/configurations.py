"""The configurations and ablations of the joining model."""

from dataclasses import replace

from spec.configuration import Ablation, Configuration, Part
from spec.joining.model import Joining
from spec.joining.state import Bounds, Safeguards

JOINER = Bounds(writes=2)
"""A and B are written to; C joins."""
LAGGING = Bounds(members=0b111, versions=3)
"""All three are members, and one falls behind: it is copied over by a raise that is given up."""


def _holds(name: str, bounds: Bounds, *, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: Joining(bounds), is_short)


def _off(name: str, bounds: Bounds, **off: bool) -> Ablation:
    safeguards = replace(Safeguards(), **off)
    return Ablation(name, next(iter(off)), lambda: Joining(bounds, safeguards))


JOINING = Part(
    "joining",
    (
        _holds("a joiner, two writes", JOINER, is_short=True),
        _holds("a joiner, two raises, a restart", Bounds(versions=3, restarts=1), is_short=True),
        _holds("a joiner, two writes, two raises, a restart", Bounds(writes=2, versions=3, restarts=1)),
        _holds("a lagging member, raises given up", LAGGING, is_short=True),
        _holds("a lagging member, restarts", replace(LAGGING, restarts=2, writes=2)),
    ),
    (
        _off("half-filled is marked", LAGGING, mark_incomplete=False),
        _off("half-filled is no source", LAGGING, incomplete_is_no_source=False),
        _off("half-filled is silent", LAGGING, incomplete_is_silent=False),
        _off("compared again at the raise", JOINER, compare_at_raise=False),
        _off("joins by a raise only", JOINER, join_by_raise=False),
        _off("a promise freezes", JOINER, promise_freezes=False),
        _off("result when all are equal", LAGGING, result_when_equal=False),
    ),
)
