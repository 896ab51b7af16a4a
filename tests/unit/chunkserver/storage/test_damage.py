"""Damaged and missing files, and restarts: found, set aside and reported, never deleted. Rules 1, 4 and 16."""

import asyncio

import pytest
from tests.unit.chunkserver.storage.test_folders import names
from tests.unit.chunkserver.storage.world import (
    HANDLE,
    World,
    content,
    make,
    put,
    run,
)

from cairnfs.chunkserver.format import data_name, sum_name
from cairnfs.errors import (
    ChunkCorruptError,
    DiskFailedError,
)
from cairnfs.ids import ChunkHandle, Epoch


def test_bytes_changed_under_a_running_server_are_found():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await put(store, replica, 0, b"x" * 3000, durable=True)
        node = world.tree.find(data_name(HANDLE))
        node.data[1500] ^= 1
        assert await store.verify(replica, 0)
        assert not await store.verify(replica, 1)
        with pytest.raises(ChunkCorruptError):
            await store.read_verified(replica, 1400, 10)
        with pytest.raises(ChunkCorruptError):
            await put(store, replica, 1400, b"new", durable=False)
        node.data[1500] ^= 1
        assert await content(store, replica) == b"x" * 3000
        del node.data[2900:]
        with pytest.raises(ChunkCorruptError):
            await store.read(replica, 2000, memoryview(bytearray(1000)))
        world.tree.change((world.tree.find("cairn/ef/cd"), "0123456789abcdef.dat", None))
        store.disks[replica.disk_id].descriptors.drop(HANDLE)
        with pytest.raises(ChunkCorruptError):
            await store.read_verified(replica, 0, 10)
        assert not store.usage()[0].failed
        await store.close()

    run(main)


def test_a_quarantined_replica_is_moved_and_never_deleted():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await put(store, replica, 0, b"x" * 3000, durable=True)
        await store.quarantine(replica, "test")
        assert HANDLE not in store.replicas
        await store.empty_trash(-1)
        kept = [name for name in names(world) if name.startswith("cairn/quarantine/")]
        assert len(kept) == 2
        assert all("0123456789abcdef" in name for name in kept)
        await make(store)
        await store.close()

    run(main)


def test_a_damaged_header_goes_to_the_quarantine_and_is_reported():
    async def main():
        world = World()
        store = await world.open()
        await put(store, await make(store), 0, b"x" * 100, durable=True)
        await make(store, ChunkHandle(1))
        await store.close()
        node = world.tree.find(sum_name(HANDLE))
        node.data[:8192] = bytes(8192)
        again = await world.open()
        assert list(again.replicas) == [1]
        assert "no intact header" in again.damaged[0]
        assert len([name for name in names(world) if name.startswith("cairn/quarantine/")]) == 2
        await again.close()

    run(main)


def test_a_torn_header_slot_leaves_the_other():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await store.close()
        store = await world.open()
        replica = store.replicas[HANDLE]
        await store.set_header(replica, epoch=Epoch(8))
        await store.close()
        node = world.tree.find(sum_name(HANDLE))
        node.data[4096:8192] = b"?" * 4096
        again = await world.open()
        assert again.replicas[HANDLE].state.epoch == 3
        await again.close()

    run(main)


def test_misplaced_slots_are_not_believed():
    """A block of checksums written to the wrong place must not vouch for the bytes there."""

    async def main():
        world = World()
        store = await world.open()
        await put(store, await make(store), 0, b"x" * 4096, durable=True)
        await store.close()
        node = world.tree.find(sum_name(HANDLE))
        node.data[8192 + 32 : 8192 + 64] = node.data[8192:8224]
        again = await world.open()
        assert again.replicas[HANDLE].length == 1024
        await again.close()

    run(main)


def test_epochs_survive_a_kill():
    async def main():
        world = World(folders=("a", "b"))
        store = await world.open()
        await store.raise_epoch(Epoch(7))
        await store.raise_epoch(Epoch(6))
        assert store.max_epoch == 7
        await world.lose_power(store, 1)
        again = await world.open()
        assert again.max_epoch == 7
        await again.close()
        third = await world.open()
        assert third.max_epoch == 7
        await third.close()

    run(main)


def test_a_closed_replica_serves_again_and_an_open_one_is_broken():
    """Rule 4."""

    async def main():
        world = World()
        store = await world.open()
        closed, opened = await make(store), await make(store, ChunkHandle(2))
        for replica in (closed, opened):
            assert replica.unbroken
            await put(store, replica, 0, b"x" * 1500, durable=False)
        await store.set_header(closed, closed=True, closed_length=1500)
        await world.kill(store)
        again = await world.open()
        assert again.replicas[HANDLE].unbroken
        assert not again.replicas[ChunkHandle(2)].unbroken
        assert again.replicas[ChunkHandle(2)].length == 1500
        assert again.replicas[ChunkHandle(2)].state.plain_writes
        await again.close()
        third = await world.open()
        assert await content(third, third.replicas[HANDLE]) == b"x" * 1500
        await third.close()

    run(main)


def test_a_cancelled_caller_does_not_part_bytes_and_checksums():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        for turns in range(12):
            job = asyncio.ensure_future(put(store, replica, replica.length, b"x" * 700, durable=turns % 2 == 0))
            for _ in range(turns):
                await asyncio.sleep(0)
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
            await store.flush(replica)
            assert await content(store, replica) == b"x" * replica.length
        await store.close()

    run(main)


def test_a_file_removed_under_a_running_server_costs_one_replica_and_not_the_disk():
    async def main():
        world = World()
        store = await world.open(segment_bytes=500)
        replica, other = await make(store), await make(store, ChunkHandle(2))
        await put(store, replica, 0, b"x" * 1500, durable=True)
        for name in ("0123456789abcdef.dat", "0123456789abcdef.sum"):
            world.tree.change((world.tree.find("cairn/ef/cd"), name, None))
        store.disks[replica.disk_id].descriptors.drop(HANDLE)
        for call in (
            lambda: put(store, replica, 100, b"y", durable=True),
            lambda: put(store, replica, 1500, b"y" * 2000, durable=False),
            lambda: store.truncate(replica, 100, serial=1),
            lambda: store.read_verified(replica, 0, 10),
        ):
            with pytest.raises(ChunkCorruptError):
                await call()
        for place in range(20):
            await put(store, other, place * 100, b"z" * 100, durable=True)
        await store.trash(replica)
        assert not store.usage()[0].failed
        await store.close()
        again = await world.open()
        assert list(again.replicas) == [2]
        assert await content(again, again.replicas[ChunkHandle(2)]) == b"z" * 2000
        await again.close()

    run(main)


def test_sequence_counts_changes_of_checksums():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        before = replica.sequence
        await put(store, replica, 0, b"x", durable=True)
        await store.truncate(replica, 0, serial=2)
        assert replica.sequence == before + 2
        await store.close()

    run(main)


def test_a_dead_disk_at_start_does_not_keep_the_others_from_being_served():
    async def main():
        world = World(folders=("bad", "good"))
        world.trees["good"].capacity_bytes = 2 << 40
        store = await world.open()
        await make(store)
        await store.close()
        world.trees["bad"].fail_sync = True
        again = await world.open()
        assert list(again.replicas) == [HANDLE]
        assert "bad" in again.damaged[0]
        await again.close()
        world.trees["good"].fail_sync = True
        with pytest.raises(DiskFailedError):
            await world.open()

    run(main)
