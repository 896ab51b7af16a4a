"""Names: client → master. GFS paper, sections 4.1 and 3.4; contract 1: linearizable, atomic, exactly once.

    Stat, ListFolder, ListTrash ...   answered from the last commit by the proven leader
    CreateFile, Rename, Delete ...    decide → records → commit → answer; each with `once`

Paths are looked up anew each time, symlinks followed by the master except for the last name where the text says so.
All of them may answer NotFoundError, NotFolderError, BadNameError, LoopError, NotLeaderError.
"""

from enum import StrEnum

from cairnfs.ids import ChunkHandle, ChunkVersion, InodeId
from cairnfs.wire.base import U32, U63, Address, Done, LengthInChunk, Part, Reply, Request
from cairnfs.wire.common import Attributes, ChunkIndex, ChunkPlace, FileOffset, Name, Once, Path, Replicas


class Status(Reply, tag=0x110):
    """An inode. `tail` is set while a file's last chunk is open: its primary knows the length (rule 18)."""

    attributes: Attributes
    tail: ChunkPlace | None = None
    path: bytes = b""
    """The path with all symlinks resolved, where one was asked for."""


class Stat(Request[Status], tag=0x10):
    """What is at `path`? `follow`: a symlink as last name is followed."""

    idempotent = True
    path: Path
    follow: bool = True


class StatInode(Request[Status], tag=0x11):
    """What is inode N? Works for deleted files while they are in the trash (rule 21)."""

    idempotent = True
    inode: InodeId


class IfExists(StrEnum):
    """What CreateFile does with a path that is taken by a file."""

    OPEN = "open"  # answer what is there
    FAIL = "fail"  # ExistsError


class Created(Reply, tag=0x112):
    """The file. `created` is False if it was there. `first` is its new chunk 0 with lease, if asked for."""

    attributes: Attributes
    created: bool
    first: ChunkPlace | None = None
    tail: ChunkPlace | None = None


class CreateFile(Request[Created], tag=0x12):
    """Make an empty file; with `with_chunk` also its first chunk and lease in the same commit (rule 3).

    Errors: ExistsError, IsFolderError; TooFewCopiesError if `with_chunk` and no set could be found (nothing was made).
    """

    path: Path
    mode: U32 = 0o644
    uid: U32 = 0
    gid: U32 = 0
    if_exists: IfExists = IfExists.OPEN
    parents: bool = False
    replicas: Replicas | None = None
    """None: the folder's."""
    with_chunk: bool = False
    near: Address = ""
    """Where the writer runs: placement prefers a server there as primary."""
    once: Once


class MakeFolder(Request[Status], tag=0x13):
    """Make a folder. `parents`: missing parents too, and an existing folder is no error (mkdir -p)."""

    path: Path
    mode: U32 = 0o755
    uid: U32 = 0
    gid: U32 = 0
    parents: bool = False
    once: Once


class Entry(Part):
    """A name in a folder and what it names."""

    name: Name
    attributes: Attributes


class Listing(Reply, tag=0x114):
    """Entries in byte order of their names."""

    entries: list[Entry]
    more: bool
    """True: ask again with `after` = the last name."""


class ListFolder(Request[Listing], tag=0x14):
    """List a folder (of a file: NotFolderError), at most `limit` entries after the name `after`."""

    idempotent = True
    path: Path
    after: Name = b""
    limit: U32 = 1000


class Rename(Request[Status], tag=0x15):
    """Move a file, symlink or folder, atomically. POSIX: a file replaces a file, a folder an empty folder.

    What is replaced goes to the trash. Errors: ExistsError (replace=False), IsFolderError, NotFolderError,
    NotEmptyError, LoopError (into itself).
    """

    old: Path
    new: Path
    replace: bool = True
    once: Once


class Delete(Request[Done], tag=0x16):
    """Move to the trash; symlinks are not followed. Rule 21. `now`: purge at once.

    Errors: NotEmptyError for a folder with entries unless `recursive`.
    """

    path: Path
    recursive: bool = False
    now: bool = False
    once: Once


class TrashEntry(Part):
    """Something that can be undeleted."""

    path: bytes
    """Where it was."""
    inode: InodeId
    attributes: Attributes
    deleted_ns: int
    expires_ns: int


class TrashListing(Reply, tag=0x117):
    """A page of the trash."""

    entries: list[TrashEntry]
    """Oldest first."""
    more: bool


class ListTrash(Request[TrashListing], tag=0x17):
    """List what can be undeleted, from the entry after (`after_ns`, `after_inode`)."""

    idempotent = True
    after_ns: int = 0
    after_inode: U63 = 0
    limit: U32 = 1000


class Undelete(Request[Status], tag=0x18):
    """Put the newest trash entry of `path` (or the one with `inode`) back, to `to` or its old path. GFS paper, 4.4.

    Errors: NotTrashError, ExistsError. Missing parents are made.
    """

    path: Path
    inode: U63 = 0
    to: bytes = b""
    once: Once


class Purge(Request[Done], tag=0x19):
    """Remove trash for good: `path` and all below it that were deleted, or everything with b"/"."""

    path: Path
    once: Once


class Truncate(Request[Status], tag=0x1A):
    """Set a file's length; chunks beyond it are dropped from the file in the same commit (rule 9).

    The chunk that the new end cuts is truncated by the client at its primary (`TruncateChunk`) before this.
    Longer than before: the rest is a hole. Errors: IsFolderError; FencePendingError (done, but a server that was cut
    off may still serve a dropped chunk: the same request again waits on).
    """

    inode: InodeId
    length: FileOffset
    once: Once


class MakeSymlink(Request[Status], tag=0x1B):
    """Make a symbolic link at `path`."""

    path: Path
    target: Path
    """Any text; resolved when followed."""
    once: Once


class SetReplicas(Request[Done], tag=0x1C):
    """Set the number of copies of a file, or of a folder for files made in it later (and all below: `recursive`)."""

    path: Path
    replicas: Replicas
    recursive: bool = False
    once: Once


class SetAttributes(Request[Status], tag=0x1D):
    """Change what is not None; xattrs with value b"" are removed."""

    path: Path
    mode: U32 | None = None
    uid: U32 | None = None
    gid: U32 | None = None
    mtime_ns: int | None = None
    xattrs: dict[str, bytes] = {}
    follow: bool = True
    once: Once


class Snapshot(Request[Status], tag=0x1E):
    """Copy a file or folder at once, sharing its chunks copy-on-write. GFS paper, section 3.4; rule 9.

    Errors: ExistsError (`target` must not exist); NoCopyError, TooFewCopiesError if an open chunk could not be closed
    in time (given up after a deadline; nothing was made).
    """

    source: Path
    target: Path
    once: Once


class SetLength(Request[Done], tag=0x1F):
    """Tell the master a chunk's length after a sync or close (rule 18); never shortens a file.

    `closed`: the primary closed the chunk at `version` with exactly this length.
    """

    idempotent = True
    inode: InodeId
    index: ChunkIndex
    handle: ChunkHandle
    version: ChunkVersion
    length: LengthInChunk
    closed: bool = False
    mtime_ns: int = 0
