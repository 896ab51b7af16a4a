"""One scene per safeguard: with all on it passes, without that one something is seen to be wrong.

Each scene is told by its docstring as Goal and Method; `tests/sim/test_guards.py` plays every scene both ways.
"""

from contextlib import suppress

from tests.sim.stage import FILE, SIZE, Stage, content

from cairnfs.checksum import piece_crcs
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, Epoch, Serial
from cairnfs.limits import BLOCK_BYTES
from cairnfs.sim.cluster import MASTER
from cairnfs.wire.chunk_reads import ChunkLength
from cairnfs.wire.master_orders import DeleteReplicas
from cairnfs.wire.orders import ApplyOrders, Mutation, MutationKind

LOG = "/log"


async def ack_by_all(stage: Stage) -> None:
    """Goal: rule 2. Method: one secondary is cut from the primary alone; after an ack, a read there is not older."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(stage.primary, victim)
    await writer.write(3)
    assert await reader.show() == 3


async def exact_version(stage: Stage) -> None:
    """Goal: rule 11. Method: a primary that only the master cannot reach goes on at its old version."""
    await stage.make(1)
    old, new = await stage.writer("old"), await stage.writer("new")
    await old.write(2)
    primary, other = stage.primary, stage.others[0]
    stage.world.cut(primary, MASTER)
    await stage.raise_without(primary)
    for number in (3, 4, 5):
        await new.write(number)
    await old.write(6)
    reader = await stage.reader(other)
    assert await reader.show() == 6


async def serial_order(stage: Stage) -> None:
    """Goal: rule 11. Method: an order arrives whose predecessor never came; later all replicas are still equal."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    chunk = stage.cluster.servers[victim].context.chunks.find(stage.handle)
    with suppress(CairnError):
        await order_write(stage, victim, first=chunk.serial + 2, boot=chunk.member(stage.row.primary).boot)
    await writer.write(4)
    reader = await stage.reader(victim)
    assert await reader.show() == 4
    assert len(set(stage.cluster.digests(stage.handle).values())) == 1


async def grant_bound_to_boot(stage: Stage) -> None:
    """Goal: rule 2. Method: an order of the primary's earlier life arrives late; no member takes it."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    chunk = stage.cluster.servers[victim].context.chunks.find(stage.handle)
    with suppress(CairnError):
        await order_write(stage, victim, first=chunk.serial + 1, boot=BootId(7))
    await writer.write(3)
    reader = await stage.reader(victim)
    assert await reader.show() == 3


async def order_write(stage: Stage, victim: str, *, first: int, boot: int) -> None:
    data = content(9)
    mutation = Mutation(
        kind=MutationKind.WRITE,
        client=1,
        sequence=1,
        offset=0,
        length=SIZE,
        crcs=piece_crcs(data, BLOCK_BYTES),
        durable=False,
    )
    row = stage.row
    request = ApplyOrders(
        handle=stage.handle,
        version=row.version,
        primary=row.primary,
        boot=BootId(boot),
        first=Serial(first),
        committed=Serial(0),
        mutations=[mutation],
    )
    await stage.order(victim, request, payload=data)


async def refuse_lower_epoch(stage: Stage) -> None:
    """Goal: rule 1. Method: an order of the master's predecessor comes after all others; it deletes nothing."""
    await stage.make(1)
    victim = stage.members[0]
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(5)
    late = DeleteReplicas(epoch=Epoch(stage.cluster.master.epoch - 1), replicas=[(stage.handle, stage.row.version)])
    with suppress(CairnError):
        await stage.order(victim, late)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def exact_delete(stage: Stage) -> None:
    """Goal: rule 22. Method: the order to delete a stale replica comes when it is current again."""
    await stage.make(1)
    victim = stage.members[0]
    late = DeleteReplicas(epoch=stage.cluster.master.epoch, replicas=[(stage.handle, stage.row.version)])
    writer = await stage.writer()
    await writer.write(2)
    await stage.order(victim, late)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def serving_lease(stage: Stage) -> None:
    """Goal: rule 5. Method: a replica that only the master cannot reach is left behind; a reader with a warm cache
    asks it long after, when its serving lease is over."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(victim, MASTER)
    stage.world.cut(reader.host, MASTER)
    await stage.raise_without(victim)
    await writer.write(3)
    late = stage.later(stage.pause(20))
    with suppress(CairnError, TimeoutError):
        assert await reader.show() == 3
    await late


async def fence_before_overwrite(stage: Stage) -> None:
    """Goal: rule 6. Method: as for the serving lease, but the reader comes at once: the lease still runs."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(victim, MASTER)
    await stage.raise_without(victim)
    await writer.write(3)
    assert await reader.show() == 3


async def exclusions_before_renewal(stage: Stage) -> None:
    """Goal: rule 5. Method: a server is excluded while the master cannot reach it, the order is lost with its
    connection; then its heartbeats get through again."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(victim, MASTER)
    await stage.raise_without(victim)
    await stage.pause(1.5)
    stage.world.heal(victim, MASTER, breaks=True)
    await writer.write(3)
    assert await reader.show() == 3


async def pending_ranges(stage: Stage) -> None:
    """Goal: rule 7. Method: a write has reached one secondary and not the other; who reads at both goes not back."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    near, far = stage.others
    first, second = await stage.reader(near), await stage.reader(far)
    stage.world.cut(stage.primary, far)
    write = stage.later(writer.write(3))
    await stage.pause(0.1)
    shown = await first.show()
    assert await second.show() >= shown
    await write


