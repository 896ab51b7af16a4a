"""The story of a master that dies at each step of a version raise."""

from collections.abc import Callable

from msgspec.structs import replace

from cairnfs.limits import ORDER_TIMEOUT_S, PROBE_TIMEOUT_S
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.people import Cast, Reader, Writer
from cairnfs.sim.stories.story import CONFIG, Story
from cairnfs.sim.stories.watching import Fact

LEASE_S = 4.0
"""Serving leases are short here: a new master holds overwrites back for as long."""
BEFORE_S = ORDER_TIMEOUT_S + PROBE_TIMEOUT_S
"""The primary waits for an order's answer and the master for a probe's (rule 20): no raise begins earlier."""
GLANCE_S = 0.0002
"""Each step takes a message there and back, so none is missed."""


def has_promised(stage: Stage) -> bool:
    return all(stage.chunk_at(name).promised > stage.row.version for name in targets(stage))


def is_reconciled(stage: Stage) -> bool:
    return all(version_of(stage, name) > stage.row.version for name in targets(stage))


def is_logged(stage: Stage) -> bool:
    return len(stage.row.members) == 2 and stage.chunk_at(stage.primary).opened < stage.row.version


def is_open(stage: Stage) -> bool:
    return len(stage.row.members) == 2 and stage.chunk_at(stage.primary).opened == stage.row.version


STEPS: dict[str, Callable[[Stage], bool]] = {
    "all have promised; nothing is logged": has_promised,
    "all are reconciled to the new version; nothing is logged": is_reconciled,
    "the result is logged; the primary has not heard of it": is_logged,
    "the result is logged, and the new version is open": is_open,
}
"""Where the master dies, in the order of a raise (rule 3)."""


def targets(stage: Stage) -> list[str]:
    """Return the members that can be reached by the master."""
    return [name for name in stage.members if stage.world.network.links.passes(MASTER, name)]


def version_of(stage: Stage, name: str) -> tuple[int, int]:
    return stage.cluster.servers[name].context.store.replicas[stage.handle].state.version


async def restart_in_a_raise(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A", closed=False)
    writer = await cast.writer()
    behind = stage.others[0]
    at_behind = await cast.reader(behind, "reader-1")
    at_rest = await cast.reader(next(name for name in stage.cluster.names if name != behind), "reader-2")
    cast.hush(Fact.SERVES, Fact.EXCLUDED, Fact.FENCED)
    cast.begin()
    for letter, step in zip("BCDE", STEPS, strict=True):
        await die_at(stage, cast, step, letter=letter, behind=behind, people=(writer, at_behind, at_rest))
        if cast.is_broken():
            return
    cast.compare_replicas()


async def die_at(
    stage: Stage, cast: Cast, step: str, *, letter: str, behind: str, people: tuple[Writer, Reader, Reader]
) -> None:
    writer, at_behind, at_rest = people
    others = [name for name in stage.cluster.names if name != behind]
    cast.fault("network", f"{behind} loses everybody but its reader, so the version must be raised")
    stage.world.partition([behind, at_behind.name], [MASTER, writer.name, *others])
    writing = stage.later(writer.write(letter))
    await stage.pause(BEFORE_S)
    while not STEPS[step](stage):
        await stage.pause(GLANCE_S)
    cast.fault(MASTER, f"is killed: {step}")
    promised = max(stage.chunk_at(name).promised for name in others)
    stage.cluster.crash(MASTER)
    await stage.pause(0.2)
    await stage.cluster.restart(MASTER)
    stands = stage.row.version == promised
    cast.note(f"{promised} is in the log: the raise stands" if stands else f"{promised} is not in the log: it is burnt")
    early = await at_rest.read(is_told=False)
    await at_behind.read(limit_s=0.5, is_told=False)
    await writing
    await at_behind.read(limit_s=0.5, is_told=False)
    await at_rest.read(is_told=early < letter)
    with cast.unseen():
        stage.world.heal()
        await stage.cluster.until(lambda: len(stage.row.members) == 3)


RESTART_IN_A_RAISE = Story(
    name="restart-in-a-raise",
    summary="the master dies at each step of a version raise; does anybody notice?",
    gfs=(
        "section 4.5: master and replicas record the new version before any client is told; a master that finds a "
        "higher one at a replica takes it."
    ),
    ours=("a version carries the master's epoch, no number is used twice, and what is current is what the log says."),
    promise="every write was acknowledged once, no read was stale, the replicas are equal (rules 1, 3 and 6)",
    guards=("pending_ranges",),
    scene=restart_in_a_raise,
    config=replace(CONFIG, serving_lease_s=LEASE_S, serving_lease_quiet_s=LEASE_S),
)
