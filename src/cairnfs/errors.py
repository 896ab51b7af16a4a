"""Every error that CairnFS raises on purpose, as one tree and one table of numbers.

An error has a class of its own only if some caller acts differently on it. Its number crosses the wire and is never
used again: 1xxx the conversation, 2xxx the namespace, 3xxx chunks, 4xxx the cluster and its disks. Across the wire an
error is `(code, fields)`; `encode_error` and `decode_error` are the two ends.

    CairnError
    |-- conversation  ConnectError, CallTimeoutError, PeerError, WrongClusterError, BusyError, ShutdownError
    |-- namespace     NotFoundError, ExistsError, NotFolderError, IsFolderError, NotEmptyError, BadNameError, ...
    |-- chunks        StaleVersionError, NotPrimaryError, NotReadableError, ChunkFullError, ChunkCorruptError, ...
    `-- cluster       NotLeaderError, SessionLostError, TooFewCopiesError, DiskFullError, DiskFailedError, FormatError
"""

import errno
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

from cairnfs.ids import ChunkHandle, ChunkVersion


class Retry(StrEnum):
    """What the caller should do next."""

    NEVER = "never"  # the same request fails the same way
    REFRESH = "refresh"  # forget what was cached, ask the master, then at once
    LATER = "later"  # the same request may succeed after a pause


@dataclass(eq=False, kw_only=True)
class CairnError(Exception):
    """Base class. Fields carry the facts; `str()` says them to a person."""

    code: ClassVar[int] = 1000
    retry: ClassVar[Retry] = Retry.NEVER
    may_have_happened: ClassVar[bool] = False
    hint: ClassVar[str] = ""
    """What a person can do about it; the command line prints it on a second line."""
    by_code: ClassVar[dict[int, type["CairnError"]]] = {}

    def __init_subclass__(cls) -> None:
        assert cls.code not in CairnError.by_code, f"{cls.__name__} reuses {cls.code}"
        CairnError.by_code[cls.code] = cls

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.code, asdict(self))


def _rebuild(code: int, fields: dict[str, Any]) -> CairnError:
    return decode_error(code, fields)


def encode_error(error: CairnError) -> tuple[int, dict[str, Any]]:
    """Return what crosses the wire: the number and the fields by name."""
    return error.code, asdict(error)


def decode_error(code: int, fields: dict[str, Any]) -> CairnError:
    """Return the error a peer sent; an unknown number or odd fields become a `PeerError`."""
    kind = CairnError.by_code.get(code)
    try:
        if kind is not None:
            return kind(**{name: _as_version(value) for name, value in fields.items()})
    except TypeError:
        pass
    return PeerError(what=f"error {code} with fields {sorted(fields)}", peer="")


def _as_version(value: object) -> object:
    return ChunkVersion(*value) if isinstance(value, list | tuple) and len(value) == 2 else value


def _handle(chunk: int) -> str:
    return f"{chunk:016x}"


# ------------------------------------------------------------------ 1xxx the conversation


@dataclass(eq=False, kw_only=True)
class ConnectError(CairnError, ConnectionError):
    """Nobody answers at the address. Nothing happened."""

    code = 1001
    retry = Retry.LATER
    hint = "is the server running? `cairn up` starts a whole local cluster, `cairn master` a master"
    address: str
    why: str
    role: str = "server"

    def __str__(self) -> str:
        return f"no {self.role} at {self.address}: {self.why}"


@dataclass(eq=False, kw_only=True)
class ConnectionLostError(CairnError, ConnectionError):
    """The connection broke while an answer was awaited: the request may have been carried out."""

    code = 1002
    retry = Retry.LATER
    may_have_happened = True
    address: str
    why: str

    def __str__(self) -> str:
        return f"connection to {self.address} lost: {self.why}"


