"""The tables of the metadata store: names, keys (big endian, so that order is numeric) and rows (MessagePack arrays).

    table        key                          row
    meta         "identity", "counters", "log", "restored"  Identity, Counters, LogState, RestoredRow
    inodes       inode u64                    InodeRow
    entries      parent u64, name             inode u64, kind u8
    chunks_of    inode u64, index u64         handle u64
    chunks       handle u64                   ChunkRow
    shared       handle u64, inode, index     (empty)              every use of a chunk with more than one
    trash        deleted_ns u64, inode u64    TrashRow             can be undeleted
    trash_paths  hash of path u64, deleted_ns, inode   (empty)     finds the trash of a path
    doomed       inode u64                    (empty)              being freed, step by step; for nobody any more
    results      client u64, sequence u64     see results.py
    clients      client u64                   ClientRow
    servers      server u64                   ServerRow
    purged       handle u64                   PurgedRow            replicas to be deleted
    log          index u64                    see log.py

Invariants (`check.check` looks for all of them):
    1. Every inode but the root hangs in exactly one place: one entry, the trash or the doomed; its row says where.
    2. No folder is below itself.
    3. An inode has entries only if it is a folder; `entries` and `links` (2 + subfolders) count them.
    4. `chunks` of a file is one more than its highest index in chunks_of; only files have chunks.
    5. `references` of a chunk is the number of rows of chunks_of that name it, and at least 1.
    6. A chunk with one reference names its owner (inode, index) exactly; with more, `shared` lists exactly its owners.
    7. A chunk with more than one reference is closed (a snapshot shares closed chunks only).
    8. A handle is in `chunks` or in `purged`, never in both; all are below `next_handle`, inodes below `next_inode`
       (rule 21: counters only grow).
    9. No version is above `max_version`; a chunk has at least one member, each server once.
    10. Counters agree with the tables; the chain of the log is whole.
    11. Trash rows and trash_paths name each other.
"""

from hashlib import blake2b
from struct import Struct
from typing import TypeVar

import msgspec

from cairnfs.config import ClusterConfig
from cairnfs.errors import FormatError
from cairnfs.ids import (
    NO_VERSION,
    ROOT_INODE,
    BootId,
    ChunkHandle,
    ChunkVersion,
    ClusterId,
    DiskId,
    Epoch,
    InodeId,
    Sequence,
    ServerId,
)
from cairnfs.limits import REPLICAS_DEFAULT, Geometry
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.wire.base import Part
from cairnfs.wire.common import Kind

FORMAT = 1
"""Number of the layout of tables, rows and records. It changes with any of them; docs/FORMATS.md says how."""

META, INODES, ENTRIES, CHUNKS_OF, CHUNKS = "meta", "inodes", "entries", "chunks_of", "chunks"
SHARED, TRASH, TRASH_PATHS, DOOMED = "shared", "trash", "trash_paths", "doomed"
RESULTS, CLIENTS, SERVERS, PURGED, LOG = "results", "clients", "servers", "purged", "log"
TABLES = (
    META, INODES, ENTRIES, CHUNKS_OF, CHUNKS, SHARED, TRASH, TRASH_PATHS, DOOMED,
    RESULTS, CLIENTS, SERVERS, PURGED, LOG,
)  # fmt: skip

IDENTITY_KEY, COUNTERS_KEY, LOG_KEY, RESTORED_KEY = b"identity", b"counters", b"log", b"restored"

U64, U64X2, U64X3, ENTRY = Struct(">Q"), Struct(">QQ"), Struct(">QQQ"), Struct(">QB")
TOP = (1 << 64) - 1
"""Above every id: the end of a range of keys."""

ChunkMember = tuple[ServerId, BootId]
"""Who holds a chunk, and in which boot it held the base of the version (rules 2 and 4)."""


class Identity(Part):
    """What `cairn init` decided. `format` stands first so that any version of CairnFS can read it."""

    format: int
    cluster: ClusterId
    chunk_bytes: int
    block_bytes: int
    copies_min: int
    made_ns: int

    @property
    def geometry(self) -> Geometry:
        return Geometry(chunk_bytes=self.chunk_bytes, block_bytes=self.block_bytes)


class Counters(Part):
    """Numbers that only grow, and how many inodes of each kind there are (with those in the trash)."""

    next_inode: InodeId
    next_handle: ChunkHandle
    max_version: ChunkVersion = NO_VERSION
    """Rule 22: a replica above it means that this metadata was rolled back."""
    files: int = 0
    folders: int = 0
    symlinks: int = 0


