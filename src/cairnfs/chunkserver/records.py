"""Records of a disk's journal and how a segment is framed. Pure; docs/FORMATS.md.

    segment = head, record, record, ...
    head    = magic 8, format u32, reserved u32, number u64, disk u64, crc u32
    record  = length u32, crc u32, payload of `length` bytes

The crc of a record is the CRC32C of the head and of all lengths and payloads up to and including its own: a chain, so
that a record of an older use of the same place never fits. Rule 24.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cairnfs.checksum import Buffer, crc32c
from cairnfs.chunkserver.format import FORMAT, HEADER_BYTES, ROOT, ReplicaState, Slot, pack_header, unpack_header
from cairnfs.ids import NO_VERSION, ChunkHandle, ClusterId, DiskId, Epoch

_MAGIC = b"CAIRNJNL"
_HEAD = struct.Struct("<8sIIQQ")
_U32 = struct.Struct("<I")
_FRAME = struct.Struct("<II")
HEAD_BYTES = _HEAD.size + _U32.size
FRAME_BYTES = _FRAME.size

_KIND = struct.Struct("<B")
_EPOCH = struct.Struct("<BQ")
_GONE = struct.Struct("<BQ")
_WRITE = struct.Struct("<BQQII")  # kind, handle, offset, stamp, slots; then slots; then the bytes
_SLOTS = struct.Struct("<BQI")
_CUT = struct.Struct("<BQQII")  # kind, handle, length, stamp, crc of the last block
_SLOT = struct.Struct("<IIII")

HEADER, WRITE, SLOTS, CUT, GONE, EPOCH = 1, 2, 3, 4, 5, 6
_NO_HANDLE = ChunkHandle(0)
Slots = Sequence[tuple[int, Slot]]


def segment_name(number: int) -> str:
    """Return the name of a segment; names sort as numbers do."""
    return f"{ROOT}/journal-{number:016x}"


def parse_segment(name: str) -> int | None:
    """Return the number of a file in the folder `cairn`, None if it is no segment."""
    prefix, _, digits = name.partition("-")
    if prefix != "journal" or len(digits) != 16:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def pack_segment_head(number: int, disk: DiskId) -> bytes:
    """Return the head of a segment; its last four bytes start the chain."""
    fields = _HEAD.pack(_MAGIC, FORMAT, 0, number, disk)
    return fields + _U32.pack(crc32c(fields))


def frame(parts: Sequence[Buffer], chain: int) -> tuple[bytes, int]:
    """Return (length and crc of a record, the chain after it)."""
    length = _U32.pack(sum(len(part) for part in parts))
    chain = crc32c(length, chain)
    for part in parts:
        chain = crc32c(part, chain)
    return length + _U32.pack(chain), chain


def pack_header_record(state: ReplicaState, *, cluster: ClusterId, sequence: int) -> list[Buffer]:
    """A replica was created, or its header changed."""
    return [_KIND.pack(HEADER) + pack_header(state, cluster=cluster, sequence=sequence)]


def pack_write_record(
    handle: ChunkHandle, offset: int, data: Sequence[Buffer], *, stamp: int, slots: Slots
) -> list[Buffer]:
    """Bytes at a place and the states of the blocks they touch. A redo record (rule 15) or a small mutation."""
    head = _WRITE.pack(WRITE, handle, offset, stamp, len(slots))
    return [head + _pack_slots(slots), *data]


def pack_slots_record(handle: ChunkHandle, slots: Slots) -> list[Buffer]:
    """These states are in the .dat file, flushed."""
    return [_SLOTS.pack(SLOTS, handle, len(slots)) + _pack_slots(slots)]


def pack_cut_record(handle: ChunkHandle, length: int, *, stamp: int, crc: int) -> list[Buffer]:
    """The replica was shortened."""
    return [_CUT.pack(CUT, handle, length, stamp, crc)]


def pack_gone_record(handle: ChunkHandle) -> list[Buffer]:
    """The replica left for the trash or the quarantine: what stands before is void."""
    return [_GONE.pack(GONE, handle)]


def pack_epoch_record(epoch: Epoch) -> list[Buffer]:
    """The highest epoch seen, repeated at the start of each segment. Rule 1."""
    return [_EPOCH.pack(EPOCH, epoch)]


def _pack_slots(slots: Slots) -> bytes:
    return b"".join([_SLOT.pack(block, *slot) for block, slot in slots])


@dataclass(slots=True)
class Record:
    """A record as replay sees it; fields that its kind lacks keep their defaults."""

    kind: int
    handle: ChunkHandle = _NO_HANDLE
    offset: int = 0
    """Of the bytes; for a cut the new length."""
    stamp: int = 0
    crc: int = 0
    slots: list[tuple[int, Slot]] = field(default_factory=list)
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    header: tuple[ReplicaState, ClusterId, int] | None = None
    epoch: Epoch = NO_VERSION.epoch


def read_segment(content: memoryview, *, number: int, disk: DiskId) -> Iterator[Record]:
    """Yield the records up to the first that is torn, missing or malformed. A foreign head yields none."""
    head = pack_segment_head(number, disk)
    if content[:HEAD_BYTES] != head:
        return
    (chain,) = _U32.unpack_from(head, HEAD_BYTES - _U32.size)
    place = HEAD_BYTES
    while place + FRAME_BYTES <= len(content):
        length, crc = _FRAME.unpack_from(content, place)
        payload = content[place + FRAME_BYTES : place + FRAME_BYTES + length]
        if not length or len(payload) < length:
            return
        chain = crc32c(payload, crc32c(content[place : place + 4], chain))
        if chain != crc:
            return
        record = _unpack(payload)
        if record is None:
            return
        yield record
        place += FRAME_BYTES + length


def _unpack(payload: memoryview) -> Record | None:  # noqa: PLR0911 - one for each kind
    kind = payload[0]
    try:
        if kind == HEADER:
            return _unpack_header_record(payload)
        if kind == WRITE:
            _, handle, offset, stamp, count = _WRITE.unpack_from(payload)
            slots, end = _unpack_slots(payload, _WRITE.size, count)
            return Record(WRITE, handle, offset, stamp, slots=slots, data=payload[end:])
        if kind == SLOTS:
            _, handle, count = _SLOTS.unpack_from(payload)
            return Record(SLOTS, handle, slots=_unpack_slots(payload, _SLOTS.size, count)[0])
        if kind == CUT:
            _, handle, length, stamp, crc = _CUT.unpack(payload)
            return Record(CUT, handle, length, stamp, crc)
        if kind == GONE:
            return Record(GONE, ChunkHandle(_GONE.unpack(payload)[1]))
        if kind == EPOCH:
            return Record(EPOCH, epoch=Epoch(_EPOCH.unpack(payload)[1]))
    except struct.error:
        pass
    return None


def _unpack_header_record(payload: memoryview) -> Record | None:
    header = unpack_header(payload[1 : 1 + HEADER_BYTES])
    return None if header is None else Record(HEADER, header[0].handle, header=header)


def _unpack_slots(payload: memoryview, start: int, count: int) -> tuple[list[tuple[int, Slot]], int]:
    end = start + count * _SLOT.size
    if end > len(payload):
        raise struct.error("slots beyond the record")
    found = [(block, Slot(crc, length, stamp)) for block, crc, length, stamp in _SLOT.iter_unpack(payload[start:end])]
    return found, end
