"""Rot in what nobody reads is found and mended. Rule 16; GFS paper, section 5.2."""

from collections import Counter

import msgspec

from cairnfs.chunkserver.format import data_name
from cairnfs.limits import SCRUB_LOOK_S
from cairnfs.sim.cluster import FOLDER, ROOMY, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

PERIOD_S = 40.0
SCRUBBING = msgspec.structs.replace(ROOMY, scrub_period_s=PERIOD_S)
FILES = [f"/{number}" for number in range(6)]


def counted(cluster, name):
    return Counter({host: server.context.counters.get(name, 0) for host, server in cluster.servers.items()})


async def write_all(client):
    for path in FILES:
        await client.write_bytes(path, path.encode() * 10_000)


def stored(cluster, host, handle):
    """Return the file of a replica, as it lies on the disk."""
    files = cluster.world.tree(host, FOLDER).walk()
    return next(node for path, node in files if path.endswith(data_name(handle)))


def play(scene, seed=1, config=SCRUBBING):
    with SimWorld(seed) as world:
        cluster = SimCluster(world, chunkservers=4, chunkserver_config=config)
        cluster.start()
        world.run(cluster.on_client(write_all))
        world.run(scene(cluster))


async def first_chunk(cluster, path):
    return (await cluster.on_client(lambda client: client.chunk_table(path)))[0]


def test_rot_in_an_idle_chunk_is_found_within_the_period_and_mended():
    async def scene(cluster):
        chunk = await first_chunk(cluster, FILES[2])
        victim = cluster.name_of(chunk.replicas[0].server)
        stored(cluster, victim, chunk.handle).flip(5 * KIB)
        await cluster.pause(2 * PERIOD_S)
        assert counted(cluster, "scrub_found") == Counter({victim: 1})
        assert sum(counted(cluster, "reads").values()) == 0, "nobody read it"
        assert counted(cluster, "replicas_quarantined") == Counter({victim: 1})
        chunk = await first_chunk(cluster, FILES[2])
        holders = [cluster.name_of(one.server) for one in chunk.replicas if one.current]
        assert len(holders) == 3
        assert len({bytes(stored(cluster, host, chunk.handle).data) for host in holders}) == 1

    play(scene)


def test_each_replica_is_read_once_in_a_period():
    async def scene(cluster):
        held = {host: len(server.context.store.replicas) for host, server in cluster.servers.items()}
        await cluster.pause(SCRUB_LOOK_S + 1)  # fresh disks are seen then, and a round begins
        before = counted(cluster, "scrub_replicas")
        await cluster.pause(PERIOD_S)
        assert counted(cluster, "scrub_replicas") - before == Counter(held)

    play(scene)


def test_a_restart_goes_on_and_begins_no_round_anew():
    """Goal: a server that restarts often still reads everything through. Method: longer than a minute between saves."""
    config = msgspec.structs.replace(ROOMY, scrub_period_s=1_000.0)

    async def scene(cluster):
        host = cluster.names[0]
        await cluster.pause(SCRUB_LOOK_S + 900.0)
        cluster.crash(host)
        await cluster.restart(host)
        assert counted(cluster, "scrub_rounds")[host] == 0
        await cluster.pause(200.0)
        assert counted(cluster, "scrub_rounds")[host] == 1, "the round that the restart interrupted"

    play(scene, config=config)


def test_without_a_period_nothing_is_scrubbed():
    async def scene(cluster):
        await cluster.pause(100.0)
        assert not +counted(cluster, "scrub_replicas")

    play(scene, config=msgspec.structs.replace(ROOMY, scrub_period_s=0.0))


def test_a_scrub_waits_while_clients_are_at_work_until_it_is_late():
    async def scene(cluster):
        async def work(client):
            end_s = cluster.world.now_s() + 2 * PERIOD_S
            while cluster.world.now_s() < end_s:
                await client.read_bytes(FILES[0])
                await cluster.pause(0.01)

        await cluster.on_client(work)
        assert sum(counted(cluster, "scrub_waits").values()) > 0
        assert sum(counted(cluster, "scrub_replicas").values()) > 0

    play(scene)
