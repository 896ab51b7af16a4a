"""Whose folder it is, and what happens to a folder that is not ours, full, or broken. Rules 1, 4, 16, 22, 25 and 26."""

import asyncio

import pytest
from tests.unit.chunkserver.storage.world import (
    CLUSTER,
    HANDLE,
    SMALL,
    World,
    content,
    make,
    put,
    run,
)

from cairnfs.chunkserver.format import data_name, sum_name
from cairnfs.errors import (
    BusyError,
    ChunkCorruptError,
    DiskFailedError,
    DiskFullError,
    FolderInUseError,
    FormatError,
    WrongClusterError,
)
from cairnfs.ids import ChunkHandle, ClusterId, Epoch
from cairnfs.limits import Geometry

OTHER = ClusterId("f" * 32)


def names(world):
    return sorted(name for tree in world.trees.values() for name in MemoryNames(tree))


class MemoryNames(list):
    def __init__(self, tree):
        super().__init__()
        self.walk(tree.top, "")

    def walk(self, folder, path):
        for name, entry in folder.entries.items():
            if hasattr(entry, "entries"):
                self.walk(entry, f"{path}{name}/")
            else:
                self.append(f"{path}{name}")


def test_a_folder_of_another_cluster_is_refused_untouched():
    async def main():
        world = World()
        store = await world.open()
        await store.close()
        before, world.tree.log = names(world), []
        with pytest.raises(WrongClusterError):
            await world.open(cluster=OTHER)
        assert names(world) == before
        assert not [what for what, _ in world.tree.log if what in ("write", "rename", "unlink", "truncate")]

    run(main)


def test_a_folder_is_served_once():
    async def main():
        world = World()
        store = await world.open()
        with pytest.raises(FolderInUseError):
            await world.open()
        await store.close()
        await (await world.open()).close()

    run(main)


def test_a_fresh_folder_stays_as_it_is_until_adopted():
    async def main():
        world = World(folders=("a", "b"))
        store = await world.open(cluster=None, geometry=None)
        assert names(world) == []
        await store.adopt(CLUSTER, SMALL)
        await store.adopt(CLUSTER, SMALL)
        server_id = store.server_id
        await make(store)
        with pytest.raises(WrongClusterError):
            await store.adopt(OTHER, SMALL)
        with pytest.raises(FormatError):
            await store.adopt(CLUSTER, Geometry(chunk_bytes=2048, block_bytes=1024))
        await store.close()
        again = await world.open(cluster=None, geometry=None)
        assert (again.server_id, again.cluster, again.geometry) == (server_id, CLUSTER, SMALL)
        assert len(again.usage()) == 2
        await again.close()

    run(main)


def test_folders_of_two_servers_do_not_go_together():
    async def main():
        one, two = World(seed=1), World(seed=2, folders=("other",))
        await (await one.open()).close()
        await (await two.open()).close()
        one.trees |= two.trees
        with pytest.raises(FormatError, match="belongs to server"):
            await one.open()

    run(main)


def test_a_folder_with_data_but_without_disk_is_not_formatted():
    async def main():
        world = World()
        await (await world.open()).close()
        world.tree.change((world.tree.top.entries["cairn"], "DISK", None))
        with pytest.raises(FormatError, match="missing"):
            await world.open()

    run(main)


def test_another_geometry_is_refused():
    async def main():
        world = World()
        await (await world.open()).close()
        with pytest.raises(FormatError, match="made with"):
            await world.open(geometry=Geometry())

    run(main)


def test_a_new_replica_goes_to_the_disk_with_most_free_space():
    async def main():
        world = World(folders=("small", "large"))
        world.trees["small"].capacity_bytes = 1 << 20
        store = await world.open()
        replica = await make(store)
        assert replica.disk_id == store.usage()[1].disk_id
        with pytest.raises(BusyError):
            await make(store)
        await store.close()

    run(main)


def test_a_full_disk_refuses_growth_and_still_deletes():
    """Rule 26: the reserve is kept, nothing acknowledged is hurt, and the trash can be emptied."""

    async def main():
        world = World(capacity_bytes=60_000)
        store = await world.open(reserve_bytes=40_000)
        replica = await make(store)
        await put(store, replica, 0, b"x" * 10_000, durable=True)
        with pytest.raises(DiskFullError):
            await put(store, replica, 10_000, b"y" * 6000, durable=False)
        with pytest.raises(DiskFullError):
            await put(store, replica, 10_000, b"y" * 6000, durable=True)
        assert await content(store, replica) == b"x" * 10_000
        await put(store, replica, 0, b"z" * 100, durable=True)
        for handle in range(100, 200):
            try:
                other = await make(store, ChunkHandle(handle))
                await put(store, other, 0, b"w" * 900, durable=False)
            except DiskFullError:
                break
        assert not store.usage()[0].failed
        await store.trash(replica)
        assert await store.empty_trash(3600) == 0
        assert await store.empty_trash(-1) == 1
        await store.close()

    run(main)


@pytest.mark.parametrize("durable", [True, False])
def test_the_first_failed_flush_takes_the_disk_out_of_use(durable):
    """Rule 25: no ack, no retry, its replicas are lost."""

    async def main():
        world = World(folders=("bad", "good"))
        world.trees["good"].capacity_bytes = 1 << 30
        store = await world.open()
        failed = []
        store.on_disk_failed = lambda disk_id, why: failed.append((disk_id, why))
        replica = await make(store)
        await put(store, replica, 0, b"x" * 100, durable=True)
        world.trees["bad"].fail_sync = True

        async def put_and_flush():
            await put(store, replica, 100, b"y" * 100, durable=durable)
            await store.flush(replica)

        with pytest.raises(DiskFailedError):
            await put_and_flush()
        assert failed == [(replica.disk_id, store.usage()[0].failed)]
        assert replica.gone
        assert HANDLE not in store.replicas
        world.trees["bad"].fail_sync = False
        for call in (
            lambda: put(store, replica, 100, b"y", durable=True),
            lambda: store.flush(replica),
            lambda: store.read_verified(replica, 0, 1),
            lambda: store.set_header(replica, incomplete=True),
            lambda: store.truncate(replica, 0, serial=1),
        ):
            with pytest.raises(DiskFailedError):
                await call()
        assert (await make(store)).disk_id == store.usage()[1].disk_id
        await store.raise_epoch(Epoch(9))
        await store.close()

    run(main)


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
        store._disks[replica.disk_id].descriptors.drop(HANDLE)
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
        store._disks[replica.disk_id].descriptors.drop(HANDLE)
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