class InodeRow(Part):
    """A file, folder or symlink."""

    kind: Kind
    parent: InodeId
    """The folder it stands in; 0 for the root, in the trash and when doomed."""
    name: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    ctime_ns: int
    replicas: int
    """Copies of a file; of a folder: for files made in it."""
    links: int = 1
    length: int = 0
    """Of a file, as last heard (rule 18)."""
    chunks: int = 0
    """Of a file: one more than the highest index."""
    entries: int = 0
    """Of a folder."""
    target: bytes = b""
    xattrs: dict[str, bytes] = {}  # noqa: RUF012  (msgspec copies it)


class ChunkRow(Part):
    """The last result of a chunk (rule 2: a replica is current because this row names it)."""

    version: ChunkVersion
    members: list[ChunkMember]
    primary: ServerId
    """Of an open chunk; 0 when closed. Whether its lease still runs is volatile, in the master."""
    closed: bool
    length: int
    """Exact if closed, else the base length of the version."""
    references: int
    goal: int
    """Copies wanted."""
    inode: InodeId
    """The owner, exact while references == 1."""
    index: int
    broken_at: ChunkVersion = NO_VERSION
    barrier: ChunkVersion = NO_VERSION
    """Rule 9: readers that name a lower version are refused: some file's map left this chunk."""
    base_length: int = 0
    is_new: bool = False
    """Never had another version since it was made."""


class TrashRow(Part):
    """A subtree that can be undeleted."""

    path: bytes
    """Where it was."""
    kind: Kind


class PurgedRow(Part):
    """A chunk that no file uses any more. Rule 22: deletions are explained by it."""

    version: ChunkVersion
    purged_ns: int
    members: list[ChunkMember]
    barrier: ChunkVersion = NO_VERSION


class ClientRow(Part):
    """Contract 1: what a client still waits for."""

    lowest: Sequence
    highest: Sequence
    heard_ns: int


class ServerRow(Part):
    """A chunkserver as last seen."""

    boot: BootId
    address: str
    rack: str
    disks: list[DiskId]
    seen_ns: int


class LogState(Part):
    """Where the log stands: rows [first, next), their bytes, and the chain before the first and after the last."""

    first: int = 1
    next: int = 1
    size_bytes: int = 0
    base_chain: int = 0
    chain: int = 0


class RestoredRow(Part):
    """These tables came from a backup: what the cluster did after it, they do not know. Rules 22 and 23."""

    taken_ns: int
    """When the backup was made."""
    restored_ns: int
    epoch: Epoch
    """Above those of all masters before the restore, below those of all after it: tells their versions apart."""
    next_inode: InodeId
    """Of the backup, as the next two: what is not below was made after it, by somebody whom nobody remembers."""
    next_handle: ChunkHandle
    log_index: int
    accepted_ns: int = 0
    """When an operator said that what is newer may be deleted; 0: it is held."""


Row = TypeVar("Row", bound=Part)
encode = msgspec.msgpack.Encoder().encode
decode_inode = msgspec.msgpack.Decoder(InodeRow).decode
decode_chunk = msgspec.msgpack.Decoder(ChunkRow).decode
decode_counters = msgspec.msgpack.Decoder(Counters).decode
decode_trash = msgspec.msgpack.Decoder(TrashRow).decode
decode_purged = msgspec.msgpack.Decoder(PurgedRow).decode
decode_client = msgspec.msgpack.Decoder(ClientRow).decode
decode_server = msgspec.msgpack.Decoder(ServerRow).decode
decode_log_state = msgspec.msgpack.Decoder(LogState).decode
_decode_restored = msgspec.msgpack.Decoder(RestoredRow).decode
_decode_identity = msgspec.msgpack.Decoder(Identity).decode
_decode_format = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

KIND_CODES = {Kind.FILE: 1, Kind.FOLDER: 2, Kind.SYMLINK: 3}
KINDS = {code: kind for kind, code in KIND_CODES.items()}

# ------------------------------------------------------------------ keys

key = U64.pack
key2 = U64X2.pack
key3 = U64X3.pack


def entry_key(parent: InodeId, name: bytes) -> bytes:
    return key(parent) + name


def range_of(first: int) -> tuple[bytes, bytes]:
    """Return (start, stop) of all keys that begin with the number `first`."""
    return key(first), key(first + 1)


def path_hash(path: bytes) -> int:
    """Return 63 bits by which `trash_paths` finds a path; equal ones are told apart by the trash row."""
    return int.from_bytes(blake2b(path, digest_size=8).digest(), "big") >> 1


# ------------------------------------------------------------------ rows


def get_inode(view: MetaRead, inode: InodeId) -> InodeRow | None:
    raw = view.get(INODES, key(inode))
    return None if raw is None else decode_inode(raw)


def the_inode(view: MetaRead, inode: InodeId) -> InodeRow:
    """Return a row that must be there."""
    row = get_inode(view, inode)
    assert row is not None, inode
    return row


