"""S13 to S16: restarts in the middle of a raise, old versions that return, reports that come late."""

from contextlib import suppress

import pytest
from tests.sim.scenarios.playing import WITHOUT_REPAIR, notice, play

from cairnfs.chunkserver.secondary import report_of
from cairnfs.errors import CairnError, SessionLostError
from cairnfs.ids import NO_SERVER
from cairnfs.sim.cluster import FOLDER, MASTER, MASTER_ADDRESS
from cairnfs.sim.scenes.keeping import exact_delete
from cairnfs.sim.scenes.orders import restart_leaves_set
from cairnfs.sim.stage import FILE, Stage
from cairnfs.wire.locations import LeaseChunk
from cairnfs.wire.master_orders import DeleteReplicas
from cairnfs.wire.membership import Heartbeat, ReportReplicas

STEPS = ("promised", "reconciled", "everywhere", "logged", "opened")


def has_reached(stage: Stage, step: str, version) -> bool:
    """Look whether a raise above `version` has come so far."""
    if stage.cluster.master is None:
        return True
    servers = [one.context for one in stage.cluster.servers.values()]
    match step:
        case "promised":
            return any(chunk.promised > version for one in servers if (chunk := one.chunks.find(stage.handle)))
        case "reconciled":
            return any(one.store.replicas[stage.handle].state.version > version for one in servers)
        case "everywhere":
            return all(one.store.replicas[stage.handle].state.version > version for one in servers)
        case "logged":
            return stage.row.version > version
        case _:
            return any(chunk.opened > version for one in servers if (chunk := one.chunks.find(stage.handle)))


async def complain(stage: Stage) -> None:
    """Say that the primary failed: nobody is silent, and all are raised."""
    client = await stage.client("complainer")
    inode = (await stage.on("complainer", client.stat(FILE))).inode
    request = LeaseChunk(
        inode=inode, index=0, create=False, near="", failed=stage.row.version, suspect=NO_SERVER, append=False
    )
    with suppress(CairnError):
        await stage.call("complainer", "client", MASTER_ADDRESS, request, timeout_s=5)


async def master_dies_at_each_step(stage: Stage) -> None:
    await stage.make(1)
    writer = await stage.writer()
    complaints = []
    for number, step in enumerate(STEPS, 1):
        await writer.write(number * 10)
        version, lost = stage.row.version, stage.world.random.choice(stage.others)
        if step == "everywhere":
            complaints.append(stage.later(complain(stage)))
            write = stage.later(stage.pause(0))
        else:
            stage.world.cut(stage.primary, lost)
            write = stage.later(writer.write(number * 10 + 1))
            await stage.pause(0.95)  # a member that does not answer is reported after a second
        while not has_reached(stage, step, version):  # ends: the raise comes
            await stage.pause(0.0002 if step == "everywhere" else 0.001)
        stage.cluster.crash(MASTER, power=stage.world.random.random() < 0.5)
        await stage.pause(stage.world.random.uniform(0, 2))
        stage.world.heal(breaks=stage.world.random.random() < 0.5)
        await stage.cluster.restart(MASTER)
        await write
        if step == "everywhere":
            await writer.write(number * 10 + 1)
        for name in stage.cluster.names:
            assert await (await stage.reader(name)).show() == number * 10 + 1, step
        assert not stage.reign.rolled_back, "a replica above the last result is no sign of old metadata"
    for complaint in complaints:
        await complaint


def test_s13_master_restarts_in_the_middle_of_a_version_bump() -> None:
    """Goal: I13, I14; rules 1 and 3.

    Method: the master is killed, or loses power, just after each step of a raise, whoever has taken part in it by then;
    numbers that were burnt do not make a replica "too new".
    """
    play(master_dies_at_each_step)


