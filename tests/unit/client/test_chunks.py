"""Reading, writing and appending chunks, with peers that fail by script."""

import asyncio
import os

import pytest
from tests.support.fake_cluster import fake_cluster

from cairnfs.errors import (
    ChunkFullError,
    ConnectError,
    DataMissingError,
    LostWritesError,
    MutationFailedError,
    NotFoundError,
    NotPrimaryError,
    RecordTooLargeError,
    StaleVersionError,
    TooFewCopiesError,
)  # fmt: skip
from cairnfs.wire.chunk_reads import ChunkLength, ReadChunk
from cairnfs.wire.locations import LeaseChunk
from cairnfs.wire.mutations import AppendRecord, PushData, WriteChunk
from cairnfs.wire.namespace import CreateFile, Delete, SetLength, StatInode

CHUNK = 256 * 1024
BLOCK = 64 * 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def asked(cluster, kind):
    return sum(part.asked[kind] for part in [cluster.master, *cluster.servers])


def requests(cluster, kind):
    return [request for part in [cluster.master, *cluster.servers] for request in part.requests[kind]]


def test_a_small_file_costs_three_messages():
    async def claim(cluster, fs):
        await fs.connect()
        await fs.write_bytes("/small", b"x" * 1000)
        total = sum(sum(part.asked.values()) for part in [cluster.master, *cluster.servers])
        assert total == 1 + 3
        assert [asked(cluster, kind) for kind in (CreateFile, WriteChunk, SetLength)] == [1, 1, 1]
        write = requests(cluster, WriteChunk)[0]
        assert (write.sync, write.close) == (True, True)
        assert write.lease is not None

    run(claim)


def test_pieces_cross_chunk_ends():
    async def claim(cluster, fs):
        data = os.urandom(3 * CHUNK + 77)
        await fs.write_bytes("/file", data)
        assert await fs.read_bytes("/file") == data
        async with await fs.open("/file") as file:
            for offset, size in ((CHUNK - 1, 2), (CHUNK - BLOCK, 2 * BLOCK), (1, 3 * CHUNK), (5, BLOCK + 3)):
                assert await file.pread(size, offset) == data[offset : offset + size]

    run(claim)


def test_holes_and_bytes_beyond_the_end_of_a_short_chunk_are_zeros():
    async def claim(cluster, fs):
        async with await fs.open("/sparse", "wb") as file:
            await file.write(b"begin")
            await file.seek(2 * CHUNK + 10)
            await file.write(b"end")
        expected = b"begin" + bytes(2 * CHUNK + 5) + b"end"
        assert await fs.read_bytes("/sparse") == expected
        async with await fs.open("/sparse") as file:
            assert await file.pread(10, 2 * CHUNK + 12) == b"d"
            assert await file.pread(10, 4 * CHUNK) == b""

    run(claim)


def test_a_hole_is_asked_for_anew_each_time():
    async def claim(cluster, fs):
        async with await fs.open("/hole", "wb") as file:
            await file.seek(CHUNK)
            await file.write(b"x")
        async with await fs.open("/hole") as file:
            assert await file.pread(4, 0) == bytes(4)
            async with await fs.open("/hole", "r+b") as writer:
                await writer.write(b"full")
            assert await file.pread(4, 0) == b"full"

    run(claim)


def test_the_end_of_a_file_is_told_only_after_asking():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"abc")
        async with await fs.open("/file") as file:
            assert await file.read(3) == b"abc"
            before = asked(cluster, StatInode)
            assert await file.read(3) == b""
            assert asked(cluster, StatInode) == before + 1

    run(claim)


def test_the_end_of_an_open_file_comes_from_its_primary():
    async def claim(cluster, fs):
        await fs.append("/log", b"abc")
        other = cluster.client()
        async with await other.open("/log") as file:
            assert await file.read(10) == b"abc"
            assert asked(cluster, ChunkLength) == 1
            await fs.append("/log", b"def")
            assert await file.read(10) == b"def"
        assert (await other.stat("/log")).size == 6
        await other.close()

    run(claim)


