"""Scenes of faults that were found once, told shortly: each fails on the tree before its fix.

`tests/sim/regressions/*.txt` name a scene (or a storm) and its seeds; `test_regressions.py` plays them.
"""

from cairnfs.sim.cluster import FOLDER, MASTER
from cairnfs.sim.stage import FILE, SIZE, Scene, Stage, content


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


FOUND: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (copy_of_a_copy, copy_beside_a_dead_holder, lost_writes_behind_a_copy, server_that_cannot_begin)
}
