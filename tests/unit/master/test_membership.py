"""Rules 2, 4, 5, 6, 9, 20: sessions, exclusions, fences, takeover."""

import asyncio

import pytest
from tests.support.fake_chunkserver import FakeChunkserver, Replica
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import BadRequestError, NotLeaderError, SessionLostError
from cairnfs.ids import BootId, ChunkVersion
from cairnfs.sim.world import pass_time
from cairnfs.wire.master_orders import FenceDone, Open
from cairnfs.wire.membership import Register, ReportReplicas
from cairnfs.wire.namespace import Truncate


def member(it, created, *, primary):
    first = created.first
    return it.by_id(next(m.server for m in first.lease.members if (m.server == first.primary) == primary))


def test_a_session_serves_nothing_before_its_full_report_was_compared():
    async def go():
        async with master_cluster() as it:
            one = FakeChunkserver(it.env, it.world, 9, it.master.address)
            it.servers.append(one)
            await one.start(register=False)
            answer = await one.join(last=False)
            assert not answer.serves
            await one.caller.call(
                one.master, ReportReplicas(session=one.session, page=1, last=True, replicas=[]), timeout_s=5
            )
            assert (await one.beat()).serves

    run(go)


def test_the_same_server_id_at_another_live_address_is_refused():
    async def go():
        async with master_cluster() as it:
            twin = FakeChunkserver(it.env, it.world, 1, it.master.address)
            twin.boots = 5
            await twin.start(register=False)
            with pytest.raises(BadRequestError):
                await twin.join()
            await twin.stop()
            assert (await it.servers[0].beat()).serves, "the first one lives on"

    run(go)


def test_a_server_that_restarts_at_another_port_keeps_its_name():
    async def go():
        async with master_cluster() as it:
            one = it.servers[0]
            await one.crash()
            await one.start()
            assert it.master.reign.sessions.of(one.server).boot == one.boot

    run(go)


def test_a_server_that_has_seen_a_later_master_is_not_taken():
    async def go():
        async with master_cluster() as it:
            it.servers[0].epoch = 99
            with pytest.raises(NotLeaderError):
                await it.servers[0].join()

    run(go)


def test_a_heartbeat_of_another_boot_is_refused():
    async def go():
        async with master_cluster() as it:
            it.servers[0].boot = BootId(12345)
            with pytest.raises(SessionLostError):
                await it.servers[0].beat()

    run(go)


def test_a_renewal_carries_every_unconfirmed_exclusion():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            out = member(it, created, primary=False)
            out.silent |= {"Promise", "Exclude"}
            await it.lease(created.attributes.inode)
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            for _ in range(2):
                out.confirmed = 0  # it has not heard the answer
                answer = await out.beat()
                assert answer.serves
                assert [(e.handle, e.below) for e in answer.exclusions] == [(created.first.handle, place.version)]
            assert (await out.beat()).exclusions == [], "confirmed"

    run(go)


def test_an_overwrite_waits_for_the_excluded_server_and_no_longer():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            out = member(it, created, primary=False)
            out.silent |= {"Promise", "Exclude"}
            await it.lease(created.attributes.inode)
            place = await it.lease(created.attributes.inode, failed=created.first.version)
            primary = it.by_id(place.primary)
            assert [order.lease.fence_done for order in primary.asked(Open)][-1] is False
            primary.fences_wanted = [(place.handle, place.version)]
            assert (await primary.beat()).fences_done == []
            await out.beat()
            assert (await primary.beat()).fences_done == [], "told, not confirmed"
            await out.beat()
            assert (await primary.beat()).fences_done == [place.handle]
            while not primary.asked(FenceDone):
                await pass_time(0.005)

    run(go)


def test_a_fence_is_not_done_while_a_raise_or_copy_may_not_have_excluded_anybody_yet():
    async def go():
        async with master_cluster(servers=4) as it:
            created = await it.closed()
            place = await it.lease(created.attributes.inode)
            primary = it.by_id(place.primary)
            primary.fences_wanted = [(place.handle, place.version)]
            async with it.master.reign.turns.hold(place.handle):
                assert (await primary.beat()).fences_done == []
            assert (await primary.beat()).fences_done == [place.handle]

    run(go)


