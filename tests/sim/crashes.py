"""What the simulated clusters of these tests live through. As a script it prints a trace hash: `crashes.py SEED`."""

import sys

from cairnfs.client.filesystem import Client
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.world import SimWorld

RECORDS = 30
LOG = "/log"


def record(writer: int, number: int) -> bytes:
    return f"writer {writer} record {number} ".encode() + bytes([65 + number % 26]) * (number * 37 % 900)


async def primary_of(client: Client, path: str) -> str | int:
    """Return the server that holds the lease of the last chunk; 0 if nobody does."""
    table = await client.chunk_table(path)
    return table[-1].primary if table else 0


async def append_through_a_crash(
    cluster: SimCluster, *, victim: str = "primary", power: bool = False
) -> tuple[list[bytes], list[bytes]]:
    """Two writers append; at a moment that the seed picks a server dies, and comes back later.

    Returns (acknowledged records, records read at the end); checks that all current replicas are equal.
    """
    world = cluster.world
    chance = world.stream("scenario")
    acknowledged: list[bytes] = []

    async def write(client: Client, writer: int) -> None:
        appender = await client.append_writer(LOG)
        for number in range(RECORDS):
            data = record(writer, number)
            await appender.append(data)
            acknowledged.append(data)
            await cluster.pause(0.05)

    async def make(client: Client) -> None:
        await client.write_bytes(LOG, b"")

    await cluster.on_client(make)
    writers = [
        world.loop.create_task(cluster.on_client(lambda client, n=n: write(client, n), host=f"client{n}"))
        for n in range(2)
    ]
    await cluster.pause(chance.uniform(0.2, 1.5))
    name = await choose(cluster, victim)
    cluster.crash(name, power=power)
    await cluster.pause(chance.uniform(0.5, 8.0))
    await cluster.restart(name)
    for writer in writers:
        await writer
    return acknowledged, await cluster.on_client(read_all)


async def choose(cluster: SimCluster, victim: str) -> str:
    if victim == MASTER:
        return MASTER
    server = 0
    while not server:
        server = await cluster.on_client(lambda client: primary_of(client, LOG))
    name = cluster.name_of(server)
    if victim == "primary":
        return name
    return next(other for other in cluster.names if other != name)


async def read_all(client: Client) -> list[bytes]:
    return [one.data async for one in client.records(LOG)]


async def healthy(cluster: SimCluster) -> None:
    """Wait until every chunk has all its copies and the copies of each chunk are equal."""

    async def is_whole(client: Client) -> bool:
        status = await client.status()
        chunks = await client.chunk_table(LOG)
        goal_is_met = all(sum(one.current for one in chunk.replicas) >= chunk.goal for chunk in chunks)
        return goal_is_met and status.chunks_below_goal == 0 and status.chunks_missing == 0

    for _ in range(600):
        if await cluster.on_client(is_whole):
            break
        await cluster.pause(0.5)
    else:
        raise AssertionError("copies are still missing after five minutes")

    async def compare(client: Client) -> None:
        for chunk in await client.chunk_table(LOG):
            digests = cluster.digests(chunk.handle)
            values = {digests[cluster.name_of(one.server)] for one in chunk.replicas if one.current}
            assert len(values) == 1, (chunk, digests)

    await cluster.on_client(compare)


def run(seed: int, *, victim: str = "primary", power: bool = False) -> str:
    """Run one seed and return its trace hash."""
    with SimWorld(seed) as world:
        cluster = SimCluster(world)
        cluster.start()
        acknowledged, read = world.run(append_through_a_crash(cluster, victim=victim, power=power))
        assert len(acknowledged) == 2 * RECORDS
        assert sorted(acknowledged) == sorted(read), "an acknowledged record is lost, repeated or torn"
        world.run(healthy(cluster))
        return world.trace.digest()


if __name__ == "__main__":
    print(run(int(sys.argv[1]), victim=sys.argv[2] if len(sys.argv) > 2 else "primary"))
