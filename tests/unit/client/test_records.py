"""Writers and readers of records against a scripted cluster: batches, back-pressure, failures, positions, followers."""

import asyncio
from threading import Thread

import pytest
from tests.support.fake_cluster import fake_cluster
from tests.unit.client.support import cluster_on_a_thread

import cairnfs
from cairnfs.errors import (
    BadRequestError,
    DiskFullError,
    NotAppendedError,
    NotFoundError,
    RecordDecodeError,
    RecordTooLargeError,
)
from cairnfs.limits import RECORD_WINDOW
from cairnfs.wire.mutations import AppendRecord

LOG = "/log"


def play(claim, **settings):
    async def go():
        async with fake_cluster(settings={"data_timeout_s": 300.0, **settings}) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(go())


def appends(cluster):
    return sum(server.asked[AppendRecord] for server in cluster.servers)


def stop_answers(cluster):
    for server in cluster.servers:
        server.gate.clear()


def go_on(cluster):
    for server in cluster.servers:
        server.gate.set()


def fail_next(cluster, *errors):
    for server in cluster.servers:
        server.fail(AppendRecord, *errors)


async def turns(count=50):
    """Let everything happen that can happen without the network."""
    for _ in range(count):
        await asyncio.sleep(0)


async def values(fs, **options):
    return [record.value async for record in fs.records(LOG, **options)]


# ---------------------------------------------------------------------- writing


def test_what_is_put_while_an_append_is_under_way_travels_together():
    async def claim(cluster, fs):
        async with await fs.append_writer(LOG, "jsonl") as writer:
            for number in range(500):
                await writer.put({"n": number})
        assert await values(fs, codec="jsonl") == [{"n": number} for number in range(500)]
        assert appends(cluster) < 10

    play(claim)


def test_a_lone_record_waits_for_no_company():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        await writer.put(b"one")
        async for record in fs.records(LOG, follow=True):  # ends because the record is under way without a flush
            assert record.data == b"one"
            break

    play(claim)


def test_put_waits_when_too_much_is_not_acknowledged_and_only_then():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG, pending_bytes_max=1000)
        await writer.append(b"the chunk is there")
        stop_answers(cluster)
        for _ in range(7):
            await writer.put(bytes(100))
        waiting = asyncio.ensure_future(writer.put(bytes(100)))
        await turns()
        assert not waiting.done()
        go_on(cluster)
        await waiting
        await writer.close()
        assert len(await values(fs)) == 9

    play(claim)


def test_no_sequence_begins_a_window_above_one_that_is_not_settled():
    """Positions rest on it. Method: more appends at once than there are places in the window."""

    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        await writer.append(b"the chunk is there")
        stop_answers(cluster)
        waiting = [asyncio.ensure_future(writer.append(b"")) for _ in range(RECORD_WINDOW + 5)]
        await turns()
        assert writer._sequence == 1 + RECORD_WINDOW
        await writer.put(b"put")
        go_on(cluster)
        await asyncio.gather(*waiting)
        await writer.close()
        assert len(await values(fs)) == 1 + RECORD_WINDOW + 5 + 1

    play(claim)


