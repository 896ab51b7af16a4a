"""The record of a snapshot: a subtree is copied, its chunks are shared. GFS paper, section 3.4."""

from msgspec.structs import replace

from cairnfs.ids import ChunkHandle, InodeId
from cairnfs.meta.apply.chunks import share
from cairnfs.meta.apply.folders import counted, link
from cairnfs.meta.quotas import amount_of, get_usage, link_amount, put_usage
from cairnfs.meta.records import SnapshotTaken
from cairnfs.meta.tables import (
    CHUNKS_OF,
    U64,
    U64X2,
    get_counters,
    key2,
    put_counters,
    put_entry,
    put_inode,
    range_of,
    the_inode,
)
from cairnfs.meta.views import MetaWrite
from cairnfs.meta.walk import walk
from cairnfs.wire.common import Kind


def snapshot_taken(txn: MetaWrite, record: SnapshotTaken) -> None:
    # Read wholly before anything is written: the walk must not meet its own copies.
    source = list(walk(txn, record.source))
    counters = get_counters(txn)
    assert len(source) == record.count, (len(source), record)
    assert record.first == counters.next_inode, (record, counters.next_inode)
    copies: dict[InodeId, InodeId] = {}
    for number, (inode, row) in enumerate(source):
        copies[inode] = copy = InodeId(record.first + number)
        is_top = number == 0
        parent = record.parent if is_top else copies[row.parent]
        name = record.name if is_top else row.name
        put_inode(txn, copy, replace(row, parent=parent, name=name, ctime_ns=record.now_ns))
        if not is_top:
            put_entry(txn, parent, name, copy, row.kind)
        usage = get_usage(txn, inode) if row.kind is Kind.FOLDER else None
        if usage is not None:
            put_usage(txn, copy, usage)
        if row.kind is Kind.FILE:
            _share_chunks(txn, inode, copy)
        counters = counted(counters, row.kind, 1)
    put_counters(txn, replace(counters, next_inode=InodeId(record.first + record.count)))
    top = source[0][1]
    link(txn, record.parent, record.name, inode=record.first, kind=top.kind, now_ns=record.now_ns)
    link_amount(txn, record.parent, amount_of(txn, record.first, the_inode(txn, record.first)))


def _share_chunks(txn: MetaWrite, inode: InodeId, copy: InodeId) -> None:
    for raw, raw_handle in list(txn.scan(CHUNKS_OF, *range_of(inode))):
        index = U64X2.unpack(raw)[1]
        txn.put(CHUNKS_OF, key2(copy, index), raw_handle)
        share(txn, ChunkHandle(U64.unpack(raw_handle)[0]), inode=copy, index=index)
