"""What the operation log can say. Durable state changes by these records only. GFS paper, section 2.6.3.

A record is a fact that has been decided, not a request: it holds every choice that was made (ids, versions, times), so
that applying it anew decides nothing anew. Its number is never used again; new fields go last with defaults; any other
change of a record is a new FORMAT (tables.py).
"""

from cairnfs.ids import (
    NO_VERSION,
    BootId,
    ChunkHandle,
    ChunkVersion,
    ClientId,
    DiskId,
    Epoch,
    InodeId,
    Sequence,
    ServerId,
)
from cairnfs.meta.tables import ChunkMember
from cairnfs.wire.base import Part
from cairnfs.wire.common import Kind

# ------------------------------------------------------------------ names


class InodeMade(Part, tag=1):
    """A new inode (always the next number) with its entry."""

    inode: InodeId
    parent: InodeId
    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    replicas: int
    now_ns: int
    target: bytes = b""


class EntryMoved(Part, tag=2):
    """Renamed: O(1) for a folder too. What stood at the new place has left it by an earlier record."""

    inode: InodeId
    parent: InodeId
    name: bytes
    now_ns: int


class AttributesSet(Part, tag=3):
    """What is not None is changed; xattrs with b"" are removed."""

    inode: InodeId
    now_ns: int
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    xattrs: dict[str, bytes] = {}  # noqa: RUF012  (msgspec copies it)


class ReplicasSet(Part, tag=4):
    """Number of copies of an inode (`recursive`: and of all below), and with it the goal of its chunks."""

    inode: InodeId
    replicas: int
    recursive: bool
    now_ns: int


class LengthSet(Part, tag=5):
    """A file's length in the master (rule 18). `mtime_ns` 0: unchanged."""

    inode: InodeId
    length: int
    mtime_ns: int
    ctime_ns: int


class SnapshotTaken(Part, tag=6):
    """`source` and all below it copied to (parent, name); new inodes are numbered from `first` in order of the walk."""

    source: InodeId
    parent: InodeId
    name: bytes
    first: InodeId
    count: int
    now_ns: int


# ------------------------------------------------------------------ trash


class Trashed(Part, tag=10):
    """An entry left the tree, with all below it: to the trash, or (`doomed`) to be freed."""

    inode: InodeId
    path: bytes
    now_ns: int
    doomed: bool = False


class Untrashed(Part, tag=11):
    """Back into the tree."""

    inode: InodeId
    deleted_ns: int
    parent: InodeId
    name: bytes
    now_ns: int


class Doomed(Part, tag=12):
    """Trash that cannot be undeleted any more: (deleted_ns, inode) each."""

    rows: list[tuple[int, InodeId]]


class Purged(Part, tag=13):
    """An inode is gone, with its chunks; a folder is empty by now."""

    inode: InodeId
    now_ns: int


# ------------------------------------------------------------------ chunks


class ChunkAdded(Part, tag=20):
    """A new chunk (always the next handle) with its first version, set and primary. Rule 3."""

    inode: InodeId
    index: int
    handle: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    primary: ServerId
    goal: int


class ChunkOpened(Part, tag=21):
    """The result of a raise that ends in a grant. Rule 3."""

    handle: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    primary: ServerId
    base_length: int
    broken_at: ChunkVersion


class ChunkClosed(Part, tag=22):
    """All members hold `length` flushed bytes and will take no more at `version`. Rule 4."""

    handle: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    length: int
    broken_at: ChunkVersion


class MemberAdded(Part, tag=23):
    """A closed chunk has one more current replica."""

    handle: ChunkHandle
    member: ChunkMember


class MemberRemoved(Part, tag=24):
    """A replica of a closed chunk is not current any more. Rule 23: never the last."""

    handle: ChunkHandle
    server: ServerId


class HandleTaken(Part, tag=25):
    """A handle was given out before its chunk is known (copy-on-write); always the next one."""

    handle: ChunkHandle


