"""GFS paper, section 3.1, "Leases and Mutation Order", sentence by sentence, on three real chunkservers."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import MIB, pass_time, run

from cairnfs.errors import MutationFailedError, NotPrimaryError, StaleVersionError
from cairnfs.ids import DataId


def test_the_primary_picks_a_serial_order_for_all_mutations_and_all_replicas_follow_it():
    """ "The primary picks a serial order for all mutations to the chunk. All replicas follow this order." """

    async def story(cluster):
        lease = await cluster.new_chunk()
        writes = [cluster.write(lease, 0, bytes([number]) * 3000, client=number) for number in range(1, 30)]
        written = await asyncio.gather(*writes)
        assert sorted(reply.serial for reply in written) == list(range(1, 30))
        last = max(range(29), key=lambda index: written[index].serial) + 1
        for name in "abc":
            assert await cluster.read(name, lease, 0, 3000) == bytes([last]) * 3000

    run(story)


def test_the_initial_lease_lasts_as_long_as_the_master_says_and_extensions_ride_on_heartbeats():
    """ "These extension requests and grants are piggybacked on the HeartBeat messages." """

    async def story(cluster):
        lease = await cluster.new_chunk()
        for _ in range(30):
            await cluster.append(lease, b"x")
            await pass_time(1)
        assert (await cluster.info("a", 1)).lease_left_s > 0
        asked = [beat for beat in cluster.master.heartbeats if beat.leases == [(1, lease.version)]]
        assert len(asked) > 10

        cluster.master.renews = False
        await pass_time(11)
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"x")

    run(story, lease_s=10.0)


def test_the_master_can_grant_a_new_lease_after_it_has_revoked_the_old_one():
    """ "The master may sometimes try to revoke a lease before it expires." Ours: by a promise, without waiting."""

    async def story(cluster):
        old = await cluster.new_chunk()
        await cluster.append(old, b"old")
        new = await cluster.raise_(1, primary="b")
        with pytest.raises((NotPrimaryError, StaleVersionError)):
            await cluster.append(old, b"x")
        assert (await cluster.append(new, b"new")).offset == 3

    run(story)


def test_a_write_flows_in_the_seven_steps_of_figure_2():
    """Data to all replicas first, then the write request to the primary, then the orders, then one reply."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        data = b"d" * MIB
        await cluster.push(DataId(1), data, "cba")  # step 3: in any order, not by way of the primary
        for name in "abc":
            assert cluster.servers[name].context.pushed.held_bytes == MIB
            assert (await cluster.info(name, 1)).length == 0
        await cluster.write(lease, 0, data, pushed=DataId(1))  # steps 4 to 7
        cluster.assert_equal(1)
        assert {(await cluster.info(name, 1)).serial for name in "abc"} == {1}

    run(story)


def test_an_error_at_any_replica_is_reported_to_the_client():
    """ "Any errors encountered at any of the replicas are reported to the client." Ours: none stays inconsistent."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"old")
        cluster.world.crash("b")
        with pytest.raises(MutationFailedError):
            await cluster.write(lease, 0, b"new", sequence=500)
        lease = await cluster.raise_(1, "ac")
        await cluster.write(lease, 0, b"new", sequence=500)
        cluster.assert_equal(1, "ac")
        assert await cluster.read("c", lease, 0, 3) == b"new"

    run(story)
