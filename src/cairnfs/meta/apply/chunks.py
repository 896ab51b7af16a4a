"""Records of chunks: versions and sets, references, copies. Rules 2 to 4, 9, 21 to 23."""

from msgspec.structs import replace

from cairnfs.ids import NO_SERVER, NO_VERSION, ChunkHandle, ChunkVersion, InodeId
from cairnfs.meta.quotas import put_file
from cairnfs.meta.records import (
    ChunkAdded,
    ChunkClosed,
    ChunkCopied,
    ChunkOpened,
    HandleTaken,
    MemberAdded,
    MemberRemoved,
    PurgedForgotten,
)
from cairnfs.meta.tables import (
    CHUNKS,
    CHUNKS_OF,
    PURGED,
    SHARED,
    TOP,
    U64X3,
    ChunkRow,
    Counters,
    PurgedRow,
    encode,
    get_counters,
    get_handle,
    key,
    key2,
    key3,
    put_chunk,
    put_counters,
    the_chunk,
    the_inode,
)
from cairnfs.meta.views import MetaWrite
from cairnfs.wire.common import Kind


def chunk_added(txn: MetaWrite, record: ChunkAdded) -> None:
    counters = get_counters(txn)
    assert record.handle == counters.next_handle, (record.handle, counters.next_handle)
    assert record.version > NO_VERSION, record
    assert record.members, record
    put_counters(txn, replace(_seen(counters, record.version), next_handle=ChunkHandle(record.handle + 1)))
    put_chunk(txn, record.handle, added_row(record))
    assert get_handle(txn, record.inode, record.index) is None, record
    txn.put(CHUNKS_OF, key2(record.inode, record.index), key(record.handle))
    file = the_inode(txn, record.inode)
    assert file.kind is Kind.FILE, record
    if record.index >= file.chunks:
        put_file(txn, record.inode, old=file, new=replace(file, chunks=record.index + 1))


def chunk_opened(txn: MetaWrite, record: ChunkOpened) -> None:
    row = the_chunk(txn, record.handle)
    # Rule 1: no version twice. Invariant 7: a shared chunk is never opened.
    assert record.version > row.version, (record, row.version)
    assert row.references == 1, record
    assert record.members, record
    _see(txn, record.version)
    put_chunk(txn, record.handle, opened_row(row, record))


def chunk_closed(txn: MetaWrite, record: ChunkClosed) -> None:
    row = the_chunk(txn, record.handle)
    assert record.version >= row.version, (record, row.version)
    assert record.members, record
    if record.version > row.version:
        _see(txn, record.version)
    put_chunk(txn, record.handle, closed_row(row, record))


def member_added(txn: MetaWrite, record: MemberAdded) -> None:
    row = the_chunk(txn, record.handle)
    assert row.closed, record
    others = [member for member in row.members if member[0] != record.member[0]]
    put_chunk(txn, record.handle, replace(row, members=[*others, record.member]))


def member_removed(txn: MetaWrite, record: MemberRemoved) -> None:
    row = the_chunk(txn, record.handle)
    others = [member for member in row.members if member[0] != record.server]
    # Rule 23: no path removes the last valid copy.
    assert row.closed, record
    assert others, record
    put_chunk(txn, record.handle, replace(row, members=others))


def handle_taken(txn: MetaWrite, record: HandleTaken) -> None:
    counters = get_counters(txn)
    assert record.handle == counters.next_handle, (record.handle, counters.next_handle)
    put_counters(txn, replace(counters, next_handle=ChunkHandle(record.handle + 1)))


def chunk_copied(txn: MetaWrite, record: ChunkCopied) -> None:
    old = the_chunk(txn, record.old)
    assert get_handle(txn, record.inode, record.index) == record.old, record
    # Only a shared chunk is copied; invariant 7.
    assert old.closed, record
    assert old.references > 1, record
    assert record.members, record
    counters = get_counters(txn)
    # Rule 21: taken before, and never used.
    assert record.new < counters.next_handle, (record.new, counters.next_handle)
    assert txn.get(CHUNKS, key(record.new)) is None, record
    assert txn.get(PURGED, key(record.new)) is None, record
    put_counters(txn, _seen(_seen(counters, record.version), record.barrier))
    put_chunk(txn, record.new, copied_row(record, old))
    txn.put(CHUNKS_OF, key2(record.inode, record.index), key(record.new))
    release(txn, record.old, inode=record.inode, index=record.index, now_ns=0, barrier=record.barrier)


