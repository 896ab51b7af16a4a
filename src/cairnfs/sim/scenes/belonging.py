"""Scenes of who belongs together, and of what is remembered: contract 1, rules 22 and 25. See `guards`."""

import asyncio
from contextlib import suppress

from cairnfs.client.filesystem import Client
from cairnfs.config import ClusterConfig
from cairnfs.env.memory_files import MemoryFolder
from cairnfs.errors import CairnError
from cairnfs.master.server import initialise
from cairnfs.sim.cluster import FOLDER, MASTER, SMALL
from cairnfs.sim.disk import SimFolder, SimTree
from cairnfs.sim.pages import SimNode
from cairnfs.sim.scenes.keeping import make_alone
from cairnfs.sim.stage import FILE, Stage, content


async def cluster_identity(stage: Stage) -> None:
    """Goal: rule 25: nothing of another cluster is adopted.

    Method: the machine of the master comes back with the metadata of another cluster, and a client of that one writes;
    then the first metadata come back.
    """
    await stage.make(1)
    host = stage.world.host(MASTER)
    crash_all(stage)
    kept = host.records[FOLDER]
    stage.world.make_folder(MASTER, FOLDER)
    shape = ClusterConfig(chunk_bytes=SMALL.chunk_bytes, block_bytes=SMALL.block_bytes)
    await stage.on(MASTER, initialise(stage.world.env(MASTER), FOLDER, shape))
    await restart_all(stage)
    stranger = await stage.client("stranger")
    await stage.on("stranger", try_to_make(stranger))
    crash_all(stage)
    host.records[FOLDER] = kept
    await restart_all(stage)
    reader = await stage.client("reader")
    assert await stage.on("reader", reader.read_bytes(FILE)) == content(1)


def crash_all(stage: Stage) -> None:
    for name in [MASTER, *stage.cluster.names]:
        stage.cluster.crash(name)


async def restart_all(stage: Stage) -> None:
    for name in [MASTER, *stage.cluster.names]:
        await stage.cluster.restart(name)
    await stage.pause(5)


async def try_to_make(client: Client) -> None:
    with suppress(CairnError, TimeoutError):
        async with asyncio.timeout(20):
            await client.write_bytes(FILE, content(9))


async def refuse_twin(stage: Stage) -> None:
    """Goal: a server id lives once (rule 25: a folder is adopted by nobody else).

    Method: the copy of a server's disk is started on another machine while the first one lives.
    """
    await stage.make(1)
    original = stage.members[0]
    stage.world.make_folder("twin", FOLDER)
    tree, twin = stage.world.tree(original, FOLDER), stage.world.tree("twin", FOLDER)
    copy_names(tree.top, twin, twin.top)
    stage.cluster.racks["twin"] = ""
    await stage.cluster.start_chunkserver("twin")
    server = stage.cluster.servers[original].server_id
    assert stage.cluster.servers["twin"].server_id == server
    for _ in range(50):
        session = stage.reign.sessions.of(server)
        assert session is not None, "the first one lost its session"
        assert session.address.startswith(original), session.address
        await stage.pause(0.1)


def copy_names(source: MemoryFolder, tree: SimTree, target: MemoryFolder) -> None:
    """Copy a folder with all that is in it, as durable as it can be."""
    assert isinstance(target, SimFolder), target
    tree.names_changed()
    for name, entry in source.entries.items():
        if isinstance(entry, MemoryFolder):
            folder = tree.make_folder()
            copy_names(entry, tree, folder)
            target.entries[name] = target.durable[name] = folder
        else:
            node: SimNode = tree.make_node()
            node.data, node.durable = bytearray(entry.data), bytearray(entry.data)
            target.entries[name] = target.durable[name] = node


async def compare_digests(stage: Stage) -> None:
    """Goal: rule 5: what a server told before counts again only if it says that nothing has changed.

    Method: a server comes back with its disk as it was a day ago; it has one chunk of the two that it told of. The
    master must find out by itself, and copy the other.
    """
    client = await stage.client("other")
    await stage.on("other", client.write_bytes("/other", content(2)))
    victim = stage.members[0]
    stage.world.make_folder("image", FOLDER)
    image = stage.world.tree("image", FOLDER)
    copy_names(stage.world.tree(victim, FOLDER).top, image, image.top)
    await stage.make(1)
    server = stage.cluster.servers[victim].server_id
    await stage.cluster.until(lambda: stage.reign.inventory.count(server) == 2)
    stage.cluster.crash(victim)
    stage.world.make_folder(victim, FOLDER)
    tree = stage.world.tree(victim, FOLDER)
    copy_names(image.top, tree, tree.top)
    await stage.cluster.restart(victim)
    store = stage.cluster.servers[victim].context.store
    assert len(store.replicas) == 1, "the image has one chunk"
    await stage.cluster.until(lambda: len(store.replicas) == 2)


async def remember_results(stage: Stage) -> None:
    """Goal: contract 1.

    Method: the answer to a rename is lost; before it is sent again another client has made the old name anew.
    """
    mover, other = await stage.client("mover"), await stage.client("other")
    await stage.on("other", other.write_bytes("/old", b"first"))
    stage.world.cut(MASTER, "mover", one_way=True)
    move = stage.later(stage.on("mover", mover.replace("/old", "/new")))
    await stage.pause(0.5)
    await stage.on("other", other.write_bytes("/old", b"second"))
    stage.world.heal(breaks=True)
    await move
    assert await stage.on("other", other.read_bytes("/new")) == b"first"
    assert await stage.on("other", other.read_bytes("/old")) == b"second"


async def notice_rollback(stage: Stage) -> None:
    """Goal: rule 22.

    Method: the metadata of a day when the file had one copy come back after it was given three, and written.
    """
    await make_alone(stage)
    tables = stage.world.record(MASTER, FOLDER).tables
    before = {name: table.copy() for name, table in tables.tables.items()}
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    client = await stage.client("operator")
    await stage.on("operator", client.set_replicas(FILE, 3))
    await stage.cluster.until(lambda: len(stage.row.members) == 3)
    writer = await stage.writer()
    await writer.write(2)
    await writer.do(writer.file.close())
    stage.cluster.crash(MASTER)
    tables.tables = before
    await stage.cluster.restart(MASTER)
    await stage.pause(40)
    assert stage.reign.counters.get("replicas_deleted") == 0, "an old copy of the metadata ordered deletions"
