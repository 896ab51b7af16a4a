"""The next chunk is asked for at 3/4 of the present one, by writers and by readers."""

import asyncio
import os

from tests.support.fake_cluster import fake_cluster
from tests.support.master_cluster import run as run_in_world
from tests.unit.master.test_with_real_chunkservers import whole_cluster

from cairnfs.sim.world import pass_time
from cairnfs.wire.locations import DropEmptyTail, FindChunks, LeaseChunk
from cairnfs.wire.mutations import WriteChunk

CHUNK = 256 * 1024
KIB = 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def asked(cluster, kind, index):
    return [each for each in cluster.master.requests[kind] if each.index == index]


async def turns(count=200):
    """Let what was started run; loopback needs a few turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(claim):
    while not claim():
        await asyncio.sleep(0)


def test_a_sequential_writer_asks_for_the_next_chunk_at_three_quarters():
    """Goal: the round trip to the master is over before the first byte of the next chunk exists.

    Method: write a chunk in pieces of 1/16; look at what the master was asked after each.
    """

    async def claim(cluster, fs):
        async with await fs.open("/file", "wb") as file:
            for number in range(1, 17):
                await file.write(os.urandom(CHUNK // 16))
                await file.flush()
                if number < 12:
                    await turns()
                    assert not asked(cluster, LeaseChunk, 1), number
                else:
                    await until(lambda: asked(cluster, LeaseChunk, 1))
            handle = next(one.handle for one in cluster.chunks.values() if one.index == 1)
            await file.write(b"first byte of the next")
            await file.flush()
            assert len(asked(cluster, LeaseChunk, 1)) == 1
            wrote = [each for one in cluster.servers for each in one.requests[WriteChunk] if each.handle == handle]
            assert wrote[0].lease is not None, "the place came with its token"
        assert not cluster.master.asked[DropEmptyTail]

    run(claim)


def test_writers_that_do_not_go_through_a_chunk_ask_for_nothing():
    async def claim(cluster, fs):
        async with await fs.open("/file", "wb") as file:
            await file.pwrite(b"x", CHUNK - 10)
            await file.pwrite(b"x" * 10, CHUNK - 100)
            await turns()
        await fs.write_bytes("/whole", os.urandom(CHUNK))
        assert not asked(cluster, LeaseChunk, 1)

    run(claim)


def test_a_chunk_made_in_vain_is_taken_back():
    """Goal: a file that ends in the last quarter of a chunk has no empty chunk behind it, and appends no hole in it.

    Method: real servers in the simulated world; stop at 7/8 of a chunk; look at the map, the length, an append.
    """

    async def go():
        async with whole_cluster() as it:
            size = (1 << 20) // 8 * 7
            data = bytes(range(256)) * (size // 256)
            file = await it.client.open("/file", "wb")
            await file.write(data[:100])
            await file.write(data[100:])
            await file.flush()
            while len(it.rows()) < 2:
                await pass_time(0.01)
            assert await file.size() == size, "an empty chunk adds nothing to the length"
            await file.close()
            assert len(it.rows()) == 1
            assert (await it.client.stat("/file")).size == size
            assert await it.client.append("/file", b"record") == size
            assert await it.client.read_bytes("/file") == data + b"record"
            await it.client.remove("/file", now=True)
            await it.until(lambda: not it.rows())

    run_in_world(go)


def test_a_chunk_that_somebody_else_wrote_to_is_kept():
    """Goal: who takes a chunk back that he made in vain drops no byte of others.

    Method: while one writer stands at 7/8, another client appends: its record goes to the chunk just made.
    """

    async def go():
        async with whole_cluster() as it:
            size = (1 << 20) // 8 * 7
            file = await it.client.open("/file", "wb")
            await file.write(b"a" * 100)
            await file.write(b"b" * (size - 100))
            await file.flush()
            while len(it.rows()) < 2:
                await pass_time(0.01)
            assert await it.client.append("/file", b"record") == 1 << 20
            await file.close()
            async with await it.client.open("/file", "rb") as reader:
                assert await reader.pread(6, 1 << 20) == b"record"
            assert (await it.client.stat("/file")).size == (1 << 20) + 6

    run_in_world(go)


def test_an_own_append_or_truncation_finds_no_empty_chunk():
    async def go():
        async with whole_cluster() as it:
            size = (1 << 20) // 8 * 7
            async with await it.client.open("/file", "wb") as file:
                await file.write(b"a" * 100)
                await file.write(b"b" * (size - 100))
                assert await file.append(b"record") == size
                await file.seek(size + 6)
                await file.write(b"more")
                await file.truncate(size)
                assert len(it.rows()) == 1
            assert (await it.client.stat("/file")).size == size

    run_in_world(go)


def test_a_sequential_reader_asks_for_the_next_places_before_it_needs_them():
    """Goal: no read waits for the master at a chunk end.

    Method: places come eight at a time; read up to the last quarter of the eighth chunk, and no further.
    """

    async def claim(cluster, fs):
        await fs.write_bytes("/file", os.urandom(10 * CHUNK))
        other = cluster.client()  # it has no places from writing
        async with await other.open("/file", "rb") as file:
            for index in range(8):
                await file.pread(64 * KIB, index * CHUNK)
            await turns()
            assert not asked(cluster, FindChunks, 8)
            await file.pread(64 * KIB, 8 * CHUNK - 64 * KIB)
            await until(lambda: asked(cluster, FindChunks, 8))
            await turns()
            before = cluster.master.asked[FindChunks]
            await file.pread(CHUNK, 8 * CHUNK)
            assert cluster.master.asked[FindChunks] == before
        await other.close()

    run(claim)