def purged_forgotten(txn: MetaWrite, record: PurgedForgotten) -> None:
    for handle in record.handles:
        txn.delete(PURGED, key(handle))


# ------------------------------------------------------------------ rows as they will be; deciding answers with them


def added_row(record: ChunkAdded) -> ChunkRow:
    return ChunkRow(
        version=record.version,
        members=record.members,
        primary=record.primary,
        closed=False,
        length=0,
        references=1,
        goal=record.goal,
        inode=record.inode,
        index=record.index,
        is_new=True,
    )


def opened_row(row: ChunkRow, record: ChunkOpened) -> ChunkRow:
    return replace(
        row,
        version=record.version,
        members=record.members,
        primary=record.primary,
        closed=False,
        length=record.base_length,
        base_length=record.base_length,
        broken_at=record.broken_at,
        is_new=False,
    )


def closed_row(row: ChunkRow, record: ChunkClosed) -> ChunkRow:
    return replace(
        row,
        version=record.version,
        members=record.members,
        primary=NO_SERVER,
        closed=True,
        length=record.length,
        base_length=record.length,
        broken_at=record.broken_at,
        is_new=row.is_new and record.version == row.version,
    )


def copied_row(record: ChunkCopied, old: ChunkRow) -> ChunkRow:
    return ChunkRow(
        version=record.version,
        members=record.members,
        primary=NO_SERVER,
        closed=True,
        length=record.length,
        references=1,
        goal=record.goal,
        inode=record.inode,
        index=record.index,
        base_length=record.length,
        broken_at=old.broken_at,  # versions of all chunks come from one counter: writers compare with any of them
    )


# ------------------------------------------------------------------ references


def share(txn: MetaWrite, handle: ChunkHandle, *, inode: InodeId, index: int) -> None:
    """One more file uses a chunk. Invariants 5 to 7."""
    row = the_chunk(txn, handle)
    assert row.closed, handle
    if row.references == 1:
        txn.put(SHARED, key3(handle, row.inode, row.index), b"\0")
    txn.put(SHARED, key3(handle, inode, index), b"\0")
    put_chunk(txn, handle, replace(row, references=row.references + 1))


def release(
    txn: MetaWrite, handle: ChunkHandle, *, inode: InodeId, index: int, now_ns: int, barrier: ChunkVersion = NO_VERSION
) -> None:
    """One file uses a chunk no more; its row in chunks_of is the caller's. The last one purges the chunk (rule 22)."""
    row = the_chunk(txn, handle)
    if row.references == 1:
        assert (row.inode, row.index) == (inode, index), (handle, row, inode, index)
        txn.delete(CHUNKS, key(handle))
        purged = PurgedRow(
            version=row.version, purged_ns=now_ns, members=row.members, barrier=max(row.barrier, barrier)
        )
        txn.put(PURGED, key(handle), encode(purged))
        return
    removed = txn.delete(SHARED, key3(handle, inode, index))
    assert removed, (handle, inode, index)
    row = replace(row, references=row.references - 1, barrier=max(row.barrier, barrier))
    if row.references == 1:
        # Invariant 6: the last owner is the one row that is left.
        left = [raw for raw, _ in txn.scan(SHARED, key3(handle, 0, 0), key3(handle, TOP, TOP))]
        assert len(left) == 1, (handle, left)
        txn.delete(SHARED, left[0])
        _, owner, owner_index = U64X3.unpack(left[0])
        row = replace(row, inode=InodeId(owner), index=owner_index)
    put_chunk(txn, handle, row)


def _see(txn: MetaWrite, version: ChunkVersion) -> None:
    put_counters(txn, _seen(get_counters(txn), version))


def _seen(counters: Counters, version: ChunkVersion) -> Counters:
    return replace(counters, max_version=version) if version > counters.max_version else counters
