"""Whose folder it is, and what happens to a folder that is not ours, full, or broken. Rules 1, 4, 16, 22, 25 and 26."""

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

from cairnfs.errors import (
    BusyError,
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


def test_of_several_folders_one_may_be_broken():
    """Goal: a disk that answers nothing keeps the others from nothing; alone it is an error. And it is told."""

    async def main():
        world = World(folders=("good", "bad"))
        store = await world.open()
        first, second = await make(store), await make(store, ChunkHandle(2))
        await store.close()
        world.trees["bad"].stop_at = 0
        again = await world.open()
        (failed,) = [usage for usage in again.usage() if usage.failed]
        assert (failed.folder, failed.failed) == ("bad", "[Errno 5] no power")
        kept = [one.handle for one in (first, second) if store.disks[one.disk_id].folder == "good"]
        assert list(again.replicas) == kept
        await again.look_at_space()
        await again.close()
        world.trees["good"].stop_at = 0
        with pytest.raises(DiskFailedError):
            await world.open()

    run(main)
