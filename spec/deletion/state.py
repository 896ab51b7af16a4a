"""State, safeguards and bounds of the deletion model."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")

NAMES = "ABC"
NODES = (0, 1, 2)
GOAL = 2
USED, TRASH, PURGED = "used", "trash", "purged"


def put(items: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """Return the tuple with one place changed."""
    return (*items[:place], value, *items[place + 1 :])


def names(mask: int) -> str:
    """Return a set of servers as text."""
    return "".join(NAMES[node] for node in NODES if mask >> node & 1)


class Copy(NamedTuple):
    """A replica: its version, and which of all copies ever made it is. (0, 0): none."""

    version: int = 0
    number: int = 0


NONE = Copy()


class Record(NamedTuple):
    """What the log says of the chunk."""

    version: int
    members: int
    status: str = USED
    position: int = 0
    """Of the log: how many records were committed."""


class Order(NamedTuple):
    """A deletion under way. It may arrive at any time, also when it is long forgotten."""

    epoch: int
    node: int
    copy: Copy
    explained: bool
    """By a purge in the log."""


class Master(NamedTuple):
    """One master's picture."""

    record: Record
    reported: tuple[Copy, ...]
    heard: int
    is_rolled_back: bool = False
    """It has noticed that its metadata are older than the cluster."""
    unexplained: int = 0


class Server(NamedTuple):
    """One chunkserver."""

    copy: Copy
    epoch: int = 1
    position: int = 0
    """Highest position of a log that a master told it."""


class State(NamedTuple):
    """All of it."""

    record: Record
    """The truth: of what was ever promised to a client."""
    servers: tuple[Server, ...]
    masters: tuple[Master | None, ...]
    orders: tuple[Order, ...] = ()
    copies: int = 1
    failures: int = 0
    raises: int = 0
    changes: int = 0
    """Unlinks, undeletes and purges that may still come."""

    @property
    def leader(self) -> int:
        return 1 if self.masters[1] is not None else 0


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    refuse_lower_epoch: bool = True
    """Rules 1 and 22: orders of a deposed master are refused."""
    exact_version: bool = True
    """Rule 22: only at exactly the version named."""
    exact_copy: bool = True
    """Rule 22: only the copy that the master has looked at; off: any at that version."""
    keep_last_copy: bool = True
    """Rule 23: the goal is met by confirmed copies."""
    safe_start: bool = True
    """Rule 22: a new master has heard every server first."""
    safe_mode: bool = True
    """Rule 22: none if the metadata were rolled back."""
    notice_by_log: bool = True
    """Rule 22: seen by the position of the log that servers remember; off: by versions above the master's own."""
    brake: bool = True
    """Rule 22: unexplained deletions are limited."""


BRAKE_MAX = 1
"""Unexplained deletions that one master may order without a person."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a configuration is."""

    holders: int = 0b011
    members: int = 0b011
    failures: int = 0
    raises: int = 0
    copies: int = 0
    changes: int = 0
    takeover: bool = False
    rollback: bool = False
    """The successor begins with the metadata of the beginning."""
