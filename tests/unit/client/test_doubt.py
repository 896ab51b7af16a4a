"""A retry says since when an earlier try may have happened. Rule 11."""

import asyncio
import os

import pytest
from tests.support.fake_cluster import fake_cluster

from cairnfs.errors import MutationFailedError, UnsureError
from cairnfs.ids import NO_VERSION
from cairnfs.wire.mutations import PushData, TruncateChunk, WriteChunk

LOST = MutationFailedError(chunk=1, why="scripted")


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def requests(cluster, kind):
    """Return what was asked: the first try first, since it is the only one without a doubt."""
    found = [request for server in cluster.servers for request in server.requests[kind]]
    return sorted(found, key=lambda request: (request.sequence, request.version, request.since))


def fail(cluster, kind, *errors, after=False):
    for server in cluster.servers:
        server.fail(kind, *errors, after=after)


def clear(cluster):
    for server in cluster.servers:
        server._before.clear()


def test_the_first_try_is_in_no_doubt_and_each_retry_names_the_version_of_the_first():
    async def claim(cluster, fs):
        fail(cluster, WriteChunk, LOST, after=True)
        await fs.write_bytes("/file", b"once")
        first, *others = requests(cluster, WriteChunk)
        assert first.since == NO_VERSION
        assert others
        assert {other.since for other in others} == {first.version}
        assert {other.sequence for other in others} == {first.sequence}

    run(claim)


def test_a_truncation_names_it_too():
    async def claim(cluster, fs):
        await fs.write_bytes("/file", b"0123456789")
        fail(cluster, TruncateChunk, LOST, after=True)
        await fs.truncate("/file", 4)
        first, *others = requests(cluster, TruncateChunk)
        assert first.since == NO_VERSION
        assert {other.since for other in others} == {first.version}

    run(claim)


def test_a_push_that_failed_is_no_try():
    async def claim(cluster, fs):
        fail(cluster, PushData, LOST)
        await fs.write_bytes("/file", os.urandom(200_000))
        assert {request.since for request in requests(cluster, WriteChunk)} == {NO_VERSION}

    run(claim)


def test_a_flush_after_a_failure_is_a_retry():
    """Goal: the doubt goes with the sequence, not with the call. Method: the first flush fails at its deadline."""

    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        fail(cluster, WriteChunk, *[LOST] * 1000)
        await file.write(b"once")
        with pytest.raises(MutationFailedError):
            await file.flush()
        clear(cluster)
        before = len(requests(cluster, WriteChunk))
        await file.close()
        first, *others = requests(cluster, WriteChunk)
        assert len(others) >= before
        assert {other.since for other in others} == {first.version}
        assert {other.sequence for other in others} == {first.sequence}

    run(claim, settings={"data_timeout_s": 0.2})


def test_a_close_after_a_cancelled_one_is_a_retry():
    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        await file.write(b"once")
        for server in cluster.servers:
            server.is_silent = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await file.close()
        for server in cluster.servers:
            server.is_silent = False
        await file.close()
        first, *others = requests(cluster, WriteChunk)
        assert first.since == NO_VERSION
        assert others
        assert {other.since for other in others} == {first.version}

    run(claim)


def test_a_write_that_failed_in_the_background_is_no_other_write_before_the_caller_has_heard():
    """Goal: nobody's bytes are written anew unasked. Method: a piece so large that `write` sends it on its own."""

    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        fail(cluster, WriteChunk, LOST, UnsureError(what="scripted"))
        await file.write(os.urandom(1024 * 1024))
        pieces = file._writer._pieces
        await pieces.until(lambda: any(piece.error is not None for piece in pieces))
        with pytest.raises(UnsureError):
            await file.flush()
        assert len({request.sequence for request in requests(cluster, WriteChunk)}) == 1
        clear(cluster)
        await file.close()
        assert len({request.sequence for request in requests(cluster, WriteChunk)}) == 2

    run(claim, chunk_bytes=4 * 1024 * 1024)


@pytest.mark.parametrize("call", ["flush", "sync"])
def test_a_write_of_which_nobody_knows_fails_once_and_is_then_another_write(call):
    """Goal: the caller hears of it, and is not refused for ever. Method: `sync` lets the flush ride on the write."""

    async def claim(cluster, fs):
        file = await fs.open("/file", "wb")
        fail(cluster, WriteChunk, LOST, UnsureError(what="scripted"))
        await file.write(b"once")
        with pytest.raises(UnsureError):
            await getattr(file, call)()
        clear(cluster)
        await file.close()
        *earlier, last = requests(cluster, WriteChunk)
        assert len({one.sequence for one in earlier}) == 1
        assert last.sequence not in {one.sequence for one in earlier}
        assert last.since == NO_VERSION
        assert await fs.read_bytes("/file") == b"once"

    run(claim)
