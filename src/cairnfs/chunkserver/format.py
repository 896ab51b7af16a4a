"""Bytes of a chunk replica on disk: names, headers, checksum slots and the DISK file. Pure; docs/FORMATS.md.

    <folder>/cairn/DISK                       json: format, cluster, server, disk, geometry
    <folder>/cairn/journal-<16 hex digits>    journal.py
    <folder>/cairn/ab/cd/<handle>.dat         raw bytes of the chunk
    <folder>/cairn/ab/cd/<handle>.sum         0 and 4096: header slots; from 8192: two 16-byte slots per block
    <folder>/cairn/trash/<wall_ns>-<handle>   rule 22; .dat and .sum
    <folder>/cairn/quarantine/<wall_ns>-...   rule 16; never deleted by us

Rule 24. Numbers are little endian. Ours: the paper only says that checksums are kept "persistently with logging,
separate from user data" (GFS paper, section 5.2).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from cairnfs.checksum import Buffer, crc32c
from cairnfs.errors import FormatError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, DiskId, Epoch, ServerId, format_handle
from cairnfs.limits import Geometry

FORMAT = 1
"""Number of the whole layout. Another one is refused, never guessed at."""
ROOT = "cairn"
DISK_NAME = f"{ROOT}/DISK"
TRASH = f"{ROOT}/trash"
QUARANTINE = f"{ROOT}/quarantine"

HEADER_SLOT_BYTES = 4096
SLOTS_START = 2 * HEADER_SLOT_BYTES
SLOT_BYTES = 16
PAIR_BYTES = 2 * SLOT_BYTES
NO_SLOT = bytes(SLOT_BYTES)

_MAGIC = b"CAIRNSUM"
_HEADER = struct.Struct("<8sII16sQQQQQQQQ")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
_SLOT = struct.Struct("<IIII")
_PLACE = struct.Struct("<QIIII")
_CLOSED, _INCOMPLETE, _PLAIN = 1, 2, 4

assert HEADER_BYTES <= 512, "a header must fit one sector, so that it is as before or as written"
assert 512 % PAIR_BYTES == 0, "a pair of slots must not cross a sector"


@dataclass(slots=True)
class ReplicaState:
    """What a replica knows durably about itself. Never changed in place by callers: `Store.set_header` replaces it."""

    handle: ChunkHandle
    version: ChunkVersion
    promised: ChunkVersion
    epoch: Epoch
    closed: bool = False
    incomplete: bool = False
    closed_length: int = 0
    """Bytes; means something only while `closed`."""
    plain_writes: bool = False
    """Rule 12: this version had a plain (unsynced) write."""


class Slot(NamedTuple):
    """State of one block: CRC32C of its first `length` bytes. The highest stamp is the newest."""

    crc: int
    length: int
    stamp: int


# ------------------------------------------------------------------ names


def data_name(handle: ChunkHandle) -> str:
    """Return the name of the raw bytes; the folders come from the low digits, which vary in a dense counter."""
    return f"{replica_folder(handle)}/{format_handle(handle)}.dat"


def sum_name(handle: ChunkHandle) -> str:
    """Return the name of the checksum file."""
    return f"{replica_folder(handle)}/{format_handle(handle)}.sum"


def replica_folder(handle: ChunkHandle) -> str:
    """Return `cairn/ab/cd`: 65,536 folders, filled evenly."""
    digits = format_handle(handle)
    return f"{ROOT}/{digits[-2:]}/{digits[-4:-2]}"


def parse_handle(name: str) -> ChunkHandle | None:
    """Return the handle of a file name `<16 hex digits>.sum` or `.dat`; None for any other name."""
    stem, _, kind = name.partition(".")
    if kind not in ("sum", "dat") or len(stem) != 16:
        return None
    try:
        handle = ChunkHandle(int(stem, 16))
    except ValueError:
        return None
    return handle if format_handle(handle) == stem else None


# ------------------------------------------------------------------ headers


def pack_header(state: ReplicaState, *, cluster: ClusterId, sequence: int) -> bytes:
    """Return the header without the zeros that fill its slot."""
    flags = _CLOSED * state.closed | _INCOMPLETE * state.incomplete | _PLAIN * state.plain_writes
    fields = _HEADER.pack(
        _MAGIC, FORMAT, flags, bytes.fromhex(cluster), state.handle, *state.version, *state.promised,
        state.epoch, state.closed_length, sequence,
    )  # fmt: skip
    return fields + _CRC.pack(crc32c(fields))


def unpack_header(data: Buffer) -> tuple[ReplicaState, ClusterId, int] | None:
    """Return (state, cluster, sequence), or None if this is no intact header of this format."""
    view = memoryview(data)
    if len(view) < HEADER_BYTES:
        return None
    fields = view[: _HEADER.size]
    (crc,) = _CRC.unpack_from(view, _HEADER.size)
    magic, number, flags, cluster, handle, epoch, counter, pepoch, pcounter, seen, length, sequence = _HEADER.unpack(
        fields
    )
    if magic != _MAGIC or crc != crc32c(fields) or number != FORMAT:
        return None
    state = ReplicaState(
        handle=handle,
        version=ChunkVersion(epoch, counter),
        promised=ChunkVersion(pepoch, pcounter),
        epoch=seen,
        closed=bool(flags & _CLOSED),
        incomplete=bool(flags & _INCOMPLETE),
        closed_length=length,
        plain_writes=bool(flags & _PLAIN),
    )
    return state, ClusterId(cluster.hex()), sequence


# ------------------------------------------------------------------ slots


def pack_slot(handle: ChunkHandle, block: int, slot: Slot | None) -> bytes:
    """Return 16 bytes; the tag ties them to this chunk and block, so that misplaced ones are noticed."""
    if slot is None:
        return NO_SLOT
    return _SLOT.pack(slot.crc, slot.length, slot.stamp, place_tag(handle, block, slot))


def pack_slots(handle: ChunkHandle, slots: Iterable[tuple[int, Slot]]) -> dict[int, bytes]:
    """Return `pack_slot` of each block: a stream packs thousands, and a call for each costs more than the packing."""
    pack, place = _SLOT.pack, _PLACE.pack
    return {
        block: pack(crc, length, stamp, crc32c(place(handle, block, crc, length, stamp)))
        for block, (crc, length, stamp) in slots
    }


def unpack_slot(handle: ChunkHandle, block: int, data: Buffer, *, checks_place: bool = True) -> Slot | None:
    """Return the slot, or None if it is empty, torn, or was written for another chunk or block."""
    crc, length, stamp, tag = _SLOT.unpack(data)
    slot = Slot(crc, length, stamp)
    return slot if length and (not checks_place or tag == place_tag(handle, block, slot)) else None


def place_tag(handle: ChunkHandle, block: int, slot: Slot) -> int:
    """Return the CRC32C over where a slot belongs and what it says."""
    return crc32c(_PLACE.pack(handle, block, slot.crc, slot.length, slot.stamp))


# ------------------------------------------------------------------ the DISK file


class DiskFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `cairn/DISK`: whose folder this is. Written once, when the folder is formatted."""

    format: int
    cluster: str
    server: str
    disk: str
    chunk_bytes: int
    block_bytes: int

    @property
    def geometry(self) -> Geometry:
        return Geometry(chunk_bytes=self.chunk_bytes, block_bytes=self.block_bytes)

    @property
    def server_id(self) -> ServerId:
        return ServerId(int(self.server, 16))

    @property
    def disk_id(self) -> DiskId:
        return DiskId(int(self.disk, 16))


