"""GFS paper, section 4.3: re-replication.

"The master re-replicates a chunk as soon as the number of available replicas falls below a user-specified goal. [...]
Each chunk that needs to be re-replicated is prioritized [...]. One is how far it is from its replication goal."
"""

import asyncio

import pytest
from tests.support.fake_chunkserver import Replica
from tests.support.master_cluster import master_cluster, run

from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion
from cairnfs.master.repair import Health, Queue, Work, need_of, urgency_of
from cairnfs.sim.world import pass_time
from cairnfs.wire.master_orders import Clone

FAST = {"repairs_max": 4}


def health(handle, live, *, goal=3, closed=True, has_lease=False, **more):
    return Health(handle=ChunkHandle(handle), goal=goal, live=live, closed=closed, has_lease=has_lease, **more)


def in_order(*chunks):
    queue = Queue()
    for one in chunks:
        queue.put(one.handle, urgency_of(one))
    return queue.first(100)


def test_the_chunk_that_lost_two_replicas_comes_before_the_one_that_lost_one():
    assert in_order(health(1, 2), health(2, 1), health(3, 2)) == [2, 1, 3]


def test_a_chunk_that_blocks_a_client_comes_before_its_equals():
    assert in_order(health(1, 2), health(2, 2, is_wanted=True)) == [2, 1]


def test_a_live_file_comes_before_what_is_in_the_trash():
    assert in_order(health(1, 2, is_trash=True), health(2, 2), health(3, 1, is_trash=True)) == [3, 2, 1]


def test_copies_that_are_to_leave_count_for_readers_but_not_for_the_goal():
    assert need_of(health(1, 2, leaving=1)).work is Work.COPY
    assert need_of(health(1, 3, leaving=1)) is None
    assert need_of(health(1, 0, leaving=2)).work is Work.COPY
    assert in_order(health(1, 2, leaving=1), health(2, 2)) == [2, 1]


def test_a_chunk_that_is_put_again_keeps_its_place_and_moves_when_its_need_does():
    queue = Queue()
    for handle in (1, 2, 3):
        queue.put(handle, 8)
    queue.put(1, 8)
    assert queue.first(2) == [1, 2]
    queue.put(3, 4)
    queue.to_the_end(1)
    assert queue.first(9) == [3, 2, 1]
    queue.drop(2)
    assert queue.first(9) == [3, 1]


def test_a_server_that_may_come_back_is_waited_for_unless_one_copy_is_left():
    assert need_of(health(1, 2, unheard=1)) is None
    assert need_of(health(1, 1, unheard=2)) is not None
    assert need_of(health(1, 1, unheard=1)) is not None


def test_a_healthy_chunk_and_one_without_any_copy_need_nothing():
    assert need_of(health(1, 3)) is None
    assert need_of(health(1, 0)) is None


def test_no_copy_is_left_alone_in_the_record_while_others_may_come_back():
    """Ours: a result makes every replica stale that it does not name, and all of them have what was acknowledged."""
    assert need_of(health(1, 1, closed=False, unheard=2)) is None
    assert need_of(health(1, 0, closed=False, restarted=1, unheard=2)) is None
    assert need_of(health(1, 1, closed=False, restarted=1, unheard=1)).work is Work.REVIVE
    assert need_of(health(1, 1, closed=False)).work is Work.REVIVE


def test_an_open_chunk_without_a_primary_is_revived_and_one_in_use_gets_a_joiner():
    assert need_of(health(1, 2, closed=False)).work is Work.REVIVE
    assert need_of(health(1, 2, closed=False, has_lease=True)).work is Work.JOIN
    assert need_of(health(1, 0, closed=False, restarted=3)).work is Work.REVIVE