@dataclass(eq=False, kw_only=True)
class CallTimeoutError(CairnError, TimeoutError):
    """No answer in time: the request may have been carried out."""

    code = 1003
    retry = Retry.LATER
    may_have_happened = True
    address: str
    what: str
    timeout_s: float

    def __str__(self) -> str:
        return f"no answer to {self.what} from {self.address} within {self.timeout_s:g} s"


@dataclass(eq=False, kw_only=True)
class PeerError(CairnError):
    """The peer breaks the protocol, or failed inside (its log has the traceback)."""

    code = 1004
    may_have_happened = True
    what: str
    peer: str

    def __str__(self) -> str:
        return f"peer {self.peer or '?'} answered wrongly: {self.what}"


@dataclass(eq=False, kw_only=True)
class WrongClusterError(CairnError):
    """The peer or disk belongs to another cluster. Nothing was changed on either side."""

    code = 1005
    hint = "check the master address and the data folder: one of the two belongs to another cluster"
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} belongs to cluster {self.found or 'none'}, but this is cluster {self.expected}"


@dataclass(eq=False, kw_only=True)
class ProtocolVersionError(CairnError):
    """The two sides share no protocol version."""

    code = 1006
    hint = "upgrade the older side"
    peer: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.peer} speaks protocol {self.theirs}, this side {self.ours}"


@dataclass(eq=False, kw_only=True)
class BusyError(CairnError):
    """A limit is reached (rule 27). Nothing happened."""

    code = 1007
    retry = Retry.LATER
    what: str

    def __str__(self) -> str:
        return f"too busy: {self.what}"


@dataclass(eq=False, kw_only=True)
class ShutdownError(CairnError):
    """The server is stopping. Nothing happened."""

    code = 1008
    retry = Retry.LATER
    what: str

    def __str__(self) -> str:
        return f"{self.what} is shutting down"


@dataclass(eq=False, kw_only=True)
class BadRequestError(CairnError, ValueError):
    """The request makes no sense. Nothing happened."""

    code = 1009
    what: str

    def __str__(self) -> str:
        return self.what


# ------------------------------------------------------------------ 2xxx the namespace


@dataclass(eq=False, kw_only=True)
class PathError(CairnError, OSError):
    """Base of errors about one path; sets errno and filename as Python's own do."""

    code = 2000
    number: ClassVar[int] = errno.EIO
    phrase: ClassVar[str] = "bad path"
    path: str

    def __post_init__(self) -> None:
        self.errno, self.filename, self.strerror = self.number, self.path, self.phrase

    def __str__(self) -> str:
        return f"{self.phrase}: {self.path}"


@dataclass(eq=False, kw_only=True)
class NotFoundError(PathError, FileNotFoundError):
    """The path names nothing."""

    code = 2001
    number = errno.ENOENT
    phrase = "no such file or folder"


@dataclass(eq=False, kw_only=True)
class ExistsError(PathError, FileExistsError):
    """The path is taken. Nothing was changed."""

    code = 2002
    number = errno.EEXIST
    phrase = "already exists"


@dataclass(eq=False, kw_only=True)
class NotFolderError(PathError, NotADirectoryError):
    """A file stands where a folder is needed."""

    code = 2003
    number = errno.ENOTDIR
    phrase = "not a folder"


@dataclass(eq=False, kw_only=True)
class IsFolderError(PathError, IsADirectoryError):
    """A folder stands where a file is needed."""

    code = 2004
    number = errno.EISDIR
    phrase = "is a folder"


@dataclass(eq=False, kw_only=True)
class NotEmptyError(PathError):
    """The folder has entries. Nothing was changed."""

    code = 2005
    number = errno.ENOTEMPTY
    phrase = "folder is not empty"


@dataclass(eq=False, kw_only=True)
class BadNameError(PathError, ValueError):
    """The name can never exist: too long, NUL, or `.`/`..` where a name is needed."""

    code = 2006
    number = errno.EINVAL
    phrase = "not a valid name"
    why: str = ""

    def __str__(self) -> str:
        return f"{self.phrase}: {self.path!r}: {self.why}"


