"""Overwrites after a failure wait until no replica left behind can be read, and then succeed. Rule 6."""

import pytest

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.wire.chunk_reads import ReadChunk


async def write_and_lose_a_member(cluster: SimCluster, client):
    """Write, cut one member that is not the primary off from all but readers; return (file, chunk, member)."""
    file = await client.open("/file", "w+b")
    await file.pwrite(b"old", 0)
    await cluster.pause(3)
    [chunk] = await client.chunk_table("/file")
    member = next(one for one in chunk.replicas if one.server != chunk.primary)
    name = cluster.name_of(member.server)
    for other in [MASTER, "client", *cluster.names]:
        if other != name:
            cluster.world.cut(other, name)
    return file, chunk, member


@pytest.mark.parametrize("seed", range(3))
def test_an_acked_overwrite_of_bytes_of_the_same_version_is_not_read_stale(seed):
    """Goal: contract 4 for bytes that were written, and overwritten, within one version.

    Method: such an overwrite is adopted by the raise that leaves a member behind. The member has the bytes from before,
    a live serving lease and a reader with a warm cache, so the ack must wait for the end of that lease. The length of
    the version's base does not tell that it overwrites.
    """
    with SimWorld(seed) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(client):
            file, chunk, member = await write_and_lose_a_member(cluster, client)
            await file.pwrite(b"new", 0)

            async def read(reader):
                question = ReadChunk(handle=chunk.handle, version=chunk.version, offset=0, length=3)
                call = reader._core.connection.caller.call_for_payload(member.address, question, timeout_s=5)
                try:
                    return bytes((await call)[1])
                except CairnError:
                    return None

            assert await cluster.on_client(read, host="reader") in (None, b"new")

        world.run(cluster.on_client(story))


def test_an_overwrite_outlives_the_longest_serving_lease():
    """Goal: the wait for the fence, 63 s by default, is longer than a call without progress, and is no error."""
    with SimWorld(11) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(client):
            file, _, _ = await write_and_lose_a_member(cluster, client)
            began_s = world.loop.time()
            await file.pwrite(b"new", 0)
            assert world.loop.time() - began_s > 60
            assert await file.pread(3, 0) == b"new"

        world.run(cluster.on_client(story))


@pytest.mark.parametrize("who", ["primary", "secondary"])
def test_a_chunk_that_is_overwritten_anyway_waits_for_the_short_serving_lease_only(who):
    """Goal: rule 6: whoever has seen an overwrite keeps to 10 s, and the others know that it has; no stale read."""
    with SimWorld(13) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(client):
            await cluster.pause(64)  # a master that has just started takes every server for one left behind
            file = await client.open("/file", "w+b")
            for content in (b"one", b"two", b"old"):
                await file.pwrite(content, 0)
            await cluster.pause(3)
            [chunk] = await client.chunk_table("/file")
            member = next(one for one in chunk.replicas if (one.server == chunk.primary) == (who == "primary"))
            lost = cluster.name_of(member.server)
            for other in [MASTER, "client", *cluster.names]:
                if other != lost:
                    cluster.world.cut(other, lost)
            began_s = world.loop.time()
            await file.pwrite(b"new", 0)
            assert 8 < world.loop.time() - began_s < 16

            async def read(reader):
                question = ReadChunk(handle=chunk.handle, version=chunk.version, offset=0, length=3)
                call = reader._core.connection.caller.call_for_payload(member.address, question, timeout_s=5)
                with pytest.raises(CairnError):
                    await call

            await cluster.on_client(read, host="reader")
            assert await file.pread(3, 0) == b"new"

        world.run(cluster.on_client(story))


def test_a_truncation_that_drops_chunks_outlives_the_longest_serving_lease():
    """Goal: rule 9: the wait until a server that was cut off cannot serve the old map is no error, and is long enough.

    Method: cut a member off from all but readers, truncate to nothing; then ask that member at the old version.
    """
    with SimWorld(12) as world:
        cluster = SimCluster(world)
        cluster.start()

        async def story(client):
            file, chunk, member = await write_and_lose_a_member(cluster, client)
            began_s = world.loop.time()
            await file.truncate(0)
            assert world.loop.time() - began_s > 55

            async def read(reader):
                question = ReadChunk(handle=chunk.handle, version=chunk.version, offset=0, length=3)
                call = reader._core.connection.caller.call_for_payload(member.address, question, timeout_s=5)
                with pytest.raises(CairnError):
                    await call

            await cluster.on_client(read, host="reader")
            assert await file.size() == 0

        world.run(cluster.on_client(story))
