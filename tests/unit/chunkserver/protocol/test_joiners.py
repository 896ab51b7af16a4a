"""Rule 13: a joiner of an open chunk is copied in the background until at most 4 MiB is left."""

import asyncio

from tests.unit.chunkserver.protocol.cluster import MIB, pass_time, run

from cairnfs.limits import JOINER_REST_BYTES
from cairnfs.wire.master_orders import Clone

BLOCK = 64 * 1024
BLOCKS = 128
SHAPE = {"chunk_bytes": BLOCKS * BLOCK, "block_bytes": BLOCK}


async def filled(cluster):
    lease = await cluster.new_chunk(names="ab")
    for number in range(BLOCKS):
        await cluster.write(lease, number * BLOCK, bytes([number]) * BLOCK)
    return lease


async def touch_every_block(cluster, lease, value):
    await asyncio.gather(*[cluster.write(lease, number * BLOCK, bytes([value])) for number in range(BLOCKS)])


def copied(cluster):
    return cluster.servers["c"].context.counters.get("bytes_copied", 0)


async def joining(cluster, lease):
    """Begin a copy, to a server whose disk takes so long that whoever writes meanwhile is faster."""
    cluster.world.tree("c", "/c").faults.delay_s = (0.1, 0.2)
    clone = Clone(handle=1, version=lease.version, epoch=1, source=cluster.address("b"), joiner=True)
    copy = asyncio.ensure_future(cluster.order("c", clone))
    chunks = cluster.servers["c"].context.chunks
    while (chunk := chunks.find(1)) is None or not chunk.is_changing:
        await pass_time(0.01)
    return copy


def test_what_was_changed_during_the_copy_is_copied_again_before_the_raise():
    """Goal: the raise, which holds up the writer, copies at most 4 MiB.

    Method: change all 8 MiB once while the first pass runs, and stop; look at what each step copied.
    """

    async def story(cluster):
        lease = await filled(cluster)
        joiner = await joining(cluster, lease)
        await touch_every_block(cluster, lease, 1)
        answer = await joiner
        assert answer.rest <= JOINER_REST_BYTES
        assert copied(cluster) > BLOCKS * BLOCK + JOINER_REST_BYTES, "the writer was in time"
        before = copied(cluster)
        assert (await cluster.info("c", 1)).incomplete
        await cluster.raise_(1, "abc", source="a")
        assert copied(cluster) - before <= JOINER_REST_BYTES
        cluster.assert_equal(1)

    run(story, **SHAPE)


def test_a_writer_that_is_faster_than_the_copy_is_reported_and_does_not_hold_it_for_ever():
    async def story(cluster):
        lease = await filled(cluster)
        joiner = await joining(cluster, lease)
        value = 0
        while not joiner.done():  # ends after the passes that a copy is given
            value += 1
            await touch_every_block(cluster, lease, value % 256)
        answer = await joiner
        assert JOINER_REST_BYTES < answer.rest <= 8 * MIB
        assert cluster.servers["c"].context.counters["joiner_passes"] == 8
        await cluster.raise_(1, "abc", source="a")
        cluster.assert_equal(1)

    run(story, **SHAPE)
