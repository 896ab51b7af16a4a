"""Scenes of the safeguards of disks: contract 5, rules 16, 22, 24 and 25. See `guards`."""

import asyncio
from contextlib import suppress

from cairnfs.chunkserver.format import SLOTS_START, data_name, sum_name
from cairnfs.errors import CairnError
from cairnfs.sim.cluster import FOLDER
from cairnfs.sim.scenes.keeping import make_alone
from cairnfs.sim.stage import FILE, SIZE, Stage, content


async def trash_before_unlink(stage: Stage) -> None:
    """Goal: rule 22.

    Method: after a deletion for good an operator can still find the bytes on every disk.
    """
    await stage.make(1)
    client = await stage.client("remover")
    await stage.on("remover", client.remove(FILE, now=True))
    await stage.cluster.until(lambda: not any(one.context.store.replicas for one in stage.cluster.servers.values()))
    for name in stage.cluster.names:
        kept = [path for path, node in stage.world.tree(name, FOLDER).walk() if bytes(node.data) == content(1)]
        assert kept, f"nothing is left on {name}"


async def verify_on_read(stage: Stage) -> None:
    """Goal: rule 16.

    Method: a bit flips in a replica that is read.
    """
    await stage.make(1)
    victim = stage.members[0]
    stage.flip(victim, stage.handle, stage.world.random.randrange(SIZE))
    reader = await stage.client("reader", near=victim)
    assert await stage.on("reader", reader.read_bytes(FILE)) == content(1)


async def place_tag(stage: Stage) -> None:
    """Goal: rule 24.

    Method: a disk has put the bytes and checksums of two chunks in each other's place.
    """
    await stage.make(1)
    client = await stage.client("other")
    await stage.on("other", client.write_bytes("/other", content(2)))
    victim = stage.members[0]
    server = stage.cluster.servers.pop(victim)
    first, second = sorted(server.context.store.replicas)
    await stage.on(victim, server.stop())
    stage.world.crash(victim)
    tree = stage.world.tree(victim, FOLDER)
    for name, start in ((data_name, 0), (sum_name, SLOTS_START)):
        one, two = tree.node(name(first)), tree.node(name(second))
        for here, there in ((one.data, two.data), (one.durable, two.durable)):
            here[start:], there[start:] = there[start:], here[start:]
    await stage.cluster.restart(victim)
    await stage.pause(3)
    reader = await stage.client("reader", near=victim)
    assert await stage.on("reader", reader.read_bytes(FILE)) == content(1)
    assert await stage.on("reader", reader.read_bytes("/other")) == content(2)


async def first_error_fails_disk(stage: Stage) -> None:
    """Goal: rule 25.

    Method: a flush of the only copy fails once, and the kernel forgets what was to be flushed; then power fails.
    """
    await make_alone(stage)
    [victim] = stage.members
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(content(2), SIZE))
    stage.world.tree(victim, FOLDER).faults.fail("sync", once=True)
    is_synced = False
    with suppress(CairnError, TimeoutError):
        async with asyncio.timeout(20):
            await writer.do(writer.file.sync())
            is_synced = True
    await stage.power_of_all()
    if is_synced:
        reader = await stage.client("reader")
        assert await stage.on("reader", reader.read_bytes(FILE)) == content(1) + content(2)


async def tell_lost_writes(stage: Stage) -> None:
    """Goal: contract 5.

    Method: everybody loses power after an ack; a sync that succeeds later has written again what is gone.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.do(writer.file.pwrite(content(2), SIZE))
    await stage.power_of_all()
    await writer.do(writer.file.sync())
    reader = await stage.client("reader")
    assert await stage.on("reader", reader.read_bytes(FILE)) == content(1) + content(2)
