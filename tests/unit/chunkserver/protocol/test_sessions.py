"""Belonging to the cluster: sessions, reports, heartbeats and stopping. Rules 2, 4, 5 and 20."""

import logging

import pytest
from tests.unit.chunkserver.protocol.cluster import NAMES, pass_time, run

from cairnfs.errors import ChunkMissingError, MutationFailedError, NotReadableError, WrongClusterError


def test_a_server_registers_and_reports_all_it_has():
    async def story(cluster):
        lease = await cluster.new_chunk()
        closed = await cluster.new_chunk(2)
        for each in (lease, closed):
            await cluster.append(each, b"12345")
        await cluster.sync(closed, close=True)
        await cluster.restart("b")
        session = max(session for _, session in cluster.master.reported)
        open_, shut = (cluster.master.reported[handle, session] for handle in (1, 2))
        assert (open_.unbroken, open_.closed, open_.length) == (False, False, 5)
        assert (shut.unbroken, shut.closed, shut.length) == (True, True, 5)

    run(story)


def test_a_refusal_that_needs_a_person_is_an_error_said_once_a_minute(caplog):
    """Method: the master refuses for two and a half minutes, and then does not."""

    async def story(cluster):
        cluster.master.refusal = WrongClusterError(what="the disk", expected="c" * 32, found="d" * 32)
        await cluster.restart("b")
        await pass_time(150)
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(said) == 3
        assert all("d" * 32 in text for text in said)
        cluster.master.refusal = None
        await cluster.settle()
        assert cluster.servers["b"].context.standing.session

    with caplog.at_level(logging.ERROR):
        run(story)


def test_gained_replicas_are_reported_until_a_heartbeat_is_answered():
    async def story(cluster):
        cluster.master.silent = True
        await pass_time(2)
        await cluster.new_chunk()
        await pass_time(5)
        cluster.master.silent = False
        await cluster.settle(6)
        gained = [beat for beat in cluster.master.heartbeats for replica in beat.gained if replica.handle == 1]
        assert len({beat.boot for beat in gained}) == 3
        count = len(cluster.master.heartbeats)
        await cluster.settle()
        assert not any(beat.gained for beat in cluster.master.heartbeats[count:])

    run(story)


def test_a_new_session_serves_nothing_before_its_first_renewal():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.sync(lease, close=True)
        cluster.master.serves = False
        await cluster.restart("b")
        with pytest.raises(NotReadableError):
            await cluster.read("b", lease, 0, 5)
        cluster.master.serves = True
        await cluster.settle()
        assert await cluster.read("b", lease, 0, 5) == b"12345"

    run(story)


def test_a_new_master_gets_a_new_session():
    async def story(cluster):
        registered = len(cluster.master.registered)
        assert registered == 3
        cluster.master.registered.clear()
        cluster.master.epoch = 2
        await cluster.settle(5)
        assert len(cluster.master.registered) == 3
        assert all(request.epoch_seen == 2 for request in cluster.master.registered.values())

    run(story)


def test_a_new_session_of_the_same_boot_ends_the_old_serving_lease():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.sync(lease, close=True)
        await cluster.settle()
        cluster.master.serves = False
        cluster.master.epoch = 2
        await cluster.settle()
        with pytest.raises(NotReadableError):
            await cluster.read("b", lease, 0, 5)

    run(story)


def test_a_failed_disk_is_reported_with_all_it_held_and_acks_nothing():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        cluster.world.tree("c", "/c").faults.fail_writes = True
        with pytest.raises(MutationFailedError):
            await cluster.append(lease, b"record", sequence=900)
        await cluster.settle()
        assert next(cluster.master.sessions) > 4  # it has reported anew
        failed = [beat for beat in cluster.master.heartbeats if any(disk.failed for disk in beat.disks)]
        assert {beat.boot for beat in failed} == {cluster.servers["c"].boot}
        with pytest.raises(ChunkMissingError):
            await cluster.read("c", lease, 0, 5)
        lease = await cluster.raise_(1, "ab")
        assert (await cluster.append(lease, b"record", sequence=900)).offset == 5

    run(story)


def test_a_full_disk_acks_nothing_and_the_others_go_on():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        cluster.world.tree("a", "/a").faults.is_full = True
        with pytest.raises(MutationFailedError):
            await cluster.append(lease, b"record", sequence=900)
        assert cluster.servers["a"].server_id in [report.suspect for report in cluster.master.suspects]
        lease = await cluster.raise_(1, "bc", primary="b")
        assert (await cluster.append(lease, b"record", sequence=900)).offset == 5
        cluster.assert_equal(1, "bc")

    run(story)


def test_a_stopping_server_closes_its_chunks():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.servers["a"].stop()
        assert [(report.handle, report.length) for report in cluster.master.closed] == [(1, 5)]
        for name in "bc":
            assert (await cluster.info(name, 1)).closed
        await cluster.boot("a")
        await cluster.settle()
        assert (await cluster.info("a", 1)).closed
        assert await cluster.read("a", lease, 0, 5) == b"12345"

    run(story)


def test_a_server_that_is_told_nothing_by_its_master_still_orders_to_the_end_of_its_lease():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        cluster.master.silent = True
        for _ in range(10):
            await pass_time(1)
            await cluster.append(lease, b"x")
        await pass_time(60)
        for name in NAMES:
            assert (await cluster.info(name, 1)).closed
        cluster.master.silent = False
        await cluster.settle(8)
        assert {(report.handle, report.length) for report in cluster.master.closed} == {(1, 15)}

    run(story)
