"""Calls over a connection that works: order, side by side, errors, deadlines, handshake."""

import asyncio

import pytest
from tests.unit.rpc.world import MIB, RawSink, Said, Say, Touch, run, turns

from cairnfs.errors import (
    BadRequestError,
    CallTimeoutError,
    ConnectError,
    PeerError,
    ProtocolVersionError,
    ShutdownError,
    StaleVersionError,
    WrongClusterError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch
from cairnfs.wire.base import Done, Hello, Ping, Request
from cairnfs.wire.codec import decode_failure, encode_message
from cairnfs.wire.frame import FrameKind, encode_frame


def test_a_call_returns_its_reply_and_ping_is_answered_by_every_server():
    async def scenario(world):
        caller = await world.start()
        assert await caller.call(world.address, Say(text="a"), timeout_s=1) == Said(text="A")
        assert await caller.call(world.address, Ping(), timeout_s=1) == Done()

    run(scenario)


def test_calls_are_pipelined_on_one_connection_and_answered_out_of_order():
    async def scenario(world):
        caller = await world.start()
        slow = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60))
        await turns()
        fast = [await caller.call(world.address, Say(text=f"f{i}"), timeout_s=60) for i in range(3)]
        assert [reply.text for reply in fast] == ["F0", "F1", "F2"]
        assert not slow.done()
        world.gate.set()
        assert (await slow).text == "SLOW"
        assert len(world.network.pairs) == 1

    run(scenario)


def test_handlers_begin_in_order_of_arrival():
    async def scenario(world):
        caller = await world.start()
        texts = [f"{i}" for i in range(200)]
        await asyncio.gather(*[caller.call(world.address, Say(text=text), timeout_s=9) for text in texts])
        assert world.served == texts

    run(scenario)


def test_small_frames_of_one_turn_share_sends_of_a_kibibyte():
    """Goal: few system calls, but the peer begins before the last frame is made."""

    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        near = world.network.pairs[0][0]
        sends = []
        original = near.send
        near.send = lambda buffers: (sends.append(sum(map(len, buffers))), original(buffers))
        await asyncio.gather(*[caller.call(world.address, Ping(), timeout_s=1) for _ in range(100)])
        assert all(1024 < size < 1024 + 100 for size in sends[:-1])
        assert 2 <= len(sends) <= 4

    run(scenario)


def test_frames_arrive_whole_however_the_stream_is_cut():
    async def scenario(world):
        world.network.piece_bytes = 1
        caller = await world.start()
        replies = await asyncio.gather(*[caller.call(world.address, Say(text="x" * n), timeout_s=9) for n in range(9)])
        assert [reply.text for reply in replies] == ["X" * n for n in range(9)]

    run(scenario)


def test_bulk_requests_have_a_connection_of_their_own():
    async def scenario(world):
        from tests.unit.rpc.world import GetBytes

        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        await caller.call_for_payload(world.address, GetBytes(length=10), timeout_s=1)
        await caller.call(world.address, GetBytes(length=10), timeout_s=1)
        assert len(world.network.pairs) == 2

    run(scenario)


def test_an_error_of_a_handler_arrives_with_its_fields():
    async def scenario(world):
        caller = await world.start()
        versions = ChunkVersion(Epoch(1), 2), ChunkVersion(Epoch(3), 4)

        async def refuse(peer, request, incoming):
            raise StaleVersionError(chunk=ChunkHandle(7), has=versions[0], wanted=versions[1])

        class Ask(Request[Done], tag=0x9009):
            pass

        world.server.on(Ask, refuse)
        with pytest.raises(StaleVersionError) as caught:
            await caller.call(world.address, Ask(), timeout_s=1)
        assert (caught.value.has, caught.value.wanted) == versions

    run(scenario)


def test_a_handler_that_crashes_is_logged_and_the_server_goes_on(caplog):
    async def scenario(world):
        caller = await world.start()
        with pytest.raises(PeerError, match="internal error in Say"):
            await caller.call(world.address, Say(text="crash"), timeout_s=1)
        assert (await caller.call(world.address, Say(text="b"), timeout_s=1)).text == "B"

    run(scenario)
    assert "ZeroDivisionError" in caplog.text


