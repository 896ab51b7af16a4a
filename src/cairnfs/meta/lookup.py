"""From a path to what stands there: symlinks, `.` and `..` as POSIX wants them. Pure.

Paths of requests are in normal form; the targets of symlinks are any text.
"""

from dataclasses import dataclass

from cairnfs.errors import LoopError, NameTooLongError, NotFolderError, NotFoundError
from cairnfs.ids import ROOT_INODE, InodeId
from cairnfs.limits import NAME_BYTES_MAX, SYMLINKS_MAX
from cairnfs.meta.tables import get_entry, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.paths import ROOT, check_path, show, split_path
from cairnfs.wire.common import Kind

NO_NAMES = (b"", b".", b"..")
"""What a symlink's target may have between its slashes besides names."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads."""

    walked: list[tuple[InodeId, bytes]]
    """(inode, name) from the root to the last that is there; no symlinks but perhaps the last."""
    kind: Kind
    """Of the last of `walked`."""
    missing: list[bytes]
    """Names that are not there: [] if the path is, one if only its last name is not."""

    @property
    def inode(self) -> InodeId:
        assert not self.missing, self
        return self.walked[-1][0]

    @property
    def parent(self) -> InodeId:
        """The folder of the last name; the deepest one that is there if several are missing."""
        return self.walked[-1][0] if self.missing else self.walked[-2][0]

    @property
    def name(self) -> bytes:
        return self.missing[-1] if self.missing else self.walked[-1][1]

    @property
    def is_root(self) -> bool:
        return not self.missing and len(self.walked) == 1

    @property
    def path(self) -> bytes:
        """The path with all symlinks resolved."""
        names = [name for _, name in self.walked[1:]]
        return b"/" + b"/".join([*names, *self.missing])


def find(view: MetaRead, path: bytes, *, follow: bool) -> Place:
    """Return where `path` leads, there or not. `follow`: a symlink as last name is followed, also one to nothing.

    Raises:
        BadNameError: not a path.
        NotFolderError: it goes through a file.
        LoopError: more than 40 symlinks.
    """
    check_path(path)
    rest = split_path(path)[::-1]
    walked, kind, links = [(ROOT_INODE, b"")], Kind.FOLDER, 0
    while rest:
        # Ends: each turn takes a name; only a symlink adds some, and there are at most 40.
        name = rest.pop()
        if kind is not Kind.FOLDER:
            raise NotFolderError(path=show(path))
        if name in NO_NAMES:
            if name == b".." and len(walked) > 1:
                walked.pop()
            continue
        entry = _entry(view, walked[-1][0], name)
        if entry is None:
            return Place(walked, kind, _missing(path, name, rest))
        inode, found = entry
        if found is Kind.SYMLINK and (follow or rest):
            links += 1
            if links > SYMLINKS_MAX:
                raise LoopError(path=show(path))
            _follow(the_inode(view, inode).target, walked, rest)
        else:
            walked.append((inode, name))
            kind = found
    return Place(walked, kind, [])


def find_there(view: MetaRead, path: bytes, *, follow: bool) -> Place:
    """Like `find`.

    Raises:
        NotFoundError: besides those of `find`.
    """
    place = find(view, path, follow=follow)
    if place.missing:
        raise NotFoundError(path=show(path))
    return place


def _missing(path: bytes, name: bytes, rest: list[bytes]) -> list[bytes]:
    names = [name, *(left for left in reversed(rest) if left not in (b"", b"."))]
    if b".." in names:
        raise NotFoundError(path=show(path))
    return names


def _entry(view: MetaRead, folder: InodeId, name: bytes) -> tuple[InodeId, Kind] | None:
    # A symlink may lead to a longer name than a key can hold.
    if len(name) > NAME_BYTES_MAX:
        raise NameTooLongError(path=show(name[:64]) + "...", why=f"name is over {NAME_BYTES_MAX} bytes")
    return get_entry(view, folder, name)


def _follow(target: bytes, walked: list[tuple[InodeId, bytes]], rest: list[bytes]) -> None:
    if target.startswith(ROOT):
        del walked[1:]
    rest.extend(reversed(target.split(b"/")))
