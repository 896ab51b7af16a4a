"""What the master asks of its metadata besides the mutations of `wire.namespace`: chunks, sweeping, bookkeeping.

They are never sent. Each is decided against the tables as they are when its turn comes, so a caller that waited for
servers in between (a raise, a copy) is refused if the chunk has moved on.
"""

from typing import Generic, TypeVar, dataclass_transform

import msgspec

from cairnfs.ids import NO_VERSION, BootId, ChunkHandle, ChunkVersion, DiskId, InodeId, ServerId
from cairnfs.meta.tables import ChunkMember, ChunkRow
from cairnfs.wire.base import Done, Reply

R = TypeVar("R", bound=Reply)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Command(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A command whose reply has type `R`."""


class ChunkReply(Reply):
    """A chunk after the command."""

    handle: ChunkHandle
    row: ChunkRow


class Swept(Reply):
    """What a step of the sweep freed. `more`: call again."""

    inodes: int
    chunks: int
    more: bool


class Forgotten(Reply):
    """How many clients a step forgot. `more`: call again."""

    clients: int
    more: bool


class HandleReply(Reply):
    """A handle that nobody else gets."""

    handle: ChunkHandle


class AddChunk(Command[ChunkReply], kw_only=True):
    """Put a new open chunk at `index` of a file; set, primary and version come with `Choice.placement`. Rule 3.

    Errors: NotFoundError (inode purged), IsFolderError, FileTooLargeError, TooFewCopiesError (no placement),
    ExistsError (there is a chunk; look again).
    """

    inode: InodeId
    index: int


class DropEmptyChunk(Command[Done], kw_only=True):
    """Take the last chunk of a file out of its map: closed at exactly `version` without a byte, and not shared.

    Errors: ChunkMissingError; StaleVersionError (anything else is so: it stays).
    """

    inode: InodeId
    index: int
    handle: ChunkHandle
    version: ChunkVersion


class OpenChunk(Command[ChunkReply], kw_only=True):
    """The result of a raise that ends in a grant (rule 3). To be logged before `Open` is sent.

    Errors: ChunkMissingError (purged meanwhile), StaleVersionError (the version is not above the record's, or the chunk
    is shared by now: it must be copied).
    """

    handle: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    primary: ServerId
    base_length: int
    broken_at: ChunkVersion = NO_VERSION


class CloseChunk(Command[ChunkReply], kw_only=True):
    """A chunk is closed: by its primary, or by a raise that ended in Seal.

    By its primary: `members` is None and `version` must be the record's. By a raise: `members` and `broken_at` are
    given and `version` is above the record's. A repetition changes nothing. The file's length grows to the chunk's end.
    Errors: ChunkMissingError, StaleVersionError.
    """

    handle: ChunkHandle
    version: ChunkVersion
    length: int
    members: list[ChunkMember] | None = None
    broken_at: ChunkVersion = NO_VERSION


class AddMember(Command[ChunkReply], kw_only=True):
    """A closed chunk has a new current replica at exactly `version`. A server that is a member gets the new boot.

    Errors: ChunkMissingError; StaleVersionError (another version, or open: an open chunk gains members by a raise).
    """

    handle: ChunkHandle
    version: ChunkVersion
    member: ChunkMember


class RemoveMember(Command[ChunkReply], kw_only=True):
    """A replica of a closed chunk is not current any more (excess, corrupt, lost).

    Errors: ChunkMissingError; StaleVersionError (another version, or open); NoCopyError (rule 23: it is the last).
    """

    handle: ChunkHandle
    version: ChunkVersion
    server: ServerId


class TakeHandle(Command[HandleReply], kw_only=True):
    """Take a new handle for a copy that servers make before it is known to the file's map."""


class CopyChunk(Command[ChunkReply], kw_only=True):
    """Copy-on-write: (inode, index) uses `new`, closed, from now on; `old` gets the reader barrier. Rule 9.

    `new` is from `TakeHandle`, `version` and `barrier` are new numbers of the master. Errors: StaleVersionError (the
    map or the sharing changed meanwhile: look again; the copies made are orphans).
    """

    inode: InodeId
    index: int
    old: ChunkHandle
    new: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    length: int
    barrier: ChunkVersion


class ExpireTrash(Command[Swept], kw_only=True):
    """Free what was deleted before `before_ns` or purged by order: about `limit` inodes and chunks in one step."""

    before_ns: int
    limit: int = 200


class SeeServer(Command[Done], kw_only=True):
    """Remember a chunkserver; nothing is written if nothing changed."""

    server: ServerId
    boot: BootId
    address: str
    rack: str
    disks: list[DiskId]


class OrderServer(Command[Done], kw_only=True):
    """An operator's word about a chunkserver; None and empty: as it was.

    Errors: NoSuchServerError. Nothing was changed.
    """

    server: ServerId
    draining: bool | None = None
    drain_disks: list[DiskId] = []
    keep_disks: list[DiskId] = []
    maintenance_until_ns: int | None = None


class ForgetServer(Command[Done], kw_only=True):
    """A chunkserver will not come back: nobody waits for it any more. The caller has looked at what depends on it.

    Errors: NoSuchServerError. Nothing was changed.
    """

    server: ServerId


class Tune(Command[Done], kw_only=True):
    """Set speeds in bytes a second; 0: as the master's settings say; None: as it was."""

    repair_bytes_s: int | None = None
    cluster_bytes_s: int | None = None
    balance_bytes_s: int | None = None


class PurgeDone(Command[Done], kw_only=True):
    """No server holds these purged chunks any more."""

    handles: list[ChunkHandle]


class AcceptRestore(Command[Done], kw_only=True):
    """What is newer than the backup that these tables came from may be deleted from now on; nothing if nothing is held.

    Rule 22: an operator's word.
    """


class Counted(Reply):
    """How many folders a step counted, or let go. `more`: call again."""

    folders: int
    more: bool
    last: InodeId = InodeId(0)
    """Where UncountFolders goes on."""


class CountFolders(Command[Counted], kw_only=True):
    """Count what is below the folder `top`, those in it first: about `limit` inodes in one step. docs/QUOTAS.md."""

    top: InodeId
    limit: int = 500


class UncountFolders(Command[Counted], kw_only=True):
    """Look at the next counted folders, and let go those for which no limit holds any more."""

    after: InodeId = InodeId(0)
    limit: int = 200


class ForgetClients(Command[Forgotten], kw_only=True):
    """Forget results of clients not heard since `before_ns`, and clients not heard since `removed_before_ns`."""

    before_ns: int
    removed_before_ns: int
    limit: int = 100
