"""Queries: what the master answers from the last commit. Pure. GFS paper, section 4.1.

None of them sees what is doomed: it is there only to be freed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairnfs.errors import IsFolderError, NotFolderError, NotFoundError
from cairnfs.ids import ROOT_INODE, ChunkHandle, InodeId, ServerId
from cairnfs.limits import HEAD_BYTES_MAX, LIST_PAGE_MAX
from cairnfs.meta.lookup import find_there
from cairnfs.meta.tables import (
    CHUNKS,
    CHUNKS_OF,
    DOOMED,
    ENTRIES,
    ENTRY,
    INODES,
    PURGED,
    SERVERS,
    SHARED,
    TOP,
    TRASH,
    U64,
    U64X2,
    U64X3,
    ChunkRow,
    InodeRow,
    PurgedRow,
    ServerRow,
    decode_chunk,
    decode_inode,
    decode_purged,
    decode_server,
    decode_trash,
    entry_key,
    get_chunk,
    get_counters,
    get_inode,
    get_log_state,
    key,
    key2,
    key3,
    range_of,
    the_chunk,
    the_inode,
)
from cairnfs.meta.views import MetaRead
from cairnfs.paths import show
from cairnfs.units import SECOND_NS
from cairnfs.wire.common import Attributes, Kind
from cairnfs.wire.namespace import Entry, Listing, Status, TrashEntry, TrashListing

LIST_BYTES_MAX = HEAD_BYTES_MAX // 2
"""A page ends here as well: long symlinks and xattrs must fit into one message."""
ENTRY_BYTES = 64
"""What an entry of a page takes besides its name and its row."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path."""

    inode: InodeId
    row: InodeRow
    path: bytes
    """With all symlinks resolved."""


@dataclass(frozen=True, slots=True)
class FileChunk:
    """One chunk of a file."""

    index: int
    handle: ChunkHandle
    row: ChunkRow


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is. Inodes in the trash count as long as they are not purged."""

    files: int
    folders: int
    symlinks: int
    chunks: int
    trash: int
    doomed: int
    purged: int
    log_index: int
    """Of the last row of the log; 0 if nothing was ever logged."""


# ------------------------------------------------------------------ inodes


def resolve(view: MetaRead, path: bytes, *, follow: bool = True) -> Found:
    """Return what stands at `path`.

    Raises:
        NotFoundError, NotFolderError, BadNameError, LoopError: as their names say.
    """
    place = find_there(view, path, follow=follow)
    return Found(place.inode, the_inode(view, place.inode), place.path)


def inode_row(view: MetaRead, inode: InodeId) -> InodeRow:
    """Return an inode by number, also from the trash (rule 21).

    Raises:
        NotFoundError: never there, purged or doomed.
    """
    # A number from the wire may be one that no key can hold.
    row = get_inode(view, inode) if inode > 0 else None
    if row is None or view.get(DOOMED, key(inode)) is not None:
        raise NotFoundError(path=f"inode {inode}")
    return row


def attributes(inode: InodeId, row: InodeRow) -> Attributes:
    """Return an inode as the wire shows it."""
    length = row.length
    if row.kind is not Kind.FILE:
        length = row.entries if row.kind is Kind.FOLDER else len(row.target)
    return Attributes(
        inode=inode,
        kind=row.kind,
        mode=row.mode,
        uid=row.uid,
        gid=row.gid,
        links=row.links,
        length=length,
        replicas=row.replicas,
        chunks=row.chunks,
        mtime_ns=row.mtime_ns,
        ctime_ns=row.ctime_ns,
        target=row.target,
        xattrs=row.xattrs,
    )


def status(view: MetaRead, path: bytes, *, follow: bool = True) -> Status:
    """Answer Stat; `tail` is the master's to add (see `open_tail`)."""
    found = resolve(view, path, follow=follow)
    return Status(attributes=attributes(found.inode, found.row), path=found.path)


