"""Stories of replicas that were left behind: the stale read of the seed's question, and a stale version that returns."""

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story


async def stale_read(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A", closed=False)
    writer, behind = await cast.writer(), stage.others[0]
    reader = await cast.reader(behind)
    cast.begin()
    await reader.read()
    cast.note(f"the reader has cached that {behind} holds the chunk; it need not ask the master again")
    cast.fault("network", f"{behind} and the reader can reach each other, and nobody else can reach them")
    others = [name for name in stage.cluster.names if name != behind]
    stage.world.partition([behind, reader.name], [MASTER, "writer", *others])
    writing = stage.later(writer.write("B"))
    await reader.watch(14)
    await writing
    cast.fault("network", "is whole again")
    stage.world.heal()
    await stage.pause(3)
    await reader.read()


STALE_READ = Story(
    name="stale-read",
    summary="can a reader with a cached location read a replica that was left behind?",
    paper="2.7.1 says yes: until the cache entry times out or the file is opened again, a client may read a stale "
    "replica. Ours: a replica answers only while it holds a serving lease, and an overwrite waits for its end.",
    promise="no read that began after the ack of 'B' showed 'A' (contract 4)",
    guards=("serving_lease", "fence_before_overwrite"),
    scene=stale_read,
)
