"""Block checksums of one replica in memory, and which of them a power loss cannot take. Rules 15, 16 and 24.

For each block there is the *newest* state (what a reader gets) and the *flushed* one (what recovery must find). They
are the same for a block at rest. On disk each block has two slots; the one that holds the flushed state is never
written, so a torn or lost write leaves it.

Invariants:
    1. Every block below the last is full, so lengths follow from the length of the replica.
    2. A stamp is given to one change only and grows; recovery takes the newest state that fits the bytes.
    3. `dirty` names the blocks with bytes that neither the journal nor a flush of the file covers yet.
"""

from array import array
from collections.abc import Iterable, Sequence

from cairnfs.chunkserver.format import NO_SLOT, Slot, pack_slot, pack_slots
from cairnfs.ids import ChunkHandle


class SlotTable:
    """Owned by its `Replica`; changed on the loop only."""

    def __init__(self, handle: ChunkHandle, block_bytes: int) -> None:
        self.handle = handle
        self.block_bytes = block_bytes
        self.length = 0
        self.crcs = array("I")
        self.stamps = array("I")
        self.sides = bytearray()
        self.last_stamp = 0
        self.flushed: dict[int, Slot | None] = {}
        self.dirty: dict[int, None] = {}
        self.unplaced: dict[int, None] = {}
        """Blocks whose pair in the .sum file differs from `pairs`."""

    def next_stamp(self) -> int:
        """Return a stamp for the next change."""
        self.last_stamp += 1
        return self.last_stamp

    def valid_length(self, block: int) -> int:
        """Return how many bytes of a block there are; 0 beyond the end."""
        return min(self.block_bytes, max(0, self.length - block * self.block_bytes))

    def newest(self, block: int) -> Slot | None:
        """Return the newest state of a block, None beyond the end."""
        if block >= len(self.crcs):
            return None
        return Slot(self.crcs[block], self.valid_length(block), self.stamps[block])

    def change(self, blocks: Iterable[tuple[int, int]], *, length: int, stamp: int) -> None:
        """Set new (block, crc) states and the length; `blocks` ascend and leave no gap."""
        blocks = list(blocks)
        if blocks and blocks[0][0] == len(self.crcs):
            self._extend(blocks, stamp)
            blocks = []
        for block, crc in blocks:
            if block not in self.flushed:
                self.flushed[block] = self.newest(block)
            if block == len(self.crcs):
                self.crcs.append(crc)
                self.stamps.append(stamp)
                self.sides.append(1)  # so that the first state goes to the first slot
            else:
                self.crcs[block] = crc
                self.stamps[block] = stamp
            self.dirty[block] = None
        self.length = length
        self.last_stamp = max(self.last_stamp, stamp)

    def _extend(self, blocks: list[tuple[int, int]], stamp: int) -> None:
        """`change` where all blocks are new, as in a stream: all at once, not one by one."""
        new = range(len(self.crcs), len(self.crcs) + len(blocks))
        self.crcs.extend([crc for _, crc in blocks])
        self.stamps.extend([stamp] * len(blocks))
        self.sides.extend(b"\1" * len(blocks))
        self.flushed.update(dict.fromkeys(new))
        self.dirty.update(dict.fromkeys(new))

    def mark_submitted(self, blocks: Iterable[tuple[int, Slot]]) -> None:
        """The journal has these states in its queue: whatever it takes later depends on them no more."""
        stamps, count, dirty = self.stamps, len(self.stamps), self.dirty
        for block, slot in blocks:
            if block < count and stamps[block] == slot.stamp:
                dirty.pop(block, None)

    def mark_flushed(self, blocks: Iterable[tuple[int, Slot]]) -> None:
        """A power loss cannot take these states any more; older ones are not needed."""
        stamps, flushed, count = self.stamps, self.flushed, len(self.stamps)
        for block, slot in blocks:
            if block >= count or block not in flushed:
                continue
            before = flushed[block]
            if before is not None and before.stamp >= slot.stamp:
                continue
            self.sides[block] ^= 1
            self.unplaced[block] = None
            if stamps[block] == slot.stamp:
                del flushed[block]
            else:
                flushed[block] = slot

    def cut(self, length: int, crc: int, *, stamp: int) -> None:
        """Shorten to `length`; `crc` is that of the new last block. The cut is in the journal."""
        count = -(-length // self.block_bytes)
        for block in range(count, len(self.crcs)):
            self.unplaced[block] = None
            self.flushed.pop(block, None)
            self.dirty.pop(block, None)
        del self.crcs[count:], self.stamps[count:], self.sides[count:]
        self.length = length
        self.last_stamp = max(self.last_stamp, stamp)
        if length % self.block_bytes:
            self.crcs[-1], self.stamps[-1] = crc, stamp
            self.sides[-1] ^= 1
            self.flushed.pop(count - 1, None)
            self.dirty.pop(count - 1, None)
            self.unplaced[count - 1] = None

    def captured(self, blocks: Iterable[int]) -> list[tuple[int, Slot]]:
        """Return the newest states of blocks, to be flushed."""
        crcs, stamps, full = self.crcs, self.stamps, self.block_bytes
        last = len(crcs) - 1  # invariant 1: only this one may be short
        end = self.valid_length(last)
        return [
            (block, Slot(crcs[block], full if block < last else end, stamps[block]))
            for block in blocks
            if block <= last
        ]

    def pairs(self, first: int, last: int) -> bytes:
        """Return what the .sum file should hold for blocks first to last, both included."""
        newest = dict(self.captured(range(first, last + 1)))
        packed = pack_slots(self.handle, newest.items())
        out: list[bytes] = []
        for block in range(first, last + 1):
            other, kept = NO_SLOT, packed.get(block, NO_SLOT)
            if block in self.flushed:
                other, kept = kept, pack_slot(self.handle, block, self.flushed[block])
            out += (other, kept) if block in newest and self.sides[block] else (kept, other)
        return b"".join(out)

    def keeps(self, start: int, end: int) -> bool:
        """True if a state that a power loss must leave has bytes of [start, end)."""
        size = self.block_bytes
        for block in range(start // size, min(-(-end // size), len(self.crcs))):
            state = self.flushed[block] if block in self.flushed else self.newest(block)
            if state is not None and block * size + state.length > start:
                return True
        return False

    def kept(self, blocks: Iterable[int]) -> list[tuple[int, Slot | None]]:
        """Return (side, flushed state) of blocks as of now, for `pack_pairs` on another thread."""
        return [
            (self.sides[block], self.flushed[block] if block in self.flushed else self.newest(block))
            if block < len(self.sides)
            else (1, None)
            for block in blocks
        ]

    def load(self, states: Sequence[Slot], *, length: int, last_stamp: int) -> None:
        """Take over what recovery verified: all of it is flushed and in the first slot of its pair."""
        self.crcs = array("I", [slot.crc for slot in states])
        self.stamps = array("I", [slot.stamp for slot in states])
        self.sides = bytearray(len(states))
        self.length, self.last_stamp = length, last_stamp


def pack_pairs(
    handle: ChunkHandle, first: int, kept: Sequence[tuple[int, Slot | None]], changed: Sequence[Slot]
) -> bytes:
    """Return the pairs of a run of blocks whose newest states are `changed`; the kept ones stay on their side."""
    packed = pack_slots(handle, enumerate(changed, first))
    out: list[bytes] = []
    for (block, new), (side, flushed) in zip(packed.items(), kept, strict=True):
        old = NO_SLOT if flushed is None else pack_slot(handle, block, flushed)
        out += (new, old) if side else (old, new)
    return b"".join(out)
