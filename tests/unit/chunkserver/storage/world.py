"""A store on disks in memory that can lose power. Helpers of the tests in this folder."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.blocks import cut_pieces
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.store import Store
from cairnfs.env import Disk, Env
from cairnfs.env.memory_files import MemoryDisk, MemoryFiles, MemoryFolder, MemoryNode, MemoryTree
from cairnfs.env.solo import SoloCoordinator
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, Epoch, Serial
from cairnfs.limits import Geometry
from cairnfs.safeguards import ALL_ON

T = TypeVar("T")
SECTOR = 512
CLUSTER = ClusterId("00112233445566778899aabbccddeeff")
SMALL = Geometry(chunk_bytes=16 * 1024, block_bytes=1024)
VERSION = ChunkVersion(Epoch(3), 1)
HANDLE = ChunkHandle(0x0123456789ABCDEF)


class CrashNode(MemoryNode):
    """Remembers what was there at the last sync, and each change since."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = b""
        self.pending: list[tuple[int, bytes] | int] = []

    def write(self, offset, piece):
        super().write(offset, piece)
        self.pending.append((offset, bytes(piece)))

    def truncate(self, size):
        super().truncate(size)
        self.pending.append(size)

    def sync(self):
        self.flushed, self.pending = bytes(self.data), []

    def lose_power(self, chance):
        """Keep any of the unflushed sectors, and any of the cuts."""
        keep_all = chance.random() < 0.2
        result = bytearray(self.flushed)
        for change in self.pending:
            if isinstance(change, int):
                if keep_all or chance.random() < 0.5:
                    del result[change:]
                    result.extend(bytes(change - len(result)))
                continue
            offset, piece = change
            start = offset
            while start < offset + len(piece):
                end = min(offset + len(piece), (start // SECTOR + 1) * SECTOR)
                if keep_all or chance.random() < 0.5:
                    result.extend(bytes(max(0, end - len(result))))
                    result[start:end] = piece[start - offset : end - offset]
                start = end
        self.data = result
        self.flushed, self.pending = bytes(result), []


class CrashFolder(MemoryFolder):
    """Remembers names since the last sync."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = {}
        self.pending = []


class CrashTree(MemoryTree):
    """Stops at a chosen operation; then what was not flushed is lost or torn as `chance` has it."""

    def __init__(self, root="disk", **more):
        super().__init__(root, **more)
        self.operations = 0
        self.stop_at = None
        self.fail_sync = False
        self.is_fixed = False
        self.log = []

    def make_node(self):
        return CrashNode()

    def make_folder(self):
        return CrashFolder()

    def before(self, what, name):
        self.operations += 1
        self.log.append((what, name))
        if self.stop_at is not None and self.operations > self.stop_at:
            raise OSError(5, "no power")
        if self.is_fixed and what in ("write", "truncate", "allocate", "make_folder", "rename", "unlink"):
            raise OSError(30, "read-only file system")
        if self.fail_sync and what == "sync":
            raise OSError(5, "input/output error")

    def is_read_only(self):
        return self.is_fixed

    def change(self, *changes):
        if self.is_fixed:
            raise OSError(30, "read-only file system")
        super().change(*changes)
        for folder, name, entry in changes:
            folder.pending.append((name, entry))

    def sync_folder(self, folder):
        folder.flushed, folder.pending = dict(folder.entries), []

    def sync_all(self):
        for entry in self._walk(self.top):
            if isinstance(entry, MemoryFolder):
                self.sync_folder(entry)
            else:
                entry.sync()

    def _walk(self, folder):
        yield folder
        for entry in list(folder.entries.values()):
            if isinstance(entry, MemoryFolder):
                yield from self._walk(entry)
            else:
                yield entry

    def lose_power(self, seed):
        """Be what is left after a power loss: each folder has a prefix of its changes, each file any sectors."""
        chance = random.Random(seed)
        self._lose(self.top, chance, {})
        self.restart()

    def _lose(self, folder, chance, seen):
        entries = dict(folder.flushed)
        for name, entry in folder.pending[: chance.randint(0, len(folder.pending))]:
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        folder.entries = entries
        folder.flushed, folder.pending = dict(entries), []
        for entry in entries.values():
            if isinstance(entry, MemoryFolder):
                self._lose(entry, chance, seen)
            elif id(entry) not in seen:
                seen[id(entry)] = entry
                entry.lose_power(chance)

    def restart(self):
        """The process ended; what it wrote stays."""
        self.locked_by = None
        self.stop_at, self.operations, self.fail_sync = None, 0, False


class UnevenDisk(MemoryDisk):
    """Jobs take from one to six turns of the loop, so that they overtake one another as on threads."""

    def __init__(self, files, chance):
        super().__init__(files)
        self.chance = chance

    async def wait_turn(self):
        for _ in range(self.chance.choice([1, 1, 1, 2, 3, 6])):
            await asyncio.sleep(0)


class FixedClock:
    def __init__(self) -> None:
        self.wall = 1_700_000_000_000_000_000

    def now_s(self):
        return 0.0

    def wall_ns(self):
        self.wall += 1
        return self.wall


class World:
    """Folders that outlive stores."""

    def __init__(self, seed=0, folders=("disk",), uneven=False, **more):
        self.chance = random.Random(seed) if uneven else None
        self.trees = {folder: CrashTree(folder, **more) for folder in folders}
        self.clock = FixedClock()
        self.env = Env(
            clock=self.clock,
            network=None,
            random=random.Random(seed),
            open_disk=self._open_disk,
            open_store=None,
            open_coordinator=SoloCoordinator,
        )

    @property
    def tree(self):
        return next(iter(self.trees.values()))

    def _open_disk(self, folder) -> Disk:
        files = MemoryFiles(self.trees[folder])
        return UnevenDisk(files, self.chance) if self.chance else MemoryDisk(files)

    async def open(self, **more) -> Store:
        whose = {"cluster": CLUSTER, "geometry": SMALL, "safeguards": ALL_ON}
        options = whose | {"reserve_bytes": 0, "reserve_fraction": 0.0} | more
        return await Store.open(self.env, list(self.trees), **options)

    async def kill(self, store: Store) -> None:
        """As kill -9: the store does nothing more, the files stay as they are."""
        for tree in self.trees.values():
            tree.stop_at = 0
        await store._nursery.stop()
        for tree in self.trees.values():
            tree.restart()

    async def lose_power(self, store: Store, seed: int) -> None:
        """As kill, and what was not flushed is lost or torn."""
        await self.kill(store)
        for tree in self.trees.values():
            tree.lose_power(seed)


def run(main: Callable[[], Awaitable[T]]) -> T:
    return asyncio.run(main())


def piece_crcs(data: bytes, offset: int, block_bytes: int = SMALL.block_bytes) -> list[int]:
    return [crc32c(b"".join(piece.parts)) for piece in cut_pieces([data], offset, block_bytes)]


async def put(store: Store, replica: Replica, offset: int, data: bytes, *, durable: bool, buffers=None) -> None:
    crcs = piece_crcs(data, offset, store.geometry.block_bytes)
    await store.apply(replica, offset, buffers or [data], crcs, serial=Serial(replica.serial + 1), durable=durable)


async def content(store: Store, replica: Replica) -> bytes:
    return bytes(await store.read_verified(replica, 0, store.geometry.chunk_bytes))


async def make(store: Store, handle: ChunkHandle = HANDLE, **more) -> Replica:
    return await store.create(handle, version=VERSION, epoch=Epoch(3), **more)


def settle(results: Sequence[object]) -> list[BaseException]:
    return [result for result in results if isinstance(result, BaseException)]
