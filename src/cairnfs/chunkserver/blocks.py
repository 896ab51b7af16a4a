"""What a mutation makes of the checksums of a chunk's blocks. Runs on a disk's thread; the one place of rule 16.

Every byte is read once for its piece's checksum; a block's own checksum is then taken over, extended, or, where old
bytes stay beside new ones, computed anew after the old ones were verified.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from cairnfs.checksum import Buffer, block_spans, crc32c
from cairnfs.chunkserver.slots import SlotTable
from cairnfs.errors import ChecksumError, ChunkCorruptError
from cairnfs.ids import format_handle
from cairnfs.units import MIB

ZEROS = bytes(MIB)
"""Holes are written from this."""


class Piece(NamedTuple):
    """The part of a mutation that falls into one block, where it lies in the caller's buffers."""

    block: int
    start: int
    length: int
    parts: list[memoryview]


@dataclass(slots=True)
class Effect:
    """New states of a run of blocks."""

    first: int = 0
    crcs: list[int] = field(default_factory=list)
    before: bytes = b""
    """Old bytes of the first block before the new ones, if they stay."""
    after: bytes = b""
    """Old bytes of the last block after the new ones, if they stay."""


def cut_pieces(data: Sequence[Buffer], offset: int, block_bytes: int) -> list[Piece]:
    """Cut the bytes of a mutation at the borders of blocks, without copying."""
    views = [memoryview(buffer).cast("B") for buffer in data if len(buffer)]
    size = sum(len(view) for view in views)
    if offset % block_bytes == 0 and all(len(view) % block_bytes == 0 for view in views[:-1]):
        return _cut_evenly(views, offset // block_bytes, block_bytes)
    pieces: list[Piece] = []
    index, used = 0, 0
    for block, start, length in block_spans(offset, size, block_bytes):
        parts: list[memoryview] = []
        rest = length
        while rest:
            part = views[index][used : used + rest]
            parts.append(part)
            rest -= len(part)
            used += len(part)
            if used == len(views[index]):
                index, used = index + 1, 0
        pieces.append(Piece(block, start, length, parts))
    return pieces


def _cut_evenly(views: Sequence[memoryview], first: int, block_bytes: int) -> list[Piece]:
    """`cut_pieces` where no block has parts in two buffers, as in a stream."""
    parts = [view[start : start + block_bytes] for view in views for start in range(0, len(view), block_bytes)]
    return [Piece(block, 0, len(part), [part]) for block, part in enumerate(parts, first)]


def zero_buffers(length: int) -> list[Buffer]:
    """Return buffers with `length` zeros, all of the same memory."""
    whole, rest = divmod(length, len(ZEROS))
    buffers: list[Buffer] = [ZEROS] * whole
    if rest:
        buffers.append(memoryview(ZEROS)[:rest])
    return buffers


@lru_cache(maxsize=8)
def zero_crc(length: int) -> int:
    """Return the CRC32C of zeros, at most a block of them."""
    return _extend(0, zero_buffers(length))


def verify_pieces(pieces: Sequence[Piece], crcs: Sequence[int], table: SlotTable) -> None:
    """Check the bytes against the sender's checksums.

    Raises:
        ChecksumError: they differ, or there are more or fewer than pieces. Nothing was stored.
    """
    what = f"data for chunk {format_handle(table.handle)}"
    if len(pieces) != len(crcs):
        raise ChecksumError(what=what)
    for piece, expected in zip(pieces, crcs, strict=True):
        parts = piece.parts
        if (crc32c(parts[0]) if len(parts) == 1 else _extend(0, parts)) != expected:
            raise ChecksumError(what=f"{what}, block {piece.block},")


def plan_effect(
    table: SlotTable,
    offset: int,
    pieces: Sequence[Piece],
    crcs: Sequence[int],
    *,
    read: Callable[[int, memoryview], int],
    verify: bool,
) -> Effect:
    """Return the new block states of bytes at `offset` whose pieces were verified; zeros fill a hole before them.

    Raises:
        ChunkCorruptError: old bytes that would stay beside new ones do not fit their checksum. Nothing was written.
    """
    if offset == table.length and offset % table.block_bytes == 0:
        return Effect(first=offset // table.block_bytes, crcs=list(crcs))  # whole new blocks, as in a stream
    states = _fill_hole(table, offset)
    effect = Effect(first=min(table.length, offset) // table.block_bytes)
    for number, (piece, crc) in enumerate(zip(pieces, crcs, strict=True)):
        old = states.get(piece.block)
        valid = table.valid_length(piece.block) if old is None else old[1]
        if piece.start == 0 and piece.length >= valid:
            states[piece.block] = crc, piece.length
        elif piece.start == valid:
            base = table.crcs[piece.block] if old is None else old[0]
            states[piece.block] = _extend(base, piece.parts), valid + piece.length
        else:
            kept = _read_old(table, piece.block, valid, read=read, verify=verify)
            end = piece.start + piece.length
            before, after = kept[: piece.start], kept[end:]
            if number == 0:
                effect.before = bytes(before)
            if number == len(pieces) - 1:
                effect.after = bytes(after)
            merged = crc32c(after, _extend(crc32c(before), piece.parts))
            states[piece.block] = merged, max(valid, end)
    effect.crcs = [states[block][0] for block in sorted(states)]
    return effect


def _fill_hole(table: SlotTable, offset: int) -> dict[int, tuple[int, int]]:
    states: dict[int, tuple[int, int]] = {}
    for block, start, count in block_spans(table.length, max(0, offset - table.length), table.block_bytes):
        if start:
            states[block] = _extend(table.crcs[block], zero_buffers(count)), start + count
        else:
            states[block] = zero_crc(count), count
    return states


def _read_old(
    table: SlotTable, block: int, valid: int, *, read: Callable[[int, memoryview], int], verify: bool
) -> memoryview:
    kept = memoryview(bytearray(valid))
    count = read(block * table.block_bytes, kept)
    if count < valid or (verify and crc32c(kept) != table.crcs[block]):
        raise ChunkCorruptError(chunk=table.handle, block=block)
    return kept


def _extend(crc: int, parts: Sequence[Buffer]) -> int:
    for part in parts:
        crc = crc32c(part, crc)
    return crc