def test_a_missing_inode_is_not_an_empty_file():
    async def claim(cluster, fs):
        async with await fs.open("/gone", "wb") as file:
            await file.write(b"x")
        cluster.master.names.inodes.clear()
        async with await fs.open("/gone") if False else fs.file_of(2, "/gone", "rb") as file:
            with pytest.raises(NotFoundError):
                await file.read()

    run(claim)


@pytest.mark.parametrize(
    "error", [StaleVersionError(chunk=1, has=(1, 1), wanted=(1, 2)), ConnectError(address="", why="")]
)
def test_the_next_replica_answers_when_one_fails(error):
    async def claim(cluster, fs):
        data = os.urandom(3 * BLOCK + 1)
        await fs.write_bytes("/file", data)
        for server in cluster.servers[:2]:
            server.fail(ReadChunk, *[error] * 20)
        for _ in range(5):
            assert await fs.read_bytes("/file") == data
        assert cluster.servers[2].asked[ReadChunk] >= 1

    run(claim)


def test_bytes_that_do_not_fit_their_checksum_are_never_given_out():
    async def claim(cluster, fs):
        data = os.urandom(2 * BLOCK + 5)
        await fs.write_bytes("/file", data)
        for number in (1, 2, 3):
            cluster.corrupt = number
            assert await fs.read_bytes("/file") == data
            assert await fs.read_bytes("/file") == data
        assert fs.counters()["checksums_failed"] >= 1

    run(claim)


def test_a_failed_replica_is_tried_last_for_a_while():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"x" * 100)
        for server in cluster.servers[:2]:
            await server.server.stop(grace_s=0)
        for _ in range(20):
            assert await fs.read_bytes("/file") == b"x" * 100
        assert fs.counters()["replicas_failed"] <= 2

    run(claim)


def test_a_write_is_retried_with_the_same_sequence():
    async def claim(cluster, fs):
        lost = MutationFailedError(chunk=1, why="scripted")
        for server in cluster.servers:
            server.fail(WriteChunk, lost, after=True)
        async with await fs.open("/file", "wb") as file:
            await file.write(b"once")
            await file.flush()
        sequences = [request.sequence for request in requests(cluster, WriteChunk)]
        assert len(sequences) >= 2
        assert len(set(sequences)) == 1
        assert await fs.read_bytes("/file") == b"once"

    run(claim)


def test_an_append_whose_ack_was_lost_is_not_repeated_at_the_same_chunk():
    async def claim(cluster, fs):
        await fs.append("/log", b"a")
        for server in cluster.servers:
            server.fail(AppendRecord, MutationFailedError(chunk=1, why="scripted"), after=True)
        assert await fs.append("/log", b"b") == 1
        assert await fs.read_bytes("/log") == b"ab"

    run(claim)


def test_a_namespace_change_is_retried_with_the_same_once():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"")
        cluster.master.names.drop(b"/file")
        await fs.write_bytes("/file", b"")
        cluster.master.fail(CreateFile, ConnectError(address="", why="scripted"), after=True)
        await fs.touch("/new", exist_ok=False)
        assert cluster.master.names.repeats == 1
        assert asked(cluster, Delete) == 0

    run(claim)


def test_pushed_bytes_that_were_dropped_are_pushed_again():
    async def claim(cluster, fs):
        data = os.urandom(CHUNK)
        for server in cluster.servers:
            server.fail(WriteChunk, DataMissingError(data=1))
        await fs.write_bytes("/file", data)
        assert await fs.read_bytes("/file") == data
        assert asked(cluster, PushData) == 2

    run(claim)


