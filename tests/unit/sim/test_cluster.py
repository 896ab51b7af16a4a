"""What a simulated cluster may vary."""

import pytest

from cairnfs.config import ChunkserverConfig, ClientConfig, MasterConfig
from cairnfs.errors import CairnError
from cairnfs.limits import Geometry
from cairnfs.sim.cluster import FOLDER, MASTER, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB, TIB

FILE = "/file"


async def write(client):
    await client.write_bytes(FILE, bytes(10_000))


async def table(client):
    return await client.chunk_table(FILE)


def play(scene, **options):
    """Run `scene(cluster)` in a cluster with one file."""
    with SimWorld(1) as world:
        cluster = SimCluster(world, **options)
        cluster.start()
        world.run(cluster.on_client(write))
        world.run(scene(cluster))


def test_servers_stand_in_racks_and_copies_are_spread_over_them():
    async def scene(cluster):
        assert cluster.racks == {"cs0": "rack0", "cs1": "rack1", "cs2": "rack0", "cs3": "rack1"}
        for number in range(8):
            path = f"/more{number}"
            await cluster.on_client(lambda client, path=path: client.write_bytes(path, b"x"))
            (chunk,) = await cluster.on_client(lambda client, path=path: client.chunk_table(path))
            names = {cluster.name_of(one.server) for one in chunk.replicas}
            assert {cluster.racks[name] for name in names} == {"rack0", "rack1"}, path

    play(scene, racks=2, goal=2)


def test_a_chunkserver_has_several_disks_and_uses_them():
    async def scene(cluster):
        async def more(client):
            for number in range(12):
                await client.write_bytes(f"/more{number}", bytes(1000))
                await cluster.pause(2)

        await cluster.on_client(more)
        assert cluster.folders == [FOLDER, "/data1", "/data2"]
        for folder in cluster.folders:
            paths = [path for path, _ in cluster.world.tree("cs0", folder).walk()]
            assert any(path.endswith(".dat") for path in paths), folder

    play(scene, disks=3, chunkservers=3)


@pytest.mark.parametrize("goal", [1, 2, 3])
def test_the_goal_says_how_many_copies_a_file_has(goal):
    async def scene(cluster):
        (chunk,) = await cluster.on_client(table)
        assert (chunk.goal, len(chunk.replicas)) == (goal, goal)

    play(scene, goal=goal)


def test_a_single_server_is_a_cluster_with_one_copy():
    async def scene(cluster):
        cluster.power_all()
        await cluster.restart_all()
        assert await cluster.on_client(lambda client: client.read_bytes(FILE)) == bytes(10_000)

    play(scene, chunkservers=1, goal=1)


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_an_acknowledged_append_is_flushed_unless_memory_is_enough(durability):
    """Goal: contract 5. Method: one copy; append, and cut the power: only flushed bytes are sure to be there."""
    survived = set()
    for seed in range(12):
        with SimWorld(seed) as world:

            async def scene(cluster, world=world):
                async def append(client):
                    log = await client.append_writer(FILE)
                    await log.append(b"record" * 500)

                task = world.loop.create_task(cluster.on_client(append))
                await cluster.pause(0.0)
                await task
                cluster.power_all()
                await cluster.restart_all()

                async def records(client):
                    return [one.data async for one in client.records(FILE)]

                try:
                    return len(await cluster.on_client(records))
                except CairnError:
                    return 0

            cluster = SimCluster(world, chunkservers=1, goal=1, durability=durability)
            cluster.start()
            world.run(cluster.on_client(lambda client: client.write_bytes(FILE, b"")))
            survived.add(world.run(scene(cluster)))
    if durability == "disk":
        assert survived == {1}
    else:
        assert 0 in survived


def test_sizes_and_settings_are_those_asked_for():
    async def scene(cluster):
        assert cluster.clients == ["client", "client1"]
        assert len(await cluster.on_client(table, host="client1")) == 2
        assert cluster.master is not None
        assert cluster.master.reign.config.lease_s == 7
        with pytest.raises(CairnError):
            await cluster.on_client(lambda client: client.read_bytes("/absent"))

    play(
        scene,
        clients=2,
        geometry=Geometry(chunk_bytes=8 * KIB, block_bytes=1 * KIB),
        config=MasterConfig(listen=(f"{MASTER}:7400",), data=FOLDER, lease_s=7),
    )


def test_what_chunkservers_keep_free_can_be_set():
    with SimWorld(1) as world:
        cluster = SimCluster(world, chunkserver_config=ChunkserverConfig(reserve_bytes=2 * TIB))
        cluster.start()
        with pytest.raises(CairnError):
            world.run(cluster.on_client(write))


def test_clients_may_differ_by_host():
    near = ClientConfig(near="cs1:7410")
    with SimWorld(1) as world:
        cluster = SimCluster(world, client_config=ClientConfig(readahead_bytes=0), client_configs={"b": near})
        assert cluster.client("a").config.readahead_bytes == 0
        assert cluster.client("b").config.near == "cs1:7410"
        assert cluster.client("b").config.master == (f"{MASTER}:7400",)


def test_the_power_of_all_can_fail_and_everything_that_was_acknowledged_is_there():
    async def scene(cluster):
        cluster.power_all()
        assert not cluster.servers
        assert cluster.master is None
        await cluster.restart_all()
        assert sorted(cluster.servers) == cluster.names
        assert await cluster.on_client(lambda client: client.read_bytes(FILE)) == bytes(10_000)

    play(scene)
