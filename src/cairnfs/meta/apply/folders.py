"""Records of the tree: an inode is made, an entry moves."""

from msgspec.structs import replace

from cairnfs.ids import InodeId
from cairnfs.meta.quotas import UsageRow, amount_of, count, is_counted, link_amount, put_usage, unlink_amount
from cairnfs.meta.records import EntryMoved, InodeMade
from cairnfs.meta.tables import (
    ENTRIES,
    Counters,
    InodeRow,
    entry_key,
    get_counters,
    get_entry,
    put_counters,
    put_entry,
    put_inode,
    the_inode,
)
from cairnfs.meta.views import MetaWrite
from cairnfs.wire.common import Kind


def made_row(record: InodeMade) -> InodeRow:
    """Return the row of a new inode; deciding uses it to answer before it is there."""
    return InodeRow(
        kind=record.kind,
        parent=record.parent,
        name=record.name,
        mode=record.mode,
        uid=record.uid,
        gid=record.gid,
        mtime_ns=record.now_ns,
        ctime_ns=record.now_ns,
        replicas=record.replicas,
        links=2 if record.kind is Kind.FOLDER else 1,
        target=record.target,
    )


def inode_made(txn: MetaWrite, record: InodeMade) -> None:
    counters = get_counters(txn)
    assert record.inode == counters.next_inode, (record.inode, counters.next_inode)
    put_counters(txn, replace(counted(counters, record.kind, 1), next_inode=InodeId(record.inode + 1)))
    put_inode(txn, record.inode, made_row(record))
    link(txn, record.parent, record.name, inode=record.inode, kind=record.kind, now_ns=record.now_ns)
    if is_counted(txn, record.parent):
        if record.kind is Kind.FOLDER:
            put_usage(txn, record.inode, UsageRow())
        count(txn, record.parent, files=1)


def entry_moved(txn: MetaWrite, record: EntryMoved) -> None:
    row = the_inode(txn, record.inode)
    amount = amount_of(txn, record.inode, row)
    unlink(txn, row, now_ns=record.now_ns)
    unlink_amount(txn, row.parent, amount)
    link(txn, record.parent, record.name, inode=record.inode, kind=row.kind, now_ns=record.now_ns)
    link_amount(txn, record.parent, amount)
    put_inode(txn, record.inode, replace(row, parent=record.parent, name=record.name, ctime_ns=record.now_ns))


def link(txn: MetaWrite, parent: InodeId, name: bytes, *, inode: InodeId, kind: Kind, now_ns: int) -> None:
    """Put an entry and count it in its folder; the inode's own row is the caller's."""
    assert get_entry(txn, parent, name) is None, (parent, name)
    put_entry(txn, parent, name, inode, kind)
    _count(txn, parent, kind, change=1, now_ns=now_ns)


def unlink(txn: MetaWrite, row: InodeRow, *, now_ns: int) -> None:
    """Remove the entry that a row names; the inode's own row is the caller's."""
    removed = txn.delete(ENTRIES, entry_key(row.parent, row.name))
    assert removed, (row.parent, row.name)
    _count(txn, row.parent, row.kind, change=-1, now_ns=now_ns)


def counted(counters: Counters, kind: Kind, change: int) -> Counters:
    if kind is Kind.FILE:
        return replace(counters, files=counters.files + change)
    if kind is Kind.FOLDER:
        return replace(counters, folders=counters.folders + change)
    return replace(counters, symlinks=counters.symlinks + change)


def _count(txn: MetaWrite, folder: InodeId, kind: Kind, *, change: int, now_ns: int) -> None:
    row = the_inode(txn, folder)
    assert row.kind is Kind.FOLDER, folder
    entries, links = row.entries + change, row.links + (change if kind is Kind.FOLDER else 0)
    assert entries >= 0, folder
    assert links >= 2, folder
    put_inode(txn, folder, replace(row, entries=entries, links=links, mtime_ns=now_ns, ctime_ns=now_ns))
