"""What a state of the core model consists of. Immutable and hashable; nodes are numbers, sets of nodes are masks."""

from typing import NamedTuple, TypeVar

T = TypeVar("T")

NAMES = "ABC"
NODES = (0, 1, 2)
ALL = 0b111
MEMBERS = tuple(tuple(node for node in NODES if mask >> node & 1) for mask in range(ALL + 1))
"""Mask → the nodes in it."""
SETS = tuple("".join(NAMES[node] for node in members) for members in MEMBERS)
"""Mask → how it is shown."""

APPENDS = "XYZ"
"""Z is padding, made only by a reconciliation that pads."""
OLD = "a"
"""Content of the cell before W and U."""
LEASE_TICKS = 1
BOOK_TICKS = 2

NO_RESULT = 0
"""Phases of a version: nothing in the log yet, or burnt."""
LOGGED = 1
OPEN = 2
ENDED = 3
"""It was open; its primary has restarted."""
VOID = 4
"""Its primary restarted before it took the role."""


def put(items: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """Return the tuple with one place changed."""
    return (*items[:place], value, *items[place + 1 :])


def cell_of(data: str) -> str:
    """Return the content of the cell."""
    return next((one for one in reversed(data) if one not in APPENDS), OLD)


def appended(data: str) -> str:
    """Return the appends in order; the number of one is its offset."""
    return "".join(one for one in data if one in APPENDS)


class Replica(NamedTuple):
    """One server and its replica."""

    promised: int = 1
    """Durable: everything lower is refused."""
    version: int = 1
    serial: int = 0
    """Mutations applied at `version`."""
    certain: int = 0
    """Mutations at the front that may be read whatever the fence."""
    data: str = ""
    """All mutations in order."""
    flushed: str = ""
    unbroken: bool = True
    """Not restarted since the last result that names it: a raise that is given up does not heal it."""
    lease: int = LEASE_TICKS
    excluded: int = 0
    """It serves nothing below this version."""
    epoch: int = 1
    is_reconciled: bool = True
    """In this boot, at `version`."""
    forgotten: int = 0
    """Mutations at the front that its filter of repeats does not know (any more)."""


class Version(NamedTuple):
    """One version number: what the log says of it, and what its primary has done."""

    phase: int = NO_RESULT
    members: int = 0
    primary: int = 0
    log: str = ""
    """Mutations by serial."""
    committed: int = 0
    fence_done: bool = False
    applied: tuple[int, ...] = (0, 0, 0)
    """By node: serials that it has applied and answered."""


class Raise(NamedTuple):
    """A raise that has begun; its messages may arrive as long as somebody would take them."""

    version: int
    targets: int
    primary: int
    promised: int
    source: int
    reconciled: int
    candidates: int
    breaks: bool = False
    """Continuity is broken with it: no candidate has an unbroken boot."""


class Master(NamedTuple):
    """A master's log as it knows it, and what it keeps in memory."""

    version: int
    """Of the last result."""
    issued: int
    raises: tuple[Raise, ...]
    book: tuple[int, ...]
    """By node: ticks until its serving lease has surely ended."""
    members: int
    """Of the last result."""


class Operation(NamedTuple):
    """One mutation of a client."""

    tries: int = 0
    acked: bool = False
    since: int = 0
    """Version of the first try."""


class Shown(NamedTuple):
    """What completed reads and acks have shown to somebody."""

    cell: str = ""
    """Values in the order in which they were shown."""
    appends: tuple[str, ...] = ()
    """By offset; empty: not shown yet, but one behind it was."""


class State(NamedTuple):
    """All of it."""

    replicas: tuple[Replica, ...]
    versions: tuple[Version, ...]
    masters: tuple[Master | None, ...]
    epoch: int
    """1, or 2 once there is a successor."""
    operations: tuple[Operation, ...]
    shown: Shown
    restarts: int
    """How many may still happen."""
    broken_at: int = 0
    """Version at which continuity was broken."""
    acked_at: int = 0
    """Version that the ack of W named."""
    synced: bool = False
    round: tuple[int, int] = (0, 0)
    """A round under way: its version, and who has answered."""
    renewals: int = 0
    """Nodes to which a renewal is under way that does not count from their heartbeat."""