async def until(it, is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await it.beat()
            await pass_time(0.01)


def test_a_lost_replica_is_copied_to_another_server():
    async def go():
        async with master_cluster(servers=4, **FAST) as it:
            created = await it.closed()
            handle = created.first.handle
            holder = next(one for one in it.servers if handle in one.replicas)
            spare = next(one for one in it.servers if handle not in one.replicas)
            del holder.replicas[handle]
            holder.lost.append(handle)
            await until(it, lambda: handle in spare.replicas and spare.server in dict(it.record(handle).members))
            assert spare.replicas[handle].data == b"hello"
            assert spare.replicas[handle].closed
            assert len((await it.find(created.attributes.inode))[0].members) == 3

    run(go)


def test_without_a_spare_server_a_lost_replica_is_made_anew_where_it_was():
    async def go():
        async with master_cluster(servers=3, **FAST) as it:
            created = await it.closed()
            handle = created.first.handle
            holder = it.servers[0]
            del holder.replicas[handle]
            holder.lost.append(handle)
            await until(it, lambda: handle in holder.replicas and it.record(handle).closed)
            await until(it, lambda: len(it.master.reign.live_current(it.record(handle), handle)) == 3)
            assert holder.replicas[handle].data == b"hello"

    run(go)


def test_an_open_chunk_in_use_gets_a_joiner_and_is_granted_again():
    async def go():
        async with master_cluster(servers=4, **FAST) as it:
            created = await it.written()
            handle = created.first.handle
            await it.lease(created.attributes.inode)
            out = it.by_id(next(m.server for m in created.first.lease.members if m.server != created.first.primary))
            await out.stop()
            it.servers.remove(out)
            it.master.reign.sessions.of(out.server).heard_s = -1000.0
            spare = next(one for one in it.servers if handle not in one.replicas)
            await until(it, lambda: spare.server in dict(it.record(handle).members))
            record = it.record(handle)
            assert not record.closed
            assert len(record.members) == 3
            assert spare.asked(Clone)[0].joiner
            assert spare.replicas[handle].data == b"hello"
            assert not spare.replicas[handle].incomplete

    run(go)


def test_an_open_chunk_whose_primary_is_dead_is_sealed_with_the_others():
    async def go():
        async with master_cluster(servers=3, **FAST) as it:
            created = await it.written()
            handle = created.first.handle
            dead = it.by_id(created.first.primary)
            await dead.stop()
            it.servers.remove(dead)
            it.master.reign.sessions.of(dead.server).heard_s = -1000.0
            await until(it, lambda: it.record(handle).closed)
            assert it.record(handle).length == 5
            assert dead.server not in dict(it.record(handle).members)

    run(go)


def test_nothing_is_repaired_before_all_known_servers_have_reported():
    async def go():
        async with master_cluster(servers=4, safe_start_s=1000.0, **FAST) as it:
            created = await it.closed()
            handle = created.first.handle
            spare = next(one for one in it.servers if handle not in one.replicas)
            holders = [one for one in it.servers if one is not spare]
            await it.stop_master()
            await it.start_master()
            for one in [spare, *holders[:2]]:
                await one.join()
            for _ in range(20):
                await pass_time(0.01)
            assert handle not in spare.replicas
            await holders[2].join()

    run(go)


async def one_member_gone(it):
    """An open chunk with a lease, one of its members dead; return its handle."""
    created = await it.written()
    await it.lease(created.attributes.inode)
    out = it.by_id(next(m.server for m in created.first.lease.members if m.server != created.first.primary))
    await out.stop()
    it.servers.remove(out)
    it.master.reign.sessions.of(out.server).heard_s = -1000.0
    return created.first.handle


@pytest.mark.parametrize("rests, tries", [([8 << 20, 1 << 20], 2), ([8 << 20] * 5, 3)])
def test_a_joiner_that_cannot_follow_the_writer_is_copied_again_before_the_raise(rests, tries):
    """Goal: rule 13: writers are not held up for more than 4 MiB, and a missing copy is not borne for ever.

    Method: copies that say how much is left; the version must not be raised before it is little, or the third try.
    """

    async def go():
        async with master_cluster(servers=4, **FAST) as it:
            handle = await one_member_gone(it)
            spare = next(one for one in it.servers if handle not in one.replicas)
            spare.rests = list(rests)
            version = it.record(handle).version
            await until(it, lambda: len(spare.asked(Clone)) == tries - 1)
            assert it.record(handle).version == version
            await until(it, lambda: spare.server in dict(it.record(handle).members))
            assert len(spare.asked(Clone)) == tries

    run(go)


def test_an_old_replica_is_copied_over_in_the_background_before_it_joins():
    """Goal: a server that comes back with an old replica holds up no writer while it catches up.

    Method: the only spare server holds the chunk at an older version; it must be told to copy before the raise.
    """

    async def go():
        async with master_cluster(servers=4, **FAST) as it:
            handle = await one_member_gone(it)
            spare = next(one for one in it.servers if handle not in one.replicas)
            old = it.record(handle).version
            spare.replicas[handle] = Replica(ChunkVersion(old.epoch, 0), NO_VERSION, b"old", closed=True)
            spare.gained.append(spare.report(handle))
            await until(it, lambda: spare.server in dict(it.record(handle).members))
            assert spare.asked(Clone)[0].joiner
            assert spare.replicas[handle].data == b"hello"

    run(go)


def test_a_restarted_master_closes_at_once_what_a_promise_of_its_predecessor_has_ended():
    """Ours: no primary can order it any more (rule 2), so nobody waits for the end of a lease that means nothing."""

    async def go():
        async with master_cluster(servers=3, **FAST) as it:
            created = await it.written()
            handle, version = created.first.handle, created.first.version
            await it.stop_master()
            it.servers[0].replicas[handle].promised = ChunkVersion(version.epoch, version.counter + 1)
            await it.start_master()
            for one in it.servers:
                await one.join()
            await it.beat(3)
            await pass_time(1.0)
            assert it.record(handle).closed

    run(go)
