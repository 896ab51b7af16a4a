"""Reading bytes of one chunk: client or chunkserver → any member. GFS paper, section 2.4; rules 5 to 8, 16.

    ReadChunk ──▶
              ◀── ChunkData, with the bytes as payload

A member answers only while it may (serving lease, or a round of the members), at a version not older than the
reader's, and never pending bytes: it asks the primary (`AskCommitted`) and waits up to 1 s.
"""

from typing import Annotated

from msgspec import Meta

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, Serial
from cairnfs.limits import READ_BYTES_MAX
from cairnfs.wire.base import U32, U63, LengthInChunk, OffsetInChunk, Reply, Request


class ChunkData(Reply, tag=0x130):
    """Bytes of a chunk from `start`. The payload holds whole blocks, or exactly what was asked for if `exact`.

    Shorter than asked for only where this replica's committed bytes end: that is not yet the end of the file (rule 7).
    """

    version: ChunkVersion
    start: OffsetInChunk
    crcs: list[U32]
    """`exact`: one CRC32C of the payload. Else one per block of the payload; the last block may be short."""
    exact: bool
    age_s: float = 0.0
    """`stale_ok` only: how old the proof of freshness is."""
    moment: U63 = 0
    """With `whole` only: equal in two answers of one server and version if none of it was overwritten between them."""


class ReadChunk(Request[ChunkData], tag=0x30):
    """Ask one replica for a range of a chunk.

    64 KiB and more are widened to block borders and verified by the reader; less is verified by the server (rule 16).
    Errors: ChunkMissingError, StaleVersionError, NotReadableError, ChunkCorruptError.
    """

    idempotent = True
    bulk = True
    handle: ChunkHandle
    version: ChunkVersion
    offset: OffsetInChunk
    length: Annotated[int, Meta(ge=1, le=READ_BYTES_MAX)]
    stale_ok: bool = False
    whole: tuple[OffsetInChunk, LengthInChunk] | None = None
    """Start and end of a larger read that this is a part of: its parts must be of one moment (contract 4)."""


class Length(Reply, tag=0x131):
    """How long the chunk is, committed, at one moment after the question."""

    length: LengthInChunk
    version: ChunkVersion


class ChunkLength(Request[Length], tag=0x31):
    """Ask the primary for the length; it answers after a round in which all members still hold the version (rule 7).

    `longer_than` and `wait_s`: a follower waits until the length grows beyond (tail -f), at most so long; it waits
    without a round, and is refused at once when the role ends. Errors: NotPrimaryError, NotReadableError; BusyError
    (FOLLOWERS_MAX wait here).
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    longer_than: int = -1
    wait_s: float = 0.0


class Committed(Reply, tag=0x132):
    """The watermark has reached what was asked for."""

    serial: U63


class AskCommitted(Request[Committed], tag=0x32):
    """Member → primary: tell me when `serial` is committed. Errors: NotPrimaryError, NotReadableError after 1 s."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    serial: Serial


class Held(Reply, tag=0x133):
    """Yes, in this boot."""

    boot: BootId


class HoldVersion(Request[Held], tag=0x33):
    """Member → member: do you still hold exactly this version, in the boot of the lease? The round of rule 7.

    Errors: StaleVersionError, ChunkMissingError.
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
