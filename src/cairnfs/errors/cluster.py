"""The cluster, its servers and their disks: numbers 4001 to 4999."""

import errno
from dataclasses import dataclass

from cairnfs.errors.base import CairnError, Retry
from cairnfs.ids import ChunkHandle, format_handle


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
        return f"no current replica of chunk {format_handle(self.chunk)} can be reached: {self.why}"


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


@dataclass(eq=False, kw_only=True)
class NoSuchServerError(CairnError):
    """The master has never seen such a chunkserver, or was told to forget it. Nothing happened."""

    code = 4012
    hint = "`cairn status` lists the chunkservers"
    server: str

    def __str__(self) -> str:
        return f"no chunkserver {self.server}"