class ChunkCopied(Part, tag=26):
    """Copy-on-write: (inode, index) uses `new` from now on, closed; earlier readers of `old` are barred (rule 9)."""

    inode: InodeId
    index: int
    old: ChunkHandle
    new: ChunkHandle
    version: ChunkVersion
    members: list[ChunkMember]
    length: int
    barrier: ChunkVersion
    goal: int


class ChunksDropped(Part, tag=27):
    """A file uses no chunk from index `first` on. `barrier` is set on those that other files go on using (rule 9)."""

    inode: InodeId
    first: int
    now_ns: int
    barrier: ChunkVersion = NO_VERSION


class PurgedForgotten(Part, tag=28):
    """No replica of these is left anywhere."""

    handles: list[ChunkHandle]


# ------------------------------------------------------------------ who talks to the master


class ServerSeen(Part, tag=30):
    """A chunkserver registered: where it is, and in which boot."""

    server: ServerId
    boot: BootId
    address: str
    rack: str
    disks: list[DiskId]
    now_ns: int


class ResultKept(Part, tag=31):
    """The answer to (client, sequence), for a retry; answers below `lowest` are forgotten. Contract 1."""

    client: ClientId
    sequence: Sequence
    lowest: Sequence
    now_ns: int
    result: bytes


class ClientForgotten(Part, tag=32):
    """Results of a client that was quiet for long are gone; `removed`: the client itself, after much longer."""

    client: ClientId
    removed: bool


class ServerOrdered(Part, tag=33):
    """What an operator wants of a chunkserver from now on; it replaces what was wanted before."""

    server: ServerId
    draining: bool
    draining_disks: list[DiskId]
    maintenance_until_ns: int


class ServerForgotten(Part, tag=34):
    """A chunkserver will not come back: nobody waits for its report. If it does, it is seen as a new one."""

    server: ServerId


class Tuned(Part, tag=35):
    """Speeds in bytes a second; 0: as the master's settings say."""

    repair_bytes_s: int
    cluster_bytes_s: int
    balance_bytes_s: int


# ------------------------------------------------------------------ restored from a backup


class Restored(Part, tag=40):
    """The tables are those of a backup; `next_inode` and `next_handle` leap over all that was given out after it."""

    taken_ns: int
    now_ns: int
    epoch: Epoch
    next_inode: InodeId
    next_handle: ChunkHandle


class RestoreAccepted(Part, tag=41):
    """An operator said that replicas newer than the backup may be deleted. Rule 22."""

    now_ns: int


# ------------------------------------------------------------------ quotas


class QuotaSet(Part, tag=50):
    """The limits of a folder are these from now on; it is counted by now."""

    inode: InodeId
    files: int | None
    size_bytes: int | None
    soft_files: int | None
    soft_bytes: int | None


class QuotaCleared(Part, tag=51):
    """A folder has no limits any more."""

    inode: InodeId


class FoldersCounted(Part, tag=52):
    """(folder, files, bytes) each: what is below it, kept up to date from now on. Deepest folders first."""

    folders: list[tuple[InodeId, int, int]]


class FoldersUncounted(Part, tag=53):
    """Not kept up to date any more, since neither these folders nor any above them have limits. Highest first."""

    folders: list[InodeId]


Record = (
    InodeMade
    | EntryMoved
    | AttributesSet
    | ReplicasSet
    | LengthSet
    | SnapshotTaken
    | Trashed
    | Untrashed
    | Doomed
    | Purged
    | ChunkAdded
    | ChunkOpened
    | ChunkClosed
    | MemberAdded
    | MemberRemoved
    | HandleTaken
    | ChunkCopied
    | ChunksDropped
    | PurgedForgotten
    | ServerSeen
    | ResultKept
    | ClientForgotten
    | ServerOrdered
    | ServerForgotten
    | Tuned
    | Restored
    | RestoreAccepted
    | QuotaSet
    | QuotaCleared
    | FoldersCounted
    | FoldersUncounted
)
