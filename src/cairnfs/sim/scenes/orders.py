"""Scenes of the safeguards of orders: rules 1 to 4, 11 and 17. See `guards`."""

from contextlib import suppress

from cairnfs.checksum import piece_crcs
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle, ClientId, Epoch, Sequence, Serial
from cairnfs.limits import BLOCK_BYTES
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.scenes.keeping import LOG
from cairnfs.sim.stage import SIZE, Stage, content
from cairnfs.units import KIB
from cairnfs.wire.master_orders import DeleteReplicas
from cairnfs.wire.orders import ApplyOrders, Mutation, MutationKind


async def ack_by_all(stage: Stage) -> None:
    """Goal: rule 2.

    Method: one secondary is cut from the primary alone; after an ack, a read there is not older.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(stage.primary, victim)
    await writer.write(3)
    assert await reader.show() == 3


async def exact_version(stage: Stage) -> None:
    """Goal: rule 11.

    Method: a primary that only the master cannot reach goes on at its old version.
    """
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
    """Goal: rule 11.

    Method: an order arrives whose predecessor never came; later all replicas are still equal.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    chunk = stage.chunk_at(victim)
    primary = chunk.member(stage.row.primary)
    assert primary is not None, "the primary is a member"
    with suppress(CairnError):
        await order_write(stage, victim, first=chunk.serial + 2, boot=primary.boot)
    await writer.write(4)
    reader = await stage.reader(victim)
    assert await reader.show() == 4
    assert len(set(stage.cluster.digests(stage.handle).values())) == 1


async def grant_bound_to_boot(stage: Stage) -> None:
    """Goal: rule 2.

    Method: an order of the primary's earlier life arrives late; no member takes it.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    with suppress(CairnError):
        await order_write(stage, victim, first=stage.chunk_at(victim).serial + 1, boot=BootId(7))
    await writer.write(3)
    reader = await stage.reader(victim)
    assert await reader.show() == 3


async def order_write(stage: Stage, victim: str, *, first: int, boot: int, handle: ChunkHandle | None = None) -> None:
    """Send an order of a write of Zs, with a serial of one's choice, as the primary of that boot would."""
    handle, data = stage.handle if handle is None else handle, content(ord("Z"))
    mutation = Mutation(
        kind=MutationKind.WRITE,
        client=ClientId(1),
        sequence=Sequence(1),
        offset=0,
        length=SIZE,
        crcs=piece_crcs(data, BLOCK_BYTES),
        durable=False,
    )
    row = stage.reign.chunk(handle)
    assert row is not None, handle
    request = ApplyOrders(
        handle=handle,
        version=row.version,
        primary=row.primary,
        boot=BootId(boot),
        first=Serial(first),
        committed=Serial(0),
        mutations=[mutation],
    )
    await stage.order(victim, request, payload=data)


async def refuse_lower_epoch(stage: Stage) -> None:
    """Goal: rule 1.

    Method: an order of the master's predecessor comes after all others; it deletes nothing.
    """
    await stage.make(1)
    victim = stage.members[0]
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(5)
    late = DeleteReplicas(epoch=Epoch(stage.reign.epoch - 1), replicas=[(stage.handle, stage.row.version)])
    with suppress(CairnError):
        await stage.order(victim, late)
    assert stage.handle in stage.cluster.servers[victim].context.store.replicas


async def reconcile_before_result(stage: Stage) -> None:
    """Goal: rule 3.

    Method: a member missed a write and can reach no other member, only the master.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.partition([victim], [one for one in stage.members if one != victim])
    await writer.write(3)
    assert await reader.show() == 3


async def restart_leaves_set(stage: Stage) -> None:
    """Goal: rule 4.

    Method: as for the pending ranges, but the secondary that has the write is killed and comes back: it does not
    know any more that the write is not everywhere.
    """
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


async def filter_repeats(stage: Stage) -> None:
    """Goal: rule 11.

    Method: an ack is lost on its way; before the writer tries again somebody else writes.
    """
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


async def records_at_end(stage: Stage) -> None:
    """Goal: rule 17.

    Method: a chunk that another one follows is opened again by a plain write; somebody who has appended there before,
    and has seen it open, appends a small record.
    """
    small, large = await stage.client("small"), await stage.client("large")
    await stage.on("small", small.append(LOG, b"small"))
    behind = 0
    while not behind:  # ends when a chunk is full
        at = await stage.on("large", large.append(LOG, bytes(16 * KIB)))
        behind = at if at >= 64 * KIB else 0

    async def write_plain() -> None:
        async with await large.open(LOG, "r+b") as file:
            await file.pwrite(b"S", 0)
            await stage.on("small", small.read_bytes(LOG))
            assert await stage.on("small", small.append(LOG, b"again")) > behind

    await stage.on("large", write_plain())
