"""Changing a chunk: client → chunkservers. GFS paper, sections 3.1 to 3.3; rules 10, 11, 14 to 17.

    client ── PushData ──▶ nearest ── PushData ──▶ next ── ... (bytes flow as they arrive, apart from control)
    client ── WriteChunk | AppendRecord(s) ──▶ primary ── ApplyOrders ──▶ secondaries

Mutations of at most 64 KiB carry their bytes as payload (`data` = []), larger ones name pushed data: as many pushes,
in order, as they need.
All answer NotPrimaryError, StaleVersionError, DataMissingError, ChecksumError, MutationFailedError, DiskFullError,
DiskFailedError, TooFewCopiesError.
"""

from typing import Annotated

from msgspec import Meta

from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, ClientId, DataId, Sequence, Serial
from cairnfs.limits import APPENDS_MAX, PUSHES_MAX, REPLICAS_MAX
from cairnfs.wire.base import U32, U63, Address, Done, LengthInChunk, OffsetInChunk, Part, PayloadBytes, Reply, Request
from cairnfs.wire.common import Lease


class PushData(Request[Done], tag=0x40):
    """Keep these bytes until a mutation names them, and pass them on to the first of `chain` while they arrive.

    Answered when every server of the chain has them, verified. Errors: ChecksumError, BusyError, ConnectError (which
    names the server that could not be reached).
    """

    bulk = True
    idempotent = True
    data: DataId
    size: PayloadBytes
    crcs: list[U32]
    """CRC32C of each 64 KiB of the data (the last may be short)."""
    chain: Annotated[list[Address], Meta(max_length=REPLICAS_MAX)]


class Written(Reply, tag=0x141):
    """Every member has applied it (and flushed it, for `sync`)."""

    version: ChunkVersion
    """What a later sync names (rule 14)."""
    serial: Serial
    length: LengthInChunk
    """Of the chunk after this mutation."""
    closed: bool = False


class WriteChunk(Request[Written], tag=0x41):
    """Write bytes at an offset inside one chunk; atomic (contract 3), up to the whole chunk.

    A repeated (client, sequence) is answered, not carried out again. If the primary cannot know whether an earlier try
    happened (`since`): UnsureError.
    """

    bulk = True
    handle: ChunkHandle
    version: ChunkVersion
    client: ClientId
    sequence: Sequence
    lowest: Sequence
    offset: OffsetInChunk
    length: LengthInChunk
    data: Annotated[list[DataId], Meta(max_length=PUSHES_MAX)] = []
    """Pushes in order; []: the payload has the bytes."""
    crcs: list[U32] = []
    """Payload only: CRC32C of each 64 KiB."""
    sync: bool = False
    """Also flush on every member before the ack (rule 10)."""
    close: bool = False
    """Also close the chunk after it (rule 4): needs `sync`."""
    lease: Lease | None = None
    since: ChunkVersion = NO_VERSION
    """The oldest version at which an earlier try may have happened; NO_VERSION: none can have (rule 11)."""


class Appended(Reply, tag=0x142):
    """The record stands at `offset` of the chunk on every member, flushed."""

    offset: OffsetInChunk
    version: ChunkVersion
    serial: Serial


class AppendRecord(Request[Appended], tag=0x42):
    """Append a record atomically at an offset that the primary picks. GFS paper, section 3.3.

    Larger than 4 MiB: `data` lists several pushes in order. Errors: ChunkFullError (the chunk was closed at its data
    length: go on in the next one), RecordTooLargeError.
    """

    bulk = True
    handle: ChunkHandle
    version: ChunkVersion
    client: ClientId
    sequence: Sequence
    lowest: Sequence
    length: LengthInChunk
    data: Annotated[list[DataId], Meta(max_length=PUSHES_MAX)] = []
    crcs: list[U32] = []
    lease: Lease | None = None


class AppendedAll(Reply, tag=0x145):
    """Each record stands at its offset, as for `Appended`; None: it found the chunk full."""

    offsets: list[OffsetInChunk | None]
    version: ChunkVersion


class RecordHead(Part):
    """One of several records: its bytes follow those of the one before in the payload."""

    sequence: Sequence
    length: LengthInChunk
    crc: U32


class AppendRecords(Request[AppendedAll], tag=0x45):
    """Append several small records of one client, in this order, each as `AppendRecord` does.

    An error is that of the first record that failed for another reason than a full chunk; others may be appended. The
    same sequences again get the same offsets (rule 11).
    """

    bulk = True
    handle: ChunkHandle
    version: ChunkVersion
    client: ClientId
    lowest: Sequence
    records: Annotated[list[RecordHead], Meta(min_length=1, max_length=APPENDS_MAX)]
    lease: Lease | None = None


class TruncateChunk(Request[Written], tag=0x43):
    """Cut the chunk to `length`, durably; always an overwrite (rule 6). Repeated: as `WriteChunk`."""

    handle: ChunkHandle
    version: ChunkVersion
    client: ClientId
    sequence: Sequence
    lowest: Sequence
    length: LengthInChunk
    since: ChunkVersion = NO_VERSION


class Synced(Reply, tag=0x144):
    """All that was acked is flushed on every member."""

    version: ChunkVersion
    length: LengthInChunk
    closed: bool


class SyncChunk(Request[Synced], tag=0x44):
    """Flush on every member all that was acked. Rule 14.

    `since`: the oldest version among the acks to be made safe; if continuity was broken after it: LostWritesError.
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    since: ChunkVersion
    close: bool = False
    serials: U63 = 0
    """Highest serial acked at `version`: a check only."""