def test_lost_writes_are_written_again_by_sync():
    """Contract 5. Method: power is lost between flush and sync; the bytes are there after the sync."""

    async def claim(cluster, fs):
        data = os.urandom(CHUNK + 100)
        async with await fs.open("/file", "wb") as file:
            await file.write(data)
            await file.flush()
            cluster.break_continuity()
            await file.sync()
            assert await fs.read_bytes("/file") == data
        assert fs.counters()["rewrites"] >= 2

    run(claim)


def test_a_write_after_broken_continuity_fails_once_and_close_may_be_called_again():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        for server in cluster.servers:
            server.fail(WriteChunk, LostWritesError(chunk=1, since=(1, 1)))
        await file.write(b"data")
        with pytest.raises(LostWritesError):
            await file.close()
        assert not file.closed
        for server in cluster.servers:
            server._before.clear()
        await file.close()
        assert await fs.read_bytes("/file") == b"data"
        assert len({request.sequence for request in requests(cluster, WriteChunk)}) == 2

    run(claim)


def test_overlapping_writes_keep_their_order():
    async def claim(cluster, fs):
        async with await fs.open("/file", "wb") as file:
            for number in range(40):
                await file.seek(0)
                await file.write(b"%02d" % number * 100)
        assert await fs.read_bytes("/file") == b"39" * 100
        # Large pieces are pushed first, small ones are not: without the wait the small one would be there first.
        async with await fs.open("/file", "r+b") as file:
            await file.write(b"a" * 200_000)
            await file.seek(0)
            await file.write(b"b")
            await file.flush()
        assert await fs.read_bytes("/file") == b"b" + b"a" * 199_999

    run(claim)


def test_an_append_goes_on_in_the_next_chunk_when_one_is_full():
    async def claim(cluster, fs):
        record = b"r" * 60_000
        offsets = [await fs.append("/log", record) for _ in range(6)]
        assert offsets == [0, 60_000, 120_000, 180_000, CHUNK, CHUNK + 60_000]
        async with await fs.open("/log") as file:
            assert await file.pread(5, 240_000) == bytes(5)
            assert b"".join([part async for part in file.data()]) == record * 6
        assert b"".join([part async for part in fs.cat("/log")]) == record * 6

    run(claim)


def test_lines_leave_out_what_appends_left_at_chunk_ends():
    async def claim(cluster, fs):
        line = b"x" * 59_999 + b"\n"
        for _ in range(6):
            await fs.append("/log", line)
        async with await fs.open("/log") as file:
            assert [each async for each in file] == [line] * 6

    run(claim)


def test_a_chunk_with_too_few_members_is_left_behind_by_appends():
    async def claim(cluster, fs):
        await fs.append("/log", b"a")
        for server in cluster.servers:
            server.fail(AppendRecord, NotPrimaryError(chunk=1, why="scripted"))
        cluster.master.fail(LeaseChunk, TooFewCopiesError(what="scripted", have=1, need=2))
        assert await fs.append("/log", b"b") in (1, CHUNK)

    run(claim)


def test_too_large_records_are_refused_before_anything_is_sent():
    async def claim(cluster, fs):
        with pytest.raises(RecordTooLargeError):
            await fs.append("/log", bytes(CHUNK // 4 + 1))
        assert asked(cluster, AppendRecord) == 0

    run(claim)


def test_every_chunk_found_full_is_followed_by_another():
    async def claim(cluster, fs):
        for server in cluster.servers:
            server.fail(AppendRecord, ChunkFullError(chunk=1))
        assert await fs.append("/log", b"x") >= 0

    run(claim)


def test_a_silent_primary_is_reported_and_the_write_goes_on():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        primary = cluster.servers[cluster.chunks[1].primary - 1]
        primary.is_silent = True
        await primary.server.stop(grace_s=0)
        await file.write(b"data")
        await file.close()
        assert await fs.read_bytes("/file") == b"data"
        suspects = [request.suspect for request in requests(cluster, LeaseChunk)]
        assert primary.number in suspects

    run(claim)
