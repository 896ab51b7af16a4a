"""Records of attributes: mode, owner, times, xattrs, number of copies."""

from msgspec.structs import replace

from cairnfs.ids import ChunkHandle, InodeId
from cairnfs.meta.records import AttributesSet, ReplicasSet
from cairnfs.meta.tables import CHUNKS_OF, U64, InodeRow, put_chunk, put_inode, range_of, the_chunk, the_inode
from cairnfs.meta.views import MetaWrite
from cairnfs.meta.walk import walk
from cairnfs.wire.common import Kind


def changed(row: InodeRow, record: AttributesSet) -> InodeRow:
    """Return the row as it will be; deciding uses it to answer."""
    xattrs = {**row.xattrs, **record.xattrs}
    return replace(
        row,
        mode=row.mode if record.mode is None else record.mode,
        uid=row.uid if record.uid is None else record.uid,
        gid=row.gid if record.gid is None else record.gid,
        mtime_ns=row.mtime_ns if record.mtime_ns is None else record.mtime_ns,
        xattrs={name: xattrs[name] for name in sorted(xattrs) if xattrs[name]},
        ctime_ns=record.now_ns,
    )


def attributes_set(txn: MetaWrite, record: AttributesSet) -> None:
    put_inode(txn, record.inode, changed(the_inode(txn, record.inode), record))


def replicas_set(txn: MetaWrite, record: ReplicasSet) -> None:
    inodes = [record.inode]
    if record.recursive:
        inodes = [inode for inode, _ in walk(txn, record.inode)]
    for inode in inodes:
        row = the_inode(txn, inode)
        if row.kind is Kind.SYMLINK or row.replicas == record.replicas:
            continue
        put_inode(txn, inode, replace(row, replicas=record.replicas, ctime_ns=record.now_ns))
        if row.kind is Kind.FILE:
            _set_goals(txn, inode, record.replicas)


def _set_goals(txn: MetaWrite, inode: InodeId, replicas: int) -> None:
    for _, raw in list(txn.scan(CHUNKS_OF, *range_of(inode))):
        handle = ChunkHandle(U64.unpack(raw)[0])
        row = the_chunk(txn, handle)
        # A chunk that other files share keeps the most that any of them asked for.
        goal = replicas if row.references == 1 else max(row.goal, replicas)
        if goal != row.goal:
            put_chunk(txn, handle, replace(row, goal=goal))