def status_inode(view: MetaRead, inode: InodeId) -> Status:
    """Answer StatInode; `tail` is the master's to add."""
    return Status(attributes=attributes(inode, inode_row(view, inode)))


def path_of(view: MetaRead, inode: InodeId) -> bytes | None:
    """Return the path of an inode in the tree; None in the trash, doomed or unknown. For messages to people."""
    names: list[bytes] = []
    while inode != ROOT_INODE:
        # Ends: invariant 2.
        row = get_inode(view, inode)
        if row is None or not row.parent:
            return None
        names.append(row.name)
        inode = row.parent
    return b"/" + b"/".join(reversed(names))


def listing(view: MetaRead, path: bytes, *, after: bytes = b"", limit: int = LIST_PAGE_MAX) -> Listing:
    """Answer ListFolder.

    Raises:
        NotFolderError: `path` is a file.
    """
    found = resolve(view, path)
    if found.row.kind is not Kind.FOLDER:
        raise NotFolderError(path=show(path))
    limit = max(1, min(limit, LIST_PAGE_MAX))
    entries: list[Entry] = []
    start = entry_key(found.inode, after) + (b"\0" if after else b"")
    room = LIST_BYTES_MAX
    for raw, value in view.scan(ENTRIES, start, range_of(found.inode)[1]):
        if len(entries) == limit or room < 0:
            return Listing(entries=entries, more=True)
        inode = InodeId(ENTRY.unpack(value)[0])
        shown_as, size = _shown(view, inode)
        entries.append(Entry(name=raw[8:], attributes=shown_as))
        room -= len(raw) + size
    return Listing(entries=entries, more=False)


def trash_listing(
    view: MetaRead, *, after_ns: int = 0, after_inode: int = 0, limit: int = LIST_PAGE_MAX, trash_s: float
) -> TrashListing:
    """Answer ListTrash: oldest first. `trash_s`: how long the trash is kept."""
    limit = max(1, min(limit, LIST_PAGE_MAX))
    entries: list[TrashEntry] = []
    room = LIST_BYTES_MAX
    for raw, value in view.scan(TRASH, key2(max(0, after_ns), after_inode) + b"\0"):
        if len(entries) == limit or room < 0:
            return TrashListing(entries=entries, more=True)
        deleted_ns, number = U64X2.unpack(raw)
        inode = InodeId(number)
        shown_as, size = _shown(view, inode)
        room -= len(value) + size
        expires_ns = deleted_ns + int(trash_s * SECOND_NS)
        entry = TrashEntry(
            path=decode_trash(value).path,
            inode=inode,
            attributes=shown_as,
            deleted_ns=deleted_ns,
            expires_ns=expires_ns,
        )
        entries.append(entry)
    return TrashListing(entries=entries, more=False)


def _shown(view: MetaRead, inode: InodeId) -> tuple[Attributes, int]:
    """Return an inode for a page, and about how many bytes it takes there."""
    raw = view.get(INODES, key(inode))
    assert raw is not None, inode
    return attributes(inode, decode_inode(raw)), len(raw) + ENTRY_BYTES


# ------------------------------------------------------------------ chunks


def find_chunks(view: MetaRead, inode: InodeId, index: int, count: int) -> list[FileChunk]:
    """Return the chunks [index, index + count) of a file in order; a hole is missing. The caller bounds `count`.

    Raises:
        NotFoundError: the inode is purged.
        IsFolderError: not a file.
    """
    row = inode_row(view, inode)
    if row.kind is not Kind.FILE:
        raise IsFolderError(path=f"inode {inode}")
    if count == 1:
        raw = view.get(CHUNKS_OF, key2(inode, index))
        return [] if raw is None else [_file_chunk(view, index, raw)]
    stop = min(index + count, row.chunks)
    found = view.scan(CHUNKS_OF, key2(inode, index), key2(inode, stop)) if index < stop else iter(())
    return [_file_chunk(view, U64X2.unpack(raw)[1], value) for raw, value in found]


