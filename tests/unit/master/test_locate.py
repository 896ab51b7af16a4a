"""Where chunks are and who orders them, as clients ask. Rules 2, 3, 18, 19, 20."""

import asyncio

import pytest
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import ChunkFullError, NotFoundError, NotLeaderError
from cairnfs.ids import ChunkVersion
from cairnfs.sim.world import pass_time
from cairnfs.wire.locations import LeaseChunk
from cairnfs.wire.master_orders import Open, Promise
from cairnfs.wire.namespace import CreateFile, Delete, MakeFolder, SetReplicas, Stat


def test_a_chunk_is_added_at_any_index_and_holes_are_missing_from_places():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            place = await it.lease(created.attributes.inode, index=3, create=True)
            assert place.lease.is_new
            assert place.index == 3
            found = await it.find(created.attributes.inode, 0, 10)
            assert [one.index for one in found] == [0, 3]

    run(go)


def test_two_who_add_the_same_chunk_get_one():
    async def go():
        async with master_cluster() as it:
            inode = (await it.create()).attributes.inode
            places = await asyncio.gather(*[it.lease(inode, index=1, create=True) for _ in range(8)])
            assert len({one.handle for one in places}) == 1

    run(go)


def test_a_chunk_that_is_not_there_is_not_made_unless_asked_for():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            with pytest.raises(NotFoundError):
                await it.lease(created.attributes.inode, index=1)

    run(go)


def test_a_repeated_create_gets_the_first_answer_with_its_lease():
    async def go():
        async with master_cluster() as it:
            request = CreateFile(path=b"/f", with_chunk=True, once=it.once())
            first, again = await it.call(request), await it.call(request)
            assert again.created
            assert first.first == again.first

    run(go)


def test_a_new_chunk_that_nobody_wrote_survives_the_death_of_its_primary():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            dead = it.by_id(created.first.primary)
            await dead.stop()
            it.servers.remove(dead)
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            assert place.primary not in (0, dead.server)
            assert all(one.replicas[place.handle].data == b"" for one in it.servers)

    run(go)


def test_who_cannot_reach_the_primary_gets_another_one():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            await it.lease(created.attributes.inode)
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            assert place.primary != created.first.primary
            assert len(place.members) == 3, "it answered the probe, so it stays a member"

    run(go)


def test_an_old_complaint_raises_nothing():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            await it.lease(created.attributes.inode)
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            again = await it.lease(created.attributes.inode, failed=created.first.version)
            assert again.version == place.version

    run(go)


def test_a_primary_that_does_not_take_its_role_is_replaced():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            first = created.first.primary
            for one in it.servers:
                if one.server == first:
                    one.silent.add("Open")
            place = await it.lease(created.attributes.inode, near=it.by_id(first).address)
            assert place.primary != first
            assert it.by_id(place.primary).asked(Open)

    run(go)


def test_stat_names_the_open_tail_and_a_closed_file_has_an_exact_length():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            status = await it.stat()
            assert status.tail.handle == created.first.handle
            assert status.tail.primary == created.first.primary
            await it.by_id(created.first.primary).close(created.first.lease)
            status = await it.stat()
            assert status.tail is None
            assert status.attributes.length == 5

    run(go)


def test_the_folders_number_of_copies_counts():
    async def go():
        async with master_cluster() as it:
            await it.call(MakeFolder(path=b"/d", once=it.once()))
            await it.call(SetReplicas(path=b"/d", replicas=1, once=it.once()))
            assert len((await it.create(b"/d/f")).first.lease.members) == 1

    run(go)


def test_after_a_restart_of_the_master_a_raise_waits_for_members_that_are_about_to_register():
    async def go():
        async with master_cluster(heartbeat_s=1.0) as it:
            created = await it.closed()
            await it.stop_master()
            await it.start_master()
            for one in it.servers[:2]:
                await one.join()
            asked = asyncio.ensure_future(it.lease(created.attributes.inode))
            for _ in range(10):
                await pass_time(0.005)
            assert not any(one.asked(Promise) for one in it.servers)
            await it.servers[2].join()
            assert len((await asked).members) == 3

    run(go)


def test_a_deposed_master_answers_and_orders_nothing_more():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            it.servers[0].epoch = 99
            with pytest.raises(NotLeaderError):
                await it.lease(created.attributes.inode)
            with pytest.raises(NotLeaderError):
                await it.call(Stat(path=b"/f"))
            with pytest.raises(NotLeaderError):
                await it.call(Delete(path=b"/f", once=it.once()))
            with pytest.raises(NotLeaderError):
                await it.servers[1].beat()

    run(go)


def test_an_append_to_a_chunk_with_one_member_left_is_told_at_once_to_go_on_in_the_next():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            for one in it.servers[1:]:
                await one.stop()
                it.master.reign.sessions.of(one.server).heard_s = -1000.0
            it.servers = it.servers[:1]
            with pytest.raises(ChunkFullError):
                await it.call(LeaseChunk(inode=created.attributes.inode, index=0, append=True))

    run(go)


def test_after_a_restart_of_the_master_a_lease_that_a_promise_has_ended_is_not_granted_again():
    """Rule 2: the raise of a master that died may have gone no further than one promise."""

    async def go():
        async with master_cluster() as it:
            created = await it.written()
            await it.stop_master()
            it.servers[0].replicas[created.first.handle].promised = above(created.first.version)
            await it.start_master()
            for one in it.servers:
                await one.join()
            place = await it.lease(created.attributes.inode)
            assert place.version > above(created.first.version)
            assert len(place.members) == 3

    run(go)


def above(version):
    return ChunkVersion(version.epoch, version.counter + 1)
