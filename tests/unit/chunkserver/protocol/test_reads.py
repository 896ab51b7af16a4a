"""What a reader may see. Rules 4 to 9 and 16."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import MIB, pass_time, run

from cairnfs.chunkserver.format import data_name
from cairnfs.errors import (
    ChunkCorruptError,
    ChunkMissingError,
    NotPrimaryError,
    NotReadableError,
    StaleVersionError,
)
from cairnfs.ids import ChunkVersion
from cairnfs.wire.chunk_reads import HoldVersion, ReadChunk
from cairnfs.wire.master_orders import Exclude, FenceDone
from cairnfs.wire.membership import Exclusion


def test_reads_never_show_pending_bytes():
    """Goal: bytes that not every member has are seen nowhere. Method: cut one member off in mid-write."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"old" * 10)
        await cluster.settle()
        cluster.world.cut("a", "c")
        write = asyncio.ensure_future(cluster.write(lease, 0, b"new" * 10))
        await pass_time(0.3)
        for name in "ab":
            with pytest.raises(NotReadableError):
                await cluster.read(name, lease, 0, 30)
        assert await cluster.read("c", lease, 0, 30) == b"old" * 10
        cluster.world.heal()
        await write
        for name in "abc":
            assert await cluster.read(name, lease, 0, 30) == b"new" * 10

    run(story)


def test_a_read_waits_for_the_commit_and_then_shows_it():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"first")
        cluster.world.cut("a", "c")
        append = asyncio.ensure_future(cluster.append(lease, b"second"))
        await pass_time(0.3)
        reads = [asyncio.ensure_future(cluster.read(name, lease, 0, 11)) for name in "ab"]
        await pass_time(0.3)
        assert not any(read.done() for read in reads)
        cluster.world.heal()
        assert [await read for read in reads] == [b"firstsecond"] * 2
        await append

    run(story)


def test_an_idle_primary_tells_its_last_watermark():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"last")
        await cluster.settle()
        assert (await cluster.info("b", 1)).committed == 1
        assert (await cluster.info("c", 1)).committed == 1

    run(story)


def test_a_reader_that_knows_a_newer_version_is_refused():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"x")
        with pytest.raises(StaleVersionError):
            await cluster.read("b", lease, 0, 1, version=ChunkVersion(1, 99))
        assert await cluster.read("b", lease, 0, 1, version=ChunkVersion(1, 0)) == b"x"
        with pytest.raises(ChunkMissingError):
            await cluster.read("b", cluster.lease(77), 0, 1)

    run(story)


def test_without_a_serving_lease_a_member_reads_only_by_a_round():
    async def story(cluster):
        lease = await cluster.new_chunk()
        closed = await cluster.new_chunk(2)
        for each in (lease, closed):
            await cluster.append(each, b"bytes")
        await cluster.sync(closed, close=True)
        cluster.master.silent = True
        await pass_time(15)
        for name in "abc":
            assert await cluster.read(name, lease, 0, 5) == b"bytes"
            with pytest.raises(NotReadableError):
                await cluster.read(name, closed, 0, 5)
            assert await cluster.read(name, closed, 0, 5, stale_ok=True) == b"bytes"
        assert (await cluster.append(lease, b"goes on")).offset == 5
        cluster.world.cut("b", "c")
        with pytest.raises(NotReadableError):
            await cluster.read("b", lease, 0, 5)

    run(story)


def test_the_end_comes_from_the_primary_after_a_round():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        assert await cluster.length(lease) == 5
        with pytest.raises(NotPrimaryError):
            await cluster.length(lease, at="b")
        cluster.world.cut("a", "c")
        with pytest.raises(NotReadableError):
            await cluster.length(lease)

    run(story)