async def length_by_round(stage: Stage) -> None:
    """Goal: rule 7. Method: a primary that nobody but a reader can reach is asked for the length."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    primary, others, version = stage.primary, stage.others, stage.row.version
    stage.world.partition([primary], [MASTER, *others, "writer"])
    await stage.raise_without(primary)
    await writer.do(writer.file.pwrite(b"more", SIZE))
    with suppress(CairnError):
        told = await stage.order(primary, ChunkLength(handle=stage.handle, version=version))
        assert told.length == SIZE + 4, "an older length was told"


async def restart_leaves_set(stage: Stage) -> None:
    """Goal: rule 4. Method: as for the pending ranges, but the secondary that has the write is killed and comes back:
    it does not know any more that the write is not everywhere."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    near, far = stage.others
    first, second = await stage.reader(near), await stage.reader(far)
    stage.world.cut(stage.primary, far)
    write = stage.later(writer.write(3))
    await stage.pause(0.1)
    stage.cluster.crash(near)
    await stage.cluster.restart(near)
    await stage.pause(0.1)
    shown = await first.show()
    assert await second.show() >= shown
    await write


async def reconcile_before_result(stage: Stage) -> None:
    """Goal: rule 3. Method: a member missed a write and can reach no other member, only the master."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.partition([victim], [one for one in stage.members if one != victim])
    await writer.write(3)
    assert await reader.show() == 3


async def filter_repeats(stage: Stage) -> None:
    """Goal: rule 11. Method: an ack is lost on its way; before the writer tries again somebody else writes."""
    await stage.make(1)
    slow, quick = await stage.writer("slow"), await stage.writer("quick")
    await slow.write(2)
    stage.world.cut(stage.primary, "slow", one_way=True)
    first = stage.later(slow.write(3))
    await stage.pause(0.8)
    await quick.write(4)
    reader = await stage.reader(stage.others[0])
    assert await reader.show() == 4
    await first
    assert await reader.show() == 4


async def flush_before_append_ack(stage: Stage) -> None:
    """Goal: contract 2. Method: all machines lose power at once, just after an ack."""
    client = await stage.client("appender")

    async def append() -> list[bytes]:
        await client.write_bytes(LOG, b"")
        appender = await client.append_writer(LOG)
        records = [b"record %d" % number for number in range(8)]
        for record in records:
            await appender.append(record)
        return records

    records = await stage.on("appender", append())
    await power_of_all(stage)
    reader = await stage.client("reader")

    async def read() -> list[bytes]:
        return [one.data async for one in reader.records(LOG)]

    assert await stage.on("reader", read()) == records


async def redo_before_overwrite(stage: Stage) -> None:
    """Goal: rule 15. Method: all machines lose power while synced bytes are being overwritten."""
    await stage.make(1)
    writer = await stage.writer()
    for number in range(2, 6):
        await writer.write(number)
    await power_of_all(stage)
    reader = await stage.reader(stage.cluster.names[0])
    assert await reader.show() in range(1, 6)


async def power_of_all(stage: Stage) -> None:
    for name in [*stage.cluster.names, MASTER]:
        stage.cluster.crash(name, power=True)
    await stage.pause(1)
    for name in [MASTER, *stage.cluster.names]:
        await stage.cluster.restart(name)


async def verify_before_merge(stage: Stage) -> None:
    """Goal: rule 16. Method: a bit flips; then other bytes of the same block are overwritten."""
    await stage.make(1)
    victim = stage.members[0]
    stage.flip(victim, stage.handle, 100)
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(b"\x01" * 50, 1000))
    reader = await stage.reader(victim)
    assert await reader.show() == 1


async def keep_last_copy(stage: Stage) -> None:
    """Goal: rule 23. Method: a replica was left behind, and the current ones are fewer than they should be."""
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


async def safe_start(stage: Stage) -> None:
    """Goal: rule 22. Method: garbage waits, a server is down, and the master starts: it deletes nothing yet."""
    await stage.make(1)
    stage.cluster.crash(stage.members[0])
    client = await stage.client("remover")
    await stage.on("remover", client.remove(FILE, now=True))
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(8)
    assert stage.cluster.master.reign.counters.get("replicas_deleted") == 0


SCENES = {
    scene.__name__: scene
    for scene in (
        ack_by_all,
        exact_version,
        serial_order,
        grant_bound_to_boot,
        refuse_lower_epoch,
        exact_delete,
        serving_lease,
        fence_before_overwrite,
        exclusions_before_renewal,
        pending_ranges,
        length_by_round,
        restart_leaves_set,
        reconcile_before_result,
        filter_repeats,
        flush_before_append_ack,
        redo_before_overwrite,
        verify_before_merge,
        keep_last_copy,
        safe_start,
    )
}
