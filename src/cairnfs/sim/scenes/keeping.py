"""Scenes of the safeguards of what is stored: contract 2, rules 15, 16, 22 and 23. See `guards`."""

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import FILE, SIZE, Stage, content
from cairnfs.wire.master_orders import DeleteReplicas

LOG = "/log"


async def flush_before_append_ack(stage: Stage) -> None:
    """Goal: contract 2.

    Method: all machines lose power at once, just after an ack.
    """
    client = await stage.client("appender")

    async def append() -> list[bytes]:
        await client.write_bytes(LOG, b"")
        appender = await client.append_writer(LOG)
        records = [b"record %d" % number for number in range(8)]
        for record in records:
            await appender.append(record)
        return records

    records = await stage.on("appender", append())
    await stage.power_of_all()
    reader = await stage.client("reader")

    async def read() -> list[bytes]:
        return [one.data async for one in reader.records(LOG)]

    assert await stage.on("reader", read()) == records


async def make_alone(stage: Stage) -> None:
    """Let the file show 1 and have one copy only."""
    client = await stage.client("maker")

    async def fill() -> None:
        async with await client.open(FILE, "wb", replicas=1) as file:
            await file.pwrite(content(1), 0)

    await stage.on("maker", fill())


async def redo_before_overwrite(stage: Stage) -> None:
    """Goal: rule 15.

    Method: all machines lose power while synced bytes of the only copy are being overwritten.
    """
    await make_alone(stage)
    writer = await stage.writer()
    for turn in range(3):
        for number in range(2, 6):
            await writer.write(10 * turn + number)
        await stage.power_of_all()
        reader = await stage.reader(stage.members[0])
        assert await reader.show() in range(1, 10 * turn + 6)
        writer = await stage.writer(f"writer{turn}")


async def verify_before_merge(stage: Stage) -> None:
    """Goal: rule 16.

    Method: a bit flips; then other bytes of the same block are overwritten.
    """
    await stage.make(1)
    victim = stage.members[0]
    stage.flip(victim, stage.handle, 100)
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(b"\x01" * 50, 1000))
    reader = await stage.reader(victim)
    assert await reader.show() == 1


async def exact_delete(stage: Stage) -> None:
    """Goal: rule 22.

    Method: the order to delete a stale replica comes when it is current again.
    """
    await stage.make(1)
    victim = stage.members[0]
    late = DeleteReplicas(epoch=stage.reign.epoch, replicas=[(stage.handle, stage.row.version)])
    writer = await stage.writer()
    await writer.write(2)
    await stage.order(victim, late)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def keep_last_copy(stage: Stage) -> None:
    """Goal: rule 23.

    Method: a replica was left behind, and the current ones are fewer than they should be.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    stage.world.cut(victim, MASTER)
    await stage.raise_without(victim)
    for name in stage.members:
        stage.cluster.crash(name, power=True)
    stage.world.heal()
    await stage.pause(30)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def verify_alone(stage: Stage) -> None:
    """Goal: rule 23.

    Method: one of three replicas is rotten; the servers of the others are away for so long that the abandoned chunk
    is closed without them, and come back.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    stage.world.crash("writer")
    left, others = stage.others[0], [stage.primary, *stage.others[1:]]
    stage.flip(left, stage.handle, stage.world.random.randrange(SIZE))
    for name in others:
        stage.cluster.crash(name)
    await stage.pause(30)
    for name in others:
        await stage.cluster.restart(name)
    reader = await stage.client("reader")
    assert await stage.on("reader", reader.read_bytes(FILE)) == content(2)


async def safe_start(stage: Stage) -> None:
    """Goal: rule 22.

    Method: garbage waits, a server is down, and the master starts: it deletes nothing yet.
    """
    await stage.make(1)
    stage.cluster.crash(stage.members[0])
    client = await stage.client("remover")
    await stage.on("remover", client.remove(FILE, now=True))
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(8)
    assert stage.reign.counters.get("replicas_deleted") == 0
