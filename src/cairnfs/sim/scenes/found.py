"""Scenes of faults that were found once, told shortly: each fails on the tree before its fix.

`tests/sim/regressions/*.txt` name a scene (or a storm) and its seeds; `test_regressions.py` plays them.
"""

import asyncio
from contextlib import suppress

from cairnfs.errors import UnsureError
from cairnfs.sim.cluster import FOLDER, MASTER
from cairnfs.sim.stage import FILE, SIZE, Scene, Seat, Stage, content


async def copy_of_a_copy(stage: Stage) -> None:
    """A chunk is copied on write twice while a holder of the first one can reach readers but not the master."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    behind = stage.others[0]
    client = await stage.client("snapper")
    await stage.on("snapper", client.snapshot(FILE, "/first"))
    reader = await stage.reader(behind)
    assert await reader.show() == 2
    stage.world.cut(behind, MASTER)
    first = stage.later(writer.write(3))
    await stage.pause(3)
    await stage.on("snapper", client.snapshot(FILE, "/second"))
    await first
    await writer.write(4)
    assert await reader.show() == 4


async def copy_beside_a_dead_holder(stage: Stage) -> None:
    """A shared chunk is written for the first time; one of its holders has just lost power."""
    await stage.make(1)
    client = await stage.client("snapper")
    await stage.on("snapper", client.snapshot(FILE, "/first"))
    writer = await stage.writer()
    stage.cluster.crash(stage.members[0], power=True)
    began_s = stage.world.loop.time()
    await writer.write(2)
    assert stage.world.loop.time() - began_s < 20, "only the fence, of 10 s here, may hold it up"


async def lost_writes_behind_a_copy(stage: Stage) -> None:
    """Acked bytes are lost with the power of everybody; before they are synced the chunk is copied on write."""
    await stage.make(1)
    writer, other = await stage.writer(), await stage.writer("other")
    await writer.do(writer.file.pwrite(content(2), SIZE))
    await stage.power_of_all()
    client = await stage.client("snapper")
    await stage.on("snapper", client.snapshot(FILE, "/first"))
    await other.write(3)
    await writer.do(writer.file.sync())
    reader = await stage.reader(stage.cluster.names[0])
    assert await reader.read(SIZE, SIZE) == content(2), "a sync that succeeded did not write again what was lost"


async def server_that_cannot_begin(stage: Stage) -> None:
    """A disk has failed, and the master is a new one: its epoch cannot be stored there, so no session gets anywhere."""
    await stage.make(1)
    victim = stage.members[0]
    stage.world.tree(victim, FOLDER).faults.fail_writes = True
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.pause(1)

    def is_replaced() -> bool:
        reign = stage.reign
        return len(reign.live_current(stage.row, stage.handle)) >= 3

    await stage.cluster.until(is_replaced)


async def write_in_doubt(stage: Stage) -> tuple[Seat, asyncio.Task[None]]:
    """Write 3 so that every member has it, but the answer does not come through; its retries reach nobody as yet."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    stage.world.cut(writer.host, MASTER)
    stage.world.cut(stage.primary, writer.host, one_way=True)
    retry = stage.later(writer.write(3))
    await stage.pause(2)
    return writer, retry


async def seal(stage: Stage) -> None:
    """Have the master close the file's chunk: a snapshot shares it."""
    client = await stage.client("snapper")
    await stage.on("snapper", client.snapshot(FILE, "/first"))


async def overtake(stage: Stage, retry: asyncio.Task[None]) -> int:
    """Write 4 on another host, let the retry through and await its end; return what the file shows then."""
    other = await stage.writer("other")
    await other.write(4)
    assert not retry.done(), "the retry was to come last"
    stage.world.heal()
    await asyncio.wait([retry])
    reader = await stage.reader(stage.cluster.names[0])
    return await reader.show()


async def retry_behind_a_copy(stage: Stage) -> None:
    """Between the two tries of a write its chunk is copied on write, and overwritten by somebody else."""
    _, retry = await write_in_doubt(stage)
    await seal(stage)
    assert await overtake(stage, retry) == 4
    await retry


async def retry_where_most_have_restarted(stage: Stage) -> None:
    """As before, and all members but the last have restarted while the chunk was closed: that one knows the write."""
    _, retry = await write_in_doubt(stage)
    await seal(stage)
    await restart_some(stage, stage.members[:-1])
    assert await overtake(stage, retry) == 4
    await retry


async def retry_where_all_have_restarted(stage: Stage) -> None:
    """As before, but nobody knows the write any more, although no byte is lost: it fails, and does not happen again."""
    _, retry = await write_in_doubt(stage)
    await seal(stage)
    await restart_some(stage, stage.members)
    assert await overtake(stage, retry) == 4
    with suppress(UnsureError):
        await retry
        raise AssertionError("nobody can know how the first try ended")


async def restart_some(stage: Stage, names: list[str]) -> None:
    """Kill servers and start them again, then wait until the master knows of them."""
    for name in names:
        stage.cluster.crash(name)
        await stage.cluster.restart(name)
    await stage.pause(5)


FOUND: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        copy_of_a_copy,
        copy_beside_a_dead_holder,
        lost_writes_behind_a_copy,
        server_that_cannot_begin,
        retry_behind_a_copy,
        retry_where_most_have_restarted,
        retry_where_all_have_restarted,
    )
}
