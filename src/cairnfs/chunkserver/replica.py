"""One replica of one chunk in memory. Made by the store; its durable side is in `format`, `slots` and `records`.

Invariants:
    1. Mutations hold `turn`, one at a time and in the order in which they came; state changes on the loop only.
    2. submitted_length >= flushed_length: bytes below the first are overwritten only after a redo record (rule 15).
"""

import asyncio
import hashlib
from dataclasses import dataclass, field

from cairnfs.chunkserver.format import ReplicaState
from cairnfs.chunkserver.journal import Entry
from cairnfs.chunkserver.slots import SlotTable
from cairnfs.ids import ChunkHandle, DiskId, Serial

_NO_SERIAL = Serial(0)


@dataclass(slots=True, eq=False)
class Replica:
    """Read its fields freely on the loop; change it only through `Store`."""

    handle: ChunkHandle
    disk_id: DiskId
    state: ReplicaState
    table: SlotTable
    header_sequence: int = 0
    """Of the header last given to the journal; `state_sequence` is that of `state`."""
    state_sequence: int = 0
    unbroken: bool = False
    """Held continuously by this process since its version began; False after a restart unless closed. Rule 4."""
    flushed_length: int = 0
    """Bytes from the start that a power loss cannot take."""
    submitted_length: int = 0
    """Bytes from the start that are flushed once the journal's queue is."""
    flushing_length: int = 0
    """Bytes that a running flush has promised to keep: an overwrite treats them as flushed."""
    sequence: int = 0
    """Counts changes of block checksums. Rule 8."""
    serial: Serial = _NO_SERIAL
    """Of the last mutation applied by this process."""
    rewritten: dict[int, int] = field(default_factory=dict)
    rewrites: int = 0
    """Counts starts and ends of overwrites; `rewritten` has the count of a block's last one."""
    rewriting: range = range(0)
    allocated: int = 0
    folder_flushed: bool = False
    gone: bool = False
    """In the trash, in quarantine, or on a failed disk."""
    wanted: ReplicaState | None = None
    """The header last given to the journal; later changes build on it."""
    header_slot: int = 1
    """Which of the two header slots was written last."""
    header_unplaced: bool = False
    last_entry: Entry | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    flush_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Taken before `turn` when both are needed."""

    @property
    def length(self) -> int:
        """Bytes applied so far."""
        return self.table.length

    def block_crcs(self) -> list[tuple[int, int]]:
        """Return (crc, valid length) of each block, from memory."""
        table = self.table
        return [(crc, table.valid_length(block)) for block, crc in enumerate(table.crcs)]

    def digest(self) -> int:
        """Return 63 bits of length and block checksums: equal digests, equal bytes (but for chance)."""
        content = hashlib.blake2b(self.length.to_bytes(8, "little"), digest_size=8)
        content.update(self.table.crcs.tobytes())
        return int.from_bytes(content.digest(), "little") >> 1

    def begin_rewrite(self, blocks: range) -> None:
        """Bytes of these blocks change from now on: a read of them that runs meanwhile starts anew."""
        self.rewriting = blocks
        self._count_rewrite(blocks)

    def end_rewrite(self, blocks: range) -> None:
        """They are as the checksums that are set next say."""
        self.rewriting = range(0)
        self._count_rewrite(blocks)

    def is_rewriting(self, blocks: range) -> bool:
        """True while bytes of one of the blocks change."""
        return blocks.start < self.rewriting.stop and self.rewriting.start < blocks.stop

    def _count_rewrite(self, blocks: range) -> None:
        self.rewrites += 1
        for block in blocks:
            self.rewritten[block] = self.rewrites

    def rewritten_since(self, rewrites: int, blocks: range) -> bool:
        """True if an overwrite of one of the blocks began or ended since `rewrites`."""
        if self.rewrites == rewrites:
            return False
        return any(self.rewritten.get(block, 0) > rewrites for block in blocks)
