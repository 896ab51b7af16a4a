"""Stories of primaries: two at a time, and one that dies in the middle of a write."""

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story
from cairnfs.sim.stories.watching import plural


async def two_primaries(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A", closed=False)
    old, new = await cast.writer("writer-1"), await cast.writer("writer-2")
    primary, secondary = stage.primary, stage.others[0]
    near_old, near_new = await cast.reader(primary, "reader-1"), await cast.reader(secondary, "reader-2")
    cast.begin()
    await old.write("B", f"it asks {primary}, which has the lease")
    cast.fault("network", f"{primary} and the master cannot reach each other; {primary} sees no reason to stop")
    stage.world.cut(primary, MASTER)
    await stage.raise_without(primary)
    cast.note(f"{primary} still believes in its lease of version {stage.chunk_at(primary).opened}")
    cast.note("a GFS master would first wait out the old lease, up to 60 s; here the promises end it")
    await near_old.read()
    for letter, why in (("C", f"it asks {stage.primary}"), ("D", "once more"), ("E", "and once more")):
        await new.write(letter, why)
    await near_old.read(limit_s=0.5)
    if cast.is_broken():
        return
    took_s = await old.write("F", f"it still asks {primary}, whose order must reach {secondary}")
    if took_s > 1:
        cast.note(f"{secondary} refused the order, {primary} could not ack; in the end the writer asked the master")
    await near_new.read()
    cast.fault("network", "is whole again")
    stage.world.heal()
    await stage.pause(3)
    await near_old.read()
    cast.compare_replicas()


TWO_PRIMARIES = Story(
    name="two-primaries",
    summary="the old primary is cut off from the master and goes on; what do its writers get?",
    gfs=(
        "section 3.1: the master waits for the old lease to end by time before it grants another, so safety rests "
        "on clocks."
    ),
    ours=("a lease is over as soon as a member has promised a higher version; the old primary gets no ack any more."),
    promise="at most one primary could acknowledge a write, and no write was lost or read stale (rule 2)",
    guards=("exact_version", "fence_before_overwrite"),
    scene=two_primaries,
)


async def primary_dies_in_a_write(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A", closed=False)
    writer, other = await cast.writer("writer-1"), await cast.writer("writer-2")
    primary, (near, far) = stage.primary, stage.others
    at_near, at_far = await cast.reader(near, "reader-1"), await cast.reader(far, "reader-2")
    cast.begin()
    cast.fault("network", f"{primary}, the primary, cannot reach {far} any more")
    stage.world.cut(primary, far)
    writing = stage.later(writer.write("B"))
    await stage.pause(0.05)
    applied = [name for name in stage.members if stage.chunk_at(name).serial > stage.chunk_at(far).serial]
    cast.note(f"'B' is applied on {plural(applied)}, not on {far}: in GFS, an inconsistent region")
    await at_near.read(limit_s=0.5)
    await at_far.read(limit_s=0.5)
    if cast.is_broken():
        return
    cast.fault(primary, f"is killed; {writer.name} is cut off before it hears of it")
    stage.world.partition([writer.name], [*stage.cluster.names, MASTER])
    stage.cluster.crash(primary)
    await at_near.read()
    await at_far.read()
    cast.note(f"the raise has reconciled them: {near} had the higher serial, so {far} took 'B' over (adopted)")
    await other.write("C")
    cast.fault("network", f"{writer.name} is back; it never had an answer, and repeats its (client, sequence)")
    stage.world.heal()
    await writing
    await at_near.read()
    await at_far.read()
    cast.compare_replicas()


PRIMARY_DIES = Story(
    name="primary-dies-in-a-write",
    summary="some replicas have applied a write and some not; what do readers see before and after?",
    gfs=(
        "section 2.7.1: a failed mutation leaves the region inconsistent: clients may see different data at different "
        "times. The client retries; an appended record may then stand there twice."
    ),
    ours="no reader sees a write that is not everywhere, and a retry gets the result of its first try.",
    promise="no reader went back, the replicas are equal, and the write was applied once (rules 7, 11 and 12)",
    guards=("pending_ranges", "filter_repeats"),
    scene=primary_dies_in_a_write,
)
