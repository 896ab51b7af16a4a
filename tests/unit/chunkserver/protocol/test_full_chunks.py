"""What becomes of the records that find a chunk full. Rules 11 and 17."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import run

from cairnfs.errors import ChunkFullError, NotPrimaryError
from cairnfs.units import KIB


def test_records_that_come_while_a_full_chunk_is_closed_are_sent_on():
    """Goal: rule 17 costs one close: nobody has to raise a full chunk to learn that it is full.

    Method: many records at once around the one that does not fit, and one after the close; none is told that the
    primary has gone.
    """

    async def story(cluster):
        lease = await cluster.new_chunk()
        told = []

        async def one(number):
            try:
                await cluster.append(lease, b"r" * (50 * KIB))
            except ChunkFullError:
                told.append(number)

        await asyncio.gather(*[one(number) for number in range(30)])
        assert len(told) == 25
        await one(30)
        assert told[-1] == 30

    run(story, chunk_bytes=256 * KIB)


def test_a_repeat_of_a_record_in_a_full_chunk_is_not_sent_on():
    """Goal: rule 11: who never heard the answer must not append once more behind a full chunk."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"r" * (50 * KIB), sequence=777)
        for _ in range(4):
            await cluster.append(lease, b"r" * (50 * KIB))
        with pytest.raises(ChunkFullError):
            await cluster.append(lease, b"r" * (50 * KIB))
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"r" * (50 * KIB), sequence=777)

    run(story, chunk_bytes=256 * KIB)
