"""What is on the disk, in its cache and in memory."""

from dataclasses import dataclass
from typing import NamedTuple

ABSENT = "."
"""A sector that was never written, or was cut off."""


ZERO = "0"
"""A sector of a hole."""


class Slot(NamedTuple):
    """The state of the block after one mutation."""

    stamp: int
    content: str
    """Of all valid sectors: it stands for their checksum and their length."""


Pair = tuple[Slot | None, Slot | None]


class Sector(NamedTuple):
    """What a power loss leaves is `durable` or one of `cached`, which are in the order in which they were written."""

    durable: str
    cached: tuple[str, ...] = ()

    @property
    def newest(self) -> str:
        return self.cached[-1] if self.cached else self.durable


class Sums(NamedTuple):
    """The sector with the block's two slots."""

    durable: Pair = (None, None)
    cached: tuple[Pair, ...] = ()

    @property
    def newest(self) -> Pair:
        return self.cached[-1] if self.cached else self.durable


class Record(NamedTuple):
    """One record of the journal."""

    kind: str
    """write, redo, slots, cut."""
    slot: Slot
    start: int = 0
    """First sector of the bytes; of a cut the new length."""
    data: str = ""


class Table(NamedTuple):
    """Memory of the block: as `chunkserver/slots.py`."""

    newest: Slot | None = None
    kept: Slot | None = None
    """The state that a power loss cannot take; its slot is not written."""
    side: int = 1
    """Where `kept` stands in the pair."""
    is_dirty: bool = False
    is_unplaced: bool = False
    submitted: int = 0
    """Sectors that the journal has, or will have before anything later."""
    flushing: int = 0
    """Sectors that a flush under way covers."""
    stamp: int = 0

    @property
    def content(self) -> str:
        return self.newest.content if self.newest is not None else ""


class Work(NamedTuple):
    """A mutation under way. `phase`: redo, cut (both hold the turn), record, flush."""

    phase: str
    slot: Slot
    record: Record | None = None


class State(NamedTuple):
    """All of it."""

    sectors: tuple[Sector, ...]
    sums: Sums = Sums()
    sealed: tuple[Record, ...] = ()
    current: tuple[Record, ...] = ()
    queue: tuple[Record, ...] = ()
    table: Table = Table()
    work: Work | None = None
    flush: Slot | None = None
    """What the flush under way has captured."""
    is_file_flushed: bool = False
    checkpoint: int = 0
    """Of the sealed segment: 0 begun, 1 placed, 2 flushed."""
    next: int = 0
    """Of the program."""
    safe: int = 0
    """Stamp of the last state that was acked as durable."""
    losses: int = 1
    """Power losses that may still come."""
    is_recovering: bool = False


@dataclass(frozen=True, slots=True)
class Mutation:
    """`data` is written from sector `start` on; without data: a cut to `start` sectors."""

    start: int
    data: str
    is_durable: bool = False
    is_copied: bool = False
    """By a reconciliation: the replica is incomplete, so nothing in it counts until this is durable."""


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    redo_record: bool = True
    """Rule 15: flushed bytes are overwritten only with a redo record."""
    flushed_by_block: bool = True
    """Rule 15: what is flushed is told by block; off: by the replica's flushed length alone."""
    redo_before_place: bool = True
    """Rule 15: which is flushed before."""
    redo_of_dirty_block_is_whole: bool = True
    """Invariant 2 of `mutate.py`: a record depends on no bytes that are not flushed."""
    older_slot_is_written: bool = True
    """Rule 24: never the slot with the flushed state."""
    journal_before_ack: bool = True
    """Contract 2: a durable mutation is acked when its record is flushed."""
    flush_before_record: bool = True
    """Rule 24: a record with a state in place follows the flush of the file."""
    places_before_removal: bool = True
    """Rule 24: a segment is removed when all its places are written."""
    flush_before_removal: bool = True
    """Rule 24: and flushed."""
    replay_only_newer: bool = True
    """Replay writes only what is newer than the last flush of the place."""
    cut_by_record: bool = True
    """A cut is in the journal before the file is cut."""
    flush_before_forgetting: bool = True
    """Recovery flushes all places before the journal is removed."""
