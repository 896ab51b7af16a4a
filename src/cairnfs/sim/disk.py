"""The disks of a simulated world: what a process has written, and what would survive a power loss.

    write --> page cache --sync--> durable bytes        kill -9 keeps the page cache, a power loss does not
    names --> present    --sync_folder--> durable       each change of names whole or not at all

After a power loss each 512-byte sector that was not synced is as before or as written (contract 7), and each change of
names is there or not: in half of the cases a first part of them, as journaling file systems have it, else any of them.
Faults are asked for through `DiskFaults`; the nodes and folders outlive the lives of their host.
"""

import asyncio
import errno
import random
from collections.abc import Callable
from dataclasses import dataclass
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
from cairnfs.env.memory_store import MemoryRecord, MemoryStore
from cairnfs.errors import CairnError, ShutdownError
from cairnfs.sim.loop import HostDeadError, Incarnation
from cairnfs.sim.network import pinned
from cairnfs.sim.trace import Trace

T = TypeVar("T")

SECTOR_BYTES = 512
_CHANGING = ("write", "truncate", "allocate")


@dataclass
class DiskFaults:
    """What is wrong with a disk; may be changed at any time."""

    fail_reads: bool = False
    fail_writes: bool = False
    fail_syncs: bool = False
    """A failed sync forgets what was to be synced, as Linux does: a later one succeeds and makes nothing durable."""
    is_full: bool = False
    delay_s: tuple[float, float] = (0.00005, 0.002)
    """How long a job waits; a gray disk has seconds here."""
    dies_after: int | None = None
    """So many more operations on files, then `on_death` is called in the middle of whatever job it is."""
    on_death: Callable[[], None] | None = None


class SimNode(MemoryNode):
    """A file: what is in the page cache (`data`), what is durable, and how the one came from the other."""

    def __init__(self, tree: "SimTree") -> None:
        super().__init__()
        self.durable = bytearray()
        self._tree = tree
        self._pending: list[tuple[int, bytes | None]] = []
        """(offset, bytes written there) or (new size, None)."""

    def write(self, offset: int, piece: Buffer) -> None:
        super().write(offset, piece)
        self._pending.append((offset, bytes(piece)))

    def truncate(self, size: int) -> None:
        super().truncate(size)
        self._pending.append((size, None))

    def sync(self) -> None:
        pending, self._pending = self._pending, []
        if self._tree.faults.fail_syncs:
            raise os_error(errno.EIO, "fdatasync")
        for offset, piece in pending:
            _apply(self.durable, offset, piece)

    def lose_power(self, chance: random.Random) -> None:
        """Keep what was durable, and of the rest what chance has written back in time."""
        pending, self._pending = self._pending, []
        kept = chance.choice((0.0, 0.5, 1.0))
        for offset, piece in pending:
            if piece is None:
                if chance.random() < kept:
                    _apply(self.durable, offset, None)
            else:
                self._write_sectors(offset, piece, kept, chance)
        self.data = bytearray(self.durable)

    def _write_sectors(self, offset: int, piece: bytes, kept: float, chance: random.Random) -> None:
        start = offset
        while start < offset + len(piece):
            end = min((start // SECTOR_BYTES + 1) * SECTOR_BYTES, offset + len(piece))
            if chance.random() < kept:
                _apply(self.durable, start, piece[start - offset : end - offset])
            start = end

    def flip(self, offset: int) -> None:
        """Bit rot: change one bit, durably and without anybody's knowledge."""
        self.data[offset] ^= 1
        if offset < len(self.durable):
            self.durable[offset] ^= 1


def _apply(data: bytearray, offset: int, piece: bytes | None) -> None:
    if piece is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


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

    def make_node(self) -> SimNode:
        return SimNode(self)

    def make_folder(self) -> SimFolder:
        return SimFolder()

    def before(self, what: str, name: str) -> None:
        self._trace.add(self._host, f"disk {what}", name)
        faults = self.faults
        if faults.dies_after is not None:
            faults.dies_after -= 1
            if faults.dies_after < 0:
                faults.dies_after = None
                assert faults.on_death is not None, "nobody to tell"
                faults.on_death()
                raise HostDeadError(self._host)
        if what in _CHANGING and faults.is_full:
            raise os_error(errno.ENOSPC, name)
        if (what in _CHANGING and faults.fail_writes) or (what == "read" and faults.fail_reads):
            raise os_error(errno.EIO, name)

    def change(self, *changes: tuple[MemoryFolder, str, Entry | None]) -> None:
        super().change(*changes)
        self._pending.append(changes)

    def sync_folder(self, folder: MemoryFolder) -> None:
        if self.faults.fail_syncs:
            raise os_error(errno.EIO, "fsync")
        rest = []
        for change in self._pending:
            if any(touched is folder for touched, _, _ in change):
                _make_durable(change)
            else:
                rest.append(change)
        self._pending = rest

    def sync_all(self) -> None:
        if self.faults.fail_syncs:
            raise os_error(errno.EIO, "syncfs")
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
            folders += [entry for entry in folder.entries.values() if isinstance(entry, MemoryFolder)]
        for node in self.nodes():
            node.lose_power(self.chance)

    def walk(self) -> list[tuple[str, SimNode]]:
        """Return every file with its path, in the order of the paths."""
        found: list[tuple[str, SimNode]] = []
        todo: list[tuple[str, MemoryFolder]] = [("", self.top)]
        while todo:
            before, folder = todo.pop()
            for name, entry in folder.entries.items():
                if isinstance(entry, MemoryFolder):
                    todo.append((f"{before}{name}/", entry))
                elif isinstance(entry, SimNode):
                    found.append((f"{before}{name}", entry))
        return sorted(found, key=lambda one: one[0])

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

    def _use(self, what: str) -> MemoryNode:
        self._life.check()
        return super()._use(what)


class SimFiles(MemoryFiles):
    """One life's way to a disk."""

    def __init__(self, tree: SimTree, life: Incarnation) -> None:
        super().__init__(tree)
        self.tree = tree
        self.life = life

    def _before(self, what: str, name: str) -> None:
        self.life.check()
        super()._before(what, name)

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
        delay_s = self._sim.tree.chance.uniform(*self._sim.tree.faults.delay_s)
        loop.call_later(delay_s, self._execute, Job(job, future), context=self._context)
        return await future

    def _execute(self, job: Job) -> None:
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


class SimRecord(MemoryRecord):
    """A metadata store's durable part, with what is wrong with its disk."""

    def __init__(self, folder: str, chance: random.Random) -> None:
        super().__init__(folder)
        self.chance = chance
        self.sync_s = (0.0002, 0.005)
        self.fails_with: CairnError | None = None
        """The next commit fails so; nothing of it is there."""

    def end_life(self) -> None:
        """Its process is dead. A commit on its way has reached the disk or not; none of it was acknowledged."""
        if self.committing is not None and self.chance.random() < 0.5:
            self.tables.apply(self.committing)
        self.committing = None
        self.opened_by = None


class SimStore(MemoryStore):
    """A metadata store of one life. Commits are synced, so a crash and a power loss are the same to it."""

    def __init__(self, record: SimRecord, life: Incarnation) -> None:
        super().__init__(record, context=pinned(life))
        self._sim = record

    def sync_s(self) -> float:
        return self._sim.chance.uniform(*self._sim.sync_s)

    def fault(self) -> CairnError | None:
        failure, self._sim.fails_with = self._sim.fails_with, None
        return failure
