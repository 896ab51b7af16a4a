"""Deciding about deleting, undeleting and freeing. GFS paper, section 4.4; rule 21."""

from collections.abc import Iterator
from itertools import islice

from msgspec.structs import replace

from cairnfs.errors import BadNameError, ExistsError, NotEmptyError, NotTrashError, PathError
from cairnfs.ids import InodeId
from cairnfs.meta.commands import ExpireTrash, Swept
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.decide.folders import NewInode, make_inodes
from cairnfs.meta.decide.quotas import check_counted, check_room
from cairnfs.meta.lookup import find, find_there
from cairnfs.meta.quotas import amount_of
from cairnfs.meta.read import attributes, expired
from cairnfs.meta.records import ChunksDropped, Doomed, Purged, Record, Trashed, Untrashed
from cairnfs.meta.tables import (
    CHUNKS_OF,
    DOOMED,
    TOP,
    TRASH,
    TRASH_PATHS,
    U64,
    U64X2,
    U64X3,
    InodeRow,
    decode_trash,
    key2,
    key3,
    path_hash,
    range_of,
    the_inode,
)
from cairnfs.meta.views import MetaRead
from cairnfs.meta.walk import children
from cairnfs.paths import ROOT, join, parent_and_name, show
from cairnfs.wire.base import Done
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import Delete, Purge, Status, Undelete


def delete(view: MetaRead, command: Delete, choice: Choice) -> Decision[Done]:
    place = find_there(view, command.path, follow=False)
    if place.is_root:
        raise BadNameError(path=show(command.path), why="the root folder stays")
    if place.kind is Kind.FOLDER and not command.recursive and the_inode(view, place.inode).entries:
        raise NotEmptyError(path=show(command.path))
    record = Trashed(inode=place.inode, path=place.path, now_ns=choice.now_ns, doomed=command.now)
    return Decision(Done(), [record])


def undelete(view: MetaRead, command: Undelete, choice: Choice) -> Decision[Status]:
    deleted_ns, inode = _newest(view, command)
    place = find(view, command.to or command.path, follow=False)
    if not place.missing:
        raise ExistsError(path=show(place.path))
    parents = make_inodes(view, place, choice, NewInode(Kind.FOLDER, 0))[:-1]
    parent = parents[-1].inode if parents else place.parent
    record = Untrashed(inode=inode, deleted_ns=deleted_ns, parent=parent, name=place.name, now_ns=choice.now_ns)
    row = the_inode(view, inode)
    amount = check_counted(view, inode, amount_of(view, inode, row), to=place.parent)
    check_room(view, place.parent, choice, files=amount.files + len(parents), size_bytes=amount.size_bytes)
    links = row.links if row.kind is Kind.FOLDER else 1
    back = replace(row, links=links, ctime_ns=choice.now_ns)
    return Decision(Status(attributes=attributes(inode, back), path=place.path), [*parents, record])


def purge(view: MetaRead, command: Purge, _choice: Choice) -> Decision[Done]:
    """Doom all trash of a path; ExpireTrash frees it step by step."""
    path = _as_recorded(view, command.path)
    below = path if path == ROOT else path + b"/"
    rows: list[tuple[int, InodeId]] = []
    for raw, value in view.scan(TRASH):
        row_path = decode_trash(value).path
        if row_path == path or row_path.startswith(below):
            deleted_ns, inode = U64X2.unpack(raw)
            rows.append((deleted_ns, InodeId(inode)))
    return Decision(Done(), [Doomed(rows=rows)] if rows else [])


def expire_trash(view: MetaRead, command: ExpireTrash, choice: Choice) -> Decision[Swept]:
    """Doom what is too old, then free what is doomed: about `limit` inodes and chunks, leaves first."""
    records: list[Record] = []
    rows = expired(view, command.before_ns, command.limit)
    if rows:
        records.append(Doomed(rows=rows))
    sweep = _Sweep(view, choice.now_ns, command.limit)
    tops = [InodeId(U64.unpack(raw)[0]) for raw, _ in islice(view.scan(DOOMED), command.limit)]
    for top in [*tops, *(inode for _, inode in rows)]:
        if not sweep.free(top):
            break
    records += sweep.records
    more = len(rows) == command.limit or sweep.is_spent
    return Decision(Swept(inodes=sweep.inodes, chunks=sweep.chunks, more=more), records)


class _Sweep:
    """Collects records that free subtrees, until the budget is spent."""

    def __init__(self, view: MetaRead, now_ns: int, limit: int) -> None:
        self.records: list[Record] = []
        self.inodes = self.chunks = 0
        self._view, self._now_ns, self._left = view, now_ns, limit

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def free(self, top: InodeId) -> bool:
        """Free a subtree, folders after what is in them; False if the budget ended before."""
        stack: list[tuple[InodeId, InodeRow, Iterator[tuple[bytes, InodeId]]]] = [self._visit(top)]
        while stack:
            # Ends: invariant 2, and the budget.
            if self.is_spent:
                return False
            inode, row, rest = stack[-1]
            child = next(rest, None)
            if child is not None:
                stack.append(self._visit(child[1]))
                continue
            if not self._free_one(inode, row):
                return False
            stack.pop()
        return True

    def _visit(self, inode: InodeId) -> tuple[InodeId, InodeRow, Iterator[tuple[bytes, InodeId]]]:
        row = the_inode(self._view, inode)
        return inode, row, children(self._view, inode) if row.kind is Kind.FOLDER else iter(())

    def _free_one(self, inode: InodeId, row: InodeRow) -> bool:
        chunks = self._last_chunks(inode) if row.chunks else []
        if len(chunks) >= self._left:
            # Too many for one step: from the end, as many as there is room for.
            self.records.append(ChunksDropped(inode=inode, first=chunks[-1], now_ns=self._now_ns))
            self.chunks += len(chunks)
            self._left = 0
            return False
        self.records.append(Purged(inode=inode, now_ns=self._now_ns))
        self.inodes += 1
        self.chunks += len(chunks)
        self._left -= 1 + len(chunks)
        return True

    def _last_chunks(self, inode: InodeId) -> list[int]:
        """Return the highest indexes of a file's chunks, last first, as many as there is room for."""
        found = self._view.scan(CHUNKS_OF, *range_of(inode), backwards=True)
        return [U64X2.unpack(raw)[1] for raw, _ in islice(found, self._left)]


def _newest(view: MetaRead, command: Undelete) -> tuple[int, InodeId]:
    """Return (deleted_ns, inode) of the trash row that is meant."""
    path = _as_recorded(view, command.path)
    hashed = path_hash(path)
    for raw, _ in view.scan(TRASH_PATHS, key3(hashed, 0, 0), key3(hashed, TOP, TOP), backwards=True):
        _, deleted_ns, inode = U64X3.unpack(raw)
        value = view.get(TRASH, key2(deleted_ns, inode))
        assert value is not None, (deleted_ns, inode)
        if decode_trash(value).path == path and command.inode in (0, inode):
            return deleted_ns, InodeId(inode)
    raise NotTrashError(path=show(command.path))


def _as_recorded(view: MetaRead, path: bytes) -> bytes:
    """Return a path as the trash names it: symlinks in its folder resolved, if the folder is still there."""
    folder, name = parent_and_name(path)
    try:
        place = find(view, folder, follow=True)
    except PathError:
        return path
    return join(place.path, name) if name else path
