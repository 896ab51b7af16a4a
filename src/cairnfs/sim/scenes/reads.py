"""Scenes of the safeguards of reads: rules 5 to 7. See `guards`."""

from contextlib import suppress

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.scenes.tales import truncated_under_a_reader
from cairnfs.sim.stage import FILE, SIZE, Seat, Stage
from cairnfs.wire.chunk_reads import ChunkLength


async def serving_lease(stage: Stage) -> None:
    """Goal: rule 5.

    Method: a replica that only the master cannot reach is left behind; a reader with a warm cache asks it long
    after, when its serving lease is over.
    """
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
    """Goal: rule 6.

    Method: as for the serving lease, but the reader comes at once: the lease still runs.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(victim, MASTER)
    await stage.raise_without(victim)
    await writer.write(3)
    assert await reader.show() == 3


async def short_fence_if_told(stage: Stage) -> None:
    """Goal: rule 6.

    Method: as before, with the long serving lease of chunks that were never overwritten, which this one was not. The
    master is older than that: a new one waits for every server that may have been left behind.
    """
    await stage.pause(64)
    await stage.make(1)
    writer = await stage.writer()
    victim = stage.others[0]
    reader = await stage.reader(victim)
    stage.world.cut(victim, MASTER)
    stage.world.cut(reader.host, MASTER)
    await stage.raise_without(victim)
    await writer.write(2)
    with suppress(CairnError, TimeoutError):
        assert await reader.show() == 2


async def exclusions_before_renewal(stage: Stage) -> None:
    """Goal: rule 5.

    Method: a server is excluded while the master cannot reach it, the order is lost with its connection; then its
    heartbeats get through again.
    """
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
    """Goal: rule 7.

    Method: a write has reached one secondary and not the other; who reads at both goes not back.
    """
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
    """Goal: rule 7.

    Method: a primary that nobody but a reader can reach is asked for the length.
    """
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


async def map_barrier(stage: Stage) -> None:
    """Goal: rule 9.

    Method: a file is truncated and written anew under a reader that knows its old chunk.
    """
    await truncated_under_a_reader(stage)


async def lease_from_question(stage: Stage) -> None:
    """Goal: rule 5.

    Method: the answer to a heartbeat takes 1.7 s, and it is the last one: the master counts from when it was asked.
    """
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    reader = await stage.reader(victim)
    session = stage.reign.sessions.of(stage.cluster.servers[victim].server_id)
    assert session is not None, victim
    stage.world.cut(MASTER, victim, one_way=True)
    heartbeats = session.heartbeats
    while session.heartbeats == heartbeats:  # ends: heartbeats still get there
        await stage.pause(0.01)
    await stage.pause(1.7)
    stage.world.heal(MASTER, victim)
    stage.world.cut(victim, MASTER)
    await stage.raise_without(victim)
    await writer.write(3)
    assert await reader.show() == 3


async def hold_adopted(stage: Stage) -> None:
    """Goal: rule 6.

    Method: a version opens empty, is written, and overwritten while one member can only be reached by readers. The
    raise adopts the overwrite; the length at the version's beginning does not tell that it is one.
    """
    client = await stage.client("writer")
    writer = Seat(stage, "writer", await stage.on("writer", client.open(FILE, "w+b")))
    await writer.write(1)
    await stage.pause(3)
    behind = stage.others[0]
    reader = await stage.reader(behind)
    for other in [MASTER, "writer", *stage.cluster.names]:
        if other != behind:
            stage.world.cut(other, behind)
    await writer.write(2)
    assert await reader.show() == 2
