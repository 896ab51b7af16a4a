"""A disk that can only be read serves the closed replicas that it has, and is not touched. Rules 1, 3, 4, 24, 25."""

import pytest
from tests.unit.chunkserver.storage.world import HANDLE, VERSION, World, make, put, run

from cairnfs.errors import DiskFailedError
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch

CLOSED, OPEN, CUT = HANDLE, ChunkHandle(2), ChunkHandle(3)
DATA = bytes(range(250)) * 12


async def stored(world):
    """Return a store with three replicas on the disk that will be read-only: one closed and at rest, and two open."""
    store = await world.open()
    other = next(disk for disk in store.disks.values() if disk.folder == "other")
    other.is_leaving = True  # so that all go to the one
    for handle in (CLOSED, OPEN, CUT):
        replica = await make(store, handle)
        await put(store, replica, 0, DATA, durable=True)
    await store.set_header(store.replicas[CLOSED], closed=True, closed_length=len(DATA))
    return store


async def read_only(world):
    store = await stored(world)
    await store.close()
    world.trees["disk"].is_fixed = True
    world.trees["disk"].log = []
    return await world.open()


def changes(world):
    changing = ("write", "truncate", "allocate", "sync", "sync_folder", "sync_all", "make_folder", "rename", "unlink")
    return [what for what, _ in world.trees["disk"].log if what in changing]


def test_what_is_closed_is_read_and_verified_and_the_rest_counts_as_lost():
    async def main():
        world = World(folders=("disk", "other"))
        store = await read_only(world)
        assert list(store.replicas) == [CLOSED]
        assert {OPEN, CUT} <= set(store.lost)
        assert bytes(await store.read_verified(store.replicas[CLOSED], 0, 3000)) == DATA
        [fixed] = [usage for usage in store.usage() if usage.is_read_only]
        assert (fixed.folder, fixed.failed, fixed.replicas) == ("disk", "", 1)
        await store.close()
        assert changes(world) == []
        world.trees["disk"].is_fixed = False
        again = await world.open()
        assert set(again.replicas) == {CLOSED, OPEN, CUT}, "nothing was touched, so nothing is lost"
        await again.close()

    run(main)


def test_it_refuses_what_would_be_written_and_has_not_failed_by_that():
    async def main():
        world = World(folders=("disk", "other"))
        store = await read_only(world)
        replica = store.replicas[CLOSED]
        with pytest.raises(DiskFailedError, match="read-only"):
            await store.set_header(replica, promised=ChunkVersion(Epoch(9), 1))
        assert replica.state.promised == VERSION
        assert await store.verify(replica, 0)
        await store.raise_epoch(Epoch(12))
        made = await make(store, ChunkHandle(9))
        assert store.disk_of(made).folder == "other"
        await store.look_at_space()
        assert await store.empty_trash(0.0) == 0
        await store.close()
        assert changes(world) == []
        assert (await world.open()).max_epoch == 12

    run(main)


@pytest.mark.parametrize("how", ["trash", "quarantine"])
def test_a_replica_that_has_to_go_is_out_of_use_and_its_files_stay(how):
    async def main():
        world = World(folders=("disk", "other"))
        store = await read_only(world)
        replica = store.replicas[CLOSED]
        await (store.trash(replica) if how == "trash" else store.quarantine(replica, "a test"))
        assert CLOSED not in store.replicas
        await store.close()
        assert changes(world) == []

    run(main)


def test_what_the_journal_still_has_is_not_served():
    async def main():
        world = World(folders=("disk", "other"))
        store = await stored(world)
        await world.kill(store)  # the close of CLOSED is in the journal only
        world.trees["disk"].is_fixed = True
        again = await world.open()
        assert list(again.replicas) == []
        assert {CLOSED, OPEN, CUT} <= set(again.lost)
        assert any("the journal has more of it" in line for line in again.damaged)
        await again.close()
        world.trees["disk"].is_fixed = False
        assert bytes(await read_all(await world.open())) == DATA

    run(main)


async def read_all(store):
    return await store.read_verified(store.replicas[CLOSED], 0, 3000)


def test_a_server_needs_one_folder_that_can_be_written():
    """Goal: rule 1: it must store the epoch. And a fresh folder that cannot be written is no data folder."""

    async def main():
        world = World(folders=("disk", "other"))
        store = await stored(world)
        await store.close()
        for tree in world.trees.values():
            tree.is_fixed = True
        with pytest.raises(DiskFailedError, match="one that can be written"):
            await world.open()
        fresh = World(folders=("disk", "other"))
        fresh.trees["disk"].is_fixed = True
        store = await fresh.open()
        assert [disk.folder for disk in store.disks.values()] == ["other"]
        assert [usage.folder for usage in store.usage() if usage.failed] == ["disk"]
        await store.close()

    run(main)


def test_a_copy_on_a_disk_that_is_written_takes_the_place_of_an_older_one_on_the_read_only_disk():
    async def main():
        world = World(folders=("disk", "other"))
        store = await read_only(world)
        await store.trash(store.replicas[CLOSED])
        newer = await store.create(CLOSED, version=ChunkVersion(Epoch(9), 1), epoch=Epoch(9))
        await put(store, newer, 0, b"newer", durable=True)
        await store.close()
        again = await world.open()
        assert store.disk_of(again.replicas[CLOSED]).folder == "other"
        assert again.replicas[CLOSED].state.version == ChunkVersion(Epoch(9), 1)
        await again.close()
        assert changes(world) == []

    run(main)
