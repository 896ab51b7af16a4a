"""Records of one file's length and of the end of its map."""

from msgspec.structs import replace

from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, InodeId
from cairnfs.meta.apply.chunks import release
from cairnfs.meta.quotas import put_file
from cairnfs.meta.records import ChunksDropped, LengthSet
from cairnfs.meta.tables import CHUNKS_OF, U64, U64X2, key2, the_inode
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.wire.common import Kind


def length_set(txn: MetaWrite, record: LengthSet) -> None:
    row = the_inode(txn, record.inode)
    assert row.kind is Kind.FILE, record
    mtime_ns = record.mtime_ns or row.mtime_ns
    after = replace(row, length=record.length, mtime_ns=mtime_ns, ctime_ns=record.ctime_ns)
    put_file(txn, record.inode, old=row, new=after)


def chunks_dropped(txn: MetaWrite, record: ChunksDropped) -> None:
    row = the_inode(txn, record.inode)
    drop_from(txn, record.inode, record.first, now_ns=record.now_ns, barrier=record.barrier)
    put_file(txn, record.inode, old=row, new=replace(row, chunks=chunks_below(txn, record.inode, record.first)))


def chunks_below(view: MetaRead, inode: InodeId, first: int) -> int:
    """Return one more than the highest index below `first` that is no hole."""
    for raw, _ in view.scan(CHUNKS_OF, key2(inode, 0), key2(inode, first), backwards=True):
        return int(U64X2.unpack(raw)[1]) + 1
    return 0


def drop_from(txn: MetaWrite, inode: InodeId, first: int, *, now_ns: int, barrier: ChunkVersion = NO_VERSION) -> None:
    """Take all chunks from index `first` on out of a file's map; its row is the caller's."""
    used = list(txn.scan(CHUNKS_OF, key2(inode, first), key2(InodeId(inode + 1), 0)))
    for raw, raw_handle in used:
        txn.delete(CHUNKS_OF, raw)
        index, handle = U64X2.unpack(raw)[1], ChunkHandle(U64.unpack(raw_handle)[0])
        release(txn, handle, inode=inode, index=index, now_ns=now_ns, barrier=barrier)
