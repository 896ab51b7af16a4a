"""Scenes of single faults on the whole cluster, each for some seeds."""

import asyncio
from contextlib import suppress

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import FOLDER, MASTER
from cairnfs.sim.stage import FILE, SIZE, Scene, Stage, content


async def truncated_under_a_reader(stage: Stage) -> None:
    """Goal: rule 9.

    Method: a file is cut to nothing and written anew; a reader knows the old chunk, and the server that holds it can
    be reached by the reader only.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    behind = stage.others[0]
    reader = await stage.reader(behind)
    stage.world.cut(behind, MASTER)
    await writer.do(writer.file.truncate(0))
    await writer.write(3)
    assert await reader.show() == 3


async def stopped_primary(stage: Stage) -> None:
    """Goal: rules 2 and 5.

    Method: the primary's process is stopped until its lease is over, and goes on then, with what readers and writers
    have asked it meanwhile.
    """
    await stage.make(1)
    old, new = await stage.writer("old"), await stage.writer("new")
    await old.write(2)
    primary = stage.primary
    reader = await stage.reader(primary)
    seconds = stage.world.random.uniform(5, 30)
    stage.world.pause(primary, seconds)
    late = stage.later(old.write(3))
    await stage.pause(0.1)
    await new.write(4)
    await new.write(5)
    end_s = stage.world.loop.time() + 40
    await late
    shown = 0
    while stage.world.loop.time() < end_s:
        number = await reader.show()
        assert number == 5 or (number == 3 and shown in (0, 3)), f"{number} after {shown}"
        shown = number
        await stage.pause(0.1)


async def master_dies_in_a_raise(stage: Stage) -> None:
    """Goal: rules 1 and 3.

    Method: again and again a secondary is lost and the master dies a moment later.
    """
    await stage.make(1)
    writer = await stage.writer()
    readers = [await stage.reader(name) for name in stage.cluster.names]
    for number in range(2, 6):
        await writer.write(number * 10)
        victim = stage.others[0]
        stage.world.cut(stage.primary, victim)
        write = stage.later(writer.write(number * 10 + 1))
        await stage.pause(stage.world.random.choice((0.0, 0.5, 1.0, 1.5)) + stage.world.random.uniform(0, 0.1))
        stage.cluster.crash(MASTER)
        await stage.pause(stage.world.random.uniform(0, 1))
        await stage.cluster.restart(MASTER)
        await write
        for reader in readers:
            assert await reader.show() == number * 10 + 1
        stage.world.heal(breaks=stage.world.random.random() < 0.5)


async def source_dies_in_a_raise(stage: Stage) -> None:
    """Goal: rule 12.

    Method: a write reaches some members only; one of those dies while the version is raised.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    primary, other = stage.primary, stage.others[0]
    stage.world.cut(primary, other)
    write = stage.later(writer.write(3))
    await stage.pause(1.0 + stage.world.random.uniform(0, 0.2))
    stage.cluster.crash(primary, power=True)
    await stage.pause(stage.world.random.uniform(0, 3))
    await stage.cluster.restart(primary)
    await write
    for name in stage.cluster.names:
        assert await (await stage.reader(name)).show() == 3