def test_an_excluded_primary_tells_no_length():
    """Counterexample F1 of the model: the lone primary of an old version must not confirm the end."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        newer = await cluster.raise_(1, "bc", primary="b")
        await cluster.append(newer, b"6789")
        with pytest.raises(NotReadableError):
            await cluster.length(lease, at="a")

    run(story)


def test_one_round_serves_all_who_wait():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        counters = cluster.servers["a"].context.counters
        before = counters.get("rounds", 0)
        assert await asyncio.gather(*(cluster.length(lease) for _ in range(40))) == [5] * 40
        assert counters["rounds"] - before < 10

    run(story)


def test_a_follower_waits_until_the_chunk_grows():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        follower = asyncio.ensure_future(cluster.length(lease, longer_than=5, wait_s=20.0))
        await pass_time(5)
        assert not follower.done()
        await cluster.append(lease, b"6")
        assert await follower == 6
        assert await cluster.length(lease, longer_than=6, wait_s=2.0) == 6

    run(story)


def test_a_member_that_promised_more_holds_the_version_no_more():
    async def story(cluster):
        lease = await cluster.new_chunk()
        question = HoldVersion(handle=1, version=lease.version)
        assert (await cluster.call("b", question)).boot == cluster.servers["b"].boot
        await cluster.promise(1, "b")
        with pytest.raises(StaleVersionError):
            await cluster.call("b", question)

    run(story)


def test_an_exclusion_ends_reads_and_roles_at_once():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.settle()
        below = ChunkVersion(1, lease.version.counter + 1)
        await cluster.order("a", Exclude(epoch=1, exclusions=[Exclusion(handle=1, below=below)]))
        with pytest.raises(NotReadableError):
            await cluster.read("a", lease, 0, 5)
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"x")
        assert await cluster.read("b", lease, 0, 5) == b"12345"

    run(story)


def test_exclusions_of_a_heartbeat_take_effect_and_a_raise_ends_them():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        below = ChunkVersion(1, 50)
        cluster.master.exclusions[cluster.servers["c"].boot] = [Exclusion(handle=1, below=below)]
        await cluster.settle()
        with pytest.raises(NotReadableError):
            await cluster.read("c", lease, 0, 5)
        cluster.master.counter = iter(range(50, 60))
        lease = await cluster.raise_(1)
        assert await cluster.read("c", lease, 0, 5) == b"12345"

    run(story)


def test_a_barrier_refuses_readers_whose_map_is_old():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.sync(lease, close=True)
        below = ChunkVersion(1, lease.version.counter + 1)
        await cluster.order("b", Exclude(epoch=1, exclusions=[Exclusion(handle=1, below=below, barrier=True)]))
        with pytest.raises(StaleVersionError):
            await cluster.read("b", lease, 0, 5)
        assert await cluster.read("c", lease, 0, 5) == b"12345"

    run(story)


def test_an_overwrite_waits_for_the_fence_and_an_extension_does_not():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"0123456789")
        lease = await cluster.raise_(1, "ab", fence_done=False)
        overwrite = asyncio.ensure_future(cluster.write(lease, 0, b"XX"))
        assert (await cluster.append(lease, b"more")).offset == 10
        await pass_time(3)
        assert not overwrite.done()
        assert any(beat.fences_wanted == [(1, lease.version)] for beat in cluster.master.heartbeats)
        await cluster.order("a", FenceDone(handle=1, version=lease.version, epoch=1))
        await overwrite
        assert await cluster.read("b", lease, 0, 4) == b"XX23"

    run(story)


def test_a_fence_that_the_heartbeat_answers_lets_overwrites_go():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"0123456789")
        lease = await cluster.raise_(1, "ab", fence_done=False)
        overwrite = asyncio.ensure_future(cluster.write(lease, 0, b"XX"))
        await pass_time(3)
        assert not overwrite.done()
        cluster.master.fences_done = [1]
        await overwrite

    run(story)


def test_adopted_overwrites_are_unreadable_until_the_fence_is_done():
    """Counterexample F2 of the model: reconciliation must not commit an overwrite past the fence."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"0123456789" * 6_000)
        lease = await cluster.raise_(1)
        cluster.world.cut("a", "c")
        overwrite = asyncio.ensure_future(cluster.write(lease, 0, b"XX", sequence=900))
        await pass_time(0.5)
        newer = await cluster.raise_(1, "ab", source="a", fence_done=False)
        with pytest.raises(Exception):  # noqa: B017 - whichever it is, it has failed
            await overwrite
        for name in "ab":
            with pytest.raises(NotReadableError):
                await cluster.read(name, newer, 0, 4)
            assert await cluster.read(name, newer, 50_000, 4) == b"0123"
        for name in "ab":
            await cluster.order(name, FenceDone(handle=1, version=newer.version, epoch=1))
            assert await cluster.read(name, newer, 0, 4) == b"XX23"

    run(story)


