"""One call is one mutation for each chunk it touches. Contract 3."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_cluster import fake_cluster

from cairnfs.client.pieces import Tail, cut_at_chunk_ends
from cairnfs.client.sending import cut_pushes
from cairnfs.errors import BusyError, DataMissingError, ShutdownError
from cairnfs.limits import PUSH_BYTES, UNSYNCED_BYTES_MAX
from cairnfs.wire.mutations import PushData, SyncChunk, WriteChunk

MIB = 1024 * 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def orders(cluster):
    return [request for server in cluster.servers for request in server.requests[WriteChunk]]


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 64))
def test_a_range_is_cut_at_chunk_ends_and_nowhere_else(offset, length, chunk_bytes):
    parts = cut_at_chunk_ends(offset, length, chunk_bytes)
    touched = list(range(offset, offset + length))
    assert [byte for start, count in parts for byte in range(start, start + count)] == touched
    assert all(count and start // chunk_bytes == (start + count - 1) // chunk_bytes for start, count in parts)
    assert len(parts) == len({byte // chunk_bytes for byte in touched})


@pytest.mark.parametrize("size", [1, PUSH_BYTES, 2 * PUSH_BYTES - 1, 2 * PUSH_BYTES, 5 * PUSH_BYTES + 7])
def test_pushes_are_of_one_size_but_the_last_up_to_twice(size):
    parts = cut_pushes(bytes(size))
    assert sum(map(len, parts)) == size
    assert all(len(part) == PUSH_BYTES for part in parts[:-1])
    assert len(parts[-1]) < 2 * PUSH_BYTES


def test_a_tail_is_full_at_a_multiple_of_the_piece_size_or_the_end_of_the_chunk():
    tail = Tail(10)
    tail.add(63, b"abc")
    assert not tail.is_full(64 + 6)
    tail.add(66, b"defgh")
    assert tail.is_full(64 + 36)  # 70 is a multiple, and the call that crossed it is not divided
    assert tail.take() == b"abcdefgh"
    tail.add(95, b"12345")
    assert tail.is_full(100)


def test_a_large_write_inside_a_chunk_is_one_mutation():
    async def claim(cluster, fs):
        data = os.urandom(3 * PUSH_BYTES + 5)
        async with await fs.open("/file", "wb") as file:
            await file.pwrite(data, 100)
            assert [(one.offset, one.length, len(one.data)) for one in orders(cluster)] == [(100, len(data), 3)]
        assert await fs.read_bytes("/file") == bytes(100) + data

    run(claim, chunk_bytes=8 * MIB)


def test_a_write_over_chunk_ends_is_one_mutation_for_each_chunk():
    async def claim(cluster, fs):
        data = os.urandom(9 * MIB)
        await fs.write_bytes("/file", bytearray(data))
        async with await fs.open("/file", "r+b") as file:
            last = max(one.sequence for one in orders(cluster))
            await file.pwrite(data, 3 * MIB)
            found = sorted((one.handle, one.offset, one.length) for one in orders(cluster) if one.sequence > last)
        assert found == [(1, 3 * MIB, MIB), (2, 0, 4 * MIB), (3, 0, 4 * MIB)]
        assert await fs.read_bytes("/file") == data[: 3 * MIB] + data

    run(claim, chunk_bytes=4 * MIB)


def test_no_small_write_is_divided_and_few_mutations_are_made():
    async def claim(cluster, fs):
        size, count = 70_001, 150
        async with await fs.open("/file", "wb") as file:
            for number in range(count):
                await file.write(bytes([number]) * size)
        ends = {one.offset for one in orders(cluster)} - {0}
        assert all(end % size == 0 for end in ends)
        assert len(orders(cluster)) <= size * count // MIB + 1
        assert (await fs.read_bytes("/file"))[::size] == bytes(range(count))

    run(claim, chunk_bytes=64 * MIB)


def test_a_write_larger_than_what_is_kept_holds_two_chunks_at_most():
    async def claim(cluster, fs):
        chunk, most = UNSYNCED_BYTES_MAX // 2, 0
        file = await fs.open("/file", "wb")
        pieces = file._writer._pieces
        add = pieces.add

        def note(piece):
            nonlocal most
            add(piece)
            most = max(most, pieces.kept_bytes)

        pieces.add = note
        await file.write(bytes(4 * chunk))
        assert most <= UNSYNCED_BYTES_MAX + chunk
        assert pieces.kept_bytes <= UNSYNCED_BYTES_MAX
        await file.close()
        assert sum(server.asked[SyncChunk] for server in cluster.servers) >= 4

    run(claim, chunk_bytes=UNSYNCED_BYTES_MAX // 2)


@pytest.mark.parametrize("error", [DataMissingError(data=1), BusyError(what="scripted")])
def test_a_write_whose_pushes_found_no_room_is_pushed_again_under_its_sequence(error):
    async def claim(cluster, fs):
        data = os.urandom(3 * MIB)
        kind = WriteChunk if isinstance(error, DataMissingError) else PushData
        for server in cluster.servers:
            server.fail(kind, error)
        await fs.write_bytes("/file", data)
        assert await fs.read_bytes("/file") == data
        assert len({one.sequence for one in orders(cluster)}) == 1

    run(claim, chunk_bytes=4 * MIB)


def test_writes_that_overlap_keep_their_order_when_the_first_has_to_be_flushed_again():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        for server in cluster.servers:
            server.fail(WriteChunk, *[ShutdownError(what="scripted")] * 1000)
        await file.write(b"a" * 2 * MIB)
        with pytest.raises(ShutdownError):
            await file.pwrite(b"b" * 2 * MIB, MIB)
        for server in cluster.servers:
            server._before.clear()
        await file.close()
        assert await fs.read_bytes("/file") == b"a" * MIB + b"b" * 2 * MIB

    run(claim, chunk_bytes=4 * MIB, settings={"data_timeout_s": 0.2})
