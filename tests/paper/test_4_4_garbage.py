"""GFS paper, section 4.4: garbage collection.

"After a file is deleted, GFS does not immediately reclaim the available physical storage. It does so only lazily during
regular garbage collection at both the file and chunk levels. [...] In a HeartBeat message regularly exchanged with the
master, each chunkserver reports a subset of the chunks it has, and the master replies with the identity of all chunks
that are no longer present in the master's metadata."
"""

import asyncio
from dataclasses import replace

import pytest
from tests.support.fake_chunkserver import Replica
from tests.support.master_cluster import master_cluster, run

from cairnfs.ids import ChunkVersion
from cairnfs.master.garbage import Doomed, Why
from cairnfs.safeguards import ALL_ON
from cairnfs.sim.world import pass_time
from cairnfs.wire.master_orders import DeleteReplicas
from cairnfs.wire.namespace import Delete, ListTrash, Undelete


async def until(it, is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await it.beat()
            await pass_time(0.01)


async def some_time(it):
    for _ in range(15):
        await it.beat()
        await pass_time(0.01)


def test_a_deleted_file_can_be_undeleted_and_keeps_its_chunks():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", once=it.once()))
            assert len((await it.call(ListTrash())).entries) == 1
            await some_time(it)
            assert all(created.first.handle in one.replicas for one in it.servers)
            await it.call(Undelete(path=b"/f", once=it.once()))
            assert (await it.stat()).attributes.inode == created.attributes.inode

    run(go)


def test_replicas_of_a_purged_file_are_deleted_and_forgotten():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", now=True, once=it.once()))
            await until(it, lambda: all(created.first.handle not in one.replicas for one in it.servers))
            assert it.record(created.first.handle) is None

    run(go)


def test_a_chunk_that_is_gone_for_good_is_struck_from_every_book_of_the_master():
    """Goal: a master does not grow by what was ever deleted. Method: enter the chunk in each book, as failures do."""

    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            handle, reign = created.first.handle, it.master.reign
            books = [reign.revoked, *reign.by_chunk]
            assert len(books) == 5
            for book in books:
                book[handle] = created.first.version
            await it.call(Delete(path=b"/f", now=True, once=it.once()))
            await until(it, lambda: not any(handle in book for book in books))
            assert not any(handle in one.replicas for one in it.servers)

    run(go)


def test_the_trash_expires():
    async def go():
        async with master_cluster(trash_s=0.01) as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", once=it.once()))
            await until(it, lambda: all(created.first.handle not in one.replicas for one in it.servers))

    run(go)


def test_a_replica_that_no_file_ever_used_is_deleted():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", now=True, once=it.once()))
            await until(it, lambda: created.first.handle not in it.servers[0].replicas)
            it.servers[0].replicas[created.first.handle] = Replica(created.first.version, created.first.version, b"")
            await it.servers[0].join()
            await until(it, lambda: created.first.handle not in it.servers[0].replicas)

    run(go)


def test_an_excess_copy_leaves_the_record_before_it_is_deleted():
    async def go():
        from cairnfs.wire.namespace import SetReplicas

        async with master_cluster() as it:
            created = await it.closed()
            handle = created.first.handle
            await it.call(SetReplicas(path=b"/f", replicas=2, once=it.once()))
            await until(it, lambda: sum(handle in one.replicas for one in it.servers) == 2)
            assert sorted(dict(it.record(handle).members)) == sorted(
                one.server for one in it.servers if handle in one.replicas
            )
            await some_time(it)
            assert sum(handle in one.replicas for one in it.servers) == 2

    run(go)


# ------------------------------------------------------------------ the guards, one by one


async def stale_beside_too_few(it):
    """One current replica is gone, and a stale one is there: the last thing to delete."""
    created = await it.closed()
    handle = created.first.handle
    outside = next(one for one in it.servers if handle not in one.replicas)
    gone = next(one for one in it.servers if handle in one.replicas)
    del gone.replicas[handle]
    gone.lost.append(handle)
    await it.beat()
    old = ChunkVersion(0, 1)
    outside.replicas[handle] = Replica(old, old, b"old", closed=True)
    outside.gained.append(outside.report(handle))
    return handle, outside


def test_guard_a_stale_replica_stays_while_the_goal_is_not_met_by_others():
    async def go(safeguards):
        async with master_cluster(servers=4, safeguards=safeguards) as it:
            handle, outside = await stale_beside_too_few(it)
            await some_time(it)
            return handle in outside.replicas

    assert run(lambda: go(ALL_ON))
    assert not run(lambda: go(replace(ALL_ON, keep_last_copy=False))), "the guard is what keeps it"


def test_guard_a_master_that_has_just_started_deletes_nothing():
    async def go(safeguards):
        async with master_cluster(safe_start_s=1000.0, safeguards=safeguards) as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", now=True, once=it.once()))
            absent = it.servers[2]
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                if one is not absent:
                    await one.join()
            for _ in range(20):
                await pass_time(0.01)
            kept = created.first.handle in it.servers[0].replicas
            await absent.join()
            return kept

    assert run(lambda: go(ALL_ON))
    assert not run(lambda: go(replace(ALL_ON, safe_start=False)))


def test_guard_deletions_name_the_exact_version_and_epoch():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            await it.call(Delete(path=b"/f", now=True, once=it.once()))
            await until(it, lambda: all(one.asked(DeleteReplicas) for one in it.servers))
            order = it.servers[0].asked(DeleteReplicas)[0]
            assert order.replicas == [(created.first.handle, created.first.version)]
            assert order.epoch == it.master.epoch

    run(go)


def test_guard_a_busy_chunk_is_left_alone():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            handle = created.first.handle
            async with it.master.reign.turns.hold(handle):
                await it.call(Delete(path=b"/f", now=True, once=it.once()))
                await some_time(it)
                assert handle in it.servers[0].replicas
            await until(it, lambda: handle not in it.servers[0].replicas)

    run(go)


@pytest.mark.parametrize("why,kept", [(Why.ORPHAN, 1000), (Why.STALE, 1000), (Why.PURGED, 1500)])
def test_guard_the_brake_stops_deletions_that_no_purge_explains(why, kept):
    async def go():
        from cairnfs.master.garbage import Garbage

        async with master_cluster(servers=1) as it:
            garbage = Garbage(it.master.reign, lambda: True)
            session = it.master.reign.sessions.of(it.servers[0].server)
            doomed = [Doomed(n, ChunkVersion(1, 1), why) for n in range(1, 1501)]
            assert len(garbage._brake(session, doomed)) == kept
            if why is not Why.PURGED:
                assert garbage.waiting == 500
                assert garbage.warnings()
                assert garbage._brake(session, doomed) == []

    run(go)
