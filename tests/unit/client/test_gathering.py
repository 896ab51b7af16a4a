"""Small records of one turn of the loop go out together, and each gets what is its own. Rule 10, contract 2."""

import asyncio

import pytest
from tests.support.fake_cluster import fake_cluster

from cairnfs.errors import MutationFailedError, NotPrimaryError
from cairnfs.limits import APPENDS_MAX
from cairnfs.wire.mutations import AppendRecord, AppendRecords

CHUNK = 256 * 1024


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def asked(cluster, kind):
    return sum(server.asked[kind] for server in cluster.servers)


async def started(fs, path=b"/log"):
    """Return what appends to an inode whose last chunk is known."""
    name = path.decode()
    await fs.append(name, b"first")
    inode = (await fs.stat(name)).inode
    return lambda record: fs._core.appender.append(inode, record)


def test_records_of_one_turn_are_one_request_and_stand_in_its_order():
    async def claim(cluster, fs):
        append = await started(fs)
        before = asked(cluster, AppendRecord)
        offsets = await asyncio.gather(*(append(b"%05d" % number) for number in range(100)))
        assert offsets == [5 + 5 * number for number in range(100)]
        assert asked(cluster, AppendRecords) == 1
        assert asked(cluster, AppendRecord) == before
        assert (await fs.read_bytes("/log"))[5:] == b"".join(b"%05d" % number for number in range(100))

    run(claim)


def test_a_lone_record_waits_for_nobody():
    async def claim(cluster, fs):
        append = await started(fs)
        assert await append(b"alone") == 5
        assert asked(cluster, AppendRecords) == 0

    run(claim)


def test_a_group_is_bounded():
    async def claim(cluster, fs):
        append = await started(fs)
        offsets = await asyncio.gather(*(append(b"x") for _ in range(2 * APPENDS_MAX + 1)))
        assert sorted(offsets) == list(range(5, 5 + len(offsets)))
        assert asked(cluster, AppendRecords) == 2

    run(claim)


def test_records_that_find_the_chunk_full_go_to_the_next_one():
    async def claim(cluster, fs):
        append = await started(fs)
        size = 50_000
        offsets = await asyncio.gather(*(append(bytes([number]) * size) for number in range(8)))
        assert len(set(offsets)) == 8
        assert {offset // CHUNK for offset in offsets} == {0, 1}
        for number, offset in enumerate(offsets):
            async with await fs.open("/log", "rb") as file:
                assert await file.pread(size, offset) == bytes([number]) * size

    run(claim)


def test_a_group_that_failed_goes_again_with_its_sequences_and_nothing_stands_twice():
    async def claim(cluster, fs):
        append = await started(fs)
        for server in cluster.servers:
            server.fail(AppendRecords, MutationFailedError(chunk=1, why="scripted"), after=True)
            server.fail(AppendRecords, NotPrimaryError(chunk=1, why="scripted"))
        offsets = await asyncio.gather(*(append(b"%03d" % number) for number in range(20)))
        data = await fs.read_bytes("/log")
        assert len(data) == 5 + 20 * 3
        assert [data[offset : offset + 3] for offset in offsets] == [b"%03d" % number for number in range(20)]

    run(claim)


@pytest.mark.parametrize("when", ["while it gathers", "while it is under way"])
def test_the_others_go_on_when_the_first_of_a_group_is_cancelled(when):
    async def claim(cluster, fs):
        append = await started(fs)
        jobs = [asyncio.ensure_future(append(b"%02d" % number)) for number in range(10)]
        for _ in range(1 if when == "while it gathers" else 6):
            await asyncio.sleep(0)
        jobs[0].cancel()
        offsets = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(offsets[0], asyncio.CancelledError)
        data = await fs.read_bytes("/log")
        for number, offset in enumerate(offsets[1:], 1):
            assert data[offset : offset + 2] == b"%02d" % number
            assert data[5:].count(b"%02d" % number) == 1

    run(claim)
