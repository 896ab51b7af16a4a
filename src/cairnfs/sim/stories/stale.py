"""Stories of replicas that were left behind: the stale read of the paper, and a stale version that returns."""

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story
from cairnfs.sim.stories.watching import plural
from cairnfs.wire.master_orders import DeleteReplicas


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


async def stale_version_returns(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A")
    writer, gone = await cast.writer(), stage.members[0]
    reader = await cast.reader(gone)
    old = stage.row.version
    cast.begin()
    await reader.read()
    cast.fault(gone, "loses power, with 'A' on its disk")
    stage.cluster.crash(gone, power=True)
    await writer.write("B")
    others = stage.members
    cast.fault(gone, "is back, at its old version; the reader reaches it, the master does not yet")
    stage.world.cut(gone, MASTER)
    await stage.cluster.restart(gone)
    await reader.read(limit_s=0.1)
    if cast.is_broken():
        return
    cast.fault("power", f"{plural(others)} lose theirs; only {gone} is left, and it finds the master now")
    for name in others:
        stage.cluster.crash(name, power=True)
    stage.world.heal()
    await reader.read(limit_s=15)
    holds_copy(stage, cast, gone, "which may be the last copy of the chunk, was deleted")
    if cast.is_broken():
        return
    cast.note(f"no answer is better than 'A'; {gone} keeps its replica while nobody confirms a newer one")
    cast.fault("power", f"{plural(others)} are back")
    for name in others:
        await stage.cluster.restart(name)
    await reader.read()
    await stage.cluster.until(lambda: gone in stage.members)
    cast.compare_replicas()
    cast.fault("network", f"an order to delete the replica of version {old} arrives at {gone}, much too late")
    await stage.order(gone, DeleteReplicas(epoch=stage.reign.epoch, replicas=[(stage.handle, old)]))
    holds_copy(stage, cast, gone, "current by now, was deleted")
    await reader.read()


def holds_copy(stage: Stage, cast: Cast, name: str, harm: str) -> None:
    """Tell which version a server holds, or that its replica is gone."""
    replicas = stage.cluster.servers[name].context.store.replicas
    if not replicas:
        cast.breaks(name, f"the replica of {name}, {harm}")
    for replica in replicas.values():
        cast.tell(name, f"still has its replica, at version {replica.state.version}")


STALE_READ = Story(
    name="stale-read",
    summary="can a reader with a cached location read a replica that was left behind?",
    gfs=(
        "section 2.7.1 says yes: until the cache entry times out or the file is opened again, a client may read a "
        "stale replica."
    ),
    ours="a replica answers only while it holds a serving lease, and an overwrite waits for its end.",
    promise="no read that began after the ack of 'B' showed 'A' (contract 4)",
    guards=("serving_lease", "fence_before_overwrite"),
    scene=stale_read,
)

STALE_VERSION = Story(
    name="stale-version-returns",
    summary="a server comes back with an old version; is it read, copied from, or deleted too early?",
    gfs=(
        "section 4.5: the master knows a stale replica by its version and removes it in garbage collection; until then "
        "a client with a cached location may read it (2.7.1)."
    ),
    ours="it is not read, no order deletes it too early, and the last copy of a chunk is never deleted.",
    promise="the old version was neither read nor copied, and no replica was deleted too early (rules 5, 22 and 23)",
    guards=("serving_lease", "keep_last_copy", "exact_delete"),
    scene=stale_version_returns,
)
