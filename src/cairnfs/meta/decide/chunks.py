"""Deciding about chunks: results of raises, closings, members, copies. Rules 2 to 4, 9, 23.

What the master did with servers before took time; each command is checked against the record as it is now.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from cairnfs.errors import (
    ChunkMissingError,
    ExistsError,
    FileTooLargeError,
    IsFolderError,
    NoCopyError,
    StaleVersionError,
    TooFewCopiesError,
)
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, InodeId
from cairnfs.meta.apply.chunks import added_row, closed_row, copied_row, opened_row
from cairnfs.meta.commands import (
    AddChunk,
    AddMember,
    ChunkReply,
    CloseChunk,
    CopyChunk,
    DropEmptyChunk,
    HandleReply,
    OpenChunk,
    PurgeDone,
    RemoveMember,
    TakeHandle,
)
from cairnfs.meta.decide.base import Choice, Decision, Placement
from cairnfs.meta.decide.quotas import check_room
from cairnfs.meta.quotas import chunk_bytes, size_of
from cairnfs.meta.read import inode_row
from cairnfs.meta.records import (
    ChunkAdded,
    ChunkClosed,
    ChunkCopied,
    ChunkOpened,
    ChunksDropped,
    HandleTaken,
    LengthSet,
    MemberAdded,
    MemberRemoved,
    PurgedForgotten,
    Record,
)
from cairnfs.meta.tables import (
    PURGED,
    ChunkMember,
    ChunkRow,
    InodeRow,
    get_chunk,
    get_counters,
    get_handle,
    key,
    the_inode,
)
from cairnfs.meta.views import MetaRead
from cairnfs.wire.base import Done
from cairnfs.wire.common import Kind, Member

FILE_BYTES_MAX = 1 << 62


def add_chunk(view: MetaRead, command: AddChunk, choice: Choice) -> Decision[ChunkReply]:
    file = inode_row(view, command.inode)
    if file.kind is not Kind.FILE:
        raise IsFolderError(path=f"inode {command.inode}")
    if get_handle(view, command.inode, command.index) is not None:
        raise ExistsError(path=f"inode {command.inode} chunk {command.index}")
    if (command.index + 1) * chunk_bytes(view) > FILE_BYTES_MAX:
        raise FileTooLargeError(path=f"inode {command.inode}")
    # It is made for one byte at least; a hole below the file's end is counted already.
    more = command.index * chunk_bytes(view) + 1 - size_of(file, chunk_bytes(view))
    check_room(view, file.parent, choice, size_bytes=more)
    if choice.placement is None:
        raise TooFewCopiesError(what="a new chunk", have=0, need=1)
    added = new_chunk(view, choice.placement, inode=command.inode, index=command.index, goal=file.replicas)
    return Decision(ChunkReply(handle=added.handle, row=added_row(added)), [added])


def drop_empty_chunk(view: MetaRead, command: DropEmptyChunk, choice: Choice) -> Decision[Done]:
    row = _closed_row_at(view, command.handle, command.version)
    is_last = inode_row(view, command.inode).chunks == command.index + 1
    is_mapped = get_handle(view, command.inode, command.index) == command.handle
    if not is_last or not is_mapped or row.length or row.references > 1:
        raise _stale(command.handle, row, command.version)
    return Decision(Done(), [ChunksDropped(inode=command.inode, first=command.index, now_ns=choice.now_ns)])


def open_chunk(view: MetaRead, command: OpenChunk, _choice: Choice) -> Decision[ChunkReply]:
    row = _row(view, command.handle)
    # Rule 1: no version twice. A shared chunk is copied first, so that no snapshot changes.
    if command.version <= row.version or row.references > 1:
        raise _stale(command.handle, row, command.version)
    record = ChunkOpened(
        handle=command.handle,
        version=command.version,
        members=command.members,
        primary=command.primary,
        base_length=command.base_length,
        broken_at=max(command.broken_at, row.broken_at),
    )
    return Decision(ChunkReply(handle=command.handle, row=opened_row(row, record)), [record])


def close_chunk(view: MetaRead, command: CloseChunk, choice: Choice) -> Decision[ChunkReply]:
    row = _row(view, command.handle)
    is_repeated = row.closed and command.version == row.version
    if not is_repeated and (
        command.version < row.version or (command.members is None and command.version != row.version)
    ):
        raise _stale(command.handle, row, command.version)
    if is_repeated:
        return Decision(ChunkReply(handle=command.handle, row=row))
    records = close_records(
        command.handle,
        row,
        version=command.version,
        length=command.length,
        members=command.members,
        broken_at=command.broken_at,
    )
    if row.references == 1:
        # Rule 18: the inode keeps the length of the last close. A shared chunk was closed before with this length.
        records += _grow(view, row, command.length, choice)
    closed = records[0]
    assert isinstance(closed, ChunkClosed)
    return Decision(ChunkReply(handle=command.handle, row=closed_row(row, closed)), records)


def add_member(view: MetaRead, command: AddMember, _choice: Choice) -> Decision[ChunkReply]:
    row = _closed_row_at(view, command.handle, command.version)
    if command.member in row.members:
        return Decision(ChunkReply(handle=command.handle, row=row))
    others = [member for member in row.members if member[0] != command.member[0]]
    after = replace(row, members=[*others, command.member])
    record = MemberAdded(handle=command.handle, member=command.member)
    return Decision(ChunkReply(handle=command.handle, row=after), [record])


def remove_member(view: MetaRead, command: RemoveMember, _choice: Choice) -> Decision[ChunkReply]:
    row = _closed_row_at(view, command.handle, command.version)
    others = [member for member in row.members if member[0] != command.server]
    if len(others) == len(row.members):
        return Decision(ChunkReply(handle=command.handle, row=row))
    if not others:
        # Rule 23: no path removes the last valid copy.
        raise NoCopyError(chunk=command.handle, why="the last member stays")
    record = MemberRemoved(handle=command.handle, server=command.server)
    return Decision(ChunkReply(handle=command.handle, row=replace(row, members=others)), [record])


def take_handle(view: MetaRead, _command: TakeHandle, _choice: Choice) -> Decision[HandleReply]:
    handle = get_counters(view).next_handle
    return Decision(HandleReply(handle=handle), [HandleTaken(handle=handle)])


def copy_chunk(view: MetaRead, command: CopyChunk, _choice: Choice) -> Decision[ChunkReply]:
    file = inode_row(view, command.inode)
    old = _row(view, command.old)
    is_mapped = get_handle(view, command.inode, command.index) == command.old
    is_free = get_chunk(view, command.new) is None and view.get(PURGED, key(command.new)) is None
    # Rule 21: the new handle was taken for this copy and never used.
    if not (
        is_mapped and is_free and old.closed and old.references > 1 and command.new < get_counters(view).next_handle
    ):
        raise _stale(command.old, old, command.barrier)
    record = ChunkCopied(
        inode=command.inode,
        index=command.index,
        old=command.old,
        new=command.new,
        version=command.version,
        members=command.members,
        length=command.length,
        barrier=command.barrier,
        goal=file.replicas,
    )
    return Decision(ChunkReply(handle=command.new, row=copied_row(record, old)), [record])


def purge_done(view: MetaRead, command: PurgeDone, _choice: Choice) -> Decision[Done]:
    handles = [handle for handle in command.handles if view.get(PURGED, key(handle)) is not None]
    return Decision(Done(), [PurgedForgotten(handles=handles)] if handles else [])


# ------------------------------------------------------------------ used by other families too


def new_chunk(view: MetaRead, placement: Placement, *, inode: InodeId, index: int, goal: int) -> ChunkAdded:
    """Return the record of a new chunk with the next handle. Rule 3: a new chunk needs no raise."""
    assert any(member.server == placement.primary for member in placement.members), placement
    return ChunkAdded(
        inode=inode,
        index=index,
        handle=get_counters(view).next_handle,
        version=placement.version,
        members=members_of(placement.members),
        primary=placement.primary,
        goal=goal,
    )


def members_of(members: Sequence[Member]) -> list[ChunkMember]:
    """Return members as rows keep them: addresses are volatile."""
    return [(member.server, member.boot) for member in members]


def close_records(
    handle: ChunkHandle,
    row: ChunkRow,
    *,
    version: ChunkVersion,
    length: int,
    members: list[ChunkMember] | None = None,
    broken_at: ChunkVersion = NO_VERSION,
) -> list[Record]:
    closed = ChunkClosed(
        handle=handle,
        version=version,
        members=row.members if members is None else members,
        length=length,
        broken_at=max(broken_at, row.broken_at),
    )
    return [closed]


def grown(view: MetaRead, file: InodeRow, *, index: int, length: int) -> int:
    """Return a file's length once chunk `index` holds `length` bytes; it never shrinks, an empty chunk adds nothing."""
    return max(file.length, index * chunk_bytes(view) + length) if length else file.length


def _grow(view: MetaRead, row: ChunkRow, length: int, choice: Choice) -> list[Record]:
    file = the_inode(view, row.inode)
    after = grown(view, file, index=row.index, length=length)
    if after == file.length:
        return []
    return [LengthSet(inode=row.inode, length=after, mtime_ns=choice.now_ns, ctime_ns=choice.now_ns)]


def _row(view: MetaRead, handle: ChunkHandle) -> ChunkRow:
    row = get_chunk(view, handle)
    if row is None:
        raise ChunkMissingError(chunk=handle)
    return row


def _closed_row_at(view: MetaRead, handle: ChunkHandle, version: ChunkVersion) -> ChunkRow:
    row = _row(view, handle)
    if not row.closed or row.version != version:
        raise _stale(handle, row, version)
    return row


def _stale(handle: ChunkHandle, row: ChunkRow, wanted: ChunkVersion) -> StaleVersionError:
    return StaleVersionError(chunk=handle, has=row.version, wanted=wanted)
