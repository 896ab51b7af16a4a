"""GFS paper, section 3.3, "Atomic Record Appends", on three real chunkservers."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import run

from cairnfs.errors import ChunkFullError, MutationFailedError, RecordTooLargeError

KIB = 1 << 10


def test_many_clients_append_to_one_chunk_without_locks_and_every_record_stands_whole():
    """ "GFS appends it to the file at least once atomically (i.e., as one continuous sequence of bytes)." """

    async def story(cluster):
        lease = await cluster.new_chunk()
        placed = {}

        async def producer(number):
            for turn in range(20):
                record = b"%03d:%03d;" % (number, turn) * (1 + (number * turn) % 50)
                appended = await cluster.append(lease, record, client=number)
                placed[appended.offset] = record

        await asyncio.gather(*(producer(number) for number in range(1, 11)))
        cluster.assert_equal(1)
        end = 0
        for offset in sorted(placed):
            assert offset == end, "records neither overlap nor leave holes"
            end += len(placed[offset])
            assert await cluster.read("b", lease, offset, len(placed[offset])) == placed[offset]

    run(story)


def test_an_acknowledged_record_survives_the_power_loss_of_every_machine():
    async def story(cluster):
        lease = await cluster.new_chunk()
        records = [b"record %d" % number for number in range(30)]
        placed = [(await cluster.append(lease, record)).offset for record in records]
        for name in "abc":
            await cluster.restart(name, power=True)
        lease = await cluster.raise_(1, source="b")
        for offset, record in zip(placed, records, strict=True):
            assert await cluster.read("c", lease, offset, len(record)) == record

    run(story)


def test_a_record_that_would_exceed_the_chunk_goes_to_the_next_one():
    """ "It pads the chunk ... and replies to the client indicating that the operation should be retried on the next
    chunk." Ours: closed at its data length instead of padded."""

    async def story(cluster):
        first = await cluster.new_chunk(1)
        for _ in range(6):
            await cluster.append(first, b"r" * (10 * KIB))
        with pytest.raises(ChunkFullError):
            await cluster.append(first, b"r" * (10 * KIB))
        assert cluster.contents(1)[0][0] == 60 * KIB
        cluster.assert_equal(1)
        second = await cluster.new_chunk(2)
        assert (await cluster.append(second, b"r" * (10 * KIB))).offset == 0

    run(story, chunk_bytes=64 * KIB, block_bytes=4 * KIB)


def test_a_record_is_at_most_a_fourth_of_a_chunk():
    """ "Record append is restricted to be at most one-fourth of the maximum chunk size." """

    async def story(cluster):
        lease = await cluster.new_chunk()
        with pytest.raises(RecordTooLargeError):
            await cluster.append(lease, b"r" * (16 * KIB + 1))
        assert await cluster.length(lease) == 0

    run(story, chunk_bytes=64 * KIB, block_bytes=4 * KIB)


def test_if_an_append_fails_at_any_replica_the_client_retries_and_no_replica_differs():
    """ "If a record append fails at any replica, the client retries the operation." Ours: the retry of a record
    that was adopted gets its first offset, and replicas are bytewise identical."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"before")
        cluster.world.crash("c")
        with pytest.raises(MutationFailedError):
            await cluster.append(lease, b"record", sequence=42)
        lease = await cluster.raise_(1, "ab")
        first = await cluster.append(lease, b"record", sequence=42)
        again = await cluster.append(lease, b"record", sequence=42)
        assert first.offset == again.offset == 6
        cluster.assert_equal(1, "ab")

    run(story)
