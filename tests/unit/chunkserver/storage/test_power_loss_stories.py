"""Single stories of a power loss, each for one rule of the journal. Rules 15, 22 and 24."""

import asyncio
import contextlib

from tests.unit.chunkserver.storage.world import HANDLE, SMALL, World, content, make, put, run

from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle, Serial


def test_a_torn_overwrite_of_flushed_bytes_is_repaired_from_the_journal():
    """Rule 15: the neighbours of an overwrite were acknowledged; a torn sector must not take them along."""

    async def main():
        for tear in range(30):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"a" * 1024, durable=True)
            before = world.tree.operations
            job = asyncio.ensure_future(put(store, replica, 100, b"b" * 600, durable=False))
            while world.tree.operations - before < 100 and not job.done():
                await asyncio.sleep(0)
                if ("write", world.tree.log[-1][1]) in world.tree.log[before:] and world.tree.log[-1][1].endswith(
                    "dat"
                ):
                    break
            await world.lose_power(store, tear)
            await asyncio.gather(job, return_exceptions=True)
            again = await world.open()
            found = await content(again, again.replicas[HANDLE])
            assert found in (b"a" * 1024, b"a" * 100 + b"b" * 600 + b"a" * 324)
            await again.close()

    run(main)


def test_a_deleted_replica_does_not_come_back():
    async def main():
        for tear in range(10):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=True)
            await store.trash(replica)
            await world.lose_power(store, tear)
            again = await world.open()
            assert HANDLE not in again.replicas
            await make(again)
            await world.lose_power(again, tear)
            third = await world.open()
            assert third.replicas[HANDLE].length == 0
            await third.close()

    run(main)


def test_a_clone_is_whole_after_a_power_loss():
    async def main():
        for tear in range(10):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=False)
            copy = await store.clone_local(replica, ChunkHandle(5), version=(3, 2), epoch=3)
            assert await content(store, copy) == b"x" * 2000
            await world.lose_power(store, tear)
            again = await world.open()
            assert await content(again, again.replicas[ChunkHandle(5)]) == b"x" * 2000
            await again.close()

    run(main)


def test_a_flush_keeps_what_it_covers_from_an_overwrite_that_runs_beside_it():
    """The overwrite may tear a block whose state the flush is about to record."""

    async def main():
        for tear in range(60):
            world = World(tear, uneven=True)
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"a" * 1500, durable=False)
            await asyncio.gather(store.flush(replica), put(store, replica, 300, b"b" * 400, durable=False))
            await world.lose_power(store, tear)
            again = await world.open()
            found = await content(again, again.replicas[HANDLE])
            assert found in (b"a" * 1500, b"a" * 300 + b"b" * 400 + b"a" * 800)
            await again.close()

    run(main)


def test_a_segment_waits_for_the_place_of_its_redo_records():
    """Goal: a checkpoint never removes a redo record whose bytes are not yet in place.

    Method: overwrites on a disk where jobs overtake one another, with a segment for each record.
    """

    async def main():
        for tear in range(60):
            world = World(tear, uneven=True)
            store = await world.open(segment_bytes=1)
            replica, other = await make(store), await make(store, ChunkHandle(2))
            await put(store, replica, 0, b"a" * 1024, durable=True)
            job = asyncio.ensure_future(put(store, replica, 100, b"b" * 800, durable=True))
            await put(store, other, 0, b"c" * 10, durable=True)
            for _ in range(tear % 30):
                await asyncio.sleep(0)
            await world.lose_power(store, tear)
            await asyncio.gather(job, return_exceptions=True)
            again = await world.open()
            found = await content(again, again.replicas[HANDLE])
            assert found in (b"a" * 1024, b"a" * 100 + b"b" * 800 + b"a" * 124)
            await again.close()

    run(main)


