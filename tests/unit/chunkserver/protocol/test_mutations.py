"""Order, acks, repeats and ends of mutations. Rules 2, 4, 10, 11, 14, 16 and 17."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import MIB, pass_time, run

from cairnfs.checksum import piece_crcs
from cairnfs.errors import (
    ChecksumError,
    ChunkFullError,
    DataMissingError,
    LostWritesError,
    MutationFailedError,
    NotPrimaryError,
    RecordTooLargeError,
    StaleVersionError,
)
from cairnfs.ids import ChunkVersion, DataId
from cairnfs.wire.mutations import AppendRecord, WriteChunk

KIB = 1 << 10


@pytest.mark.parametrize("seed", range(5))
def test_concurrent_writers_leave_the_same_bytes_on_every_member(seed):
    async def story(cluster):
        lease = await cluster.new_chunk()

        async def writer(number):
            for turn in range(10):
                data = bytes([number * 10 + turn]) * 5000
                await cluster.write(lease, (turn * 1000) % 7000, data, client=number)

        await asyncio.gather(*(writer(number) for number in range(1, 6)))
        cluster.assert_equal(1)
        first = await cluster.read("a", lease, 0, 20_000)
        assert [await cluster.read(name, lease, 0, 20_000) for name in "bc"] == [first, first]

    run(story, seed=seed)


def test_waiting_appends_go_out_as_one_order_with_a_run_of_serials():
    async def story(cluster):
        lease = await cluster.new_chunk()
        orders = 50
        appended = await asyncio.gather(*(cluster.append(lease, b"x" * 100) for _ in range(orders)))
        assert sorted(reply.serial for reply in appended) == list(range(1, orders + 1))
        assert sorted(reply.offset for reply in appended) == [100 * number for number in range(orders)]
        cluster.assert_equal(1)

    run(story)


def test_a_repeated_sequence_gets_the_first_result():
    async def story(cluster):
        lease = await cluster.new_chunk()
        first = await cluster.append(lease, b"once", sequence=7)
        again = await cluster.append(lease, b"once", sequence=7)
        assert again.offset == first.offset
        assert await cluster.length(lease) == 4

        both = await asyncio.gather(*(cluster.append(lease, b"twice", sequence=8) for _ in range(2)))
        assert both[0].offset == both[1].offset == 4
        assert await cluster.length(lease) == 9

    run(story)


def test_a_repeated_sequence_gets_the_first_result_at_a_new_primary():
    async def story(cluster):
        lease = await cluster.new_chunk()
        first = await cluster.append(lease, b"once", sequence=7)
        lease = await cluster.raise_(1, primary="b")
        again = await cluster.append(lease, b"once", sequence=7)
        assert again.offset == first.offset
        assert await cluster.length(lease) == 4
        assert (await cluster.append(lease, b"next", sequence=8)).offset == 4

    run(story)


def test_the_filter_travels_to_a_member_that_was_copied():
    async def story(cluster):
        lease = await cluster.new_chunk(names="ab")
        first = await cluster.append(lease, b"once", sequence=7)
        lease = await cluster.raise_(1, "abc", primary="c", source="a")
        again = await cluster.append(lease, b"once", sequence=7)
        assert again.offset == first.offset
        cluster.assert_equal(1)

    run(story)


def test_a_member_that_is_gone_fails_the_mutation_and_after_a_raise_the_retry_succeeds_exactly_once():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"before")
        cluster.world.crash("c")
        with pytest.raises(MutationFailedError):
            await cluster.append(lease, b"record", sequence=9000)
        assert {report.suspect for report in cluster.master.suspects} == {cluster.servers["c"].server_id}
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"other")

        lease = await cluster.raise_(1, "ab", primary="b")
        appended = await cluster.append(lease, b"record", sequence=9000)
        assert appended.offset == 6
        assert await cluster.length(lease) == 12
        cluster.assert_equal(1, "ab")

    run(story)


def test_a_silent_member_is_reported_after_a_second_and_a_late_answer_still_acks():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"before")
        cluster.world.cut("a", "c")
        append = asyncio.ensure_future(cluster.append(lease, b"record"))
        await pass_time(2)
        assert {report.suspect for report in cluster.master.suspects} == {cluster.servers["c"].server_id}
        assert not append.done()
        cluster.world.heal()
        assert (await append).offset == 6
        cluster.assert_equal(1)

    run(story)


def test_a_promise_fails_what_is_under_way_and_ends_the_role():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"before")
        cluster.world.cut("a", "c")
        append = asyncio.ensure_future(cluster.append(lease, b"record", sequence=9000))
        await pass_time(1.5)
        lease = await cluster.raise_(1, "ab", primary="a")
        with pytest.raises(MutationFailedError):
            await append
        again = await cluster.append(lease, b"record", sequence=9000)
        assert again.offset == 6
        assert await cluster.length(lease) == 12

    run(story)


def test_a_record_that_does_not_fit_closes_the_chunk_at_its_data_length():
    async def story(cluster):
        lease = await cluster.new_chunk()
        record = b"r" * (50 * KIB)
        for _ in range(5):
            await cluster.append(lease, record)
        with pytest.raises(ChunkFullError):
            await cluster.append(lease, record)
        assert cluster.contents(1) == [cluster.contents(1)[0]] * 3
        for name in "abc":
            info = await cluster.info(name, 1)
            assert (info.closed, info.length, info.is_primary) == (True, 250 * KIB, False)
        await cluster.settle()
        assert [(report.handle, report.length) for report in cluster.master.closed] == [(1, 250 * KIB)]

    run(story, chunk_bytes=256 * KIB)


def test_a_record_of_more_than_a_quarter_chunk_is_refused():
    async def story(cluster):
        lease = await cluster.new_chunk()
        with pytest.raises(RecordTooLargeError):
            await cluster.append(lease, b"r" * (16 * KIB + 1))
        await cluster.append(lease, b"r" * (16 * KIB))

    run(story, chunk_bytes=64 * KIB, block_bytes=4 * KIB)


def test_a_large_record_is_pushed_in_several_pieces():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"odd")
        pieces = [bytes([number]) * MIB for number in range(3)]
        for number, piece in enumerate(pieces):
            await cluster.push(DataId(100 + number), piece, "cab")
        appended = await cluster.append(lease, b"".join(pieces), pushed=[100, 101, 102])
        assert appended.offset == 3
        cluster.assert_equal(1)
        assert await cluster.read("b", lease, 3, 3 * MIB) == b"".join(pieces)

    run(story, chunk_bytes=16 * MIB)


def test_a_write_of_several_pushes_is_one_mutation():
    """Contract 3: one serial for all of it, on every member; also over what is flushed, and at an odd place."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        first = await cluster.write(lease, 0, b"old" * 1000, sync=True)
        pieces = [bytes([number]) * (MIB + number) for number in range(1, 6)]
        for number, piece in enumerate(pieces):
            await cluster.push(DataId(100 + number), piece, "cab")
        names = list(range(100, 105))
        written = await cluster.write(lease, 7, b"".join(pieces), pushed=names, sequence=50)
        assert written.serial == first.serial + 1
        assert written.length == 7 + 5 * MIB + 15
        cluster.assert_equal(1)
        assert await cluster.read("b", lease, 7 + MIB, 3 * MIB) == b"".join(pieces)[MIB : 4 * MIB]
        again = await cluster.write(lease, 7, b"".join(pieces), pushed=names, sequence=50)
        assert again.serial == written.serial
        for name in "abc":
            assert cluster.servers[name].context.pushed.held_bytes == 0

    run(story, chunk_bytes=16 * MIB)