async def old_version_returns(stage: Stage) -> None:
    """A server was down during a write; when it comes back the only holders of the newer version are down."""
    await stage.make(1)
    behind = stage.members[0]
    reader = await stage.reader(behind)
    stage.cluster.crash(behind)
    writer = await stage.writer()
    await writer.write(2)
    await writer.do(writer.file.sync())
    current = [name for name in stage.cluster.names if name != behind]
    for name in current:
        stage.cluster.crash(name)
    await stage.cluster.restart(behind)
    for _ in range(20):
        assert await reader.try_to_show(0.5) is None, "I16: an old version was shown"
        await stage.pause(0.5)
    for name in current:
        await stage.cluster.restart(name)
    await stage.cluster.until(lambda: len(stage.reign.live_current(stage.row, stage.handle)) >= 2)
    assert await (await stage.client("late")).read_bytes("/file") == bytes([2]) * 6000


def test_s14_a_chunkserver_returns_with_an_old_version() -> None:
    """Goal: I16; rules 2 and 5.

    Method: its replica is closed, intact, and the only one that anybody can reach; readers know it from before.
    """
    play(old_version_returns)


def test_s14_needs_exclusions() -> None:
    notice(old_version_returns, "exclusions_before_renewal", config=WITHOUT_REPAIR, rests=False)


def dies_in_mid_apply(operations: int, *, power: bool):
    """Return a scene: a secondary dies some operations of its disk after an order has come."""

    async def scene(stage: Stage) -> None:
        await stage.make(1)
        writer = await stage.writer()
        await writer.write(2)
        victim = stage.others[0]
        stage.world.crash_during(victim, FOLDER, operations, power=power)
        await writer.write(3)
        stage.world.tree(victim, FOLDER).faults.dies_after = None
        stage.cluster.crash(victim, power=power)
        await stage.pause(1)
        await stage.cluster.restart(victim)
        for name in stage.cluster.names:
            assert await (await stage.reader(name)).show() == 3

    return scene


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power"])
def test_s15_committed_and_crashed_before_the_reply(power: bool) -> None:
    """Goal: I27, I31; rules 4 and 12.

    Method: a secondary dies after each of the first operations that an order causes on its disk; whatever it has, it is
    a full member again in the end, and equal.
    """
    for operations in range(0, 10, 2):
        play(dies_in_mid_apply(operations, power=power), [operations])


def test_s15_needs_a_restart_to_leave_the_set() -> None:
    notice(restart_leaves_set, "restart_leaves_set")


async def late_reports(stage: Stage) -> None:
    """What servers said of an old version arrives when the chunk has a newer one, once more or for the first time."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim, other = stage.others
    server = stage.cluster.servers[victim]
    session = stage.reign.sessions.of(server.server_id)
    old = report_of(server.context, server.context.store.replicas[stage.handle])
    late = DeleteReplicas(epoch=stage.reign.epoch, replicas=[(stage.handle, old.version)])
    stage.world.cut(other, MASTER)
    await stage.raise_without(other)
    await writer.write(3)
    version = stage.row.version
    heartbeat = Heartbeat(
        session=session.number,
        boot=server.boot,
        sent_at_s=0.0,
        disks=[],
        leases=[],
        closed=[],
        gained=[old],
        lost=[],
        fences_wanted=[],
        exclusions_confirmed=0,
    )
    await stage.call("ghost", "chunkserver", MASTER_ADDRESS, heartbeat, timeout_s=5)
    assert stage.reign.inventory.get(server.server_id, stage.handle).version == version, "an old report won"
    with suppress(CairnError):
        await stage.order(victim, late)
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(5)
    earlier = ReportReplicas(session=session.number, page=0, last=True, replicas=[old])
    with pytest.raises(SessionLostError):
        await stage.call("ghost", "chunkserver", MASTER_ADDRESS, earlier, timeout_s=5)
    assert stage.handle in server.context.store.replicas, "I24: the newest replica was deleted"
    assert victim in [stage.cluster.name_of(one.server) for one in stage.reign.live_current(stage.row, stage.handle)]
    assert await (await stage.reader(victim)).show() == 3


def test_s16_a_late_report_kills_no_newer_replica() -> None:
    """Goal: I24, I29; rules 2 and 22.

    Method: a heartbeat, a page of a report and an order to delete, all of an older version, arrive after a raise.
    """
    play(late_reports)


def test_s16_needs_exact_deletion() -> None:
    notice(exact_delete, "exact_delete")
    notice(late_reports, "exact_delete")
