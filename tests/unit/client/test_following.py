"""Rule 7: a follower waits at the primary for the length to grow. Real servers, virtual time."""

import asyncio

import pytest
from tests.support.master_cluster import run
from tests.unit.chunkserver.protocol.cluster import run as run_servers
from tests.unit.master.test_with_real_chunkservers import whole_cluster

from cairnfs.errors import BusyError, NotPrimaryError
from cairnfs.limits import FOLLOWERS_MAX
from cairnfs.sim.world import pass_time

CHUNK = 1 << 20


def rounds(it):
    return sum(one.context.counters.get("rounds", 0) for one in it.servers)


def test_a_follower_hears_of_growth_at_once_and_costs_nothing_before():
    """Goal: a byte is seen in milliseconds, and a wait costs no round of the members and hardly a question.

    Method: wait for three seconds in which nothing happens; count rounds and questions; then append.
    """

    async def go():
        async with whole_cluster() as it:
            await it.client.append("/log", b"one")
            async with await it.client.open("/log", "rb") as file:
                waiting = asyncio.ensure_future(file.wait_longer(3, wait_s=60))
                await pass_time(0.5)
                before, asked = rounds(it), it.client.counters()["master_calls"]
                await pass_time(1.0)
                assert not waiting.done()
                assert rounds(it) == before
                assert it.client.counters()["master_calls"] == asked
                await it.client.append("/log", b"two")
                since_s = it.env.clock.now_s()
                assert await waiting == 6
                assert it.env.clock.now_s() - since_s < 0.05

    run(go)


def test_a_wait_ends_at_its_deadline_and_at_a_truncation():
    async def go():
        async with whole_cluster() as it:
            await it.client.write_bytes("/file", b"12345")
            async with await it.client.open("/file", "rb") as file:
                since_s = it.env.clock.now_s()
                assert await file.wait_longer(5, wait_s=2.5) == 5
                assert 2.4 < it.env.clock.now_s() - since_s < 3.5
                waiting = asyncio.ensure_future(file.wait_longer(5, wait_s=60))
                await pass_time(0.2)
                await it.client.truncate("/file", 2)
                assert await asyncio.wait_for(waiting, 6) == 2

    run(go)


def test_a_follower_goes_on_over_chunk_ends_closings_and_the_death_of_the_primary():
    """Goal: a follower sees every byte, whatever ends the role of the primary at which it waits.

    Method: follow in the background and read what is added; meanwhile fill chunks, let the lease run out, restart
    the master, stop the primary; compare with what was appended.
    """

    async def go():
        async with whole_cluster(servers=4) as it:
            await it.client.append("/log", b"begin")
            seen = bytearray()

            async def follow():
                place = 0
                async with await it.client.open("/log", "rb") as file:
                    while not seen.endswith(b"the end"):
                        length = await file.wait_longer(place, wait_s=3)
                        assert length >= place
                        async for part in file.data(place, length):
                            seen.extend(part)
                        place = length

            following = asyncio.ensure_future(follow())
            wrote = bytearray(b"begin")
            for number in range(12):
                record = bytes([number + 1]) * (CHUNK // 5)
                wrote += record
                await it.client.append("/log", record)
            await pass_time(5.0)
            assert all(row.closed for row in it.rows().values()), "the lease ran out: nobody is there to wait at"
            await it.client.append("/log", b"opened again")
            await it.restart_master()
            await it.client.append("/log", b"after the master")
            await pass_time(0.3)
            row = next(row for row in it.rows().values() if not row.closed)
            await next(one for one in it.servers if one.server_id == row.primary).stop()
            await it.client.append("/log", b"after the primary")
            await it.client.append("/log", b"the end")
            await asyncio.wait_for(following, 60)
            wrote += b"opened again" + b"after the master" + b"after the primary" + b"the end"
            assert seen == wrote

    run(go)


def test_followers_of_one_server_are_bounded():
    """Goal: rule 27. Method: as if all but one wait already; the one more waits, and gives its place back."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"abc")
        context = cluster.servers[cluster.primary(lease)].context
        context.followers = FOLLOWERS_MAX - 1
        waiting = asyncio.ensure_future(cluster.length(lease, longer_than=3, wait_s=10.0))
        await pass_time(0.1)
        with pytest.raises(BusyError):
            await cluster.length(lease, longer_than=3, wait_s=10.0)
        assert await cluster.length(lease) == 3, "who does not wait is not refused"
        await cluster.append(lease, b"def")
        assert await waiting == 6
        assert context.followers == FOLLOWERS_MAX - 1

    run_servers(story)


def test_a_waiting_question_is_refused_when_the_chunk_is_closed():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"abc")
        waiting = asyncio.ensure_future(cluster.length(lease, longer_than=3, wait_s=20.0))
        await pass_time(0.1)
        await cluster.sync(lease, close=True)
        with pytest.raises(NotPrimaryError):
            await asyncio.wait_for(waiting, 1)

    run_servers(story)
