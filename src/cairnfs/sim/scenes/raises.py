"""Scenes of the safeguards of raises: rules 1, 3, 12, 13 and 19. See `guards`."""

import asyncio
from contextlib import suppress

from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError
from cairnfs.sim.cluster import FOLDER, MASTER, SMALL
from cairnfs.sim.stage import FILE, Stage, content
from cairnfs.wire.master_orders import DeleteReplicas, Reconcile

BLOCK = SMALL.block_bytes
SHORT, LONG = content(2, BLOCK), content(3, 10 * BLOCK)


async def refuse_lower_version(stage: Stage) -> None:
    """Goal: rule 3.

    Method: an order of a raise that was given up long ago arrives when a later raise is done.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim, other = stage.others
    late = stage.reign.next_version()
    stage.world.cut(other, MASTER)
    await stage.raise_without(other)
    replica = stage.cluster.servers[victim].context.store.replicas[stage.handle]
    before = replica.state.version
    order = Reconcile(
        handle=stage.handle,
        version=late,
        epoch=stage.reign.epoch,
        source="",
        source_version=before,
        length=replica.length,
        digest=replica.digest(),
    )
    with suppress(CairnError):
        await stage.order(victim, order)
    assert replica.state.version >= before, "a version went backward"


async def durable_epoch(stage: Stage) -> None:
    """Goal: rule 1.

    Method: a server hears of a new master and restarts where only the deposed one can reach it.
    """
    await stage.make(1)
    victim, before = stage.members[0], stage.reign.epoch
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(5)
    stage.world.cut(victim, MASTER)
    stage.cluster.crash(victim, power=True)
    await stage.cluster.restart(victim)
    late = DeleteReplicas(epoch=before, replicas=[(stage.handle, stage.row.version)])
    with suppress(CairnError):
        await stage.order(victim, late)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def enough_copies(stage: Stage) -> None:
    """Goal: rule 19.

    Method: two of three servers are down while somebody writes; then the third one is lost and those two come back.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    primary, others = stage.primary, stage.others
    for name in others:
        stage.cluster.crash(name)
    with suppress(CairnError, TimeoutError):
        async with asyncio.timeout(30):
            await writer.write(3)
    stage.cluster.crash(primary)
    for name in others:
        await stage.cluster.restart(name)
    await stage.pause(5)
    if writer.acked == 3:
        reader = await stage.reader(others[0])
        assert await reader.show() == 3


async def incomplete_is_no_source(stage: Stage) -> None:
    """Goal: rules 12 and 13.

    Method: only the primary has a write; while it is adopted the disks of the others become full, so that both are
    half filled, and the primary dies. Writer and primary gone, nobody knows what the other blocks should be.
    """
    client = await stage.client("maker")
    await stage.on("maker", client.write_bytes(FILE, SHORT))
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(SHORT, 0))
    primary, others, version = stage.primary, stage.others, stage.row.version
    for name in others:
        stage.world.cut(primary, name)
        stage.world.tree(name, FOLDER).faults.delay_s = (0.02, 0.02)
    lost = stage.world.spawn("lost", write_until_death(stage.cluster.client("lost")))
    await stage.cluster.until(lambda: stage.chunk_at(primary).promised > version)
    stage.world.heal(breaks=True)
    await fill_in_mid_copy(stage, others)
    assert not lost.done()
    stage.world.crash("lost")
    stage.cluster.crash(primary)
    for name in others:
        stage.world.tree(name, FOLDER).faults.delay_s = (0.00005, 0.002)
    await stage.pause(20)
    await stage.cluster.restart(primary)
    await stage.cluster.until(lambda: len(stage.reign.live_current(stage.row, stage.handle)) >= 2)
    reader = await stage.client("reader")
    assert await stage.on("reader", reader.read_bytes(FILE)) in (SHORT, LONG), "a half-filled replica was the source"


async def write_until_death(client: Client) -> None:
    async with client, await client.open(FILE, "r+b") as file:
        await file.pwrite(LONG, 0)


async def fill_in_mid_copy(stage: Stage, names: list[str]) -> None:
    """Let each disk be full from the first block of the copy until the copy is given up."""
    replicas = {name: stage.cluster.servers[name].context.store.replicas[stage.handle] for name in names}
    first = {name: replica.block_crcs()[0] for name, replica in replicas.items()}
    waiting = dict.fromkeys(names, False)
    while waiting:  # ends: the copy comes and is given up, or the world's time ends
        for name, has_begun in list(waiting.items()):
            faults = stage.world.tree(name, FOLDER).faults
            if not has_begun and replicas[name].state.incomplete and replicas[name].block_crcs()[0] != first[name]:
                faults.is_full = waiting[name] = True
            elif has_begun and not stage.chunk_at(name).is_changing:
                faults.is_full = False
                del waiting[name]
        await stage.pause(0.001)
