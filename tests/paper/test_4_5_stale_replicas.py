"""GFS paper, section 4.5: stale replica detection.

"Chunk replicas may become stale if a chunkserver fails and misses mutations to the chunk while it is down. For each
chunk, the master maintains a chunk version number [...]. The master will detect that this chunkserver has a stale
replica when the chunkserver restarts and reports its set of chunks and their associated version numbers."
"""

import asyncio

from tests.support.master_cluster import master_cluster, run

from cairnfs.sim.world import pass_time


async def with_a_server_that_missed_a_mutation(it):
    created = await it.closed()
    handle = created.first.handle
    away = next(one for one in it.servers if handle in one.replicas and one.server != created.first.primary)
    await away.crash()
    it.master.reign.sessions.of(away.server).heard_s = -1000.0
    place = await it.lease(created.attributes.inode)
    for member in place.members:
        it.by_id(member.server).replicas[handle].data = b"newer"
    return created, away, place


def test_a_server_that_missed_a_version_is_excluded_when_it_comes_back():
    async def go():
        async with master_cluster() as it:
            created, away, place = await with_a_server_that_missed_a_mutation(it)
            handle = created.first.handle
            await away.start()
            assert all((e.handle, e.below) == (handle, place.version) for e in away.exclusions)
            assert away.exclusions
            members = [m.server for m in (await it.find(created.attributes.inode))[0].members]
            assert away.server not in members
            assert len(members) == 2

    run(go)


def test_the_master_never_mentions_a_stale_replica_to_clients_and_removes_it_once_the_goal_is_met():
    async def go():
        async with master_cluster(servers=4, repairs_max=4) as it:
            created, away, _ = await with_a_server_that_missed_a_mutation(it)
            handle = created.first.handle
            await away.start()
            async with asyncio.timeout(20):
                while len(it.record(handle).members) < 3 or away.server in dict(it.record(handle).members):
                    await it.beat()
                    if away.server in dict(it.record(handle).members):
                        break  # it was brought back by a raise, with the new bytes
                    await pass_time(0.01)
            if away.server in dict(it.record(handle).members):
                assert away.replicas[handle].data == b"newer"

    run(go)


def test_a_primary_that_missed_its_grant_is_told_again_with_its_heartbeats():
    async def go():
        from cairnfs.wire.master_orders import Open

        async with master_cluster() as it:
            created = await it.closed()
            slow = it.by_id(next(m.server for m in created.first.lease.members if m.server != created.first.primary))
            slow.silent.add("Open")
            place = await it.lease(created.attributes.inode)
            assert slow.server in [m.server for m in place.members]
            slow.silent.clear()
            told = len(slow.asked(Open))
            async with asyncio.timeout(20):
                while len(slow.asked(Open)) == told:
                    await it.beat()
                    await pass_time(0.01)
            assert slow.replicas[place.handle].lease.version == place.version

    run(go)
