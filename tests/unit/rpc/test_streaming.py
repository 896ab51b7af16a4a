"""Payloads that a handler sees while they arrive, keeps, or passes on (cut-through)."""

import asyncio

import pytest
from tests.unit.rpc.world import MIB, GetBytes, Put, StreamPut, StreamPutDone, run, turns

from cairnfs.errors import BadRequestError, ConnectionLostError

ONES = b"\x01" * MIB


def test_a_streaming_handler_begins_with_the_head_and_sees_bytes_as_they_come():
    async def scenario(world):
        world.network.piece_bytes = 100_000
        seen = []

        async def stream(peer, request, incoming):
            while incoming.received < incoming.size:
                seen.append(incoming.received)
                await incoming.wait(incoming.received + 1)
            return StreamPutDone(total=bytes(incoming.view).count(1))

        world.server.on(StreamPut, stream, streaming=True)
        caller = await world.start()
        reply = await caller.call(world.address, StreamPut(), timeout_s=9, payload=[b"\x01" * MIB])
        assert reply.total == MIB
        assert len(seen) > 5
        assert world.server.buffers.idle_bytes == MIB

    run(scenario)


def test_a_streaming_handler_hears_that_its_sender_is_gone_and_the_buffer_comes_back():
    async def scenario(world):
        world.network.piece_bytes = 100_000
        ended = []

        async def stream(peer, request, incoming):
            await incoming.wait(100)
            try:
                await incoming.complete()
            except ConnectionLostError:
                ended.append(incoming.received)
                raise

        world.server.on(StreamPut, stream, streaming=True)
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=9)
        call = asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=9, payload=[bytes(MIB)]))
        near = world.network.pairs[0][0]
        while near.delivered < 300_000:
            await asyncio.sleep(0)
        near.abort()
        with pytest.raises(ConnectionLostError):
            await call
        await turns()
        assert ended
        assert 100 <= ended[0] < MIB
        assert world.server.buffers.idle_bytes == MIB

    run(scenario)


def test_a_reply_before_the_whole_payload_does_not_free_the_buffer_that_still_fills():
    async def scenario(world):
        world.network.piece_bytes = 100_000

        async def refuse(peer, request, incoming):
            raise BadRequestError(what="no")

        world.server.on(StreamPut, refuse, streaming=True)
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=1)
        near = world.network.pairs[0][0]
        call = asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=9, payload=[bytes(MIB)]))
        with pytest.raises(BadRequestError):
            await call
        assert near.unsent_bytes > 0
        assert world.server.buffers.idle_bytes == 0
        await turns()
        assert world.server.buffers.idle_bytes == MIB
        assert (await caller.call(world.address, Put(), timeout_s=9, payload=[b"\x01" * MIB])).total == MIB

    run(scenario)


def test_a_kept_payload_outlives_the_reply_and_comes_back_when_released():
    async def scenario(world):
        kept = []

        async def keep(peer, request, incoming):
            incoming.keep()
            incoming.keep()
            kept.append(incoming)
            return StreamPutDone()

        world.server.on(StreamPut, keep)
        caller = await world.start()
        await caller.call(world.address, StreamPut(), timeout_s=9, payload=[b"\x05" * 100_000])
        await caller.call(world.address, Put(), timeout_s=9, payload=[b"\x06" * 100_000])
        assert bytes(kept[0].view) == b"\x05" * 100_000
        idle = world.server.buffers.idle_bytes
        kept[0].release()
        kept[0].release()
        assert world.server.buffers.idle_bytes == idle + 128 * 1024

    run(scenario)


