"""A disk in memory, for tests and for clusters in one process. `sim/disk.py` builds on it.

MemoryTree   what is on the disk: folders of nodes, who has locked it. Outlives the processes that use it.
MemoryFiles  one opener's way to it (Files)
MemoryFile   one open file (File); like a descriptor it keeps its node when the name goes
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from cairnfs.env import Buffer, File, Files
from cairnfs.errors import ShutdownError
from cairnfs.units import TIB

T = TypeVar("T")


def os_error(number: int, name: str) -> OSError:
    """Return the error that the system would raise."""
    return OSError(number, os.strerror(number), name)


class MemoryNode:
    """A file's bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, offset: int, piece: Buffer) -> None:
        """Put one piece; grow with zeros between."""
        end = offset + len(piece)
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:end] = piece

    def truncate(self, size: int) -> None:
        """Cut, or grow with zeros."""
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))

    def sync(self) -> None:
        """Nothing to do: this memory never loses power."""


class MemoryFolder:
    """Names and what they name."""

    def __init__(self) -> None:
        self.entries: dict[str, MemoryNode | MemoryFolder] = {}


Entry = MemoryNode | MemoryFolder


class MemoryTree:
    """What is on the disk. A simulation overrides the hooks below."""

    def __init__(self, root: str, *, capacity_bytes: int = TIB) -> None:
        self.root = root
        self.capacity_bytes = capacity_bytes
        self.top = self.make_folder()
        self.locked_by: MemoryFiles | None = None

    def find(self, name: str) -> Entry | None:
        """Return what a name names, or None."""
        entry: Entry = self.top
        for part in name.split("/") if name else ():
            found = entry.entries.get(part) if isinstance(entry, MemoryFolder) else None
            if found is None:
                return None
            entry = found
        return entry

    def parent(self, name: str) -> tuple[MemoryFolder, str]:
        """Return the folder of a name and its last part. Raises FileNotFoundError, NotADirectoryError."""
        assert name, "an empty name"
        assert not name.startswith("/"), name
        assert ".." not in name.split("/"), name
        folder, _, last = name.rpartition("/")
        found = self.find(folder)
        if found is None:
            raise os_error(errno.ENOENT, name)
        if not isinstance(found, MemoryFolder):
            raise os_error(errno.ENOTDIR, name)
        return found, last

    def used_bytes(self) -> int:
        """Return the bytes of all files that have a name."""
        total = 0
        folders = [self.top]
        while folders:
            for entry in folders.pop().entries.values():
                if isinstance(entry, MemoryFolder):
                    folders.append(entry)
                else:
                    total += len(entry.data)
        return total

    # ---- hooks

    def make_node(self) -> MemoryNode:
        """Return an empty file that has no name yet."""
        return MemoryNode()

    def make_folder(self) -> MemoryFolder:
        """Return an empty folder that has no name yet."""
        return MemoryFolder()

    def before(self, what: str, name: str) -> None:
        """Called before each operation; may raise instead of it."""

    def change(self, *changes: tuple[MemoryFolder, str, Entry | None]) -> None:
        """Carry out one change of names: each (folder, name) names that entry from now on, or nothing."""
        for folder, name, entry in changes:
            if entry is None:
                del folder.entries[name]
            else:
                folder.entries[name] = entry

    def sync_folder(self, folder: MemoryFolder) -> None:
        """Make its names durable."""

    def sync_all(self) -> None:
        """Make everything durable."""

    def is_read_only(self) -> bool:
        """True if nothing can be written."""
        return False


class MemoryFile:
    """An open file of a tree."""

    def __init__(self, tree: MemoryTree, node: MemoryNode, name: str) -> None:
        self._tree = tree
        self._node: MemoryNode | None = node
        self._name = name

    def _use(self, what: str) -> MemoryNode:
        if self._node is None:
            raise os_error(errno.EBADF, self._name)
        self._tree.before(what, self._name)
        return self._node

    def read_into(self, offset: int, buffer: memoryview) -> int:
        node = self._use("read")
        count = max(0, min(len(buffer), len(node.data) - offset))
        buffer[:count] = memoryview(node.data)[offset : offset + count]
        return count

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            if len(view):
                self._use("write").write(offset, view)
                offset += len(view)
        self._use("written")

    def sync(self) -> None:
        self._use("sync").sync()

    def size(self) -> int:
        return len(self._use("size").data)

    def truncate(self, size: int) -> None:
        self._use("truncate").truncate(size)

    def allocate(self, offset: int, length: int) -> None:
        self._use("allocate")

    def copy_from(self, source: File) -> None:
        data = memoryview(bytearray(source.size()))
        done = 0
        while count := source.read_into(done, data[done:]):
            done += count
        self.truncate(0)
        self.write(0, [data])

    def close(self) -> None:
        self._node = None