def test_a_request_that_nobody_serves_is_refused_and_the_connection_lives():
    async def scenario(world):
        class Odd(Request[Done], tag=0x9999):
            pass

        caller = await world.start()
        with pytest.raises(BadRequestError):
            await caller.call(world.address, Odd(), timeout_s=1)
        await caller.call(world.address, Ping(), timeout_s=1)
        assert len(world.network.pairs) == 1

    run(scenario)


def test_a_reply_of_another_type_is_a_peer_error():
    async def scenario(world):
        caller = await world.start()

        class Ask(Request[Done], tag=0x9010):
            pass

        async def answer(peer, request, incoming):
            return Said(text="not done")

        world.server.on(Ask, answer)
        with pytest.raises(PeerError, match=world.address):
            await caller.call(world.address, Ask(), timeout_s=1)

    run(scenario)


def test_a_request_larger_than_a_head_is_refused_before_it_is_sent():
    async def scenario(world):
        caller = await world.start()
        with pytest.raises(BadRequestError, match="at most"):
            await caller.call(world.address, Say(text="x" * (MIB + 1)), timeout_s=1)
        with pytest.raises(BadRequestError, match="at most"):
            await caller.call(world.address, Touch(), timeout_s=1, payload=[bytes(4 * MIB + 1)])
        assert (await caller.call(world.address, Say(text="x" * (MIB - 100)), timeout_s=1)).text == "X" * (MIB - 100)

    run(scenario)


def test_an_unanswered_call_times_out_at_its_own_deadline_and_a_late_reply_is_dropped():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def fails_after(text, timeout_s):
            with pytest.raises(CallTimeoutError):
                await caller.call(world.address, Say(text=text), timeout_s=timeout_s)
            return loop.time() - start

        took = await asyncio.gather(*[fails_after(f"slow{t}", t) for t in (5.0, 0.5, 2.0)])
        assert took == pytest.approx([5.0, 0.5, 2.0])
        world.gate.set()
        await turns()
        assert (await caller.call(world.address, Say(text="b"), timeout_s=1)).text == "B"

    run(scenario)


def test_after_a_timeout_without_a_byte_the_next_call_takes_a_new_connection():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        other = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=600))
        await turns()
        with pytest.raises(CallTimeoutError):
            await caller.call(world.address, Say(text="slow2"), timeout_s=1)
        await caller.call(world.address, Ping(), timeout_s=1)
        assert len(world.network.pairs) == 2
        world.gate.set()
        assert (await other).text == "SLOW"  # what was in flight may still be answered
        await turns()
        assert world.network.pairs[0][0].lost  # and then the old one is closed

    run(scenario)


def test_a_cancelled_call_leaves_nothing_behind():
    async def scenario(world):
        caller = await world.start()
        task = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60))
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (link,) = caller._links.values()
        assert not link._calls
        world.gate.set()
        assert (await caller.call(world.address, Say(text="b"), timeout_s=1)).text == "B"

    run(scenario)


def test_nobody_there_is_a_connect_error_at_once_and_silence_one_at_the_deadline():
    async def scenario(world):
        caller = await world.start()
        with pytest.raises(ConnectError):
            await caller.call("127.0.0.1:1", Ping(), timeout_s=1)
        world.network.silent = True
        start = asyncio.get_running_loop().time()
        with pytest.raises(ConnectError):
            await caller.call("127.0.0.1:2", Ping(), timeout_s=1)
        assert asyncio.get_running_loop().time() - start == pytest.approx(1)

    run(scenario)


def test_the_first_welcome_fixes_the_cluster_and_another_cluster_is_refused():
    async def scenario(world):
        caller = await world.start()
        await caller.call(world.address, Ping(), timeout_s=1)
        assert caller.cluster == "abc"
        stranger = world.new_server(cluster="xyz")
        address = await stranger.listen("127.0.0.1:0")
        with pytest.raises(WrongClusterError):
            await caller.call(address, Ping(), timeout_s=1)
        assert caller.cluster == "abc"
        with pytest.raises(WrongClusterError):
            await world.new_caller(cluster="xyz").call(world.address, Ping(), timeout_s=1)
        await stranger.stop(grace_s=0)

    run(scenario)


