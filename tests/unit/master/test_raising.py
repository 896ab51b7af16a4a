"""Rules 2, 3, 19, 20: raising a chunk to a new version."""

import asyncio

import pytest
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import NoCopyError, TooFewCopiesError
from cairnfs.ids import ChunkVersion
from cairnfs.sim.world import pass_time
from cairnfs.wire.master_orders import Exclude, Open, Promise, Reconcile


def test_a_new_file_comes_with_its_chunk_and_a_lease_in_one_call():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            lease = created.first.lease
            assert lease.is_new
            assert lease.fence_done
            assert len(lease.members) == 3
            assert lease.primary == created.first.primary
            assert lease.anchor_s > 0
            assert all(not one.told for one in it.servers), "a token needs no order"

    run(go)


def test_a_second_writer_of_a_new_chunk_gets_the_same_lease_opened_by_the_master():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            place = await it.lease(created.attributes.inode)
            assert place.version == created.first.version
            assert place.primary == created.first.primary
            assert [len(one.asked(Open)) for one in it.servers] == [1, 1, 1]
            assert not any(one.asked(Promise) for one in it.servers)

    run(go)


def test_there_is_at_most_one_lease_however_many_ask_at_once():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            places = await asyncio.gather(*[it.lease(created.attributes.inode) for _ in range(20)])
            assert len({(place.version, place.primary) for place in places}) == 1
            assert places[0].version > created.first.version
            assert it.master.counters.get("raises") == 1
            assert len(it.master.reign.leases) == 1

    run(go)


def test_a_failed_target_burns_the_number_and_is_excluded_before_the_version_opens():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            first = created.first
            dead = it.by_id(next(m.server for m in first.lease.members if m.server != first.primary))
            dead.silent.add("Promise")
            await it.lease(created.attributes.inode)  # the master knows it as opened
            place = await it.lease(created.attributes.inode, failed=first.version)
            assert place.version.counter >= first.version.counter + 2, "the first number was burnt"
            assert dead.server not in [m.server for m in place.members]
            assert it.master.counters.get("raises_burnt") == 1
            record = it.record(first.handle)
            assert record.version == place.version
            assert len(record.members) == 2
            promised = {r.version for one in it.servers for r in one.asked(Promise)}
            assert len(promised) == 2
            await pass_time(0.05)
            assert [(e.handle, e.below) for e in dead.exclusions] == [(first.handle, place.version)]
            assert dead.asked(Exclude)

    run(go)


def test_the_result_is_logged_only_after_every_target_was_reconciled():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            handle = created.first.handle
            await it.lease(created.attributes.inode)
            before = it.record(handle)
            slow = it.servers[1]
            go_on = slow.held_back["Reconcile"] = asyncio.Event()
            asked = asyncio.ensure_future(it.lease(created.attributes.inode, failed=before.version))
            while not slow.asked(Reconcile):
                await pass_time(0.001)
            assert it.record(handle) == before, "result before reconciliation"
            go_on.set()
            place = await asked
            assert it.record(handle).version == place.version > before.version

    run(go)


def test_all_replicas_become_equal_to_the_one_with_the_most_mutations():
    async def go():
        async with master_cluster() as it:
            created = await it.written(data=b"abc")
            handle = created.first.handle
            it.servers[2].replicas[handle].data = b"abcdef"
            it.servers[2].replicas[handle].serial = 2
            await it.lease(created.attributes.inode)
            await it.lease(created.attributes.inode, failed=created.first.version)
            assert [one.replicas[handle].data for one in it.servers] == [b"abcdef"] * 3
            assert it.record(handle).base_length == 6

    run(go)


def test_a_replica_is_current_because_the_record_names_it_not_by_its_version():
    async def go():
        async with master_cluster(servers=4) as it:
            created = await it.closed()
            handle = created.first.handle
            outside = next(one for one in it.servers if handle not in one.replicas)
            from tests.support.fake_chunkserver import Replica

            high = ChunkVersion(1, 900)
            outside.replicas[handle] = Replica(high, high, b"stale!", closed=True)
            outside.gained.append(outside.report(handle))
            await outside.beat()
            places = await it.find(created.attributes.inode)
            assert outside.server not in [m.server for m in places[0].members]
            assert [(e.handle, e.below > high) for e in outside.exclusions] == [(handle, True)]
            opened = await it.lease(created.attributes.inode)
            assert outside.server not in [m.server for m in opened.members]
            assert {one.replicas[handle].data for one in it.servers if one is not outside} == {b"hello"}

    run(go)


def test_too_few_members_are_refused_and_the_record_stays():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            before = it.record(created.first.handle)
            for one in it.servers[1:]:
                one.silent.add("Promise")
            with pytest.raises(TooFewCopiesError):
                await it.lease(created.attributes.inode)
            assert it.record(created.first.handle) == before

    run(go)


def test_without_any_member_there_is_no_copy():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            for one in it.servers:
                one.silent.add("Promise")
            with pytest.raises(NoCopyError):
                await it.lease(created.attributes.inode)

    run(go)


def test_a_restarted_member_of_an_open_chunk_comes_back_by_a_raise():
    async def go():
        async with master_cluster() as it:
            created = await it.written(data=b"abc")
            handle = created.first.handle
            restarted = it.by_id(
                next(m.server for m in created.first.lease.members if m.server != created.first.primary)
            )
            await it.lease(created.attributes.inode)
            restarted.replicas[handle].data = b"ab"
            await restarted.crash()
            await restarted.start()
            assert restarted.exclusions
            assert all((e.handle, e.below > created.first.version) == (handle, True) for e in restarted.exclusions)
            assert restarted.server not in [m.server for m in (await it.find(created.attributes.inode))[0].members]
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            assert restarted.replicas[handle].data == b"abc"
            assert restarted.boot in [m.boot for m in place.members]

    run(go)


def test_a_broken_continuity_is_recorded():
    async def go():
        async with master_cluster() as it:
            created = await it.written(data=b"abc")
            handle = created.first.handle
            await it.lease(created.attributes.inode)
            for one in it.servers:
                one.replicas[handle].plain_writes = True
                await one.crash()
                await one.start()
            place = await it.lease(created.attributes.inode)
            assert place.broken_at == place.version == it.record(handle).broken_at

    run(go)


def test_closing_is_recorded_only_at_the_records_version():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            await it.lease(created.attributes.inode)
            await it.lease(created.attributes.inode, failed=created.first.version)
            await it.by_id(created.first.primary).close(created.first.lease)
            record = it.record(created.first.handle)
            assert not record.closed

    run(go)