async def idle_chunks_are_durable(stage: Stage) -> None:
    """Goal: rule 4.

    Method: acked but never synced; the lease ends unused, then everybody loses power.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(content(2), SIZE))
    await stage.pause(30)
    assert stage.row.closed
    await stage.power_of_all()
    reader = await stage.reader(stage.cluster.names[0])
    assert await reader.read(2 * SIZE) == content(1) + content(2)


async def synced_bytes_are_durable(stage: Stage) -> None:
    """Goal: contract 5.

    Method: everybody loses power just after a sync, more than once.
    """
    await stage.make(1)
    for number in (2, 3, 4):
        writer = await stage.writer(f"writer{number}")
        await writer.do(writer.file.pwrite(content(number), number * SIZE))
        await writer.write(number)
        await writer.do(writer.file.sync())
        await stage.power_of_all()
        reader = await stage.reader(stage.cluster.names[0])
        assert await reader.show() == number
        assert await reader.read(SIZE, number * SIZE) == content(number)


async def failing_disk(stage: Stage) -> None:
    """Goal: rule 25.

    Method: one member's disk begins to fail in the middle of writes and syncs.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    faults = stage.world.tree(stage.world.random.choice(stage.members), FOLDER).faults
    setattr(faults, stage.world.random.choice(("fail_syncs", "fail_writes", "fail_reads")), True)
    for number in (3, 4, 5):
        await writer.write(number)
        await writer.do(writer.file.sync())
        for name in stage.cluster.names:
            if name in stage.cluster.servers:
                assert await (await stage.reader(name)).show() == number
    faults.fail_syncs = faults.fail_writes = faults.fail_reads = False
    await stage.power_of_all()
    assert await (await stage.reader(stage.cluster.names[0])).show() == 5


async def full_disks(stage: Stage) -> None:
    """Goal: rule 26.

    Method: all disks are full for a while; what was acked stays, deletes work, then all goes on.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    for name in stage.cluster.names:
        stage.world.tree(name, FOLDER).faults.is_full = True

    async def try_to_write() -> None:
        with suppress(CairnError, TimeoutError):
            async with asyncio.timeout(10):
                await writer.file.pwrite(content(3), 0)

    await writer.do(try_to_write())
    client = await stage.client("remover")
    await stage.on("remover", client.write_bytes("/other", b""))
    await stage.on("remover", client.remove("/other", now=True))
    for name in stage.cluster.names:
        stage.world.tree(name, FOLDER).faults.is_full = False
        stage.cluster.crash(name)  # a journal that could not be written is a failed disk until the next start
        await stage.cluster.restart(name)
    assert await (await stage.reader(stage.cluster.names[0])).show() in (2, 3)
    again = await stage.writer("again")
    await again.write(4)
    assert await (await stage.reader(stage.cluster.names[1])).show() == 4


async def rotten_block(stage: Stage) -> None:
    """Goal: rule 16.

    Method: a bit of a closed replica flips; who reads there gets the right bytes, and the replica is replaced.
    """
    await stage.make(1)
    victim = stage.world.random.choice(stage.members)
    stage.flip(victim, stage.handle, stage.world.random.randrange(SIZE))
    assert await (await stage.reader(victim)).show() == 1
    await stage.cluster.until(lambda: len(stage.cluster.digests(stage.handle)) >= 3 and is_whole(stage))


def is_whole(stage: Stage) -> bool:
    return len(stage.row.members) >= 3 and len(set(stage.cluster.digests(stage.handle).values())) == 1


async def deleted_under_a_reader(stage: Stage) -> None:
    """Goal: rule 21.

    Method: delete, undelete, delete for good: the file is whole each time, or gone.
    """
    await stage.make(1)
    client = await stage.client("remover")
    reader = await stage.reader(stage.members[0])
    await stage.on("remover", client.remove(FILE))
    assert await reader.show() == 1, "an unlinked file stays usable while it is in the trash"
    await stage.on("remover", client.undelete(FILE))
    assert await stage.on("remover", client.read_bytes(FILE)) == content(1)
    await stage.on("remover", client.remove(FILE, now=True))
    assert not await stage.on("remover", client.exists(FILE))
    await stage.cluster.until(lambda: not any(one.context.store.replicas for one in stage.cluster.servers.values()))


TALES: dict[str, Scene] = {
    tale.__name__: tale
    for tale in (
        truncated_under_a_reader,
        stopped_primary,
        master_dies_in_a_raise,
        source_dies_in_a_raise,
        idle_chunks_are_durable,
        synced_bytes_are_durable,
        failing_disk,
        full_disks,
        rotten_block,
        deleted_under_a_reader,
    )
}
