"""Scenes of the safeguards of maintenance: repair, moves, drain, scrub. GFS paper, 4.3 and 5.2; rules 16 and 23."""

from cairnfs.ids import ChunkHandle
from cairnfs.limits import SCRUB_LOOK_S
from cairnfs.meta.read import each_chunk
from cairnfs.sim.cluster import FOLDER
from cairnfs.sim.stage import FILE, SIZE, Stage, content

FILES = 12


async def make_twice(stage: Stage, path: str = FILE) -> None:
    """Let a file have two copies."""
    client = await stage.client("maker")

    async def fill() -> None:
        async with await client.open(path, "wb", replicas=2) as file:
            await file.pwrite(content(1), 0)

    await stage.on("maker", fill())


def lose(stage: Stage, name: str) -> None:
    """A machine breaks, and its disk with it."""
    stage.cluster.crash(name, power=True)
    stage.world.make_folder(name, FOLDER)


async def still_there(stage: Stage, path: str = FILE) -> None:
    client = await stage.client("reader")
    assert await stage.on("reader", client.read_bytes(path)) == content(1), path


async def scrub_mends(stage: Stage) -> None:
    """Goal: rule 16.

    Method: one of two replicas rots, and nobody reads it; later the other one's machine breaks.
    """
    await make_twice(stage)
    rotten, good = stage.members
    stage.flip(rotten, stage.handle, stage.world.random.randrange(SIZE))
    await stage.pause(3 * SCRUB_LOOK_S)
    lose(stage, good)
    await still_there(stage)


async def last_copy_first(stage: Stage) -> None:
    """Goal: GFS paper, 4.3.

    Method: two of six servers break at once, two repairs may run: chunks with one copy left come before those with two.
    """
    client = await stage.client("maker")
    for number in range(FILES):
        await stage.on("maker", client.write_bytes(f"/{number}", content(1, 50_000)))
    await stage.pause(2)
    with stage.reign.store.read() as view:
        handles = [handle for handle, _ in each_chunk(view)]
    # Those that lose both were made last, so that it is not their age which brings them to the front.
    lost = [stage.cluster.name_of(server) for server, _ in stage.reign.chunk(handles[-1]).members[:2]]  # type: ignore[union-attr]
    for name in stage.cluster.names:
        stage.world.tree(name, FOLDER).faults.delay_s = (0.005, 0.02)
    for name in lost:
        stage.cluster.crash(name, power=True)
    first = {handle: len(stage.cluster.digests(handle)) for handle in handles}
    alone = [handle for handle in handles if first[handle] == 1]
    most = stage.cluster.config.repairs_max
    for _ in range(4000):
        counts = {handle: len(stage.cluster.digests(handle)) for handle in handles}
        if any(counts[handle] == 1 for handle in alone):
            copies = sum(counts[handle] - first[handle] for handle in handles if handle not in alone)
            assert copies <= most, "I28: chunks with one copy left must come first"
        if min(counts.values()) >= 3:
            return
        await stage.pause(0.01)
    raise AssertionError("I27: not repaired")


async def copy_before_move(stage: Stage) -> None:
    """Goal: rule 23.

    Method: a server that was away is empty, so chunks move there; while one is being copied, the other holder breaks.
    """
    empty = stage.cluster.names[-1]
    stage.cluster.crash(empty)
    await stage.pause(15)
    for number in range(6):
        await make_twice(stage, f"/{number}")
    await stage.cluster.restart(empty)
    # The empty one's disk is slow, so that a move takes its time.
    stage.world.tree(empty, FOLDER).faults.delay_s = (0.5, 1.0)
    moving = stage.cluster.servers[empty].context.store.replicas

    def half_filled() -> list[ChunkHandle]:
        return [handle for handle, one in moving.items() if one.state.incomplete]

    await stage.cluster.until(lambda: bool(half_filled()))
    row = stage.reign.chunk(half_filled()[0])
    assert row is not None
    lose(stage, stage.cluster.name_of(row.members[-1][0]))
    for number in range(6):
        await still_there(stage, f"/{number}")


async def drained_is_needless(stage: Stage) -> None:
    """Goal: rule 23.

    Method: the server that has the only copy of a chunk is drained, and taken away when it is said to be needless.
    """
    client = await stage.client("maker")

    async def fill() -> None:
        async with await client.open(FILE, "wb", replicas=1) as file:
            await file.pwrite(content(1), 0)

    await stage.on("maker", fill())
    (holder,) = stage.members
    server = stage.cluster.servers[holder].server_id
    plan = await stage.on("maker", client.drain(server, action="start"))
    for _ in range(60):
        if not plan.left:
            break
        await stage.pause(1)
        plan = await stage.on("maker", client.drain(server))
    assert not plan.left, plan.stuck
    lose(stage, holder)
    await still_there(stage)
