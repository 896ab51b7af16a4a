"""Stories of the master's orders: one that comes from a deposed master, and a snapshot under a writer."""

from cairnfs.errors import CairnError
from cairnfs.ids import Epoch
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import FILE, Stage
from cairnfs.sim.stories.narrator import Kind
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story
from cairnfs.wire.master_orders import DeleteReplicas

COPY = "/copy"


async def deleted_by_a_deposed_master(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A")
    victim = stage.members[0]
    reader = await cast.reader(victim)
    cast.begin()
    version, epoch = stage.row.version, stage.reign.epoch
    cast.fault(MASTER, f"epoch {epoch}: orders {victim} to delete its replica, at {version}; the order is held up")
    cast.fault(MASTER, "is killed and started again")
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.cluster.until(lambda: len(stage.reign.live_current(stage.row, stage.handle)) == len(stage.members))
    cast.note(f"all servers have reported to the new one, which counts on the replica of {victim}")
    for late in (Epoch(epoch), Epoch(epoch + 1)):
        if not cast.is_broken():
            await order_to_delete(stage, cast, victim, late, current=epoch + 1)
    await reader.read()


async def order_to_delete(stage: Stage, cast: Cast, victim: str, epoch: Epoch, *, current: int) -> None:
    """Send an order to delete: the late one, then one of this epoch that names an older version."""
    version = stage.row.version
    if epoch < current:
        cast.fault("network", f"the order of epoch {epoch} arrives at {victim} at last")
    else:
        version = version._replace(counter=version.counter - 1)
        cast.fault("network", f"an order of this epoch arrives too late: its replica was at {version} then")
    order = DeleteReplicas(epoch=epoch, replicas=[(stage.handle, version)])
    try:
        answer = await stage.order(victim, order)
        what = "deleted its replica" if answer.deleted else "does not delete it: it holds another version"
        cast.tell(victim, what)
    except CairnError as error:
        cast.tell(victim, f"refuses: {error}")
    if stage.handle not in stage.cluster.servers[victim].context.store.replicas:
        cast.breaks(victim, f"{victim} deleted a replica that is current")


DEPOSED_MASTER = Story(
    name="deleted-by-a-deposed-master",
    summary="an order of a master that is no more comes late; does a chunkserver obey?",
    gfs=(
        "section 5.1.3: monitoring outside starts a new master; what stops a late order of the old one it does not say."
    ),
    ours="each master has a higher epoch, chunkservers store the highest one seen and refuse lower ones.",
    promise="no order of another reign or another version deleted a replica (rules 1 and 22)",
    guards=("refuse_lower_epoch", "exact_delete"),
    scene=deleted_by_a_deposed_master,
)


async def snapshot_under_a_write(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A", closed=False)
    writer, behind = await cast.writer(), stage.others[0]
    reader = await cast.reader(behind)
    cast.begin()
    await writer.write("B")
    client = await stage.client("snapper")
    await stage.on("snapper", client.snapshot(FILE, COPY))
    cast.tell("snapper", f"has a snapshot, {COPY}: the chunk is closed and belongs to both files now", Kind.SEEN)
    await reader.read()
    cast.fault("network", f"{behind} and the master cannot reach each other; the reader reaches both")
    stage.world.cut(behind, MASTER)
    writing = stage.later(writer.write("C", "the shared chunk must be copied first"))
    await reader.watch(13)
    await writing
    shown = await stage.on("snapper", client.read_bytes(COPY))
    cast.tell("snapper", f"reads {COPY}: sees {chr(shown[0])!r}", Kind.SEEN)
    if set(shown) != {ord("B")}:
        cast.breaks("snapper", "the snapshot changed with the file")
    if not cast.is_broken():
        await reader.read()


SNAPSHOT = Story(
    name="snapshot-under-a-write",
    summary="a file is snapshot and then overwritten; who sees what?",
    gfs=(
        "section 3.4: the master revokes the leases, logs the snapshot, and copies a chunk on its first write "
        "afterwards, on the same servers. What becomes of readers that have cached the old handle it does not say."
    ),
    ours="readers of the file are barred from the old chunk before the first overwrite of its copy is acknowledged.",
    promise="the copy stayed as it was, and no reader of the file saw 'B' after the ack of 'C' (rule 9)",
    guards=("fence_before_overwrite", "serving_lease"),
    scene=snapshot_under_a_write,
)