def tail(view: MetaRead, inode: InodeId, row: InodeRow) -> FileChunk | None:
    """Return the chunk that the file ends in: the last one that is open or holds bytes, or the first one.

    While it is open its primary knows the length (rule 18). One behind it that was closed without a byte was made for
    a writer who did not come so far.
    """
    last: FileChunk | None = None
    for raw, value in view.scan(CHUNKS_OF, key2(inode, 0), key2(inode, row.chunks), backwards=True):
        last = _file_chunk(view, U64X2.unpack(raw)[1], value)
        if not last.row.closed or last.row.length:
            break
    return last


def chunk(view: MetaRead, handle: ChunkHandle) -> ChunkRow | None:
    """Return the last result of a chunk; None if it is purged or never was."""
    return get_chunk(view, handle)


def each_chunk(view: MetaRead, after: int = 0) -> Iterator[tuple[ChunkHandle, ChunkRow]]:
    """Yield all chunks with a handle above `after`, in order. The caller bounds how many it takes at a time."""
    for raw, value in view.scan(CHUNKS, key(after + 1)):
        yield ChunkHandle(U64.unpack(raw)[0]), decode_chunk(value)


def uses_of(view: MetaRead, handle: ChunkHandle) -> list[tuple[InodeId, int]]:
    """Return every (inode, index) that uses a chunk."""
    row = get_chunk(view, handle)
    if row is None:
        return []
    if row.references == 1:
        return [(row.inode, row.index)]
    owners = view.scan(SHARED, key3(handle, 0, 0), key3(handle, TOP, TOP))
    return [(InodeId(inode), index) for _, inode, index in (U64X3.unpack(raw) for raw, _ in owners)]


def files_of(view: MetaRead, handle: ChunkHandle) -> list[bytes]:
    """Return the paths of the files in the tree that use a chunk. For messages to people."""
    paths = (path_of(view, inode) for inode, _ in uses_of(view, handle))
    return [path for path in paths if path is not None]


def purged(view: MetaRead, handle: ChunkHandle) -> PurgedRow | None:
    """Return the row of a chunk that no file uses any more and whose replicas may still exist."""
    raw = view.get(PURGED, key(handle))
    return None if raw is None else decode_purged(raw)


def each_purged(view: MetaRead, after: int = 0) -> Iterator[tuple[ChunkHandle, PurgedRow]]:
    """Yield all purged chunks with a handle above `after`, in order."""
    for raw, value in view.scan(PURGED, key(after + 1)):
        yield ChunkHandle(U64.unpack(raw)[0]), decode_purged(value)


# ------------------------------------------------------------------ the whole


def servers(view: MetaRead) -> list[tuple[ServerId, ServerRow]]:
    """Return every chunkserver that was ever seen."""
    return [(ServerId(U64.unpack(raw)[0]), decode_server(value)) for raw, value in view.scan(SERVERS)]


def counts(view: MetaRead) -> Counts:
    """Return how much there is, in constant time."""
    counters = get_counters(view)
    return Counts(
        files=counters.files,
        folders=counters.folders,
        symlinks=counters.symlinks,
        chunks=view.count(CHUNKS),
        trash=view.count(TRASH),
        doomed=view.count(DOOMED),
        purged=view.count(PURGED),
        log_index=get_log_state(view).next - 1,
    )


def _file_chunk(view: MetaRead, index: int, raw: bytes) -> FileChunk:
    handle = ChunkHandle(U64.unpack(raw)[0])
    return FileChunk(index, handle, the_chunk(view, handle))


def expired(view: MetaRead, before_ns: int, limit: int) -> list[tuple[int, InodeId]]:
    """Return (deleted_ns, inode) of the oldest trash rows from before `before_ns`."""
    found: list[tuple[int, InodeId]] = []
    for raw, _ in view.scan(TRASH, b"", key2(max(0, before_ns), 0)):
        if len(found) == limit:
            break
        deleted_ns, inode = U64X2.unpack(raw)
        found.append((deleted_ns, InodeId(inode)))
    return found
