"""State, safeguards and bounds of the joining model."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")

NAMES = "ABC"
NODES = (0, 1, 2)
MEMBERS = tuple(tuple(node for node in NODES if mask >> node & 1) for mask in range(8))
BLOCKS = (0, 1)


def put(items: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """Return the tuple with one place changed."""
    return (*items[:place], value, *items[place + 1 :])


def names(mask: int) -> str:
    """Return a set of servers as text."""
    return "".join(NAMES[node] for node in MEMBERS[mask])


class Replica(NamedTuple):
    """One replica; each block holds the number of the last mutation that wrote it."""

    version: int = 1
    promised: int = 1
    blocks: tuple[int, ...] = (0, 0)
    is_incomplete: bool = False
    """Durable: it is being filled."""
    unbroken: bool = True
    opened: int = 1
    """Version that is open here; 0: none since the restart or the reconciliation."""


class Raise(NamedTuple):
    """The raise under way."""

    version: int
    targets: int
    promised: int = 0
    source: int = -1
    reconciled: int = 0


class State(NamedTuple):
    """All of it."""

    replicas: tuple[Replica, ...]
    version: int = 1
    """Of the last result."""
    members: int = 0b011
    issued: int = 1
    running: Raise | None = None
    written: int = 0
    """Mutations applied by the primary of the last result: the lowest of its members."""
    committed: int = 0
    shown: int = 0
    restarts: int = 0
    copied: int = 0
    """Blocks that the joiner has copied in the background, as a mask."""


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    mark_incomplete: bool = True
    """Rule 12: a replica that is being filled is marked, durably, before its first byte changes."""
    incomplete_is_no_source: bool = True
    """Rule 12: a half-filled replica is no source."""
    incomplete_is_silent: bool = True
    """Rule 13: it serves no read."""
    compare_at_raise: bool = True
    """Rule 13: what changed since the background copy is copied between promise and result."""
    join_by_raise: bool = True
    """Rule 3: an open chunk gains a member only by a raise."""
    promise_freezes: bool = True
    """Rule 3: after its promise nothing is applied or acked at a lower version."""
    result_when_equal: bool = True
    """Rule 3: the result is logged when every target holds the same."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a configuration is."""

    members: int = 0b011
    writes: int = 1
    versions: int = 2
    restarts: int = 0
    sets: tuple[int, ...] = (0b111, 0b100, 0b110, 0b011)