@dataclass(eq=False, kw_only=True)
class LoopError(PathError):
    """Symlinks lead in a circle, or a folder was to move into itself."""

    code = 2007
    number = errno.ELOOP
    phrase = "path leads into itself"


@dataclass(eq=False, kw_only=True)
class NotTrashError(PathError, FileNotFoundError):
    """Nothing of that name is in the trash."""

    code = 2008
    number = errno.ENOENT
    phrase = "not in the trash"
    hint = "`cairn trash` lists what can be undeleted"


@dataclass(eq=False, kw_only=True)
class ReadOnlyFileError(PathError, PermissionError):
    """The handle or file does not allow the operation."""

    code = 2009
    number = errno.EACCES
    phrase = "not allowed"


@dataclass(eq=False, kw_only=True)
class FileTooLargeError(PathError):
    """The file would be larger than a file can be."""

    code = 2010
    number = errno.EFBIG
    phrase = "file too large"


@dataclass(eq=False, kw_only=True)
class UnsureError(CairnError):
    """A retry came so late that its first result is forgotten: it is not carried out again."""

    code = 2011
    may_have_happened = True
    what: str

    def __str__(self) -> str:
        return f"{self.what} may or may not have happened: its result is no longer known"


# ------------------------------------------------------------------ 3xxx chunks


@dataclass(eq=False, kw_only=True)
class StaleVersionError(CairnError):
    """Request and replica do not agree on the version. Nothing happened. GFS paper, section 4.5."""

    code = 3001
    retry = Retry.REFRESH
    chunk: ChunkHandle
    has: ChunkVersion
    wanted: ChunkVersion

    def __str__(self) -> str:
        return f"chunk {_handle(self.chunk)} is at version {self.has} here, but {self.wanted} was asked for"


@dataclass(eq=False, kw_only=True)
class NotPrimaryError(CairnError):
    """This server may not order mutations of the chunk (no lease, lease over, or closed). Nothing happened."""

    code = 3002
    retry = Retry.REFRESH
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"not primary of chunk {_handle(self.chunk)}: {self.why}"


@dataclass(eq=False, kw_only=True)
class NotReadableError(CairnError):
    """This replica may not answer reads now (no serving lease, excluded, restarted, pending bytes)."""

    code = 3003
    retry = Retry.REFRESH
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"chunk {_handle(self.chunk)} is not readable here: {self.why}"


@dataclass(eq=False, kw_only=True)
class ChunkMissingError(CairnError):
    """This server has no replica of the chunk."""

    code = 3004
    retry = Retry.REFRESH
    chunk: ChunkHandle

    def __str__(self) -> str:
        return f"no replica of chunk {_handle(self.chunk)} here"


@dataclass(eq=False, kw_only=True)
class ChunkFullError(CairnError):
    """The record does not fit: the chunk was closed at its data length. Nothing was appended. GFS paper, section 3.3."""

    code = 3005
    retry = Retry.REFRESH
    chunk: ChunkHandle

    def __str__(self) -> str:
        return f"chunk {_handle(self.chunk)} is full"


@dataclass(eq=False, kw_only=True)
class ChunkCorruptError(CairnError):
    """Bytes do not fit their checksum; the replica is quarantined and reported. No byte was returned."""

    code = 3006
    retry = Retry.REFRESH
    chunk: ChunkHandle
    block: int

    def __str__(self) -> str:
        return f"chunk {_handle(self.chunk)} is corrupt in block {self.block}"


@dataclass(eq=False, kw_only=True)
class MutationFailedError(CairnError):
    """A member did not confirm: the mutation may be adopted or dropped by the next version."""

    code = 3007
    retry = Retry.REFRESH
    may_have_happened = True
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"mutation of chunk {_handle(self.chunk)} not confirmed by every replica: {self.why}"


