"""The disks of a simulated world: names, files and jobs, and what a crash or a power loss leaves of them.

    write --> page cache --sync--> durable bytes        kill -9 keeps the page cache, a power loss does not (`pages`)
    names --> present    --sync_folder--> durable       each change of names whole or not at all

After a power loss each change of names that was not synced is there or not: in half of the cases a first part of them,
as journaling file systems have it, else any of them. Faults are asked for through `DiskFaults`; nodes and folders
outlive the lives of their host.
"""

import asyncio
import errno
import random
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from cairnfs.env import Buffer, Files
from cairnfs.env.handover import Job
from cairnfs.env.memory_files import (
    Entry,
    MemoryFile,
    MemoryFiles,
    MemoryFolder,
    MemoryNode,
    MemoryTree,
    os_error,
)
from cairnfs.errors import ShutdownError
from cairnfs.sim.disk_faults import DiskFaults
from cairnfs.sim.loop import HostDeadError, Incarnation
from cairnfs.sim.network import pinned
from cairnfs.sim.pages import SECTOR_BYTES, SimNode
from cairnfs.sim.trace import Trace
from cairnfs.units import TIB

T = TypeVar("T")

STUCK_LOOK_S = 0.05
"""A stuck disk is looked at so often."""


class SimFolder(MemoryFolder):
    """Names, present and durable."""

    def __init__(self) -> None:
        super().__init__()
        self.durable: dict[str, Entry] = {}


_Change = tuple[tuple[MemoryFolder, str, Entry | None], ...]


class SimTree(MemoryTree):
    """What is on one disk."""

    def __init__(self, root: str, *, host: str, trace: Trace, chance: random.Random) -> None:
        super().__init__(root)
        self.faults = DiskFaults()
        self.chance = chance
        self._host = host
        self._trace = trace
        self._pending: list[_Change] = []
        self._listed: list[tuple[str, SimNode]] | None = None
        """What `walk` has found since names changed."""

    def make_node(self) -> SimNode:
        return SimNode()

    def make_folder(self) -> SimFolder:
        return SimFolder()

    def before(self, what: str, name: str) -> None:
        self._trace.add(self._host, "disk", what, name)
        faults = self.faults
        if faults.dies_after is not None:
            faults.dies_after -= 1
            if faults.dies_after < 0:
                faults.dies_after = None
                assert faults.on_death is not None, "nobody to tell"
                faults.on_death()
                raise HostDeadError(self._host)
        faults.check(what, name)

    def is_read_only(self) -> bool:
        return self.faults.is_read_only

    def used_bytes(self) -> int:
        return sum([max(len(node.data), node.reserved_bytes) for _, node in self.walk()])

    def write(self, node: SimNode, name: str, offset: int, piece: memoryview) -> None:
        """Write a piece of a file as far as it fits, where the disk puts it. Raises OSError (ENOSPC)."""
        missing = self.take_space(node, offset + len(piece))
        fitting = piece[: len(piece) - missing] if missing else piece
        if self.faults.misdirect_chance > 0 and self.faults.draws_misdirection(name, self.chance):
            # The size is the file system's, which makes no mistake here.
            if offset + len(fitting) > len(node.data):
                node.truncate(offset + len(fitting))
            node, offset = self._elsewhere(node, offset)
            self._trace.add(self._host, "disk misdirects", name, offset)
        node.write(offset, fitting)
        if missing:
            raise os_error(errno.ENOSPC, name)

    def _elsewhere(self, node: SimNode, offset: int) -> tuple[SimNode, int]:
        """Another place for a write: at the start of some sector of the same file, or of another."""
        files = [one for path, one in self.walk() if fnmatchcase(path, self.faults.misdirect_files) and one.data]
        others = [one for one in files if one is not node]
        victim = self.chance.choice(others) if others and self.chance.random() < 0.5 else node
        places = [place for place in range(0, len(victim.data), SECTOR_BYTES) if victim is not node or place != offset]
        return victim, self.chance.choice(places or [offset + SECTOR_BYTES])

    def take_space(self, node: SimNode, end: int) -> int:
        """Let a file reach up to `end`; return how many bytes of that do not fit."""
        growth = end - node.used_bytes()
        if growth <= 0:
            return 0
        room, faults = growth, self.faults
        if faults.full_after_bytes is not None:
            room = min(room, faults.full_after_bytes)
            faults.full_after_bytes -= room
            faults.is_full = room < growth
        if self.capacity_bytes < TIB:
            room = min(room, max(0, self.capacity_bytes - self.used_bytes()))
        return growth - room

    def rot(self, files: str = "*") -> tuple[str, int] | None:
        """Change one bit of one file of that pattern, as `SimNode.flip`; return where, None if all are empty."""
        found = [(path, node) for path, node in self.walk() if fnmatchcase(path, files) and node.data]
        if not found:
            return None
        path, node = self.chance.choice(found)
        offset = self.chance.randrange(len(node.data))
        node.flip(offset, self.chance.randrange(8))
        self._trace.add(self._host, "disk rots", path, offset)
        return path, offset

    def change(self, *changes: tuple[MemoryFolder, str, Entry | None]) -> None:
        if self.faults.is_read_only:
            raise os_error(errno.EROFS, changes[0][1])
        super().change(*changes)
        self.names_changed()
        self._pending.append(changes)

    def names_changed(self) -> None:
        """Called by whoever changes `entries` of a folder."""
        self._listed = None

    def sync_folder(self, folder: MemoryFolder) -> None:
        rest = []
        for change in self._pending:
            if change[0][0] is folder or change[-1][0] is folder:  # a rename touches two, no change more
                _make_durable(change)
            else:
                rest.append(change)
        self._pending = rest

    def sync_all(self) -> None:
        for change in self._pending:
            _make_durable(change)
        self._pending = []
        for node in self.nodes():
            node.sync()

    def lose_power(self) -> None:
        """Go back to what is durable, and chance's part of the rest."""
        pending, self._pending = self._pending, []
        in_order = self.chance.random() < 0.5
        first = self.chance.randint(0, len(pending))
        for number, change in enumerate(pending):
            if number < first if in_order else self.chance.random() < 0.5:
                _make_durable(change)
        folders: list[MemoryFolder] = [self.top]
        while folders:
            folder = folders.pop()
            assert isinstance(folder, SimFolder), folder
            folder.entries = dict(folder.durable)
            self.names_changed()
            folders += [entry for entry in folder.entries.values() if isinstance(entry, MemoryFolder)]
        for node in self.nodes():
            node.lose_power(self.chance)

    def walk(self) -> list[tuple[str, SimNode]]:
        """Return every file with its path, in the order of the paths. Not the caller's to change."""
        if self._listed is not None:
            return self._listed
        found: list[tuple[str, SimNode]] = []
        todo: list[tuple[str, MemoryFolder]] = [("", self.top)]
        while todo:
            before, folder = todo.pop()
            for name, entry in folder.entries.items():
                if isinstance(entry, MemoryFolder):
                    todo.append((f"{before}{name}/", entry))
                elif isinstance(entry, SimNode):
                    found.append((f"{before}{name}", entry))
        self._listed = sorted(found, key=lambda one: one[0])
        return self._listed

    def nodes(self) -> list[SimNode]:
        """Return every file that has a name, each once."""
        return list({id(node): node for _, node in self.walk()}.values())

    def node(self, name: str) -> SimNode:
        """Return a file of the disk, for a test that looks or damages behind everybody's back."""
        entry = self.find(name)
        assert isinstance(entry, SimNode), name
        return entry


