"""Where records stand in a file that many append to. Rule 17; GFS paper, section 3.3."""

from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

LOG = "/log"
CHUNK = 64 * KIB


def test_a_record_stands_behind_every_record_that_was_acknowledged_before_it():
    """Goal: a reader that has read a file to its end never misses a record that is appended later.

    Method: a large record does not fit the first chunk and goes to the second. Another client, who knows only the
    first and that it has room, appends a small one.
    """
    with SimWorld(1) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(large):
            for _ in range(3):
                await large.append(LOG, bytes(16 * KIB))

            async def append_small(small):
                await small.append(LOG, b"small")
                await large.append(LOG, bytes(15 * KIB))
                behind = await large.append(LOG, bytes(16 * KIB))
                assert behind == CHUNK
                assert await small.append(LOG, b"small") == behind + 16 * KIB

            await cluster.on_client(append_small, host="small")

        world.run(cluster.on_client(story))


def test_an_append_leaves_a_chunk_with_one_member_at_once():
    """Goal: rule 17: with fewer than two members left, append goes on in a new chunk with a full set.

    Method: two of three members are killed; the record is acknowledged long before the data deadline of 60 s.
    """
    with SimWorld(2) as world:
        cluster = SimCluster(world, chunkservers=6)
        cluster.start()

        async def story(client):
            await client.append(LOG, b"first")
            [chunk] = await client.chunk_table(LOG)
            members = [cluster.name_of(one.server) for one in chunk.replicas if one.current]
            for name in members[:2]:
                cluster.crash(name, power=True)
            began_s = world.now_s()
            assert await client.append(LOG, b"second") == CHUNK
            assert world.now_s() - began_s < 20

        world.run(cluster.on_client(story))
