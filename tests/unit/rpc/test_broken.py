"""Connections that break, peers that talk nonsense, servers that come back."""

import asyncio

import pytest
from tests.unit.rpc.world import GetBytes, Put, RawSink, Say, run, turns

from cairnfs.errors import CallTimeoutError, ConnectError, ConnectionLostError, PeerError
from cairnfs.limits import CONNECTIONS_MAX, HELLO_TIMEOUT_S
from cairnfs.wire.base import Done, Hello, Ping, Welcome
from cairnfs.wire.codec import encode_message
from cairnfs.wire.frame import HEADER_BYTES, FrameKind, encode_frame

HELLO = encode_frame(
    0,
    FrameKind.REQUEST,
    0,
    encode_message(Hello(protocol_min=1, protocol_max=1, cluster="", role="raw", boot=9)),
)


def test_a_connection_broken_in_mid_call_fails_every_call_in_flight():
    async def scenario(world):
        caller = await world.start()
        calls = [asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60)) for _ in range(5)]
        await turns()
        world.network.pairs[0][1].abort()
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, ConnectionLostError)
            assert outcome.may_have_happened
        assert not caller._links
        world.gate.set()

    run(scenario)


def test_the_next_call_connects_again_after_the_server_restarted():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        await world.server.stop(grace_s=0)
        await turns()
        with pytest.raises(ConnectError):
            await caller.call(world.address, Ping(), timeout_s=1)
        world.server = world.new_server(boot=5)
        await world.server.listen(world.address)
        await caller.call(world.address, Ping(), timeout_s=1)

    run(scenario)


def test_a_server_that_breaks_before_its_welcome_is_a_connect_error():
    async def scenario(world):
        sinks = []

        def make_sink():
            sinks.append(RawSink())
            return sinks[-1]

        await world.network.listen("bad:1", make_sink)
        caller = await world.start()
        call = asyncio.ensure_future(caller.call("bad:1", Ping(), timeout_s=60))
        await turns()
        sinks[0].connection.abort()
        with pytest.raises(ConnectError):
            await call

    run(scenario)


def test_a_server_that_never_says_welcome_is_a_connect_error():
    async def scenario(world):
        await world.network.listen("mute:1", RawSink)
        caller = await world.start()
        with pytest.raises(ConnectError, match="no welcome"):
            await caller.call("mute:1", Ping(), timeout_s=60)

    run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        encode_frame(0, FrameKind.REPLY, 0, b"\x91\x09"),
        encode_frame(0, FrameKind.REPLY, 3, encode_message(Done())),
        encode_frame(0, FrameKind.REPLY, 0, encode_message(Welcome(protocol=8, cluster="", role="x", boot=1))),
    ],
)
def test_nonsense_in_place_of_a_welcome_fails_the_call_and_nothing_else(answer):
    async def scenario(world):
        sinks = []

        def make_sink():
            sinks.append(RawSink())
            return sinks[-1]

        await world.network.listen("bad:1", make_sink)
        caller = await world.start()
        call = asyncio.ensure_future(caller.call("bad:1", Ping(), timeout_s=60))
        await turns()
        sinks[0].connection.send([answer])
        with pytest.raises(Exception, match=r"frame|reply|welcome|protocol"):
            await call
        assert sinks[0].ended is not None

    run(scenario)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 3,
        bytes(100),
        HELLO[:-3] + b"xyz",
        HELLO + b"garbage" * 10,
        encode_frame(1, FrameKind.REQUEST, 5, encode_message(Ping())),
        encode_frame(0, FrameKind.REPLY, 0, encode_message(Done())),
        HELLO + encode_frame(1, FrameKind.REPLY, 7, encode_message(Done())),
        HELLO + encode_frame(9, FrameKind.REQUEST, 7, encode_message(Ping())),
    ],
)
def test_garbage_on_the_port_closes_that_connection_and_serves_the_others(garbage):
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        sink = await world.raw()
        sink.connection.send([garbage])
        await sink.until(lambda sink: sink.ended is not None)
        await caller.call(world.address, Ping(), timeout_s=1)
        assert len(world.network.pairs) == 2

    run(scenario)


def test_a_peer_that_says_nothing_is_dropped_after_the_hello_timeout():
    async def scenario(world):
        await world.start()
        start = asyncio.get_running_loop().time()
        sink = await world.raw()
        sink.connection.send([HELLO[:10]])
        await sink.until(lambda sink: sink.ended is not None)
        assert asyncio.get_running_loop().time() - start == pytest.approx(HELLO_TIMEOUT_S)

    run(scenario)


def test_a_request_that_cannot_be_decoded_fails_alone():
    async def scenario(world):
        await world.start()
        sink = await world.raw()
        sink.connection.send([HELLO, encode_frame(1, FrameKind.REQUEST, 8, b"\xc1\xff"), ping_frame(9)])
        await sink.until(lambda sink: len(frames(sink.data)) == 3)
        assert frames(sink.data)[1:] == [(FrameKind.FAILURE, 8), (FrameKind.REPLY, 9)]

    run(scenario)


