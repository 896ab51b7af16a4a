"""What a client keeps: places of chunks, bytes read ahead; and what truncation does to both."""

import asyncio
import os

from tests.support.fake_cluster import fake_cluster

from cairnfs.client.locations import Locations
from cairnfs.limits import READ_PIECE_BYTES
from cairnfs.wire.chunk_reads import ReadChunk
from cairnfs.wire.locations import FindChunks

CHUNK = 256 * 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def asked(cluster, kind):
    return sum(part.asked[kind] for part in [cluster.master, *cluster.servers])


def test_the_cache_of_places_is_bounded_and_expires():
    async def claim(cluster, fs):
        for number in range(5):
            await fs.write_bytes(f"/{number}", b"x")
        core = fs._core
        small = Locations(core.connection, limit=3)
        for inode in range(2, 7):
            await small.find(inode, 0)
        assert len(small) == 3
        before = asked(cluster, FindChunks)
        await small.find(6, 0)
        assert asked(cluster, FindChunks) == before
        await small.find(2, 0)
        assert asked(cluster, FindChunks) == before + 1
        known = small.peek(2, 0)
        known.expires_s = core.connection.env.clock.now_s()
        assert small.peek(2, 0) is None

    run(claim)


def test_places_whose_time_has_passed_are_forgotten_as_others_come():
    async def claim(cluster, fs):
        for number in range(6):
            await fs.write_bytes(f"/{number}", b"x")
        places = Locations(fs._core.connection)
        for inode in range(2, 6):
            await places.find(inode, 0)
            places.peek(inode, 0).expires_s = 0.0
        for inode in range(6, 8):
            await places.find(inode, 0)
        assert len(places) == 2

    run(claim)


def test_places_live_no_longer_than_the_client_says():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"x")
        before = asked(cluster, FindChunks)
        for _ in range(3):
            assert await fs.read_bytes("/file") == b"x"
        assert asked(cluster, FindChunks) == before + 3

    run(claim, settings={"location_cache_s": 0.0})


def test_a_read_asks_a_few_times_about_many_chunks_that_are_not_there():
    """Goal: what lies behind the end costs a question for all of it, not one for each chunk; rule 9 stays."""

    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"begin")
        async with await fs.open("/file", "r+b") as file:
            await file.pwrite(b"end", 5 * CHUNK)
            before = asked(cluster, FindChunks)
            assert await file.pread(60 * CHUNK, 5 * CHUNK) == b"end"
            assert asked(cluster, FindChunks) - before < 10
            # A hole is not kept for the next read.
            assert await file.pread(5, 3 * CHUNK) == bytes(5)
            async with await fs.open("/file", "r+b") as other:
                await other.pwrite(b"there", 3 * CHUNK)
            assert await file.pread(5, 3 * CHUNK) == b"there"

    run(claim)


def test_truncation_cuts_a_chunk_and_drops_the_rest():
    async def claim(cluster, fs):
        data = os.urandom(2 * CHUNK + 100)
        await fs.write_bytes("/file", data)
        assert await fs.read_bytes("/file") == data
        await fs.truncate("/file", CHUNK + 7)
        assert await fs.read_bytes("/file") == data[: CHUNK + 7]
        await fs.truncate("/file", CHUNK + 20)
        assert await fs.read_bytes("/file") == data[: CHUNK + 7] + bytes(13)
        await fs.truncate("/file", 0)
        assert await fs.read_bytes("/file") == b""
        await fs.truncate("/file", 5)
        assert await fs.read_bytes("/file") == bytes(5)

    run(claim)


def test_reads_ahead_give_the_right_bytes_and_can_be_turned_off():
    data = os.urandom(4 * CHUNK)

    async def claim(cluster, fs):
        await fs.write_bytes("/file", data)
        async with await fs.open("/file") as file:
            parts = [await file.read(10_000) for _ in range(len(data) // 10_000 + 1)]
        assert b"".join(parts) == data
        hits.append(fs.counters()["readahead_hits"])

    hits = []
    run(claim)
    run(claim, settings={"readahead_bytes": 0})
    assert hits[0] > 0
    assert hits[1] == 0


def test_a_large_read_comes_straight_into_its_buffer_but_for_a_bridge():
    size = 2 * READ_PIECE_BYTES
    data = os.urandom(4 * size + 1000)

    async def claim(cluster, fs):
        await fs.write_bytes("/file", data)
        buffer = bytearray(size)
        parts = []
        async with await fs.open("/file") as file:
            while count := await file.readinto(buffer):
                parts.append(bytes(buffer[:count]))
                assert sum(len(window.buffer) for window in file._ahead._windows) <= READ_PIECE_BYTES
        assert [len(part) for part in parts] == [size] * 4 + [1000]
        assert b"".join(parts) == data
        assert fs.counters()["readahead_hits"] > 0

    run(claim)


def test_windows_of_read_ahead_are_used_again():
    """Goal: no fresh memory for each window. Method: two equal passes; the pool has as much after each."""
    data = os.urandom(8 * CHUNK)

    async def claim(cluster, fs):
        await fs.write_bytes("/file", data)
        pool = fs._core.connection.caller.buffers
        idle = []
        for _ in range(2):
            async with await fs.open("/file") as file:
                assert await file.read(len(data) // 2) + await file.read(CHUNK) == data[: 5 * CHUNK]
            while any("read-ahead" in task.get_name() for task in asyncio.all_tasks()):
                await asyncio.sleep(0)
            idle.append(pool.idle_bytes)
        assert idle[0] == idle[1] > 0

    run(claim)


def test_what_is_dropped_while_a_read_waits_for_it_is_not_given_out():
    """Goal: a dropped window's buffer belongs to others. Method: drop it, as a write does, while a read waits."""
    data = os.urandom(4 * CHUNK)

    async def claim(cluster, fs):
        await fs.write_bytes("/file", data)
        async with await fs.open("/file") as file:
            assert await file.read(CHUNK // 2) + await file.read(CHUNK // 2) == data[:CHUNK]
            window = file._ahead._windows[0]
            waiting = asyncio.ensure_future(file.read(CHUNK // 2))
            while not window.done._waiters:
                await asyncio.sleep(0)
            file._ahead.forget()
            assert await waiting == data[CHUNK : CHUNK + CHUNK // 2]

    run(claim)


def test_a_read_that_may_be_stale_says_so_to_the_server_and_its_age_to_the_caller():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"abc")
        async with await fs.open("/file") as file:
            assert await file.pread_stale(2, 1) == (b"bc", 0.0)
            assert await file.pread(2, 1) == b"bc"
        asked_with = [each.stale_ok for server in cluster.servers for each in server.requests[ReadChunk]]
        assert sorted(asked_with) == [False, True]

    run(claim)