def test_an_overwrite_of_a_whole_flushed_chunk_is_whole_at_any_operation():
    """Rule 15 at any size: one record has all of it, also if it is larger than a segment of the journal."""

    async def main():
        size = SMALL.chunk_bytes
        for stop_at in range(60):
            world = World(stop_at, uneven=True)
            store = await world.open(segment_bytes=size // 4)
            replica = await make(store)
            await put(store, replica, 0, b"a" * size, durable=True)
            world.tree.stop_at = world.tree.operations + stop_at
            with contextlib.suppress(CairnError):
                await put(store, replica, 0, b"b" * size, durable=False)
            await world.lose_power(store, stop_at)
            again = await world.open()
            assert await content(again, again.replicas[HANDLE]) in (b"a" * size, b"b" * size)
            await again.close()

    run(main)


def test_a_segment_of_the_journal_holds_no_more_than_its_size_and_one_record():
    """Rule 27: whatever waits for one commit, replay at start needs so much memory and no more."""

    async def main():
        world = World()
        size, limit = SMALL.chunk_bytes, 2 * SMALL.chunk_bytes
        store = await world.open(segment_bytes=limit)
        replicas = [await make(store, ChunkHandle(number)) for number in range(1, 9)]
        await asyncio.gather(*(put(store, replica, 0, b"a" * size, durable=True) for replica in replicas))
        sizes = []
        journal = next(iter(store.disks.values())).journal
        notes = journal.on_sealed

        def note():
            sizes.append(journal.sealed_bytes)
            notes()

        journal.on_sealed = note
        await asyncio.gather(*(put(store, replica, 0, b"b" * size, durable=True) for replica in replicas))
        assert len(sizes) >= 2
        assert max(sizes) <= limit + size + 1024
        await store.close()

    run(main)


def test_a_delete_is_whole_at_any_operation():
    """Either the replica is there with all its bytes, or it is not there."""

    async def main():
        for stop_at in range(0, 90, 2):
            world = World(stop_at, uneven=True)
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=False)
            await store.flush(replica)
            world.tree.stop_at = world.tree.operations + stop_at
            with contextlib.suppress(OSError):
                await store.trash(replica)
            await world.lose_power(store, stop_at)
            again = await world.open()
            found = again.replicas.get(HANDLE)
            assert found is None or await content(again, found) == b"x" * 2000
            assert not again.damaged
            await again.close()

    run(main)


def test_bytes_cut_off_do_not_return():
    async def main():
        for tear in range(20):
            for durable, power in ((True, True), (True, False), (False, True), (False, False)):
                world = World(tear)
                store = await world.open()
                replica = await make(store)
                await put(store, replica, 0, b"x" * 900, durable=durable)
                await store.truncate(replica, 100, serial=Serial(2))
                await put(store, replica, 100, b"y" * 300, durable=False)
                await (world.lose_power(store, tear) if power else world.kill(store))
                again = await world.open()
                found = await content(again, again.replicas[HANDLE])
                assert found in ((b"x" * 100, b"x" * 100 + b"y" * 300) if power else (b"x" * 100 + b"y" * 300,))
                await again.close()

    run(main)


def test_an_acknowledged_plain_write_is_in_the_header():
    """Rule 12: without the flag any one member would do as the source."""

    async def main():
        for tear in range(40):
            world = World(tear, uneven=True)
            store = await world.open()
            replica = await make(store)
            assert not replica.state.plain_writes
            await put(store, replica, 0, b"x" * 100, durable=False)
            await world.lose_power(store, tear)
            again = await world.open()
            assert again.replicas[HANDLE].state.plain_writes
            await again.close()

    run(main)


def test_a_clone_broken_off_by_a_kill_is_whole_or_incomplete_and_no_damage():
    """Goal: rule 12, a half-filled replica is marked. Method: the process ends before each operation of the copy."""

    async def main():
        for operations in range(40):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=True)
            world.tree.stop_at = world.tree.operations + operations
            job = asyncio.ensure_future(store.clone_local(replica, ChunkHandle(5), version=(3, 2), epoch=3))
            while not job.done():
                await asyncio.sleep(0)
            await world.kill(store)
            await asyncio.gather(job, return_exceptions=True)
            again = await world.open()
            assert again.damaged == [], operations
            assert await content(again, again.replicas[HANDLE]) == b"x" * 2000
            copy = again.replicas.get(ChunkHandle(5))
            if copy is not None and not copy.state.incomplete:
                assert await content(again, copy) == b"x" * 2000
            await again.close()

    run(main)


def test_a_block_that_a_redo_record_made_safe_is_overwritten_with_another():
    """Goal: rule 15 counts blocks, not only the flushed length: a redo record makes its block safe as a whole.

    Method: bytes of block 0 are safe only by the redo record of an overwrite before them, while block 1 is dirty.
    The record is checkpointed away; then these bytes are overwritten without a flush. Found by the model in spec/.
    """

    async def main():
        for tear in range(40):
            world = World(tear)
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"a" * 512, durable=True)
            await put(store, replica, 512, b"b" * 600, durable=False)
            await put(store, replica, 0, b"c" * 512, durable=False)
            disk = next(iter(store.disks.values()))
            await disk.journal.seal()
            while disk.journal.sealed:
                await asyncio.sleep(0)
            await put(store, replica, 512, b"d" * 512, durable=False)
            await world.lose_power(store, tear)
            again = await world.open()
            found = await content(again, again.replicas[HANDLE])
            assert found[:512] == b"c" * 512, (tear, found[:10])
            await again.close()

    run(main)