class MemoryFiles:
    """One opener's way to a tree."""

    def __init__(self, tree: MemoryTree) -> None:
        self.root = tree.root
        self._tree = tree

    def _before(self, what: str, name: str) -> None:
        self._tree.before(what, name)

    def open(self, name: str, *, create: bool = False) -> MemoryFile:
        self._before("open", name)
        folder, last = self._tree.parent(name)
        entry = folder.entries.get(last)
        if entry is None and create:
            entry = self._tree.make_node()
            self._tree.change((folder, last, entry))
        if entry is None:
            raise os_error(errno.ENOENT, name)
        if isinstance(entry, MemoryFolder):
            raise os_error(errno.EISDIR, name)
        return self.make_file(entry, name)

    def make_file(self, node: MemoryNode, name: str) -> MemoryFile:
        """Return an open file of this opener."""
        return MemoryFile(self._tree, node, name)

    def exists(self, name: str) -> bool:
        self._before("exists", name)
        return self._tree.find(name) is not None

    def listing(self, folder: str) -> list[str]:
        self._before("listing", folder)
        entry = self._tree.find(folder)
        return sorted(entry.entries) if isinstance(entry, MemoryFolder) else []

    def make_folder(self, name: str) -> None:
        self._before("make_folder", name)
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            parent, last = self._tree.parent("/".join(parts[:end]))
            if last not in parent.entries:
                self._tree.change((parent, last, self._tree.make_folder()))

    def rename(self, old: str, new: str) -> None:
        self._before("rename", old)
        source, old_last = self._tree.parent(old)
        target, new_last = self._tree.parent(new)
        entry = source.entries.get(old_last)
        if entry is None:
            raise os_error(errno.ENOENT, old)
        if isinstance(target.entries.get(new_last), MemoryFolder):
            raise os_error(errno.EISDIR, new)
        if (source, old_last) != (target, new_last):
            self._tree.change((target, new_last, entry), (source, old_last, None))

    def unlink(self, name: str) -> None:
        self._before("unlink", name)
        entry = self._tree.find(name)
        if isinstance(entry, MemoryFolder):
            raise os_error(errno.EISDIR, name)
        if entry is not None:
            folder, last = self._tree.parent(name)
            self._tree.change((folder, last, None))

    def sync_folder(self, name: str) -> None:
        self._before("sync_folder", name)
        entry = self._tree.find(name)
        if not isinstance(entry, MemoryFolder):
            raise os_error(errno.ENOENT, name)
        self._tree.sync_folder(entry)

    def sync_all(self) -> None:
        self._before("sync_all", "")
        self._tree.sync_all()

    def space(self) -> tuple[int, int]:
        self._before("space", "")
        return max(0, self._tree.capacity_bytes - self._tree.used_bytes()), self._tree.capacity_bytes

    def is_read_only(self) -> bool:
        return self._tree.is_read_only()

    def lock(self) -> bool:
        if self._tree.locked_by is None:
            self._tree.locked_by = self
        return self._tree.locked_by is self

    def unlock(self) -> None:
        if self._tree.locked_by is self:
            self._tree.locked_by = None


class MemoryDisk:
    """Runs each job with a later turn of the loop, so that callers meet as they do with threads."""

    def __init__(self, files: MemoryFiles) -> None:
        self.files: Files = files
        self._memory = files
        self._closed = False
        self._running = 0
        self._idle = asyncio.Event()

    async def run(self, job: Callable[[], T]) -> T:
        if self._closed:
            raise ShutdownError(what=f"disk {self.files.root}")
        self._running += 1
        try:
            await self.wait_turn()
            return job()
        except StopIteration as error:
            raise RuntimeError("a job ended with StopIteration") from error
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def wait_turn(self) -> None:
        """Wait as long as the disk needs; a simulation overrides it."""
        await asyncio.sleep(0)

    async def close(self) -> None:
        self._closed = True
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        self._memory.unlock()