def _make_durable(change: _Change) -> None:
    for folder, name, entry in change:
        assert isinstance(folder, SimFolder), folder
        if entry is None:
            folder.durable.pop(name, None)
        else:
            folder.durable[name] = entry


class SimFile(MemoryFile):
    """An open file of one life."""

    def __init__(self, tree: SimTree, node: MemoryNode, name: str, *, life: Incarnation) -> None:
        super().__init__(tree, node, name)
        self._life = life
        self._disk = tree

    def _use(self, what: str) -> SimNode:
        if not self._life.is_alive:
            self._life.check()
        node = self._node
        if node is None:
            raise os_error(errno.EBADF, self._name)
        self._disk.before(what, self._name)
        assert type(node) is SimNode, node
        return node

    def read_into(self, offset: int, buffer: memoryview) -> int:
        count = super().read_into(offset, buffer)
        return self._disk.faults.draw_count(self._name, count, self._disk.chance)

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            if len(view):
                self._disk.write(self._use("write"), self._name, offset, view)
                offset += len(view)
        self._use("written")

    def allocate(self, offset: int, length: int) -> None:
        node = self._use("allocate")
        if self._disk.take_space(node, offset + length):
            raise os_error(errno.ENOSPC, self._name)
        node.reserved_bytes = max(node.reserved_bytes, offset + length)

    def sync(self) -> None:
        try:
            node = self._use("sync")
        except OSError:
            if isinstance(self._node, SimNode):
                self._node.forget()
            raise
        node.sync()


class SimFiles(MemoryFiles):
    """One life's way to a disk."""

    def __init__(self, tree: SimTree, life: Incarnation) -> None:
        super().__init__(tree)
        self.tree = tree
        self.life = life

    def _before(self, what: str, name: str) -> None:
        self.life.check()
        super()._before(what, name)

    def sync_all(self) -> None:
        try:
            super().sync_all()
        except OSError:
            for node in self.tree.nodes():
                node.forget()
            raise

    def make_file(self, node: MemoryNode, name: str) -> SimFile:
        return SimFile(self.tree, node, name, life=self.life)


class SimDisk:
    """Runs each job whole at a moment that the seed picks; what a dead life began is never told to anybody."""

    def __init__(self, files: SimFiles) -> None:
        self.files: Files = files
        self._sim = files
        self._context = pinned(files.life)
        self._is_closed = False
        self._running = 0
        self._idle = asyncio.Event()

    async def run(self, job: Callable[[], T]) -> T:
        self._sim.life.check()
        if self._is_closed:
            raise ShutdownError(what=f"disk {self.files.root}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._running += 1
        delay_s = self._sim.tree.faults.draw_delay_s(self._sim.tree.chance)
        loop.call_later(delay_s, self._execute, Job(job, future), context=self._context)
        return await future

    def _execute(self, job: Job) -> None:
        if self._sim.tree.faults.is_stuck:
            asyncio.get_running_loop().call_later(STUCK_LOOK_S, self._execute, job, context=self._context)
            return
        job.run()
        if self._sim.life.is_alive:
            self._running -= 1
            self._idle.set()
            job.settle()

    async def close(self) -> None:
        self._is_closed = True
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        self._sim.unlock()
