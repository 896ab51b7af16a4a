"""What is kept until it is synced, and calls that must end."""

import asyncio
import os

import pytest
from tests.support.fake_cluster import fake_cluster
from tests.support.fake_namespace import Node

from cairnfs.errors import CairnError, LostWritesError, MutationFailedError, ShutdownError, UnsureError
from cairnfs.limits import UNSYNCED_BYTES_MAX
from cairnfs.wire.common import Kind
from cairnfs.wire.mutations import SyncChunk, WriteChunk

MIB = 1024 * 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def test_written_bytes_are_synced_behind_before_too_many_are_kept():
    async def claim(cluster, fs):
        piece = os.urandom(MIB)
        most = 0
        async with await fs.open("/file", "wb") as file:
            for _ in range(UNSYNCED_BYTES_MAX // MIB + 16):
                await file.write(piece)
                most = max(most, file._writer.unsynced_bytes)
        assert most <= UNSYNCED_BYTES_MAX + MIB
        assert sum(server.asked[SyncChunk] for server in cluster.servers) >= 2
        assert (await fs.stat("/file")).size == UNSYNCED_BYTES_MAX + 16 * MIB

    run(claim, chunk_bytes=64 * MIB)


def test_scattered_small_writes_are_bounded_in_number():
    async def claim(cluster, fs):
        async with await fs.open("/file", "wb") as file:
            for number in range(1500):
                await file.pwrite(b"x", number * 10) if number % 500 == 0 else await file.write(b"y")
                await file.seek(number * 10 + 5)
                assert len(file._writer._pieces) <= 1025
        assert (await fs.stat("/file")).size == 1498 * 10 + 6

    run(claim)


def test_a_file_whose_client_was_closed_fails_and_does_not_hang():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await fs.close()
        await file.write(os.urandom(3 * MIB))
        with pytest.raises(CairnError):
            await file.close()
        assert not file.closed

    run(claim)


def test_a_cancelled_close_may_be_repeated():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await file.write(b"abc")
        for server in cluster.servers:
            server.is_silent = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await file.close()
        for server in cluster.servers:
            server.is_silent = False
        await file.close()
        assert await fs.read_bytes("/file") == b"abc"
        assert len({each.sequence for server in cluster.servers for each in server.requests[WriteChunk]}) == 1

    run(claim)


@pytest.mark.parametrize("call", ["flush", "sync"])
def test_whoever_waits_for_a_write_that_another_task_discards_hears_of_it(call):
    """Goal: nothing is acked by the loss of its bytes. Method: no server answers while two tasks wait."""

    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await file.pwrite(b"first", 0)
        for server in cluster.servers:
            server.is_silent = True
        await file.write(b"x" * 100)
        waiting = [asyncio.ensure_future(job) for job in (file.pwrite(b"again", 0), getattr(file, call)())]
        await asyncio.sleep(0)
        file.discard()
        for job in waiting:
            with pytest.raises(UnsureError):
                await job

    run(claim)


def test_a_sync_of_two_chunks_does_not_succeed_if_the_file_is_discarded_between_them():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await file.pwrite(b"x" * 300_000, 0)

        def discard():
            file.discard()
            return MutationFailedError(chunk=1, why="scripted")

        for server in cluster.servers:
            server.fail(SyncChunk, discard, after=True)
        with pytest.raises(UnsureError):
            await file.sync()

    run(claim)


def test_an_error_of_an_early_piece_is_told_by_a_later_call():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        for server in cluster.servers:
            server.fail(WriteChunk, *[ShutdownError(what="scripted")] * 1000)
        await file.write(os.urandom(600_000))
        with pytest.raises(ShutdownError):
            await file.flush()
        with pytest.raises(ShutdownError):
            await file.write(b"more")
        for server in cluster.servers:
            server._before.clear()
        await file.close()
        assert (await fs.stat("/file")).size == 600_000

    run(claim, settings={"data_timeout_s": 0.2})


def test_a_chunk_that_was_made_and_never_written_reads_as_nothing():
    """Method: another writer took a lease for chunk 0 and died before its first mutation."""

    async def claim(cluster, fs):
        node = cluster.master.names.make(b"/file", Kind.FILE)
        assert isinstance(node, Node)
        cluster.master.add_chunk(node, 0)
        assert await fs.read_bytes("/file") == b""
        async with await fs.open("/file", "r+b") as file:
            assert await file.read(10) == b""
            await file.write(b"now")
        assert await fs.read_bytes("/file") == b"now"

    run(claim)


def test_a_follower_hears_of_growth():
    async def claim(cluster, fs):
        await fs.append("/log", b"abc")
        async with await fs.open("/log") as file:
            assert await file.wait_longer(2, wait_s=5) == 3
            assert await file.wait_longer(3, wait_s=0) == 3

    run(claim)


def test_a_write_that_may_have_happened_is_not_repeated_after_broken_continuity():
    """Goal: rule 11. Method: the write is applied, unanswered, and lost with the power of every machine."""

    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await file.pwrite(b"first", 0)

        def lose():
            cluster.break_continuity()
            return MutationFailedError(chunk=1, why="power")

        for server in cluster.servers:
            server.fail(WriteChunk, lose, after=True)
        with pytest.raises(LostWritesError):
            await file.pwrite(b"again", 0)
        assert sum(server.asked[WriteChunk] for server in cluster.servers) == 2
        file.discard()

    run(claim)