async def chain(world, *, seen=None):
    """Start a second server; the first passes StreamPut on to it while it arrives. Return the caller."""
    tail = world.new_server(boot=8)
    address = await tail.listen("127.0.0.1:0")
    between = world.new_caller()

    async def last(peer, request, incoming):
        async def watch():
            while incoming.received < incoming.size:
                if seen is not None:
                    seen.append(incoming.received)
                await incoming.wait(incoming.received + 1)
            return bytes(incoming.view).count(1)

        return StreamPutDone(total=await watch())

    async def pass_on(peer, request, incoming):
        return await between.call(address, request, timeout_s=30, payload=incoming)

    tail.on(StreamPut, last, streaming=True)
    world.server.on(StreamPut, pass_on, streaming=True)
    caller = await world.start()
    await caller.call(world.address, GetBytes(), timeout_s=9)
    await between.call(address, GetBytes(), timeout_s=9)
    return caller, tail


def test_a_payload_is_passed_on_before_it_has_arrived():
    """Goal: cut-through (GFS paper, section 3.2). Method: freeze the sender midway; its first half is through."""

    async def scenario(world):
        world.network.piece_bytes = 50_000
        seen = []
        caller, tail = await chain(world, seen=seen)
        near = world.network.pairs[0][0]
        call = asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=20, payload=[b"\x01" * MIB]))
        while near.delivered < 500_000:
            await asyncio.sleep(0)
        near.freeze()
        await turns(200)
        assert seen[-1] > 400_000
        near.thaw()
        assert (await call).total == MIB
        assert world.server.buffers.idle_bytes == tail.buffers.idle_bytes == MIB
        await tail.stop(grace_s=0)

    run(scenario)


def test_a_payload_that_trickles_in_is_passed_on_in_few_sends():
    """Goal: no send for every few packets. Method: freeze the sender before 256 KiB are there."""

    async def scenario(world):
        world.network.piece_bytes = 10_000
        seen = []
        caller, tail = await chain(world, seen=seen)
        near = world.network.pairs[0][0]
        call = asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=20, payload=[b"\x01" * MIB]))
        while near.delivered < 200_000:
            await asyncio.sleep(0)
        near.freeze()
        await turns(200)
        assert not any(seen)
        near.thaw()
        assert (await call).total == MIB
        await tail.stop(grace_s=0)

    run(scenario)


def test_if_the_sender_dies_midway_the_next_server_loses_its_connection_and_recovers():
    async def scenario(world):
        world.network.piece_bytes = 50_000
        caller, tail = await chain(world)
        near = world.network.pairs[0][0]
        call = asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=20, payload=[b"\x01" * MIB]))
        while near.delivered < 500_000:
            await asyncio.sleep(0)
        near.abort()
        with pytest.raises(ConnectionLostError):
            await call
        await turns(200)
        lanes = [pair[0].lost for pair in world.network.pairs]
        assert sum(lanes) == 2
        assert world.server.buffers.idle_bytes == tail.buffers.idle_bytes == MIB
        reply = await caller.call(world.address, StreamPut(), timeout_s=20, payload=[b"\x01" * MIB])
        assert reply.total == MIB
        await tail.stop(grace_s=0)

    run(scenario)


def test_a_stalled_cut_through_holds_up_no_others_until_every_lane_has_one():
    async def scenario(world):
        world.network.piece_bytes = 50_000
        _, tail = await chain(world)
        between = world.callers[0]
        address = next(iter(between._links))[0]
        stalled, calls = [], []
        for _ in range(4):
            caller = world.new_caller()
            await caller.call(world.address, GetBytes(), timeout_s=9)
            near = world.network.pairs[-1][0]
            calls.append(asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=20, payload=[ONES])))
            while near.delivered < 500_000:
                await asyncio.sleep(0)
            near.freeze()
            await turns()
            stalled.append(near)
            assert (await between.call(address, Put(), timeout_s=1, payload=[ONES])).total == MIB
        one_more = asyncio.ensure_future(
            world.new_caller().call(world.address, StreamPut(), timeout_s=20, payload=[ONES])
        )
        await turns(100)
        assert not one_more.done()
        for near in stalled:
            near.thaw()
        assert [reply.total for reply in await asyncio.gather(*calls, one_more)] == [MIB] * 5
        assert len(between._links) == 5
        await tail.stop(grace_s=0)

    run(scenario)