def test_a_thread_puts_without_a_hop_and_its_lone_record_goes_at_once():
    """Goal: nobody needs to flush or put more for a record that another thread's pump has just missed.

    Method: a scripted cluster, since real leases, disks and starts have times that a busy machine may exceed.
    """
    with cluster_on_a_thread() as cluster, cairnfs.connect(cluster.master.address, timeout=None) as fs:
        writer = fs.append_writer(LOG, "jsonl", pending_bytes_max=2_000)
        followed = fs.records(LOG, codec="jsonl", follow=True)
        for number in range(300):
            writer.put(number)
            if number % 7 == 0:
                assert [next(followed).value for _ in range(7 if number else 1)][-1] == number
        threads = [Thread(target=lambda: [writer.put("more") for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()
        assert sum(record.value == "more" for record in fs.records(LOG, codec="jsonl")) == 800


def test_append_stands_behind_what_was_put_and_returns_where():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        for number in range(5):
            await writer.put(b"%d" % number)
        offset = await writer.append(b"last")
        found = [record async for record in fs.records(LOG)]
        assert [one.data for one in found] == [b"0", b"1", b"2", b"3", b"4", b"last"]
        assert found[-1].offset == offset

    play(claim)


def test_what_failed_is_kept_told_and_sent_again_under_the_same_sequences():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        await writer.put(b"first")
        await writer.flush()
        fail_next(cluster, *[DiskFullError(where="chunkserver")] * 50)
        await writer.put(b"second")
        with pytest.raises(NotAppendedError, match="1 records of /log were not acknowledged") as raised:
            await writer.flush()
        assert raised.value.records == 1
        for server in cluster.servers:
            server._before.clear()
        await writer.flush()
        await writer.close()
        found = [(record.sequence, record.data) async for record in fs.records(LOG)]
        assert found == [(1, b"first"), (2, b"second")]

    play(claim, data_timeout_s=0.5)


def test_after_a_failure_the_next_put_tells_it_and_takes_nothing():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        await writer.append(b"first")
        fail_next(cluster, *[DiskFullError(where="chunkserver")] * 50)
        await writer.put(b"second")
        while writer._failure is None:  # ends with the data timeout
            await asyncio.sleep(0)
        with pytest.raises(NotAppendedError):
            await writer.put(b"third")
        for server in cluster.servers:
            server._before.clear()
        await writer.close()
        assert await values(fs) == [b"first", b"second"]

    play(claim, data_timeout_s=0.5)


def test_what_is_discarded_is_counted_and_the_writer_is_closed():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        await writer.append(b"first")
        stop_answers(cluster)
        for _ in range(3):
            await writer.put(b"more")
        await turns()
        assert writer.discard() == 3
        assert writer.closed
        go_on(cluster)
        with pytest.raises(ValueError, match="closed"):
            await writer.put(b"later")
        await writer.close()

    play(claim)


def test_a_record_that_is_too_large_or_of_the_wrong_kind_changes_nothing():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG)
        with pytest.raises(RecordTooLargeError):
            await writer.put(bytes(cluster.chunk_bytes // 4))
        with pytest.raises(BadRequestError, match="a int cannot be a record"):
            await writer.put(7)
        with pytest.raises(BadRequestError, match="pending_bytes_max"):
            await fs.append_writer(LOG, pending_bytes_max=0)
        with pytest.raises(BadRequestError, match="no codec 'xml'"):
            await fs.append_writer("/other", "xml")
        assert not await fs.exists("/other")
        await writer.put(b"good")
        await writer.close()
        await writer.close()
        assert await values(fs) == [b"good"]

    play(claim)


# ---------------------------------------------------------------------- reading


async def fill(fs, count=20):
    async with await fs.append_writer(LOG, "msgpack") as writer:
        for number in range(count):
            await writer.put(number)


def test_a_reader_goes_on_behind_any_record():
    async def claim(cluster, fs):
        await fill(fs)
        positions = [record.position async for record in fs.records(LOG)]
        for number, position in enumerate(positions):
            assert await values(fs, codec="msgpack", from_position=position) == list(range(number + 1, 20))

    play(claim)


def test_repeats_are_left_out_across_a_position():
    """Method: the whole file is appended to itself, as if each append had been tried again."""

    async def claim(cluster, fs):
        await fill(fs)
        await fs.append(LOG, await fs.read_bytes(LOG))
        positions = [record.position async for record in fs.records(LOG)]
        assert len(positions) == 20
        assert await values(fs, codec="msgpack", from_position=positions[7]) == list(range(8, 20))
        assert await values(fs, codec="msgpack", from_position=positions[-1]) == []

    play(claim)


def test_an_offset_begins_with_the_next_whole_record():
    async def claim(cluster, fs):
        await fill(fs)
        offsets = [record.offset async for record in fs.records(LOG)]
        assert await values(fs, codec="msgpack", from_offset=offsets[3]) == list(range(3, 20))
        assert await values(fs, codec="msgpack", from_offset=offsets[3] + 1) == list(range(4, 20))

    play(claim)


def test_a_record_that_cannot_be_decoded_is_named_and_can_be_passed_over():
    async def claim(cluster, fs):
        async with await fs.append_writer(LOG) as writer:
            for data in (b"1\n", b"no json", b"2\n"):
                await writer.put(data)
        with pytest.raises(RecordDecodeError, match="record at offset 30 of /log cannot be decoded") as raised:
            await values(fs, codec="jsonl")
        assert await values(fs, codec="jsonl", from_position=raised.value.position) == [2]
        assert await values(fs, codec="jsonl", skip_undecodable=True) == [1, 2]

    play(claim)


def test_wrong_places_to_begin_are_refused():
    async def claim(cluster, fs):
        await fill(fs)
        position = [record.position async for record in fs.records(LOG)][-1]
        await fs.write_bytes("/other", b"")
        for options, text in [
            ({"from_offset": -1}, "negative offset"),
            ({"from_offset": 1, "from_position": position}, "give one of them"),
            ({"from_position": position[:-1]}, "no position"),
        ]:
            with pytest.raises(BadRequestError, match=text):
                await values(fs, **options)
        with pytest.raises(BadRequestError, match="another file"):
            _ = [record async for record in fs.records("/other", from_position=position)]
        await fs.truncate(LOG, 10)
        with pytest.raises(BadRequestError, match="truncated"):
            await values(fs, from_position=position)
        with pytest.raises(NotFoundError):
            _ = [record async for record in fs.records("/none")]

    play(claim)


def test_a_follower_gets_what_comes_and_ends_when_it_is_left():
    async def claim(cluster, fs):
        writer = await fs.append_writer(LOG, "jsonl")
        found = []

        async def follow():
            async for record in fs.records(LOG, codec="jsonl", follow=True):
                found.append(record.value)
                if record.value == 9:
                    return

        following = asyncio.ensure_future(follow())
        for number in range(10):
            await writer.append(number)
        await following
        assert found == list(range(10))

    play(claim)
