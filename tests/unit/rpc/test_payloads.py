"""File data beside messages: straight into its buffer, passed on while it arrives, and never without limit."""

import asyncio

import pytest
from tests.unit.rpc.world import MIB, GetBytes, GotBytes, Put, Say, run, turns

from cairnfs.errors import BadRequestError, ConnectionLostError, PeerError
from cairnfs.limits import INFLIGHT_BYTES_MAX, INFLIGHT_REQUESTS_MAX, PAYLOAD_BYTES_MAX, WRITE_STALL_S
from cairnfs.rpc.server import Answer
from cairnfs.wire.base import U32, Done, Hello, Ping, Reply, Request
from cairnfs.wire.codec import encode_message
from cairnfs.wire.frame import FrameKind, encode_frame

HELLO = encode_frame(
    0,
    FrameKind.REQUEST,
    0,
    encode_message(Hello(protocol_min=1, protocol_max=1, cluster="", role="raw", boot=9)),
)


ONES = b"\x01" * MIB


class StreamPutDone(Reply, tag=0x9150):
    total: U32 = 0


class StreamPut(Request[StreamPutDone], tag=0x9050):
    bulk = True


@pytest.mark.parametrize("size", [0, 1, 1000, 16 * 1024, 16 * 1024 + 1, 65_536, 100_000, MIB, 4 * MIB])
@pytest.mark.parametrize("piece", [1 << 30, 40_000])
def test_payloads_of_every_size_arrive_both_ways(size, piece):
    async def scenario(world):
        world.network.piece_bytes = piece
        caller = await world.start()
        sent = await caller.call(
            world.address, Put(), timeout_s=9, payload=[b"\x01" * (size // 2), b"\x01" * (size - size // 2)]
        )
        assert sent.total == size
        into = memoryview(bytearray(4 * MIB))
        _, got = await caller.call_for_payload(world.address, GetBytes(length=size, fill=7), timeout_s=9, into=into)
        assert bytes(got) == b"\x07" * size
        if size:
            assert got.obj is into.obj
        _, fresh = await caller.call_for_payload(world.address, GetBytes(length=size, fill=8), timeout_s=9)
        assert bytes(fresh) == b"\x08" * size

    run(scenario)


def test_many_payloads_side_by_side_do_not_mix():
    async def scenario(world):
        caller = await world.start()

        async def one(fill):
            _, got = await caller.call_for_payload(
                world.address, GetBytes(length=20_000 + fill, fill=fill), timeout_s=9
            )
            assert bytes(got) == bytes([fill]) * (20_000 + fill)

        await asyncio.gather(*[one(fill) for fill in range(90)])

    run(scenario)


def test_an_answer_is_released_when_it_was_sent_and_not_before():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=1)
        assert world.released == 1
        far = world.network.pairs[0][1]
        far.freeze()
        call = asyncio.ensure_future(caller.call(world.address, GetBytes(length=100_000), timeout_s=9))
        await turns()
        assert world.released == 1
        far.thaw()
        await call
        await turns()
        assert world.released == 2

    run(scenario)


def test_an_answer_is_released_when_the_connection_is_lost():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=1)
        near, far = world.network.pairs[0]
        far.freeze()
        calls = [
            asyncio.ensure_future(caller.call(world.address, GetBytes(length=100_000), timeout_s=9)) for _ in range(3)
        ]
        late = asyncio.ensure_future(caller.call(world.address, GetBytes(length=100_000, fill=99), timeout_s=9))
        await turns()
        near.abort()
        await asyncio.gather(*calls, late, return_exceptions=True)
        await turns()
        assert world.released == 4
        world.gate.set()
        await turns()
        assert world.released == 5

    run(scenario)


def test_an_answer_that_is_too_large_is_refused_and_released():
    async def scenario(world):
        caller = await world.start()

        class Big(Request[Done], tag=0x9040):
            pass

        async def big(peer, request, incoming):
            return Answer(Done(), [bytes(PAYLOAD_BYTES_MAX), b"1"], world.release)

        world.server.on(Big, big)
        with pytest.raises(BadRequestError):
            await caller.call(world.address, Big(), timeout_s=1)
        assert world.released == 1

    run(scenario)


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


