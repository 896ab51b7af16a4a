"""Deciding about files: creating, truncating, lengths."""

from msgspec.structs import replace

from cairnfs.errors import ExistsError, IsFolderError, NotFoundError, TooFewCopiesError
from cairnfs.ids import InodeId
from cairnfs.meta.apply.files import chunks_below
from cairnfs.meta.apply.folders import made_row
from cairnfs.meta.decide.base import Choice, Decision, Placement
from cairnfs.meta.decide.chunks import close_records, grown, new_chunk
from cairnfs.meta.decide.folders import NewInode, make_inodes
from cairnfs.meta.decide.quotas import check_room
from cairnfs.meta.lookup import find
from cairnfs.meta.quotas import chunk_bytes, size_of
from cairnfs.meta.read import attributes, inode_row, path_of
from cairnfs.meta.records import ChunkAdded, ChunksDropped, LengthSet, Record
from cairnfs.meta.tables import InodeRow, get_handle, the_chunk, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.paths import show
from cairnfs.wire.base import Done
from cairnfs.wire.common import ChunkPlace, Kind
from cairnfs.wire.namespace import Created, CreateFile, IfExists, SetLength, Status, Truncate


def create_file(view: MetaRead, command: CreateFile, choice: Choice) -> Decision[Created]:
    # As O_EXCL does, FAIL takes a symlink for something that exists, wherever it leads.
    place = find(view, command.path, follow=command.if_exists is IfExists.OPEN)
    if not place.missing:
        if command.if_exists is IfExists.FAIL:
            raise ExistsError(path=show(command.path))
        if place.kind is Kind.FOLDER:
            raise IsFolderError(path=show(command.path))
        there = attributes(place.inode, the_inode(view, place.inode))
        return Decision(Created(attributes=there, created=False))
    if len(place.missing) > 1 and not command.parents:
        raise NotFoundError(path=show(command.path))
    new = NewInode(Kind.FILE, command.mode, command.uid, command.gid, command.replicas)
    made = make_inodes(view, place, choice, new)
    inode, row = made[-1].inode, made_row(made[-1])
    check_room(view, place.parent, choice, files=len(made), size_bytes=int(command.with_chunk))
    if not command.with_chunk:
        return Decision(Created(attributes=attributes(inode, row), created=True), list(made))
    if choice.placement is None:
        raise TooFewCopiesError(what="a new chunk", have=0, need=1)
    added = new_chunk(view, choice.placement, inode=inode, index=0, goal=row.replicas)
    reply = Created(
        attributes=attributes(inode, replace(row, chunks=1)),
        created=True,
        first=place_of(added, choice.placement),
    )
    return Decision(reply, [*made, added])


def truncate(view: MetaRead, command: Truncate, choice: Choice) -> Decision[Status]:
    row = the_file(view, command.inode)
    first = -(-command.length // chunk_bytes(view))
    records: list[Record] = []
    if first < row.chunks:
        dropped = ChunksDropped(inode=command.inode, first=first, now_ns=choice.now_ns, barrier=choice.barrier)
        records.append(dropped)
    now_ns = choice.now_ns
    records.append(LengthSet(inode=command.inode, length=command.length, mtime_ns=now_ns, ctime_ns=now_ns))
    chunks = chunks_below(view, command.inode, first) if first < row.chunks else row.chunks
    after = replace(row, length=command.length, mtime_ns=now_ns, ctime_ns=now_ns, chunks=chunks)
    chunk = chunk_bytes(view)
    check_room(view, row.parent, choice, size_bytes=size_of(after, chunk) - size_of(row, chunk))
    return Decision(
        Status(attributes=attributes(command.inode, after), path=path_of(view, command.inode) or b""), records
    )


def set_length(view: MetaRead, command: SetLength, choice: Choice) -> Decision[Done]:
    row = the_file(view, command.inode)
    # The file's map went on without this chunk (truncated, copied): its length says nothing any more.
    if get_handle(view, command.inode, command.index) != command.handle:
        return Decision(Done())
    chunk = the_chunk(view, command.handle)
    records: list[Record] = []
    if command.closed and command.version == chunk.version and not chunk.closed:
        records += close_records(command.handle, chunk, version=command.version, length=command.length)
    length = grown(view, row, index=command.index, length=command.length)
    if length != row.length or command.mtime_ns:
        changed_ns = command.mtime_ns or choice.now_ns
        records.append(LengthSet(inode=command.inode, length=length, mtime_ns=changed_ns, ctime_ns=choice.now_ns))
    return Decision(Done(), records)


def the_file(view: MetaRead, inode: InodeId) -> InodeRow:
    row = inode_row(view, inode)
    if row.kind is not Kind.FILE:
        raise IsFolderError(path=show(path_of(view, inode) or b"") or f"inode {inode}")
    return row


def place_of(added: ChunkAdded, placement: Placement) -> ChunkPlace:
    """Return the place of a new chunk; its lease is the master's to add."""
    return ChunkPlace(
        index=added.index,
        handle=added.handle,
        version=added.version,
        epoch=added.version.epoch,
        members=placement.members,
        primary=added.primary,
        closed=False,
        length=0,
    )
