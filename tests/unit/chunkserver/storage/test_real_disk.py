"""The store on files of the operating system, with threads. The rest is tested in memory, where power can be cut."""

import asyncio

from tests.unit.chunkserver.storage.world import CLUSTER, HANDLE, content, make, put, run

from cairnfs.chunkserver.store import Store
from cairnfs.env.real import real_env
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch
from cairnfs.limits import Geometry
from cairnfs.safeguards import ALL_ON

PIECE = bytes(range(256)) * 4096  # 1 MiB


def test_bytes_survive_a_restart_on_a_real_disk(tmp_path):
    async def open_store():
        return await Store.open(
            real_env(seed=1),
            [str(tmp_path)],
            cluster=CLUSTER,
            geometry=Geometry(),
            safeguards=ALL_ON,
            reserve_bytes=0,
            reserve_fraction=0.0,
            segment_bytes=100_000,
        )

    async def main():
        store = await open_store()
        large, small = await make(store), await make(store, ChunkHandle(2))
        for number in range(4):
            await put(store, large, number * len(PIECE), PIECE, durable=False)
        await asyncio.gather(*(put(store, small, place * 900, b"r" * 900, durable=True) for place in range(300)))
        await put(store, large, 100_000, b"over" * 1000, durable=False)
        await store.flush(large)
        await put(store, large, 200_000, b"redo" * 50_000, durable=False)
        await store.truncate(large, 3 * len(PIECE) + 5, serial=9)
        copy = await store.clone_local(large, ChunkHandle(3), version=ChunkVersion(Epoch(3), 2), epoch=Epoch(3))
        await store.trash(small)
        expected, before = await content(store, large), store.usage()[0]
        assert len(expected) == 3 * len(PIECE) + 5
        assert await content(store, copy) == expected
        assert before.replicas == 2
        await store._nursery.stop()
        for folder in store._folders:
            await folder.disk.close()
        again = await open_store()
        assert list(again.replicas) == [3, HANDLE]
        for replica in again.replicas.values():
            assert await content(again, replica) == expected
        assert await again.empty_trash(-1) == 1
        await again.close()

    run(main)