def test_a_write_of_several_pushes_of_which_a_member_dropped_some_is_whole():
    async def story(cluster):
        lease = await cluster.new_chunk()
        pieces = [bytes([number]) * MIB for number in range(3)]
        for number, piece in enumerate(pieces):
            await cluster.push(DataId(100 + number), piece, "abc" if number == 1 else "ab")
        await cluster.write(lease, 0, b"".join(pieces), pushed=[100, 101, 102])
        cluster.assert_equal(1)
        with pytest.raises(DataMissingError):  # at the primary nothing happens: the client pushes again
            await cluster.write(lease, 0, b"".join(pieces), pushed=[100, 101, 102])

    run(story, chunk_bytes=16 * MIB)


def test_data_that_a_member_dropped_is_pushed_again_by_the_primary():
    async def story(cluster):
        lease = await cluster.new_chunk()
        data = b"d" * MIB
        await cluster.push(DataId(5), data, "ab")
        await cluster.write(lease, 0, data, pushed=DataId(5))
        cluster.assert_equal(1)
        for name in "abc":
            assert cluster.servers[name].context.pushed.held_bytes == 0

    run(story)


def test_a_mutation_that_names_data_nobody_pushed_changes_nothing():
    async def story(cluster):
        lease = await cluster.new_chunk()
        with pytest.raises(DataMissingError):
            await cluster.write(lease, 0, b"d" * MIB, pushed=DataId(5))
        assert await cluster.length(lease) == 0
        assert (await cluster.append(lease, b"x")).offset == 0

    run(story)


