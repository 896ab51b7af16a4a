"""Chunks, their replicas and their order: numbers 3001 to 3999."""

from dataclasses import dataclass

from cairnfs.errors.base import CairnError, Retry
from cairnfs.ids import ChunkHandle, ChunkVersion, format_handle


@dataclass(eq=False, kw_only=True)
class StaleVersionError(CairnError):
    """Request and replica do not agree on the version. Nothing happened. GFS paper, section 4.5."""

    code = 3001
    retry = Retry.REFRESH
    chunk: ChunkHandle
    has: ChunkVersion
    wanted: ChunkVersion

    def __str__(self) -> str:
        return f"chunk {format_handle(self.chunk)} is at version {self.has} here, but {self.wanted} was asked for"


@dataclass(eq=False, kw_only=True)
class NotPrimaryError(CairnError):
    """This server may not order mutations of the chunk (no lease, lease over, or closed). Nothing happened."""

    code = 3002
    retry = Retry.REFRESH
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"not primary of chunk {format_handle(self.chunk)}: {self.why}"


@dataclass(eq=False, kw_only=True)
class NotReadableError(CairnError):
    """This replica may not answer reads now (no serving lease, excluded, restarted, pending bytes)."""

    code = 3003
    retry = Retry.REFRESH
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"chunk {format_handle(self.chunk)} is not readable here: {self.why}"


@dataclass(eq=False, kw_only=True)
class ChunkMissingError(CairnError):
    """This server has no replica of the chunk."""

    code = 3004
    retry = Retry.REFRESH
    chunk: ChunkHandle

    def __str__(self) -> str:
        return f"no replica of chunk {format_handle(self.chunk)} here"


@dataclass(eq=False, kw_only=True)
class ChunkFullError(CairnError):
    """The record does not fit: the chunk was closed at its data length. Nothing was appended. GFS paper, 3.3."""

    code = 3005
    retry = Retry.REFRESH
    chunk: ChunkHandle

    def __str__(self) -> str:
        return f"chunk {format_handle(self.chunk)} is full"


@dataclass(eq=False, kw_only=True)
class ChunkCorruptError(CairnError):
    """Bytes do not fit their checksum; the replica is quarantined and reported. No byte was returned."""

    code = 3006
    retry = Retry.REFRESH
    chunk: ChunkHandle
    block: int

    def __str__(self) -> str:
        return f"chunk {format_handle(self.chunk)} is corrupt in block {self.block}"


@dataclass(eq=False, kw_only=True)
class MutationFailedError(CairnError):
    """A member did not confirm: the mutation may be adopted or dropped by the next version."""

    code = 3007
    retry = Retry.REFRESH
    may_have_happened = True
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"mutation of chunk {format_handle(self.chunk)} not confirmed by every replica: {self.why}"


@dataclass(eq=False, kw_only=True)
class LostWritesError(CairnError):
    """Continuity was broken since the version named: plain writes that were not synced may be gone. Rule 14."""

    code = 3008
    retry = Retry.REFRESH
    may_have_happened = True
    chunk: ChunkHandle
    since: ChunkVersion

    def __str__(self) -> str:
        return f"unsynced writes to chunk {format_handle(self.chunk)} since version {self.since} may be lost"


@dataclass(eq=False, kw_only=True)
class DataMissingError(CairnError):
    """A member no longer has the pushed bytes. Nothing happened; push again."""

    code = 3009
    retry = Retry.REFRESH
    data: int

    def __str__(self) -> str:
        return f"pushed data {self.data:x} is not here (any more)"


@dataclass(eq=False, kw_only=True)
class ChecksumError(CairnError):
    """Bytes were changed on the way. Nothing was stored."""

    code = 3010
    retry = Retry.REFRESH
    what: str

    def __str__(self) -> str:
        return f"{self.what} does not fit its checksum"


@dataclass(eq=False, kw_only=True)
class RecordTooLargeError(CairnError, ValueError):
    """A record is at most a quarter of a chunk. Nothing happened. GFS paper, section 3.3."""

    code = 3011
    hint = "write large data with write(), or split the record"
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"record of {self.size_bytes} bytes is larger than the limit of {self.limit_bytes}"


@dataclass(eq=False, kw_only=True)
class OrderRefusedError(CairnError):
    """A member refuses an order of a primary: wrong version, boot or serial. Nothing happened there."""

    code = 3012
    retry = Retry.REFRESH
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"order for chunk {format_handle(self.chunk)} refused: {self.why}"


@dataclass(eq=False, kw_only=True)
class ChunkOpenError(CairnError):
    """Chunks that must be closed first are open (a snapshot shares closed chunks only). Nothing happened."""

    code = 3013
    retry = Retry.LATER
    chunks: list[ChunkHandle]

    def __str__(self) -> str:
        return f"{len(self.chunks)} chunks are open: {', '.join(map(format_handle, self.chunks[:1]))}"


@dataclass(eq=False, kw_only=True)
class FencePendingError(CairnError):
    """The overwrite, or truncation, waits until no replica that was left behind can be read (rules 6 and 9).

    Ask again with the same sequence: an overwrite has not happened, a truncation that dropped chunks has. The wait ends
    by itself: when the server that was left behind confirms, or after its serving lease.
    """

    code = 3014
    retry = Retry.LATER
    chunk: ChunkHandle

    def __str__(self) -> str:
        return f"a change of chunk {format_handle(self.chunk)} waits for the readers of a replica left behind"


@dataclass(eq=False, kw_only=True)
class NotAppendedError(CairnError):
    """Records that were put were not acknowledged; any of them may stand in the file. The writer keeps them.

    Its next `flush` or `close` sends them again with the same sequences, so a reader still gets each once.
    """

    code = 3015
    retry = Retry.LATER
    may_have_happened = True
    hint = "flush() or close() of the writer tries again, discard() gives up"
    path: str
    records: int
    why: str

    def __str__(self) -> str:
        return f"{self.records} records of {self.path} were not acknowledged: {self.why}"


@dataclass(eq=False, kw_only=True)
class RecordDecodeError(CairnError, ValueError):
    """A record is whole, but the reader's codec cannot decode it. Reading may go on behind it, at `position`."""

    code = 3016
    hint = "read it with codec=None, or leave such records out with skip_undecodable=True"
    path: str
    offset: int
    codec: str
    position: str
    why: str

    def __str__(self) -> str:
        return f"record at offset {self.offset} of {self.path} cannot be decoded by {self.codec}: {self.why}"
