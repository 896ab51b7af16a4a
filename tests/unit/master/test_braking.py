"""The brake on deletions, and an operator's word. Rule 22."""

import asyncio

from tests.support.fake_chunkserver import Replica
from tests.support.master_cluster import master_cluster, run

from cairnfs.ids import NO_VERSION, ChunkVersion, ServerId
from cairnfs.limits import DELETE_BRAKE_COUNT
from cairnfs.master.braking import Brake, HeldBack
from cairnfs.meta.commands import TakeHandle
from cairnfs.sim.world import pass_time
from cairnfs.units import HOUR_S
from cairnfs.wire.operating import GetDeletions, ReleaseDeletions

A, B = ServerId(1), ServerId(2)
OLD = ChunkVersion(0, 1)


def hold(brake, server, count):
    brake.held[server] = HeldBack()
    for handle in range(count):
        brake.held[server].note(handle, orphan=True)


def test_an_hour_has_a_thousand_or_a_twentieth():
    brake = Brake()
    assert brake.take(A, 1500, replicas=1500, now_s=0.0) == DELETE_BRAKE_COUNT
    assert brake.take(A, 500, replicas=500, now_s=HOUR_S - 1) == 0
    assert brake.take(B, 500, replicas=500, now_s=0.0) == 500, "each server has its own"
    assert brake.take(A, 500, replicas=500, now_s=HOUR_S + 1) == 500
    assert Brake().take(A, 9000, replicas=100_000, now_s=0.0) == 5000


def test_what_was_released_is_a_number_that_is_used_up():
    brake = Brake()
    brake.take(A, 1500, replicas=1500, now_s=0.0)
    hold(brake, A, 500)
    assert brake.release(A, now_s=1.0) == 500
    assert brake.take(A, 300, replicas=500, now_s=2.0) == 300
    assert brake.released(A, now_s=2.0) == 200
    assert brake.take(A, 700, replicas=700, now_s=3.0) == 200, "more that turn up later are held"
    assert brake.take(A, 1, replicas=1, now_s=4.0) == 0


def test_a_release_is_of_one_server_and_ends_after_an_hour():
    brake = Brake()
    brake.take(A, 1000, replicas=1000, now_s=0.0)
    hold(brake, A, 5)
    assert brake.release(B, now_s=1.0) == 0
    assert brake.release(A, now_s=1.0) == 5
    assert brake.released(B, now_s=1.0) == 0
    assert brake.released(A, now_s=1.0 + HOUR_S) == 0


async def with_orphans(it, count):
    """One server with so many replicas that no file ever used."""
    await asyncio.gather(*[it.master.reign.execute(TakeHandle()) for _ in range(count)])
    one = it.servers[0]
    for handle in range(1, count + 1):
        one.replicas[handle] = Replica(OLD, NO_VERSION, b"", closed=True)
        one.gained.append(one.report(handle))
    await one.beat()
    return one


async def until(it, is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await it.beat()
            await pass_time(0.01)


def test_an_operator_sees_what_is_held_and_lets_it_go():
    """Goal: held deletions are listed with their kind, stay until released, and then go; what comes later is held.

    Method: 1,200 orphans on one server of a real master; ask and release over the wire.
    """

    async def go():
        async with master_cluster(servers=2) as it:
            one = await with_orphans(it, 1200)
            await until(it, lambda: len(one.replicas) == 200)
            for _ in range(10):
                await it.beat()
                await pass_time(0.02)
            assert len(one.replicas) == 200
            held = (await it.call(GetDeletions())).held
            assert [(each.server, each.address, each.orphans, each.stale, each.released) for each in held] == [
                (one.server, one.address, 200, 0, 0)
            ]
            assert set(held[0].handles) <= set(one.replicas)
            assert (await it.call(ReleaseDeletions(server=it.servers[1].server))).count == 0
            assert (await it.call(ReleaseDeletions(server=one.server))).count == 200
            await until(it, lambda: not one.replicas)
            await until(it, lambda: not it.master.reign.inventory.count(one.server))
            await pass_time(0.2)
            assert not (await it.call(GetDeletions())).held
            one.replicas[7] = Replica(OLD, NO_VERSION, b"", closed=True)
            one.gained.append(one.report(7))
            for _ in range(10):
                await it.beat()
                await pass_time(0.02)
            assert 7 in one.replicas

    run(go)
