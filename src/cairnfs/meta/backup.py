"""What a backup of metadata says of itself: the last 4096 bytes of its file, behind the copy of the store.

    magic `CAIRNBAK`   8 bytes
    format             u32, now 1
    length of facts    u32
    facts              JSON, see `Facts`
    zeros
    CRC32C             u32, of the 4092 bytes before

They stand at the end, so a backup that was cut short has none. Numbers are little endian. Pure.
"""

from struct import Struct

import msgspec

from cairnfs.checksum import crc32c
from cairnfs.errors import FormatError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, Epoch, InodeId
from cairnfs.meta.read import counts
from cairnfs.meta.tables import get_counters, read_identity
from cairnfs.meta.views import MetaRead

TAIL_BYTES = 4096
MAGIC = b"CAIRNBAK"
FORMAT = 1
HEAD = Struct("<8sII")
_CRC = Struct("<I")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Of which moment a backup is, and how it is told whole. New fields go last with defaults."""

    cluster: ClusterId
    taken_ns: int
    """Wall clock, just before the copy began."""
    epoch: Epoch
    """The reign."""
    max_version: ChunkVersion
    next_handle: ChunkHandle
    next_inode: InodeId
    log_index: int
    files: int
    chunks: int
    body_bytes: int
    body_crc: int
    """CRC32C of the copy of the store."""


def facts_of(view: MetaRead, *, epoch: Epoch, taken_ns: int, body_bytes: int, body_crc: int) -> Facts:
    """Return the facts of a copied store.

    Raises:
        FormatError: no cluster in it.
    """
    identity = read_identity(view)
    if identity is None:
        raise FormatError(where="metadata store", why="empty: there is nothing to back up")
    counters, seen = get_counters(view), counts(view)
    return Facts(
        cluster=identity.cluster,
        taken_ns=taken_ns,
        epoch=epoch,
        max_version=counters.max_version,
        next_handle=counters.next_handle,
        next_inode=counters.next_inode,
        log_index=seen.log_index,
        files=seen.files,
        chunks=seen.chunks,
        body_bytes=body_bytes,
        body_crc=body_crc,
    )


def encode_tail(facts: Facts) -> bytes:
    """Return the last bytes of a backup."""
    body = msgspec.json.encode(facts)
    text = HEAD.pack(MAGIC, FORMAT, len(body)) + body
    assert len(text) <= TAIL_BYTES - _CRC.size, len(text)
    text = text.ljust(TAIL_BYTES - _CRC.size, b"\0")
    return text + _CRC.pack(crc32c(text))


def decode_tail(tail: bytes, *, size_bytes: int, where: str) -> Facts:
    """Return what the last bytes of a file of `size_bytes` say.

    Raises:
        FormatError: no backup, of another format, cut short or changed.
    """
    if len(tail) != TAIL_BYTES or tail[: len(MAGIC)] != MAGIC:
        raise FormatError(where=where, why="no backup of metadata, or cut short: its last 4096 bytes are not of one")
    _, number, length = HEAD.unpack_from(tail)
    if number != FORMAT:
        raise FormatError(where=where, why=f"a backup of format {number}; this version of CairnFS restores {FORMAT}")
    if crc32c(tail[: -_CRC.size]) != _CRC.unpack_from(tail, TAIL_BYTES - _CRC.size)[0]:
        raise FormatError(where=where, why="damaged: the checksum of its last 4096 bytes is wrong")
    try:
        facts = msgspec.json.decode(tail[HEAD.size : HEAD.size + length], type=Facts)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FormatError(where=where, why=f"its facts cannot be read: {error}") from error
    if facts.body_bytes != size_bytes - TAIL_BYTES:
        raise FormatError(
            where=where, why=f"{size_bytes - TAIL_BYTES} bytes of metadata, but {facts.body_bytes} were written"
        )
    return facts
