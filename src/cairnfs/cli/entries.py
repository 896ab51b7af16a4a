"""Files and folders as the command line shows them: one place that knows the client's own types."""

import datetime
import stat as modes
from collections.abc import Iterator
from dataclasses import dataclass

from cairnfs.cli.common import FileSystem, Json
from cairnfs.units import SECOND_NS, format_size

_TYPE = {"file": modes.S_IFREG, "folder": modes.S_IFDIR, "symlink": modes.S_IFLNK}


@dataclass(frozen=True, slots=True)
class Entry:
    """What `ls`, `stat` and `--json` say about one path."""

    path: str
    kind: str
    """file, folder or symlink."""
    size: int
    """Bytes of a file, entries of a folder."""
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    replicas: int
    chunks: int
    inode: int
    target: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] or "/"

    @property
    def is_folder(self) -> bool:
        return self.kind == "folder"

    def long(self) -> list[str]:
        """Return the cells of `ls -l` before the name."""
        return [
            modes.filemode(_TYPE[self.kind] | self.mode),
            str(self.replicas),
            f"{self.uid}:{self.gid}",
            format_size(self.size) if self.kind == "file" else "-",
            moment(self.mtime_ns),
        ]

    def shown(self, name: str) -> str:
        return f"{name} -> {self.target}" if self.kind == "symlink" else name


def moment(wall_ns: int) -> str:
    """Return local time as `2026-01-31 12:00:00`."""
    return datetime.datetime.fromtimestamp(wall_ns / SECOND_NS).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - local


def entry_at(fs: FileSystem, path: str, *, follow: bool = True) -> Entry:
    """Look a path up. Raises NotFoundError and what else the client raises."""
    return _entry(path, fs.stat(path) if follow else fs.lstat(path))


def entries_in(fs: FileSystem, folder: str) -> list[Entry]:
    """Return what is in a folder, by name."""
    return [_entry(each.path, each.stat) for each in fs.scandir(folder)]


def entries_below(fs: FileSystem, folder: str) -> Iterator[Entry]:
    """Yield all that is below a folder, each folder before its contents; symlinks are not followed."""
    for entry in entries_in(fs, folder):
        yield entry
        if entry.is_folder:
            yield from entries_below(fs, entry.path)


def _entry(path: str, status: Json) -> Entry:
    return Entry(
        path=path,
        kind=str(status.kind),
        size=status.size,
        mode=modes.S_IMODE(status.mode),
        uid=status.uid,
        gid=status.gid,
        mtime_ns=status.mtime_ns,
        replicas=status.replicas,
        chunks=status.chunks,
        inode=status.inode,
        target=status.target,
    )
