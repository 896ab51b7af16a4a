"""Files of this machine, as a program that copies them sees them. Used by `client.transfer`.

Jobs are plain functions and run on a thread, so that a slow disk does not stop the loop. Names are `os.fsdecode`
strings: any bytes that Linux can store.
"""

import asyncio
import contextlib
import os
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from typing import TypeVar

from cairnfs.paths import AnyPath

T = TypeVar("T")

_KINDS = ((modes.S_ISREG, "file"), (modes.S_ISDIR, "folder"), (modes.S_ISLNK, "symlink"))


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A file, folder or symlink of this machine; `kind` is "" for sockets, devices and pipes."""

    kind: str
    path: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""


async def run(job: Callable[[], T]) -> T:
    """Run `job` on a thread. Who is cancelled waits until it has ended: what it made can then be removed."""
    future = asyncio.get_running_loop().run_in_executor(None, job)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def as_bytes(path: AnyPath) -> bytes:
    """Return a path as the system has it. Raises TypeError: neither str, bytes nor PathLike."""
    return os.fsencode(path)


def name_of(path: str) -> str:
    """Return the last name of a path, also of `.` and `folder/`."""
    return os.path.basename(os.path.abspath(path))


def is_folder(path: str) -> bool:
    return os.path.isdir(path)


def join(folder: str, name: str) -> str:
    return os.path.join(folder, name)


def entry_at(path: str, *, follow: bool) -> LocalEntry:
    """Look a path up. Raises FileNotFoundError and what else the system says."""
    found = os.stat(path) if follow else os.lstat(path)
    kind = next((name for test, name in _KINDS if test(found.st_mode)), "")
    link = os.readlink(path) if kind == "symlink" else ""
    size = found.st_size if kind == "file" else 0
    return LocalEntry(kind, path, size, modes.S_IMODE(found.st_mode), found.st_mtime_ns, link)


def entries_below(folder: str) -> Iterator[LocalEntry]:
    """Yield all that is below a folder by name, each folder before its contents; symlinks are not followed."""
    for name in sorted(os.listdir(folder)):
        entry = entry_at(os.path.join(folder, name), follow=False)
        yield entry
        if entry.kind == "folder":
            yield from entries_below(entry.path)


def make_folder(path: str) -> None:
    """Make a folder and its parents; nothing if it is there. Raises FileExistsError if something else is."""
    os.makedirs(path, exist_ok=True)


def make_link(link: str, path: str, target: str) -> None:
    """Make a symlink under the name `path` and move it to `target`."""
    os.symlink(link, path)
    try:
        os.rename(path, target)
    except OSError:
        remove(path)
        raise


def move_whole(part: str, target: str, *, mode: int, mtime_ns: int) -> None:
    """Give a file that has arrived its mode, its time and its name."""
    keep(part, mode=mode, mtime_ns=mtime_ns)
    os.rename(part, target)


def keep(path: str, *, mode: int, mtime_ns: int) -> None:
    os.chmod(path, mode)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def open_read(path: str) -> RawIOBase:
    return open(path, "rb", buffering=0)


def open_new(path: str) -> RawIOBase:
    """Open a file for writing that must not be there yet."""
    return open(path, "xb", buffering=0)


def write_all(file: RawIOBase, data: memoryview) -> None:
    """Write to the end of an unbuffered file; the system may take it in parts."""
    while data:  # ends because each write takes at least a byte, or raises
        data = data[file.write(data) or 0 :]


def remove(path: str) -> None:
    """Remove a file; nothing if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