def test_a_full_set_has_no_fence():
    async def go():
        async with master_cluster(servers=4) as it:
            created = await it.closed()
            place = await it.lease(created.attributes.inode)
            assert all(order.lease.fence_done for order in it.by_id(place.primary).asked(Open))

    run(go)


def test_a_new_master_takes_servers_that_have_not_reported_for_pending():
    async def go():
        async with master_cluster(servers=4) as it:
            created = await it.closed()
            outside = next(one for one in it.servers if created.first.handle not in one.replicas)
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                if one is not outside:
                    await one.join()
            place = await it.lease(created.attributes.inode)
            primary = it.by_id(place.primary)
            assert primary.asked(Open)[-1].lease.fence_done is False
            await outside.join()
            primary.fences_wanted = [(place.handle, place.version)]
            assert (await primary.beat()).fences_done == [place.handle]

    run(go)


def test_a_takeover_disturbs_no_writer():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            await it.lease(created.attributes.inode)
            primary = it.by_id(created.first.primary)
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                await one.join()
            primary.leases = [(created.first.handle, created.first.version)]
            answer = await primary.beat()
            assert answer.renewed == [created.first.handle]
            raises = it.master.counters.get("raises")
            place = await it.lease(created.attributes.inode)
            assert (place.version, place.primary) == (created.first.version, primary.server)
            assert raises == it.master.counters.get("raises") == 0

    run(go)


def test_a_lease_of_another_version_or_primary_is_not_adopted():
    async def go():
        async with master_cluster() as it:
            created = await it.written()
            other = member(it, created, primary=False)
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                await one.join()
            other.leases = [(created.first.handle, created.first.version)]
            assert (await other.beat()).renewed == []
            primary = it.by_id(created.first.primary)
            primary.leases = [(created.first.handle, ChunkVersion(1, 999))]
            assert (await primary.beat()).renewed == []

    run(go)


def test_a_suspect_report_raises_without_the_silent_member():
    async def go():
        from cairnfs.wire.membership import ReportSuspect, SuspectReport

        async with master_cluster() as it:
            created = await it.written()
            await it.lease(created.attributes.inode)
            primary, accused = member(it, created, primary=True), member(it, created, primary=False)
            accused.silent |= {"HoldVersion", "Promise"}
            report = SuspectReport(
                handle=created.first.handle, version=created.first.version, suspect=accused.server, why="silent"
            )
            await primary.caller.call(
                it.master.address, ReportSuspect(session=primary.session, report=report), timeout_s=5
            )
            while it.record(created.first.handle).version == created.first.version:
                await pass_time(0.01)
            assert accused.server not in dict(it.record(created.first.handle).members)
            assert it.master.counters.get("raises_burnt") == 0, "the probe spared a number"

    run(go)


def test_a_truncation_is_answered_when_cached_places_cannot_be_read_any_more():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            slow = it.servers[0]
            slow.silent.add("Exclude")
            asked = asyncio.ensure_future(it.call(Truncate(inode=created.attributes.inode, length=0, once=it.once())))
            for one in it.servers[1:]:
                while not any(e.barrier for e in one.exclusions):
                    await pass_time(0.005)
            assert not asked.done()
            await slow.beat()
            await slow.beat()
            assert (await asked).attributes.length == 0

    run(go)


def test_a_replica_above_all_that_the_master_knows_stops_every_deletion():
    async def go():
        async with master_cluster() as it:
            one = it.servers[0]
            one.replicas[12345] = Replica(ChunkVersion(7, 7), ChunkVersion(7, 7), b"x", closed=True)
            one.replicas[12346] = Replica(ChunkVersion(1, 0), ChunkVersion(1, 0), b"x", closed=True)
            await one.join()
            await pass_time(0.2)
            assert 12346 in one.replicas
            assert it.master.reign.rolled_back

    run(go)


def test_registering_twice_ends_the_older_session():
    async def go():
        async with master_cluster() as it:
            one = it.servers[0]
            older = one.session
            await one.join()
            newer, one.session = one.session, older
            with pytest.raises(SessionLostError):
                await one.beat()
            one.session = newer
            assert (await one.beat()).serves
            assert Register is not None

    run(go)