def test_a_corrupt_block_is_never_served_and_the_replica_is_quarantined_and_reported():
    async def story(cluster):
        lease = await cluster.new_chunk()
        data = b"0123456789" * 20_000
        await cluster.append(lease, data[:60_000])
        await cluster.append(lease, data[60_000:120_000])
        await cluster.sync(lease, close=True)
        await cluster.settle()
        tree = cluster.world.tree("b", "/b")
        tree.node(data_name(1)).flip(70_000)
        with pytest.raises(ChunkCorruptError):
            await cluster.read("b", lease, 70_000, 100)
        with pytest.raises(ChunkMissingError):
            await cluster.read("b", lease, 0, 100)
        await cluster.settle()
        assert cluster.master.lost == [1]
        assert await cluster.read("c", lease, 70_000, 100) == data[70_000:70_100]

    run(story)


@pytest.mark.parametrize("power", [False, True])
def test_a_restarted_replica_serves_nothing_until_it_is_reconciled(power):
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.restart("c", power=power)
        with pytest.raises(NotReadableError):
            await cluster.read("c", lease, 0, 5)
        assert not (await cluster.info("c", 1)).unbroken
        with pytest.raises(Exception):  # noqa: B017 - refused, in one of several ways
            await cluster.call("c", HoldVersion(handle=1, version=lease.version))
        lease = await cluster.raise_(1)
        assert await cluster.read("c", lease, 0, 5) == b"12345"
        assert (await cluster.append(lease, b"6")).offset == 5
        cluster.assert_equal(1)

    run(story)


@pytest.mark.parametrize("seed", range(3))
def test_readers_among_writers_see_whole_writes(seed):
    """Goal: a write inside one chunk is atomic for every reader. Method: each writer writes one letter."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        size = 150_000
        await cluster.push(1, b"a" * size, "abc")
        await cluster.write(lease, 0, b"a" * size, pushed=1)
        done = []

        async def writer(number):
            for turn in range(5):
                data = bytes([98 + number]) * size
                name = 1000 * number + turn + 10
                await cluster.push(name, data, "bca")
                await cluster.write(lease, 0, data, pushed=name, client=number + 1)
            done.append(number)

        async def reader(name):
            seen = 0
            while len(done) < 3 or not seen:
                seen += 1
                data = await cluster.read(name, lease, 0, size)
                assert len(data) == size
                assert data == data[:1] * size, (name, seen)

        await asyncio.gather(*(writer(number) for number in range(3)), *(reader(name) for name in "abc"))

    run(story, seed=seed)


def test_a_large_read_that_is_not_aligned_gets_as_many_whole_blocks_as_a_frame_holds():
    async def story(cluster):
        lease = await cluster.new_chunk()
        for number in range(6):
            await cluster.push(number + 1, bytes([number]) * MIB, "abc")
            await cluster.write(lease, number * MIB, bytes([number]) * MIB, pushed=number + 1)
        data = await cluster.read("b", lease, 100, 4 * MIB)
        assert len(data) == 4 * MIB - 100
        assert data[-1] == 3

    run(story, chunk_bytes=8 * MIB)


def test_a_read_beyond_the_end_is_answered_empty_from_where_it_was_asked():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        for offset, length in ((0, MIB), (5, 10), (3, 10), (MIB, MIB), (MIB, 10)):
            request = ReadChunk(handle=1, version=lease.version, offset=offset, length=length)
            reply, data = await cluster.caller.call_for_payload("b:7410", request, timeout_s=5)
            assert reply.start == offset
            assert bytes(data) == b"12345"[offset:]

    run(story)


def test_checksums_are_those_of_the_bytes_while_the_last_block_grows_and_is_overwritten():
    """Goal: rule 8. Method: large reads begin all the time, while the bytes behind their end are written twice."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        for _ in range(2):
            await cluster.append(lease, b"x" * 35_000)
        for length in range(70_000, 76_000, 100):
            writes = [asyncio.ensure_future(cluster.write(lease, length, bytes([n]) * 100)) for n in range(3)]
            while not all(write.done() for write in writes):
                reads = [cluster.read(name, lease, 0, 256 * 1024) for name in "abc"]
                for data in await asyncio.gather(*reads):
                    assert data[:70_000] == b"x" * 70_000
            await asyncio.gather(*writes)

    for seed in range(3):
        run(story, seed=seed, chunk_bytes=256 * 1024)
