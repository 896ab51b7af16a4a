"""Writes larger than a push, inside one chunk: all or nothing, for readers and for other writers. Contract 3."""

import pytest

from cairnfs.client.filesystem import Client
from cairnfs.limits import Geometry
from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB, MIB

FILE = "/file"
LARGE = Geometry(chunk_bytes=4 * MIB, block_bytes=64 * KIB)
AT = 700_001
"""Odd, so that blocks are shared with what is beside."""
SIZE = 5 * MIB // 2
SEEDS = range(4)


def play(seed: int, scene) -> None:
    with SimWorld(seed) as world:
        cluster = SimCluster(world, geometry=LARGE)
        cluster.start()
        world.run(scene(cluster), limit_s=600)


async def primary_of(client: Client) -> str | int:
    table = await client.chunk_table(FILE)
    return table[0].primary if table else 0


async def make(client: Client) -> None:
    await client.write_bytes(FILE, bytes(4 * MIB))


async def overwrite(client: Client, marks: range) -> None:
    async with await client.open(FILE, "r+b") as file:
        for mark in marks:
            await file.pwrite(bytes([mark]) * SIZE, AT)


def assert_of_one_write(data: bytes) -> int:
    assert len(data) == SIZE
    assert data.count(data[0]) == SIZE, f"parts of writes {sorted(set(data))} in one read"
    return data[0]


async def watch(cluster: SimCluster, client: Client, seen: list[int], done: list[bool]) -> None:
    async with await client.open(FILE, "rb") as file:
        while not done:
            seen.append(assert_of_one_write(await file.pread(SIZE, AT)))
            await cluster.pause(0.001)


async def assert_copies_are_equal(cluster: SimCluster, client: Client) -> None:
    (chunk,) = await client.chunk_table(FILE)
    digests = cluster.digests(chunk.handle)
    values = {digests[cluster.name_of(one.server)] for one in chunk.replicas if one.current}
    assert len(values) == 1, digests


@pytest.mark.parametrize("victim", ["", "primary", "primary's power"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_reader_never_sees_a_mixture_of_two_overwrites(seed, victim):
    """Goal: contracts 3 and 4, rules 7 and 12. Method: the primary dies in the middle of one of the overwrites."""

    async def scene(cluster: SimCluster) -> None:
        spawn, seen, done = cluster.world.loop.create_task, [], []
        await cluster.on_client(make)
        readers = [
            spawn(cluster.on_client(lambda client: watch(cluster, client, seen, done), host=f"reader{number}"))
            for number in range(2)
        ]
        writer = spawn(cluster.on_client(lambda client: overwrite(client, range(1, 13)), host="writer"))
        if victim:
            server = 0
            while not server:
                server = await cluster.on_client(primary_of)
            await cluster.pause(cluster.world.stream("scene").uniform(0.0, 0.15))
            name = cluster.name_of(server)
            cluster.crash(name, power=victim != "primary")
            await cluster.pause(5)
            await cluster.restart(name)
        await writer
        done.append(True)
        for reader in readers:
            await reader
        assert len(set(seen)) > 1, "nothing was read while it was overwritten"
        assert assert_of_one_write(await cluster.on_client(read_range)) == 12
        await cluster.on_client(lambda client: assert_copies_are_equal(cluster, client))

    play(seed, scene)


async def read_range(client: Client) -> bytes:
    async with await client.open(FILE, "rb") as file:
        return await file.pread(SIZE, AT)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_concurrent_writers_of_a_range_one_wins_on_every_replica(seed):
    """Goal: contract 3. Method: both write the same range again and again, all of it each time."""

    async def scene(cluster: SimCluster) -> None:
        await cluster.on_client(make)
        for first in (1, 11, 21):
            writers = [
                cluster.world.loop.create_task(
                    cluster.on_client(lambda client, n=first + n: overwrite(client, range(n, n + 1)), host=f"writer{n}")
                )
                for n in range(3)
            ]
            for writer in writers:
                await writer
            last = assert_of_one_write(await cluster.on_client(read_range))
            assert last in range(first, first + 3)
            await cluster.on_client(lambda client: assert_copies_are_equal(cluster, client))

    play(seed, scene)


def test_writers_whose_pushes_do_not_fit_together_all_finish():
    """Rule 27: the push buffer has room for one of three writes at a time; what was dropped is pushed again."""

    async def scene(cluster: SimCluster) -> None:
        await cluster.on_client(make)
        for server in cluster.servers.values():
            server.context.pushed._limit_bytes = 3 * MIB
        writers = [
            cluster.world.loop.create_task(
                cluster.on_client(lambda client, n=n: overwrite(client, range(n, n + 3)), host=f"writer{n}")
            )
            for n in (1, 11, 21)
        ]
        for writer in writers:
            await writer
        assert assert_of_one_write(await cluster.on_client(read_range)) in (3, 13, 23)
        await cluster.on_client(lambda client: assert_copies_are_equal(cluster, client))

    play(5, scene)
