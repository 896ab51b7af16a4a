"""Deciding about snapshots. GFS paper, section 3.4; rule 9."""

from msgspec.structs import replace

from cairnfs.errors import BadNameError, ChunkOpenError, ExistsError, LoopError, NotFoundError
from cairnfs.ids import ChunkHandle, InodeId
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.decide.quotas import check_counted, check_room
from cairnfs.meta.lookup import find, find_there
from cairnfs.meta.quotas import amount_of
from cairnfs.meta.read import attributes
from cairnfs.meta.records import SnapshotTaken
from cairnfs.meta.tables import CHUNKS_OF, U64, get_counters, range_of, the_chunk, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.meta.walk import walk
from cairnfs.paths import check_name, show
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import Snapshot, Status

OPEN_CHUNKS_MAX = 1000
"""Handles that one refusal names; the master seals them and asks again."""


def take_snapshot(view: MetaRead, command: Snapshot, choice: Choice) -> Decision[Status]:
    """Raises ChunkOpenError, naming what must be sealed first: shared chunks are always closed."""
    source = find_there(view, command.source, follow=True)
    target = find(view, command.target, follow=False)
    if not target.missing:
        raise ExistsError(path=show(command.target))
    if len(target.missing) > 1:
        raise NotFoundError(path=show(command.target))
    if source.is_root:
        raise BadNameError(path=show(command.source), why="name the folders to be copied; the copy would be in itself")
    if any(inode == source.inode for inode, _ in target.walked):
        raise LoopError(path=show(command.target))
    check_name(target.name)
    row = the_inode(view, source.inode)
    amount = check_counted(view, source.inode, amount_of(view, source.inode, row), to=target.parent)
    check_room(view, target.parent, choice, files=amount.files, size_bytes=amount.size_bytes)
    rows = list(walk(view, source.inode))
    still_open: list[ChunkHandle] = []
    for inode, row in rows:
        if row.kind is Kind.FILE and row.chunks:
            still_open += _open_chunks(view, inode)
        if len(still_open) >= OPEN_CHUNKS_MAX:
            break
    if still_open:
        raise ChunkOpenError(chunks=still_open[:OPEN_CHUNKS_MAX])
    record = SnapshotTaken(
        source=source.inode,
        parent=target.parent,
        name=target.name,
        first=get_counters(view).next_inode,
        count=len(rows),
        now_ns=choice.now_ns,
    )
    copy = replace(rows[0][1], ctime_ns=choice.now_ns)
    return Decision(Status(attributes=attributes(record.first, copy), path=target.path), [record])


def _open_chunks(view: MetaRead, inode: InodeId) -> list[ChunkHandle]:
    handles = [ChunkHandle(U64.unpack(raw)[0]) for _, raw in view.scan(CHUNKS_OF, *range_of(inode))]
    return [handle for handle in handles if not the_chunk(view, handle).closed]