def test_a_server_takes_no_more_requests_of_one_peer_than_the_limit():
    async def scenario(world):
        caller = await world.start()
        calls = [
            asyncio.ensure_future(caller.call(world.address, Say(text=f"slow{i}"), timeout_s=60))
            for i in range(3 * INFLIGHT_REQUESTS_MAX)
        ]
        await turns(500)
        assert len(world.served) == INFLIGHT_REQUESTS_MAX
        world.gate.set()
        await asyncio.gather(*calls)
        assert len(world.served) == 3 * INFLIGHT_REQUESTS_MAX

    run(scenario)


def test_a_server_holds_no_more_payload_bytes_of_one_peer_than_the_limit():
    async def scenario(world):
        taken = []
        server_take = world.server.buffers.take
        world.server.buffers.take = lambda size: (taken.append(size), server_take(size))[1]

        async def hold(peer, request, incoming):
            await world.gate.wait()
            return StreamPutDone()

        world.server.on(StreamPut, hold)
        caller = await world.start()
        payload = bytes(4 * MIB)
        calls = [
            asyncio.ensure_future(caller.call(world.address, StreamPut(), timeout_s=60, payload=[payload]))
            for _ in range(20)
        ]
        await turns(3000)
        assert 0 < sum(taken) <= INFLIGHT_BYTES_MAX
        world.gate.set()
        await asyncio.gather(*calls)
        assert sum(taken) == 80 * MIB

    run(scenario)


def test_a_peer_that_does_not_read_its_answers_is_served_no_further_and_dropped_at_last():
    async def scenario(world):
        caller = await world.start()
        sink = await world.raw()
        request = encode_message(GetBytes(length=MIB))
        sink.connection.pause_reading()
        sink.connection.send([HELLO] + [encode_frame(1, FrameKind.REQUEST, n + 1, request) for n in range(1000)])
        await turns(3000)
        assert world.served.count("get") <= INFLIGHT_BYTES_MAX // MIB
        start = asyncio.get_running_loop().time()
        await caller.call(world.address, Ping(), timeout_s=1)
        await sink.until(lambda sink: sink.ended is not None)
        assert asyncio.get_running_loop().time() - start == pytest.approx(WRITE_STALL_S, abs=1)
        await turns()
        assert world.released == world.served.count("get")

    run(scenario)


def test_a_slow_but_living_reader_gets_everything():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=1)
        far = world.network.pairs[0][1]
        replies = [
            asyncio.ensure_future(caller.call_for_payload(world.address, GetBytes(length=MIB, fill=3), timeout_s=3000))
            for _ in range(40)
        ]
        while not all(reply.done() for reply in replies):
            far.freeze()
            await asyncio.sleep(WRITE_STALL_S / 2)
            far.thaw()
            await turns(10)
        assert all(bytes(reply.result()[1][-3:]) == b"\x03\x03\x03" for reply in replies)

    run(scenario)


def test_a_caller_whose_peer_does_not_read_waits_instead_of_queueing():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, GetBytes(), timeout_s=1)
        near = world.network.pairs[0][0]
        near.freeze()
        payload = bytes(MIB)
        calls = [
            asyncio.ensure_future(caller.call(world.address, Put(), timeout_s=5, payload=[payload])) for _ in range(50)
        ]
        await turns()
        assert near.unsent_bytes < 4 * MIB
        near.thaw()
        await asyncio.gather(*calls)

    run(scenario)


def test_got_bytes_are_checked_against_the_request_type():
    async def scenario(world):
        caller = await world.start()

        class Odd(Request[GotBytes], tag=0x9002):
            text: str = ""

        with pytest.raises((PeerError, BadRequestError)):
            await caller.call(world.address, Odd(text="x"), timeout_s=1)

    run(scenario)