@dataclass(eq=False, kw_only=True)
class LostWritesError(CairnError):
    """Continuity was broken since the version named: plain writes that were not synced may be gone. Rule 14."""

    code = 3008
    retry = Retry.REFRESH
    may_have_happened = True
    chunk: ChunkHandle
    since: ChunkVersion

    def __str__(self) -> str:
        return f"unsynced writes to chunk {_handle(self.chunk)} since version {self.since} may be lost"


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
        return f"order for chunk {_handle(self.chunk)} refused: {self.why}"


# ------------------------------------------------------------------ 4xxx the cluster and its disks


@dataclass(eq=False, kw_only=True)
class NotLeaderError(CairnError):
    """This master is not the leader (any more). Nothing happened."""

    code = 4001
    retry = Retry.REFRESH
    leader: str = ""

    def __str__(self) -> str:
        return f"not the leading master{f'; ask {self.leader}' if self.leader else ''}"


@dataclass(eq=False, kw_only=True)
class SessionLostError(CairnError):
    """The master does not know this session: register anew."""

    code = 4002
    retry = Retry.REFRESH
    why: str

    def __str__(self) -> str:
        return f"no such session: {self.why}"


@dataclass(eq=False, kw_only=True)
class TooFewCopiesError(CairnError):
    """Too few servers for what was asked (rule 19). Nothing happened; it may work when servers are back."""

    code = 4003
    retry = Retry.LATER
    hint = "`cairn status` shows which chunkservers are missing or full"
    what: str
    have: int
    need: int

    def __str__(self) -> str:
        return f"{self.what}: {self.need} chunkservers needed, {self.have} usable"


@dataclass(eq=False, kw_only=True)
class NoCopyError(CairnError):
    """No current replica of the chunk can be reached now."""

    code = 4004
    retry = Retry.LATER
    hint = "`cairn chunks PATH` shows where the replicas are"
    chunk: ChunkHandle
    why: str

    def __str__(self) -> str:
        return f"no current replica of chunk {_handle(self.chunk)} can be reached: {self.why}"


@dataclass(eq=False, kw_only=True)
class DiskFullError(CairnError, OSError):
    """The disk has only its reserve left (rule 26). Nothing acknowledged was changed."""

    code = 4005
    retry = Retry.LATER
    hint = "free space, or add a chunkserver or a disk"
    where: str

    def __post_init__(self) -> None:
        self.errno, self.strerror, self.filename = errno.ENOSPC, "disk full", self.where

    def __str__(self) -> str:
        return f"disk full: {self.where}"


@dataclass(eq=False, kw_only=True)
class DiskFailedError(CairnError, OSError):
    """A write or flush failed, so the disk is not trusted any more (rule 25). Not acknowledged."""

    code = 4006
    retry = Retry.REFRESH
    hint = "replace the disk; its replicas are copied again from other servers"
    where: str
    why: str

    def __str__(self) -> str:
        return f"disk failed: {self.where}: {self.why}"


@dataclass(eq=False, kw_only=True)
class FormatError(CairnError):
    """A file of another format, or damaged. It was not touched."""

    code = 4007
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(eq=False, kw_only=True)
class FolderInUseError(CairnError):
    """Another process serves the same folder. Nothing was touched."""

    code = 4008
    hint = "stop the other server, or give this one another folder"
    where: str

    def __str__(self) -> str:
        return f"folder is in use by another server: {self.where}"


@dataclass(eq=False, kw_only=True)
class AddressInUseError(CairnError, OSError):
    """The port is taken."""

    code = 4009
    hint = "choose another port, or 0 for any free one"
    address: str

    def __str__(self) -> str:
        return f"address already in use: {self.address}"


@dataclass(eq=False, kw_only=True)
class SettingError(CairnError, ValueError):
    """A setting is unknown or has a wrong value. Nothing was started."""

    code = 4010
    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(eq=False, kw_only=True)
class LowerEpochError(CairnError):
    """An order of a deposed master. It was not carried out. Rule 1."""

    code = 4011
    seen: int
    got: int

    def __str__(self) -> str:
        return f"order of epoch {self.got} refused: epoch {self.seen} has been seen"
