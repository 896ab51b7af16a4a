"""Orders of a primary to the other members of its set. GFS paper, section 3.1, step 5; rules 7, 10, 11, 14.

A member takes them only at exactly its version, from its primary's boot, serials in order, each once. The connection
may break and the order be sent again: serials that were applied are answered, not applied again.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, ClientId, DataId, Sequence, Serial, ServerId
from cairnfs.limits import PUSHES_MAX
from cairnfs.wire.base import U32, U63, Done, LengthInChunk, OffsetInChunk, Part, Reply, Request
from cairnfs.wire.common import Lease


class MutationKind(StrEnum):
    """What an order does to the chunk."""

    WRITE = "write"
    APPEND = "append"
    TRUNCATE = "truncate"


class Mutation(Part):
    """One serial's work. Its filter entry (client, sequence → offset, length) travels with it (rule 11)."""

    kind: MutationKind
    client: ClientId
    sequence: Sequence
    offset: OffsetInChunk
    length: LengthInChunk
    data: Annotated[list[DataId], Meta(max_length=PUSHES_MAX)] = []
    """Pushed data in order; []: the next `length` bytes of the order's payload."""
    crcs: list[U32] = []
    """Inline only: CRC32C of each 64 KiB of the mutation's bytes."""
    durable: bool = False
    """Flush before answering: appends, synced writes, truncations."""


class Applied(Reply, tag=0x150):
    """All mutations of the order are applied here (and flushed where durable)."""

    boot: BootId
    serial: Serial
    """Highest serial applied."""


class ApplyOrders(Request[Applied], tag=0x50):
    """Apply a run of serials from `first`. Payload: inline bytes, one mutation after the other.

    Errors: OrderRefusedError, StaleVersionError, DataMissingError, ChecksumError, DiskFailedError, DiskFullError: none
    of the order was applied unless `Applied` is answered later for the same serials.
    """

    bulk = True
    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    primary: ServerId
    boot: BootId
    first: Serial
    committed: U63
    """The watermark: every serial up to here is committed (rule 7)."""
    mutations: list[Mutation]
    lease: Lease | None = None
    """With the first order of a new chunk: the member creates its replica from it."""


class Flushed(Reply, tag=0x151):
    """Everything asked for survives a power loss here."""

    boot: BootId
    serial: Serial
    length: LengthInChunk


class FlushOrder(Request[Flushed], tag=0x51):
    """Make everything up to `serial` survive power loss; with `close` also store `closed` and `length` durably."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    primary: ServerId
    boot: BootId
    serial: U63
    length: LengthInChunk
    close: bool = False


class CommitMark(Part):
    """The watermark of one chunk."""

    handle: ChunkHandle
    version: ChunkVersion
    serial: U63


class CommitMarks(Request[Done], tag=0x52):
    """The last watermarks of idle primaries: one message per pair of servers and tick (rule 7)."""

    idempotent = True
    primary: ServerId
    boot: BootId
    marks: list[CommitMark]