def ping_frame(number):
    return encode_frame(1, FrameKind.REQUEST, number, encode_message(Ping()))


def frames(data):
    """Split what a server sent, without trusting the parser: (kind, id) of each whole frame."""
    found, at = [], 0
    while at + HEADER_BYTES <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little") + int.from_bytes(data[at + 12 : at + 16], "little")
        if at + HEADER_BYTES + size > len(data):
            break
        found.append((data[at + 3], int.from_bytes(data[at + 4 : at + 8], "little")))
        at += HEADER_BYTES + size
    return found


def test_more_connections_than_the_limit_are_refused():
    async def scenario(world):
        caller = await world.start()
        sinks = [await world.raw() for _ in range(CONNECTIONS_MAX)]
        late = await world.raw()
        assert late.ended is not None
        for sink in sinks:
            sink.connection.abort()
        await caller.call(world.address, Ping(), timeout_s=1)

    run(scenario)


def test_a_bit_flip_on_the_way_breaks_the_connection_and_no_wrong_reply_is_returned():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        far = world.network.pairs[0][1]
        send = far.send

        def flip(buffers):
            joined = bytearray(b"".join(buffers))
            joined[30] ^= 1
            send([bytes(joined)])

        far.send = flip
        with pytest.raises(ConnectionLostError, match="checksum"):
            await caller.call(world.address, Say(text="abcdefgh"), timeout_s=1)

    run(scenario)


def test_a_frozen_answer_times_out_and_what_comes_later_does_not_touch_the_abandoned_buffer():
    """Goal: invariant 2 of link.py. Method: freeze the server's side at every stage of a large answer, then thaw."""

    async def scenario(world):
        caller = await world.start()
        world.network.piece_bytes = 50_000
        await caller.call_for_payload(world.address, GetBytes(length=1), timeout_s=1)
        for delivered in (0, 10, 24, 40, 50_000, 150_000, 290_000):
            far = world.network.pairs[-1][1]
            into = memoryview(bytearray(300_000))
            call = asyncio.ensure_future(
                caller.call_for_payload(world.address, GetBytes(length=300_000, fill=7), timeout_s=2, into=into)
            )
            before = far.delivered
            far.freeze()
            while far.unsent_bytes == 0:
                await asyncio.sleep(0)
            far.frozen = False
            while far.delivered - before < delivered:
                world.network.piece_bytes = min(50_000, delivered - (far.delivered - before))
                far.deliver()
            far.freeze()
            with pytest.raises(CallTimeoutError):
                await call
            into[:] = b"\x01" * len(into)
            world.network.piece_bytes = 50_000
            far.thaw()
            await turns(100)
            assert bytes(into) == b"\x01" * len(into), delivered
            answer = await caller.call_for_payload(world.address, GetBytes(length=5, fill=3), timeout_s=1)
            assert bytes(answer[1]) == b"\x03" * 5

    run(scenario)


def test_a_cancelled_receive_does_not_touch_the_buffer_any_more():
    async def scenario(world):
        caller = await world.start()
        world.network.piece_bytes = 1000
        into = memoryview(bytearray(300_000))
        call = asyncio.ensure_future(
            caller.call_for_payload(world.address, GetBytes(length=300_000, fill=7), timeout_s=2, into=into)
        )
        while into[100_000] == 0:
            await asyncio.sleep(0)
        call.cancel()
        await turns(1)
        into[:] = b"\x01" * len(into)
        await turns(1000)
        assert bytes(into) == b"\x01" * len(into)
        await caller.call(world.address, GetBytes(length=5), timeout_s=1)
        assert len(world.network.pairs) == 1

    run(scenario)


def test_a_payload_larger_than_into_is_a_peer_error_and_the_connection_lives():
    async def scenario(world):
        caller = await world.start()
        into = memoryview(bytearray(10))
        with pytest.raises(PeerError, match="at most 10"):
            await caller.call_for_payload(world.address, GetBytes(length=50_000, fill=1), timeout_s=1, into=into)
        assert bytes(into) == bytes(10)
        await caller.call(world.address, GetBytes(length=50_000), timeout_s=1)
        assert len(world.network.pairs) == 1

    run(scenario)


def test_a_call_given_up_while_its_mutable_payload_is_being_sent_breaks_the_connection():
    """Else the connection would go on reading a buffer that is the caller's again."""

    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Put(), timeout_s=1)
        world.network.pairs[0][0].freeze()
        payload = bytearray(b"\x01" * 100_000)
        with pytest.raises(CallTimeoutError):
            await caller.call(world.address, Put(), timeout_s=1, payload=[payload])
        assert world.network.pairs[0][0].lost
        assert (await caller.call(world.address, Put(), timeout_s=1, payload=[payload])).total == 100_000

    run(scenario)
