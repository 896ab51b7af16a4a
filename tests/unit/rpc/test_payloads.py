"""File data beside messages: straight into its buffer, passed on while it arrives, and never without limit."""

import asyncio

import pytest
from tests.unit.rpc.world import MIB, GetBytes, GotBytes, Put, Say, StreamPut, StreamPutDone, passing, run, turns

from cairnfs.errors import BadRequestError, PeerError
from cairnfs.limits import INFLIGHT_BYTES_MAX, INFLIGHT_REQUESTS_MAX, PAYLOAD_BYTES_MAX, WRITE_STALL_S
from cairnfs.rpc.server import Answer
from cairnfs.wire.base import Done, Hello, Ping, Request
from cairnfs.wire.codec import encode_message
from cairnfs.wire.frame import FrameKind, encode_frame

HELLO = encode_frame(
    0,
    FrameKind.REQUEST,
    0,
    encode_message(Hello(protocol_min=1, protocol_max=1, cluster="", role="raw", boot=9)),
)


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


def test_a_peer_that_does_not_read_its_failures_is_served_no_further():
    async def scenario(world):
        await world.start()
        sink = await world.raw()
        sink.connection.pause_reading()
        odd = [encode_frame(1, FrameKind.REQUEST, n % 1000 + 1, b"\xc1" * 100) for n in range(100)]
        sink.connection.send([HELLO])
        for _ in range(1000):
            sink.connection.send([b"".join(odd)])
            await turns(1)
        await turns(1000)
        assert world.network.pairs[0][1].unsent_bytes < PAYLOAD_BYTES_MAX + MIB
        assert sink.connection.unsent_bytes > MIB

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
            await passing(WRITE_STALL_S / 2)
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