class _FormatOnly(msgspec.Struct):
    format: int = -1


def make_disk_file(cluster: ClusterId, server: ServerId, disk: DiskId, geometry: Geometry) -> DiskFile:
    """Return the DISK content of a newly formatted folder."""
    return DiskFile(
        format=FORMAT,
        cluster=cluster,
        server=f"{server:016x}",
        disk=f"{disk:016x}",
        chunk_bytes=geometry.chunk_bytes,
        block_bytes=geometry.block_bytes,
    )


def encode_disk_file(content: DiskFile) -> bytes:
    """Return DISK as people can read it."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def decode_disk_file(data: bytes, *, where: str) -> DiskFile:
    """Return the content of DISK.

    Raises:
        FormatError: damaged, or of another format. Nothing was touched.
    """
    try:
        number = msgspec.json.decode(data, type=_FormatOnly).format
        if number != FORMAT:
            age = "newer" if number > FORMAT else "older"
            raise FormatError(where=where, why=f"written in {age} format {number}; this program knows {FORMAT}")
        content = msgspec.json.decode(data, type=DiskFile)
        _check_disk_file(content)
    except (msgspec.DecodeError, ValueError, AssertionError, RecursionError) as error:
        raise FormatError(where=where, why=f"not a DISK file: {error}") from error
    return content


def _check_disk_file(content: DiskFile) -> None:
    if len(bytes.fromhex(content.cluster)) != 16:
        raise ValueError("cluster is not 32 hexadecimal digits")
    _ = content.server_id, content.disk_id, content.geometry
