"""What the client shows of inodes and entries: values with Python's kinds of names. Pure."""

import stat as modes
from dataclasses import dataclass, field

from cairnfs.ids import InodeId
from cairnfs.paths import show
from cairnfs.tables import ROWS_MAX, html_table
from cairnfs.units import SECOND_NS, format_size
from cairnfs.wire.common import Attributes, Kind
from cairnfs.wire.namespace import TrashEntry

_KIND_BITS = {Kind.FILE: modes.S_IFREG, Kind.FOLDER: modes.S_IFDIR, Kind.SYMLINK: modes.S_IFLNK}


@dataclass(frozen=True, slots=True)
class Stat:
    """A file, folder or symlink. `size` in bytes (of a folder: its entries)."""

    path: str
    inode: InodeId
    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    links: int
    replicas: int
    chunks: int
    mtime_ns: int
    ctime_ns: int
    target: str = ""
    xattrs: dict[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Stat {self.path!r} {self.what} mode={self.mode & 0o7777:o} replicas={self.replicas}>"

    def _repr_html_(self) -> str:
        rows = [
            ("path", self.path), ("kind", self.kind), ("size", self.shown_size), ("bytes", self.size),
            ("permissions", modes.filemode(self.st_mode)), ("owner", f"{self.uid}:{self.gid}"),
            ("copies", self.replicas), ("chunks", self.chunks), ("inode", self.inode),
        ]  # fmt: skip
        if self.is_symlink:
            rows.append(("points to", self.target))
        return html_table(("field", "value"), rows)

    @property
    def shown_size(self) -> str:
        """Size as people read it: of a folder, how many entries."""
        return f"{self.size} entries" if self.is_folder else format_size(self.size)

    @property
    def what(self) -> str:
        """Kind and size in few words."""
        return f"symlink to {self.target!r}" if self.is_symlink else f"{self.kind} {self.shown_size}"

    @property
    def is_file(self) -> bool:
        return self.kind is Kind.FILE

    @property
    def is_folder(self) -> bool:
        return self.kind is Kind.FOLDER

    @property
    def is_symlink(self) -> bool:
        return self.kind is Kind.SYMLINK

    @property
    def st_mode(self) -> int:
        """Permission and kind bits, as `os.stat` has them."""
        return self.mode | _KIND_BITS[self.kind]

    @property
    def mtime(self) -> float:
        """Seconds since 1970."""
        return self.mtime_ns / SECOND_NS


@dataclass(frozen=True, slots=True)
class DirEntry:
    """One entry of a folder, with what `stat` says (a file that is being written: length as the master heard it)."""

    name: str
    path: str
    stat: Stat

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r} {self.stat.what}>"

    def is_file(self) -> bool:
        return self.stat.is_file

    def is_dir(self) -> bool:
        return self.stat.is_folder

    def is_symlink(self) -> bool:
        return self.stat.is_symlink


class Listing(list[DirEntry]):
    """What is in a folder, in byte order of the names: `ls`. A list that a notebook shows as a table."""

    def __repr__(self) -> str:
        return "\n".join([f"<Listing of {len(self)}>", *(f"  {entry!r}" for entry in self[:ROWS_MAX])])

    def _repr_html_(self) -> str:
        rows = [
            (entry.name, entry.stat.what, modes.filemode(entry.stat.st_mode), entry.stat.replicas) for entry in self
        ]
        return html_table(("name", "what", "permissions", "copies"), rows)


@dataclass(frozen=True, slots=True)
class Trashed:
    """Something that can be undeleted until `expires_ns`."""

    path: str
    inode: InodeId
    stat: Stat
    deleted_ns: int
    expires_ns: int

    def __repr__(self) -> str:
        return f"<Trashed {self.path!r} {self.stat.what}>"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a folder holds: `du`."""

    files: int
    folders: int
    size_bytes: int
    stored_bytes: int
    """Times the number of copies."""

    def __repr__(self) -> str:
        return (
            f"<Usage files={self.files} folders={self.folders} size={format_size(self.size_bytes)}"
            f" stored={format_size(self.stored_bytes)}>"
        )

    def _repr_html_(self) -> str:
        row = (self.files, self.folders, format_size(self.size_bytes), format_size(self.stored_bytes))
        return html_table(("files", "folders", "size", "stored with all copies"), [row])


@dataclass(frozen=True, slots=True)
class Space:
    """What the disks of the cluster hold: `free`. Raw bytes, not divided by copies."""

    total_bytes: int
    free_bytes: int

    def __repr__(self) -> str:
        return f"<Space free={format_size(self.free_bytes)} of {format_size(self.total_bytes)}>"

    def _repr_html_(self) -> str:
        row = (format_size(self.free_bytes), format_size(self.total_bytes))
        return html_table(("free", "of"), [row])


def stat_of(path: bytes, attributes: Attributes, size: int | None = None) -> Stat:
    """Return what `stat` shows; `size` replaces the master's length of a file that is open."""
    return Stat(
        path=show(path),
        inode=attributes.inode,
        kind=attributes.kind,
        size=attributes.length if size is None else size,
        mode=attributes.mode,
        uid=attributes.uid,
        gid=attributes.gid,
        links=attributes.links,
        replicas=attributes.replicas,
        chunks=attributes.chunks,
        mtime_ns=attributes.mtime_ns,
        ctime_ns=attributes.ctime_ns,
        target=show(attributes.target),
        xattrs=dict(attributes.xattrs),
    )


def trashed_of(entry: TrashEntry) -> Trashed:
    return Trashed(
        path=show(entry.path),
        inode=entry.inode,
        stat=stat_of(entry.path, entry.attributes),
        deleted_ns=entry.deleted_ns,
        expires_ns=entry.expires_ns,
    )
