"""Overwrites after a failure wait, and then succeed. Rule 6."""

from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.world import SimWorld


def test_an_overwrite_outlives_the_serving_lease_of_a_machine_without_power():
    """Goal: the wait for the fence, 63 s by default, is longer than a call without progress may take, and is no error.

    Method: a member loses power for good; the client overwrites what it wrote.
    """
    with SimWorld(11) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(client):
            file = await client.open("/file", "w+b")
            await file.pwrite(b"old", 0)
            [chunk] = await client.chunk_table("/file")
            lost = next(one.server for one in chunk.replicas if one.server != chunk.primary)
            cluster.crash(cluster.name_of(lost), power=True)
            began_s = world.loop.time()
            await file.pwrite(b"new", 0)
            assert world.loop.time() - began_s > 60
            assert await file.pread(3, 0) == b"new"

        world.run(cluster.on_client(story))
