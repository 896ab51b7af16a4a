"""What the journal of one disk says, replica by replica. Pure but for reading segments; used by `recovery.py`.

Which bytes are replayed: those of a record that is newer than the last flush of its block's file and not cut off
later. Older ones are in place already, and other bytes may rightly stand there now.
"""

from dataclasses import dataclass, field

from cairnfs.checksum import block_spans
from cairnfs.chunkserver.format import ROOT, ReplicaState, Slot
from cairnfs.chunkserver.records import (
    CUT,
    EPOCH,
    GONE,
    HEADER,
    SLOTS,
    WRITE,
    Record,
    parse_segment,
    read_segment,
    segment_name,
)
from cairnfs.env import File, Files
from cairnfs.ids import NO_VERSION, ChunkHandle, ClusterId, DiskId, Epoch


@dataclass(slots=True)
class Replayed:
    """Records of one replica, since it was last gone."""

    header: tuple[ReplicaState, ClusterId, int] | None = None
    gone: bool = False
    slots: dict[int, list[Slot]] = field(default_factory=dict)
    writes: list[tuple[int, int, memoryview]] = field(default_factory=list)
    """(stamp, offset, bytes), oldest first."""
    cuts: list[tuple[int, int]] = field(default_factory=list)
    """(stamp, new length), oldest first."""
    in_place: dict[int, int] = field(default_factory=dict)
    """Block → stamp up to which its bytes were flushed in the file."""
    last_stamp: int = 0

    def take(self, record: Record) -> None:
        """Add one record."""
        if record.kind == HEADER:
            self.header = record.header
        elif record.kind == CUT:
            self.cuts.append((record.stamp, record.offset))
            self.last_stamp = max(self.last_stamp, record.stamp)
        for block, slot in record.slots:
            self.slots.setdefault(block, []).append(slot)
            self.last_stamp = max(self.last_stamp, slot.stamp)
            if record.kind == SLOTS:
                self.in_place[block] = max(slot.stamp, self.in_place.get(block, 0))
        if record.kind == WRITE:
            self.writes.append((record.stamp, record.offset, record.data))

    def add_cut_slot(self, record: Record, block_bytes: int) -> None:
        """Add the state of the block that a cut left short."""
        block, rest = divmod(record.offset, block_bytes)
        if rest:
            self.slots.setdefault(block, []).append(Slot(record.crc, rest, record.stamp))

    def merge(self, placed: list[list[Slot]], block_bytes: int) -> list[list[Slot]]:
        """Return the states of each block from both sources, without what was cut off."""
        count = max([len(placed), *(block + 1 for block in self.slots)], default=0)
        merged = [
            [*(placed[block] if block < len(placed) else ()), *self.slots.get(block, ())] for block in range(count)
        ]
        return [
            [slot for slot in slots if block * block_bytes + slot.length <= self._cut_after(slot.stamp)]
            for block, slots in enumerate(merged)
        ]

    def write_bytes(self, data: File, block_bytes: int) -> None:
        """Write the bytes that may be missing in place."""
        for stamp, offset, content in self.writes:
            end = min(offset + len(content), self._cut_after(stamp))
            for block, start, count in block_spans(offset, max(0, end - offset), block_bytes):
                if stamp > self.in_place.get(block, 0):
                    place = block * block_bytes + start
                    data.write(place, [content[place - offset : place - offset + count]])

    def _cut_after(self, stamp: int) -> int:
        """Return the smallest length the replica was cut to after `stamp`."""
        return min((length for cut, length in self.cuts if cut > stamp), default=2**63)


@dataclass(slots=True)
class Replays:
    """The whole journal of a disk."""

    by_handle: dict[ChunkHandle, Replayed] = field(default_factory=dict)
    epoch: Epoch = NO_VERSION.epoch
    segments: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def read_journal(files: Files, disk: DiskId, *, block_bytes: int) -> Replays:
    """Read all segments, oldest first. Nothing is written."""
    replays = Replays()
    numbers = [parse_segment(name) for name in files.listing(ROOT)]
    replays.segments = sorted(number for number in numbers if number is not None)
    for number in replays.segments:
        content = _load(files, segment_name(number))
        read = 0
        for record in read_segment(content, number=number, disk=disk):
            _take(replays, record, block_bytes)
            read += 1
        if not read and number != replays.segments[-1]:
            replays.damaged.append(f"{files.root}/{segment_name(number)}: unreadable journal segment")
    return replays


def _take(replays: Replays, record: Record, block_bytes: int) -> None:
    if record.kind == EPOCH:
        replays.epoch = max(replays.epoch, record.epoch)
    elif record.kind == GONE:
        replays.by_handle[record.handle] = Replayed(gone=True)
    else:
        replayed = replays.by_handle.get(record.handle)
        if replayed is None or (replayed.gone and record.kind == HEADER):
            replayed = replays.by_handle[record.handle] = Replayed()
        if replayed.gone:
            return
        replayed.take(record)
        if record.kind == CUT:
            replayed.add_cut_slot(record, block_bytes)


def _load(files: Files, name: str) -> memoryview:
    file = files.open(name)
    try:
        buffer = memoryview(bytearray(file.size()))
        return buffer[: file.read_into(0, buffer)]
    finally:
        file.close()