def put_inode(txn: MetaWrite, inode: InodeId, row: InodeRow) -> None:
    txn.put(INODES, key(inode), encode(row))


def get_entry(view: MetaRead, parent: InodeId, name: bytes) -> tuple[InodeId, Kind] | None:
    raw = view.get(ENTRIES, entry_key(parent, name))
    if raw is None:
        return None
    inode, code = ENTRY.unpack(raw)
    return inode, KINDS[code]


def put_entry(txn: MetaWrite, parent: InodeId, name: bytes, inode: InodeId, kind: Kind) -> None:
    txn.put(ENTRIES, entry_key(parent, name), ENTRY.pack(inode, KIND_CODES[kind]))


def get_chunk(view: MetaRead, handle: ChunkHandle) -> ChunkRow | None:
    raw = view.get(CHUNKS, key(handle))
    return None if raw is None else decode_chunk(raw)


def the_chunk(view: MetaRead, handle: ChunkHandle) -> ChunkRow:
    """Return a row that must be there."""
    row = get_chunk(view, handle)
    assert row is not None, handle
    return row


def put_chunk(txn: MetaWrite, handle: ChunkHandle, row: ChunkRow) -> None:
    txn.put(CHUNKS, key(handle), encode(row))


def get_handle(view: MetaRead, inode: InodeId, index: int) -> ChunkHandle | None:
    """Return the chunk at `index` of a file; None for a hole."""
    raw = view.get(CHUNKS_OF, key2(inode, index))
    return None if raw is None else ChunkHandle(U64.unpack(raw)[0])


def get_counters(view: MetaRead) -> Counters:
    raw = view.get(META, COUNTERS_KEY)
    assert raw is not None, "store is not initialised"
    return decode_counters(raw)


def put_counters(txn: MetaWrite, counters: Counters) -> None:
    txn.put(META, COUNTERS_KEY, encode(counters))


def get_log_state(view: MetaRead) -> LogState:
    raw = view.get(META, LOG_KEY)
    assert raw is not None, "store is not initialised"
    return decode_log_state(raw)


def put_log_state(txn: MetaWrite, state: LogState) -> None:
    txn.put(META, LOG_KEY, encode(state))


def get_restored(view: MetaRead) -> RestoredRow | None:
    """Return from which backup the tables came last; None if they never did."""
    raw = view.get(META, RESTORED_KEY)
    return None if raw is None else _decode_restored(raw)


def put_restored(txn: MetaWrite, row: RestoredRow) -> None:
    txn.put(META, RESTORED_KEY, encode(row))


# ------------------------------------------------------------------ the beginning


def initialise(  # noqa: PLR0913  (each is decided once, by name)
    txn: MetaWrite,
    *,
    cluster: ClusterId,
    geometry: Geometry,
    config: ClusterConfig,
    now_ns: int,
    root_mode: int = 0o755,
    replicas: int = REPLICAS_DEFAULT,
) -> None:
    """Make an empty tree in an empty store. `replicas`: copies of files unless a folder or file says otherwise."""
    assert txn.get(META, IDENTITY_KEY) is None, "store is initialised already"
    identity = Identity(
        format=FORMAT,
        cluster=cluster,
        chunk_bytes=geometry.chunk_bytes,
        block_bytes=geometry.block_bytes,
        copies_min=config.copies_min,
        made_ns=now_ns,
    )
    txn.put(META, IDENTITY_KEY, encode(identity))
    put_counters(txn, Counters(next_inode=InodeId(ROOT_INODE + 1), next_handle=ChunkHandle(1), folders=1))
    put_log_state(txn, LogState())
    root = InodeRow(
        kind=Kind.FOLDER,
        parent=InodeId(0),
        name=b"",
        mode=root_mode,
        uid=0,
        gid=0,
        mtime_ns=now_ns,
        ctime_ns=now_ns,
        replicas=replicas,
        links=2,
    )
    put_inode(txn, ROOT_INODE, root)


def read_identity(view: MetaRead) -> Identity | None:
    """Return what the store was made for; None if it is empty.

    Raises:
        FormatError: made by a version of CairnFS with another format. Nothing was touched.
    """
    raw = view.get(META, IDENTITY_KEY)
    if raw is None:
        return None
    try:
        found = msgspec.msgpack.decode(_decode_format(raw)[0], type=int)
        if found == FORMAT:
            return _decode_identity(raw)
    except (msgspec.MsgspecError, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(where="metadata store", why=f"its identity cannot be read: {error}") from error
    raise FormatError(
        where="metadata store",
        why=f"format {found}, but this version of CairnFS has {FORMAT}; convert it with `cairn master dump` "
        "(that version) and `cairn master load` (this one)",
    )