def test_a_server_without_cluster_takes_any_caller_and_learns_later():
    async def scenario(world):
        caller = await world.start(cluster="abc")
        await caller.call(world.address, Ping(), timeout_s=1)
        world.server.cluster = "xyz"
        with pytest.raises(WrongClusterError):
            await world.new_caller(cluster="abc").call(world.address, Ping(), timeout_s=1)

    run(scenario, cluster="")


def test_without_a_shared_protocol_version_both_sides_say_so():
    async def scenario(world):
        await world.start()
        sink = await world.raw()
        hello = Hello(protocol_min=7, protocol_max=9, cluster="", role="test", boot=1)
        sink.connection.send([encode_frame(0, FrameKind.REQUEST, 0, encode_message(hello))])
        await sink.until(lambda sink: sink.ended is not None)
        assert sink.data[3] == FrameKind.FAILURE
        assert decode_failure(sink.data[24:]).__class__ is ProtocolVersionError

    run(scenario)


def test_peers_know_role_boot_and_a_number_of_their_own():
    async def scenario(world):
        seen = []

        class Who(Request[Done], tag=0x9011):
            pass

        async def who(peer, request, incoming):
            seen.append(peer)
            return Done()

        world.server.on(Who, who)
        first = await world.start()
        for caller in (first, world.new_caller()):
            await caller.call(world.address, Who(), timeout_s=1)
            await caller.call(world.address, Who(), timeout_s=1)
        assert [(peer.role, peer.boot) for peer in seen] == [("test", 2)] * 4
        assert seen[0].number == seen[1].number != seen[2].number == seen[3].number

    run(scenario)


def test_a_stopping_server_answers_what_runs_and_refuses_what_comes():
    async def scenario(world):
        caller = await world.start()
        slow = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60))
        await turns()
        stopping = asyncio.ensure_future(world.server.stop(grace_s=5))
        await turns()
        with pytest.raises(ShutdownError):
            await caller.call(world.address, Ping(), timeout_s=1)
        world.gate.set()
        assert (await slow).text == "SLOW"
        await stopping
        with pytest.raises(ConnectError):
            await caller.call(world.address, Ping(), timeout_s=1)

    run(scenario)


def test_a_closed_caller_refuses_and_breaks_what_is_in_flight():
    async def scenario(world):
        caller = await world.start()
        slow = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60))
        await turns()
        await caller.close()
        with pytest.raises(ConnectionError):
            await slow
        with pytest.raises(ShutdownError):
            await caller.call(world.address, Ping(), timeout_s=1)
        world.gate.set()

    run(scenario)


def test_a_caller_closed_while_it_connects_leaves_no_connection_open():
    async def scenario(world):
        sinks = []

        def make_sink():
            sinks.append(RawSink())
            return sinks[-1]

        await world.network.listen("mute:1", make_sink)
        caller = await world.start()
        call = asyncio.ensure_future(caller.call("mute:1", Ping(), timeout_s=60))
        await turns()
        await caller.close()
        with pytest.raises(ShutdownError):
            await call
        assert sinks[0].ended is not None

    run(scenario)


def test_request_ids_begin_anew_and_pass_over_those_in_flight():
    async def scenario(world):
        caller = await world.start()
        slow = asyncio.ensure_future(caller.call(world.address, Say(text="slow"), timeout_s=60))
        await turns()
        (link,) = caller._links.values()
        assert list(link._calls) == [1]
        link._last_number = 2**32 - 2
        for text in "abc":
            assert (await caller.call(world.address, Say(text=text), timeout_s=1)).text == text.upper()
        assert link._last_number == 3
        world.gate.set()
        assert (await slow).text == "SLOW"

    run(scenario)


def test_concurrent_first_calls_share_one_connection():
    async def scenario(world):
        caller = await world.start()
        await asyncio.gather(*[caller.call(world.address, Ping(), timeout_s=1) for _ in range(10)])
        assert len(world.network.pairs) == 1

    run(scenario)
