"""Deleted replicas move to the trash together: fewer flushes, the same durability, nobody waits for ever."""

import asyncio

import pytest
from tests.unit.chunkserver.storage.world import CrashTree

from cairnfs.chunkserver.format import data_name, replica_folder, sum_name
from cairnfs.chunkserver.moves import AT_ONCE, Moves, move_replicas
from cairnfs.env.memory_files import MemoryFiles
from cairnfs.errors import DiskFailedError, ShutdownError

TRASH = "cairn/trash"


def filled(count):
    """Return (tree, files) with so many replicas."""
    tree = CrashTree()
    files = MemoryFiles(tree)
    for handle in range(1, count + 1):
        files.make_folder(replica_folder(handle))
        for name in (data_name(handle), sum_name(handle)):
            file = files.open(name, create=True)
            file.write(0, [b"%d" % handle])
            file.close()
    files.make_folder(TRASH)
    tree.sync_all()
    tree.log.clear()
    return tree, files


class Jobs:
    """Runs jobs after a turn of the loop."""

    def __init__(self):
        self.count = 0
        self.error = None

    async def __call__(self, job):
        self.count += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        job()


def move_all(moves, count):
    return asyncio.gather(*(moves.move(n, f"{TRASH}/1-{n:016x}") for n in range(1, count + 1)), return_exceptions=True)


def trash(files):
    return sorted(files.listing(TRASH))


def test_moves_that_wait_share_a_job_and_the_flush_of_the_trash():
    async def go():
        tree, files = filled(40)
        jobs = Jobs()
        assert await move_all(Moves(jobs, files), 40) == [None] * 40
        assert jobs.count == 2  # the first one, and all that came meanwhile
        assert len(trash(files)) == 80
        assert [name for what, name in tree.log if what == "sync_folder"].count(TRASH) == 2

    asyncio.run(go())


def test_no_job_moves_more_than_a_few():
    async def go():
        _, files = filled(3 * AT_ONCE)
        jobs = Jobs()
        await move_all(Moves(jobs, files), 3 * AT_ONCE)
        assert jobs.count == 4

    asyncio.run(go())


def test_what_was_moved_is_in_the_trash_after_a_power_loss():
    for seed in range(20):
        tree, files = filled(3)
        move_replicas(files, [(n, f"{TRASH}/1-{n:016x}") for n in (1, 2, 3)])
        tree.lose_power(seed)
        files = MemoryFiles(tree)
        assert len(trash(files)) == 6
        assert not any(files.exists(data_name(n)) or files.exists(sum_name(n)) for n in (1, 2, 3))


def test_a_disk_that_fails_fails_all_who_wait():
    async def go():
        _, files = filled(5)
        jobs = Jobs()
        jobs.error = DiskFailedError(where="disk", why="no power")
        results = await move_all(Moves(jobs, files), 5)
        assert [type(one) for one in results] == [DiskFailedError] * 5

    asyncio.run(go())


def test_a_mover_that_is_stopped_leaves_nobody_waiting():
    async def go():
        _, files = filled(2)
        moves = Moves(Jobs(), files)
        first = asyncio.create_task(moves.move(1, f"{TRASH}/1"))
        second = asyncio.create_task(moves.move(2, f"{TRASH}/2"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(ShutdownError):
            await second
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(go())
