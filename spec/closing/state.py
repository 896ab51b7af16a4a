"""State, safeguards and bounds of the closing model."""

from dataclasses import dataclass
from typing import NamedTuple

NAMES = "AB"
NODES = (0, 1)
BOTH = 0b11


class Server(NamedTuple):
    """One server and its replica."""

    version: int = 1
    data: str = ""
    flushed: str = ""
    closed_length: int = -1
    """Durable; -1: not closed."""
    closed_on_disk: int = -1
    """Without a safeguard: what a restart would find although the version was opened since."""
    opened: int = 1
    """Version that is open here, in this boot; 0: none."""
    unbroken: bool = True
    forgotten: int = 0
    """Mutations at the front that its filter does not know."""

    @property
    def is_closed(self) -> bool:
        return self.closed_length >= 0


class Record(NamedTuple):
    """The last result in the log."""

    version: int = 1
    members: int = BOTH
    is_closed: bool = False
    length: int = 0
    broken_at: int = 0
    """Since that version a plain write from before is not repeated: results may be forgotten."""


class Role(NamedTuple):
    """The primary's work at one version. `phase`: open, closing, over."""

    node: int = 0
    phase: str = "open"
    log: str = ""
    committed: int = 0
    applied: tuple[int, int] = (0, 0)
    base: int = 0
    """Length with which the version opened."""


class Try(NamedTuple):
    """What the client knows of its mutation."""

    tries: int = 0
    acked: bool = False
    since: int = 0


class State(NamedTuple):
    """All of it."""

    servers: tuple[Server, Server] = (Server(), Server())
    record: Record = Record()
    role: Role = Role()
    tries: tuple[Try, ...] = ()
    reports: tuple[tuple[int, int], ...] = ()
    """(version, length) of every close that was reported: each may arrive late."""
    shown: str = ""
    """Values that reads and acks have shown, in order."""
    length: int = 0
    """The highest length that was told or acked."""
    restarts: int = 0
    is_lossy: bool = False
    """Unsynced writes may have been lost: the power failed under all members of an open version (contract 5)."""


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    flush_before_closed: bool = True
    """Rule 4: every member flushes before it stores `closed`."""
    close_names_length: bool = True
    """Rule 4: a member stores `closed` only with the primary's length."""
    primary_closes_last: bool = True
    """Rule 4: as long as a member may not be closed, the primary is not either, and nothing is reported."""
    closed_takes_no_order: bool = True
    """Rule 4: with `closed` the role ends, on members and on the primary."""
    report_names_version: bool = True
    """Rule 4: the master logs a close only of the version that the record names."""
    opening_clears_closed: bool = True
    """Rule 3: `closed` is taken off durably before the first mutation."""
    source_has_recorded_length: bool = True
    """Rule 12: the source of a closed chunk is closed, with the record's length."""
    restart_leaves_open_version: bool = True
    """Rule 4: a replica that was not closed serves nothing after a restart."""
    filter_is_reconciled: bool = True
    """Rule 11: members take the filter of the source, also if their bytes are equal."""
    forgotten_is_not_repeated: bool = True
    """Rule 11: where the source's filter was lost with a boot, a plain write from before fails instead."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a configuration is."""

    mutations: str = "WU"
    versions: int = 2
    restarts: int = 1
    power: bool = True
    tries: int = 1
    sets: tuple[int, ...] = (1, 2, 3)
