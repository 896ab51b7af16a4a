"""S3 to S6: leases, clocks, pauses and the death of a primary."""

import pytest
from tests.sim.scenarios.playing import notice, play

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.scenes.orders import reconcile_before_result
from cairnfs.sim.scenes.reads import serving_lease
from cairnfs.sim.scenes.tales import stopped_primary
from cairnfs.sim.stage import Stage, content

STATES = ("lost", "late")


def two_primaries(rate: float):
    """Return a scene: the old primary can reach writers and members, not the master, and its clock is wrong."""

    async def scene(stage: Stage) -> None:
        await stage.make(1)
        old, new = await stage.writer("old"), await stage.writer("new")
        await old.write(2)
        primary = stage.primary
        stage.world.host(primary).clock.set_rate(rate)
        stage.world.cut(primary, MASTER)
        await stage.raise_without(primary)
        for number in (3, 4, 5):
            await new.write(number)
        await old.write(6)
        for name in stage.members:
            reader = await stage.reader(name)
            assert await reader.show() == 6, "I11: acked in one order and applied in another"

    return scene


@pytest.mark.parametrize("rate", [0.96, 0.25, 10.0])
def test_s03_two_primaries_under_drift_and_delay(rate: float) -> None:
    """Goal: I11 with any clock, I12; contract 6, rules 2 and 11.

    Method: the primary's clock drifts within the bound, or is broken; the master, which it cannot reach, grants to
    another; writers go on with both.
    """
    play(two_primaries(rate), range(2))


def test_s03_needs_the_exact_version() -> None:
    notice(two_primaries(0.25), "exact_version")


def late_grant(state: str):
    """Return a scene: after the result of a raise is logged its grant is lost, or comes 25 s later."""

    async def scene(stage: Stage) -> None:
        await stage.make(1)
        writer = await stage.writer()
        await writer.write(2)
        primary, version = stage.primary, stage.row.version
        stage.cluster.crash(primary)
        write = stage.later(writer.write(3))
        while stage.row.version == version:  # ends: the raise comes
            await stage.pause(0.0001)
        stage.world.cut(MASTER, stage.primary, one_way=True)
        granted, first = stage.primary, stage.row.version
        await stage.pause(25)
        stage.world.heal(breaks=state == "lost")
        for _ in range(30):
            primary = stage.chunk_at(granted).primary
            now_s = stage.world.host(granted).clock.now_s()
            is_late = primary is not None and primary.version == first and now_s < primary.expires_s
            assert not is_late, "I12: a lease began when it was over"
            await stage.pause(0.01)
        await write
        await writer.write(4)
        assert await (await stage.reader(stage.members[0])).show() == 4

    return scene


@pytest.mark.parametrize("state", STATES)
def test_s04_a_grant_is_lost_or_late(state: str) -> None:
    """Goal: I12, I31; rules 2 and 3.

    Method: the order that opens a version is lost, or held on its way for longer than the lease; the write that waits
    for it is done all the same, and nobody begins a lease that is over.
    """
    play(late_grant(state))


async def stopped(stage: Stage) -> None:
    """The primary is stopped; a mutation and a read are in its queue, both younger than newer acks."""
    await stage.make(1)
    old, new = await stage.writer("old"), await stage.writer("new")
    await old.write(2)
    primary = stage.primary
    reader = await stage.reader(primary)
    stage.world.partition([reader.host], [MASTER, *stage.others])
    goes_on_s = stage.world.loop.time() + 15
    stage.world.pause(primary, 15)
    stage.world.cut(primary, MASTER)  # or the first thing that it hears is that it is excluded
    await new.write(3)
    await new.write(4)
    await stage.pause(goes_on_s - stage.world.loop.time() - 0.3)
    reading = stage.later(reader.try_to_show(2))
    await stage.pause(0.1)
    late = stage.later(old.write(5))
    shown = await reading
    assert shown in (None, 4, 5), f"I33: stale, {shown}"
    await late
    stage.world.heal()
    for name in stage.members:
        assert await (await stage.reader(name)).show() == 5, "I11: acked, and not applied"


def test_s05_a_stopped_process() -> None:
    """Goal: I11; rules 2 and 5.

    Method: a primary is stopped until after its serving lease and goes on with what waited in its queue.
    """
    play(stopped)
    play(stopped_primary, range(1), chunkservers=4)


def test_s05_needs_version_and_lease() -> None:
    notice(stopped, "exact_version")
    notice(serving_lease, "serving_lease")


async def dies_before_the_ack(stage: Stage) -> None:
    """Primary and one secondary have a write, the other one not, and neither can reach it; then the primary dies."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    primary, (near, far) = stage.primary, stage.others
    readers = [await stage.reader(name) for name in (near, far)]
    stage.world.partition([far], [primary, near])
    write = stage.later(writer.write(3))
    await stage.pause(0.1)
    stage.cluster.crash(primary, power=stage.world.random.random() < 0.5)
    await stage.pause(10)
    shown = [await reader.try_to_show(0.5) for reader in readers]
    assert None in shown or shown[0] == shown[1], f"I5: {shown}"
    stage.world.heal(breaks=True)
    await write
    for reader in readers:
        assert await reader.show() == 3, "I1: an acked write is lost"
    await writer.do(writer.file.pwrite(content(4), 0))
    assert [await reader.show() for reader in readers] == [4, 4]


def test_s06_the_primary_dies_between_apply_and_ack() -> None:
    """Goal: I1, I5; rules 2, 3 and 12.

    Method: what is on some members only is adopted or dropped by all of them before anybody acts as primary again.
    """
    play(dies_before_the_ack)


def test_s06_needs_reconciliation_before_the_result() -> None:
    """By the scene of the safeguard: a member that missed a write and can reach no other one."""
    notice(reconcile_before_result, "reconcile_before_result")
