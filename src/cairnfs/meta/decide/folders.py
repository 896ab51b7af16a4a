"""Deciding about the tree: new folders and symlinks, renames."""

from dataclasses import dataclass

from msgspec.structs import replace

from cairnfs.errors import (
    BadNameError,
    ExistsError,
    IsFolderError,
    LoopError,
    NotEmptyError,
    NotFolderError,
    NotFoundError,
)
from cairnfs.ids import InodeId
from cairnfs.meta.apply.folders import made_row
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.decide.quotas import Growth, check_counted, check_room
from cairnfs.meta.lookup import Place, find, find_there
from cairnfs.meta.quotas import amount_of
from cairnfs.meta.read import attributes
from cairnfs.meta.records import EntryMoved, InodeMade, Record, Trashed
from cairnfs.meta.tables import InodeRow, get_counters, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.paths import check_name, show
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import MakeFolder, MakeSymlink, Rename, Status

MODE_BITS = 0o7777
FOLDER_MODE, SYMLINK_MODE = 0o755, 0o777


@dataclass(frozen=True, slots=True)
class NewInode:
    """What is to be made."""

    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    replicas: int | None = None
    """None: as its folder says (new folders inherit that, too)."""
    target: bytes = b""


def make_folder(view: MetaRead, command: MakeFolder, choice: Choice) -> Decision[Status]:
    place = find(view, command.path, follow=False)
    if not place.missing:
        return Decision(_folder_there(view, command, place))
    if len(place.missing) > 1 and not command.parents:
        raise NotFoundError(path=show(command.path))
    made = make_inodes(view, place, choice, NewInode(Kind.FOLDER, command.mode, command.uid, command.gid))
    check_room(view, place.parent, choice, files=len(made))
    last = made[-1]
    return Decision(_status(last.inode, made_row(last), place.path), list(made))


def make_symlink(view: MetaRead, command: MakeSymlink, choice: Choice) -> Decision[Status]:
    if b"\0" in command.target:
        raise BadNameError(path=show(command.target), why="a symlink's target has no NUL")
    place = find(view, command.path, follow=False)
    if not place.missing:
        raise ExistsError(path=show(command.path))
    if len(place.missing) > 1:
        raise NotFoundError(path=show(command.path))
    made = make_inodes(view, place, choice, NewInode(Kind.SYMLINK, SYMLINK_MODE, target=command.target))
    check_room(view, place.parent, choice, files=1)
    return Decision(_status(made[-1].inode, made_row(made[-1]), place.path), list(made))


def rename(view: MetaRead, command: Rename, choice: Choice) -> Decision[Status]:
    old = find_there(view, command.old, follow=False)
    new = find(view, command.new, follow=False)
    if old.is_root or new.is_root:
        raise BadNameError(path=show(command.old), why="the root folder stays where it is")
    if len(new.missing) > 1:
        raise NotFoundError(path=show(command.new))
    row = the_inode(view, old.inode)
    if not new.missing and new.inode == old.inode:
        return Decision(_status(old.inode, row, new.path))
    above = new.walked if new.missing else new.walked[:-1]
    if any(inode == old.inode for inode, _ in above):
        raise LoopError(path=show(command.new))
    records: list[Record] = []
    if not new.missing:
        _check_replace(view, command, old=old, new=new)
        records.append(Trashed(inode=new.inode, path=new.path, now_ns=choice.now_ns))
    check_name(new.name)
    _check_room(view, choice, old=old, new=new)
    moved = EntryMoved(inode=old.inode, parent=new.parent, name=new.name, now_ns=choice.now_ns)
    records.append(moved)
    return Decision(_status(old.inode, replace(row, ctime_ns=choice.now_ns), new.path), records)


def _check_room(view: MetaRead, choice: Choice, *, old: Place, new: Place) -> None:
    """Raises QuotaError, NotCountedError. Folders above both places do not grow by a rename."""
    row = the_inode(view, old.inode)
    amount = check_counted(view, old.inode, amount_of(view, old.inode, row), to=new.parent)
    growth = Growth(view)
    growth.add(row.parent, files=-amount.files, size_bytes=-amount.size_bytes)
    growth.add(new.parent, files=amount.files, size_bytes=amount.size_bytes)
    replaced = None if new.missing else amount_of(view, new.inode, the_inode(view, new.inode))
    if replaced is not None:
        growth.add(new.parent, files=-replaced.files, size_bytes=-replaced.size_bytes)
    growth.check(choice)


def make_inodes(
    view: MetaRead,
    place: Place,
    choice: Choice,
    new: "NewInode",
) -> list[InodeMade]:
    """Return the records that make all that is missing of a place: folders, then `new`."""
    inherited = the_inode(view, place.parent).replicas
    first = get_counters(view).next_inode
    parent, made = place.parent, []
    for number, name in enumerate(place.missing):
        check_name(name)
        is_last = number == len(place.missing) - 1
        record = InodeMade(
            inode=InodeId(first + number),
            parent=parent,
            name=name,
            kind=new.kind if is_last else Kind.FOLDER,
            mode=(new.mode if is_last else FOLDER_MODE) & MODE_BITS,
            uid=new.uid,
            gid=new.gid,
            replicas=new.replicas if is_last and new.replicas is not None else inherited,
            now_ns=choice.now_ns,
            target=new.target if is_last else b"",
        )
        made.append(record)
        parent = record.inode
    return made


def _folder_there(view: MetaRead, command: MakeFolder, place: Place) -> Status:
    """Answer `mkdir -p` of what is there: a folder, or a symlink to one."""
    if command.parents and place.kind is Kind.SYMLINK:
        place = find(view, command.path, follow=True)
    if not command.parents or place.missing or place.kind is not Kind.FOLDER:
        raise ExistsError(path=show(command.path))
    return _status(place.inode, the_inode(view, place.inode), place.path)


def _check_replace(view: MetaRead, command: Rename, *, old: Place, new: Place) -> None:
    """POSIX: a folder replaces an empty folder, everything else replaces everything but a folder."""
    if not command.replace:
        raise ExistsError(path=show(command.new))
    if old.kind is Kind.FOLDER:
        if new.kind is not Kind.FOLDER:
            raise NotFolderError(path=show(command.new))
        if the_inode(view, new.inode).entries:
            raise NotEmptyError(path=show(command.new))
    elif new.kind is Kind.FOLDER:
        raise IsFolderError(path=show(command.new))


def _status(inode: InodeId, row: InodeRow, path: bytes) -> Status:
    return Status(attributes=attributes(inode, row), path=path)
