"""GFS paper, section 3.4: snapshot.

"When the master receives a snapshot request, it first revokes any outstanding leases on the chunks in the files it is
about to snapshot. [...] The first time a client wants to write to a chunk C after the snapshot operation, it sends a
request to the master to find the current lease holder. The master notices that the reference count for chunk C is
greater than one. [...] It then asks each chunkserver that has a current replica of C to create a new chunk called C'.
By creating the new chunk on the same chunkservers as the original, we ensure that the data can be copied locally."
"""

import pytest
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import ExistsError, NoCopyError
from cairnfs.wire.master_orders import CloneLocal, Open, Seal
from cairnfs.wire.namespace import Snapshot


async def snapshot(it, source=b"/f", target=b"/g"):
    return await it.call(Snapshot(source=source, target=target, once=it.once()), timeout_s=20)


def test_a_snapshot_seals_open_chunks_and_shares_them():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            handle = created.first.handle
            await it.lease(created.attributes.inode)
            copy = await snapshot(it)
            record = it.record(handle)
            assert record.closed
            assert record.references == 2
            assert record.version > created.first.version
            assert [len(one.asked(Seal)) for one in it.servers] == [1, 1, 1]
            assert [one.handle for one in await it.find(copy.attributes.inode)] == [handle]
            assert len(it.master.reign.leases) == 0

    run(go)


def test_the_first_writer_after_a_snapshot_gets_a_copy_made_where_the_replicas_are():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            copy = await snapshot(it)
            place = await it.lease(created.attributes.inode)
            assert place.handle != created.first.handle
            assert all(one.asked(CloneLocal) for one in it.servers)
            assert all(one.replicas[place.handle].data == b"hello" for one in it.servers)
            assert (await it.find(copy.attributes.inode))[0].handle == created.first.handle
            assert it.record(created.first.handle).references == 1

    run(go)


def test_readers_of_the_old_chunk_are_barred_and_the_snapshots_own_readers_are_let_in():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            before = (await it.find(created.attributes.inode))[0]
            copy = await snapshot(it)
            await it.lease(created.attributes.inode)
            for one in it.servers:
                barriers = [e for e in one.exclusions if e.barrier and e.handle == before.handle]
                assert barriers
                assert all(before.version < e.below for e in barriers)
                after = (await it.find(copy.attributes.inode))[0]
                assert all(e.below <= after.version for e in barriers)
                assert one.replicas[before.handle].version == after.version

    run(go)


def test_overwrites_of_the_copy_wait_for_the_barrier():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            await snapshot(it)
            slow = it.servers[0]
            slow.silent.add("Exclude")
            place = await it.lease(created.attributes.inode)
            primary = it.by_id(place.primary)
            assert primary.asked(Open)[-1].lease.fence_done is False
            primary.fences_wanted = [(place.handle, place.version)]
            assert (await primary.beat()).fences_done == []
            await slow.beat()
            await slow.beat()
            assert (await primary.beat()).fences_done == [place.handle]

    run(go)


def test_a_snapshot_that_cannot_seal_makes_nothing():
    async def go():
        async with master_cluster(snapshot_deadline_s=0.3) as it:
            await it.written()
            for one in it.servers:
                one.silent.add("Promise")
            with pytest.raises(NoCopyError):
                await snapshot(it)
            with pytest.raises(FileNotFoundError):
                await it.stat(b"/g")

    run(go)


def test_a_repeated_snapshot_request_gets_the_first_answer():
    async def go():
        async with master_cluster() as it:
            await it.closed()
            request = Snapshot(source=b"/f", target=b"/g", once=it.once())
            assert await it.call(request) == await it.call(request)
            with pytest.raises(ExistsError):
                await snapshot(it)

    run(go)