def test_bytes_that_do_not_fit_their_checksum_are_refused():
    async def story(cluster):
        lease = await cluster.new_chunk()
        request = AppendRecord(
            handle=1, version=lease.version, client=1, sequence=1, lowest=0, length=4, crcs=piece_crcs(b"good", 4)
        )
        with pytest.raises(ChecksumError):
            await cluster.call("a", request, [b"evil"])
        assert await cluster.length(lease) == 0

    run(story)


def test_a_mutation_at_another_version_is_refused():
    async def story(cluster):
        lease = await cluster.new_chunk()
        for version in (ChunkVersion(1, 0), ChunkVersion(9, 9)):
            request = WriteChunk(
                handle=1,
                version=version,
                client=1,
                sequence=1,
                lowest=0,
                offset=0,
                length=1,
                crcs=piece_crcs(b"x", 1),
            )
            with pytest.raises(StaleVersionError):
                await cluster.call("a", request, [b"x"])
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"x", at="b")

    run(story)


def test_a_synced_write_survives_the_power_loss_of_all_and_so_does_what_was_written_before_it():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"plain")
        await cluster.write(lease, 5, b"synced", sync=True)
        for name in "abc":
            await cluster.restart(name, power=True)
        cluster.assert_equal(1)
        lease = await cluster.raise_(1, source="a")
        assert await cluster.read("b", lease, 0, 11) == b"plainsynced"

    run(story)


def test_a_small_put_is_one_exchange_that_ends_closed():
    async def story(cluster):
        lease = cluster.lease()
        written = await cluster.write(lease, 0, b"small file", shows=True, sync=True, close=True)
        assert (written.length, written.closed) == (10, True)
        for name in "abc":
            assert (await cluster.info(name, 1)).closed

    run(story)


def test_a_sync_fails_as_lost_after_broken_continuity():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"plain")
        since = lease.version
        lease = await cluster.raise_(1, broken_at=ChunkVersion(1, 50))
        with pytest.raises(LostWritesError):
            await cluster.sync(lease, since=since)
        assert (await cluster.sync(lease, since=ChunkVersion(1, 50))).length == 5

    run(story)


def test_an_idle_chunk_is_closed_when_its_lease_ends_and_a_used_one_is_renewed():
    async def story(cluster):
        used = await cluster.new_chunk(1)
        idle = await cluster.new_chunk(2)
        await cluster.append(idle, b"idle")
        for _ in range(40):
            await cluster.append(used, b"used")
            await pass_time(0.5)
        assert (await cluster.info("a", 1)).is_primary
        for name in "abc":
            assert (await cluster.info(name, 2)).closed
        with pytest.raises(NotPrimaryError):
            await cluster.append(idle, b"late")
        assert [report.handle for report in cluster.master.closed] == [2]

    run(story, lease_s=6.0)


def test_truncation_cuts_every_member_durably():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"0123456789")
        assert (await cluster.truncate(lease, 4)).length == 4
        assert (await cluster.append(lease, b"ab")).offset == 4
        cluster.assert_equal(1)
        assert await cluster.read("c", lease, 0, 100) == b"0123ab"

    run(story)


def test_a_write_beyond_the_end_leaves_zeros_between():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 200_000, b"end")
        cluster.assert_equal(1)
        assert await cluster.read("b", lease, 199_990, 20) == bytes(10) + b"end"
        assert await cluster.length(lease) == 200_003

    run(story)
