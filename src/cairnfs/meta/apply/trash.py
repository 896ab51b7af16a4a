"""Records of deleting: to the trash, back, doomed, gone. GFS paper, section 4.4; rule 21.

A folder leaves the tree by one entry, with all below it: O(1). It is freed inode by inode, leaves first.
"""

from msgspec.structs import replace

from cairnfs.ids import InodeId
from cairnfs.meta.apply.files import drop_from
from cairnfs.meta.apply.folders import counted, link, unlink
from cairnfs.meta.quotas import amount_of, link_amount, unlink_amount
from cairnfs.meta.records import Doomed, Purged, Trashed, Untrashed
from cairnfs.meta.tables import (
    DOOMED,
    INODES,
    QUOTAS,
    TRASH,
    TRASH_PATHS,
    USAGE,
    TrashRow,
    decode_trash,
    encode,
    get_counters,
    key,
    key2,
    key3,
    path_hash,
    put_counters,
    put_inode,
    the_inode,
)
from cairnfs.meta.views import MetaWrite
from cairnfs.wire.common import Kind

NOWHERE = InodeId(0)


def trashed(txn: MetaWrite, record: Trashed) -> None:
    row = the_inode(txn, record.inode)
    unlink(txn, row, now_ns=record.now_ns)
    unlink_amount(txn, row.parent, amount_of(txn, record.inode, row))
    links = row.links if row.kind is Kind.FOLDER else 0
    gone = replace(row, parent=NOWHERE, name=b"", links=links, ctime_ns=record.now_ns)
    put_inode(txn, record.inode, gone)
    if record.doomed:
        txn.put(DOOMED, key(record.inode), b"\0")
        return
    txn.put(TRASH, key2(record.now_ns, record.inode), encode(TrashRow(path=record.path, kind=row.kind)))
    txn.put(TRASH_PATHS, key3(path_hash(record.path), record.now_ns, record.inode), b"\0")


def untrashed(txn: MetaWrite, record: Untrashed) -> None:
    _leave_trash(txn, record.deleted_ns, record.inode)
    row = the_inode(txn, record.inode)
    links = row.links if row.kind is Kind.FOLDER else 1
    back = replace(row, parent=record.parent, name=record.name, links=links, ctime_ns=record.now_ns)
    put_inode(txn, record.inode, back)
    link(txn, record.parent, record.name, inode=record.inode, kind=row.kind, now_ns=record.now_ns)
    link_amount(txn, record.parent, amount_of(txn, record.inode, row))


def doomed(txn: MetaWrite, record: Doomed) -> None:
    for deleted_ns, inode in record.rows:
        _leave_trash(txn, deleted_ns, inode)
        txn.put(DOOMED, key(inode), b"\0")


def purged(txn: MetaWrite, record: Purged) -> None:
    row = the_inode(txn, record.inode)
    assert row.entries == 0, record
    if row.parent == NOWHERE:
        removed = txn.delete(DOOMED, key(record.inode))
        assert removed, record
    else:
        unlink(txn, row, now_ns=record.now_ns)
    if row.kind is Kind.FILE:
        drop_from(txn, record.inode, 0, now_ns=record.now_ns)
    if row.kind is Kind.FOLDER:
        # What is doomed comes back to no folder: its usage is not kept exact while it is freed from the leaves up.
        txn.delete(QUOTAS, key(record.inode))
        txn.delete(USAGE, key(record.inode))
    txn.delete(INODES, key(record.inode))
    put_counters(txn, counted(get_counters(txn), row.kind, -1))


def _leave_trash(txn: MetaWrite, deleted_ns: int, inode: InodeId) -> None:
    raw = txn.get(TRASH, key2(deleted_ns, inode))
    assert raw is not None, (deleted_ns, inode)
    txn.delete(TRASH, key2(deleted_ns, inode))
    removed = txn.delete(TRASH_PATHS, key3(path_hash(decode_trash(raw).path), deleted_ns, inode))
    assert removed, (deleted_ns, inode)
