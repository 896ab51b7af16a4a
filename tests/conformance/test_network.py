"""What every Network must do: real on both loops, memory, simulated."""

import asyncio

import pytest
from tests.conformance.parts import Collector, connect_pair, turns

from cairnfs.errors import AddressInUseError, BadRequestError, ConnectError

MIB = 1 << 20


def pattern(size, salt):
    return bytes((i * 7 + (i >> 8) + salt) & 0xFF for i in range(4096)) * (size // 4096)


def test_megabytes_arrive_in_order_and_exact_in_both_directions_at_once(world):
    async def scenario():
        pair = await connect_pair(world)
        out, back = pattern(6 * MIB, 1), pattern(5 * MIB, 2)

        async def send(connection, data):
            view = memoryview(data)
            for start in range(0, len(data), 300_000):
                piece = view[start : start + 300_000]
                connection.send([piece[:10], piece[10:1000], b"", piece[1000:]])
                await connection.drain()
            await connection.flushed()

        await asyncio.gather(send(pair.near, out), send(pair.far, back))
        await pair.far_sink.until(lambda sink: len(sink.data) >= len(out))
        await pair.near_sink.until(lambda sink: len(sink.data) >= len(back))
        assert pair.far_sink.data == out
        assert pair.near_sink.data == back
        pair.near.close()
        await pair.listener.close()

    world.run(scenario())


def test_thousands_of_small_buffers_in_one_send_arrive_in_order(world):
    async def scenario():
        pair = await connect_pair(world)
        pieces = [b"%d," % number for number in range(5000)]
        pair.near.send(pieces)
        pair.near.close()
        await pair.far_sink.until(lambda sink: sink.ends)
        assert pair.far_sink.data == b"".join(pieces)
        await pair.listener.close()

    world.run(scenario())


def test_buffers_may_be_of_any_kind_and_are_not_changed(world):
    async def scenario():
        pair = await connect_pair(world)
        words = memoryview(bytearray(b"abcdefgh")).cast("I")
        pair.near.send([bytearray(b"one"), memoryview(b"two"), b"three", words])
        pair.near.close()
        await pair.far_sink.until(lambda sink: sink.ends)
        assert pair.far_sink.data == b"onetwothreeabcdefgh"
        await pair.listener.close()

    world.run(scenario())


def test_a_paused_reader_stops_the_sender_and_resuming_frees_it(world):
    async def scenario():
        pair = await connect_pair(world)
        pair.far.pause_reading()
        pair.far.pause_reading()
        data = pattern(1 * MIB, 3)
        sent = 0
        # Fill whatever lies between (socket buffers grow up to some 10 MiB) until draining blocks.
        while True:
            pair.near.send([data])
            sent += len(data)
            drain = asyncio.ensure_future(pair.near.drain())
            await turns()
            if not drain.done() and pair.near.unsent_bytes > 2 * MIB:
                break
            assert sent < 64 * MIB, "nothing ever stops the sender"
        unsent = pair.near.unsent_bytes
        await turns(50)
        assert not drain.done()
        assert pair.near.unsent_bytes == unsent
        assert len(pair.far_sink.data) == 0
        pair.far.resume_reading()
        pair.far.resume_reading()
        async with asyncio.timeout(30):
            await drain
        assert pair.near.unsent_bytes <= 1 * MIB
        await pair.far_sink.until(lambda sink: len(sink.data) == sent)
        pair.near.abort()
        await pair.listener.close()

    world.run(scenario())


def test_flushed_waits_for_all_that_was_queued(world):
    async def scenario():
        pair = await connect_pair(world)
        pair.near.send([bytes(8 * MIB)])
        async with asyncio.timeout(30):
            await pair.near.flushed()
        assert pair.near.unsent_bytes == 0
        await pair.far_sink.until(lambda sink: len(sink.data) == 8 * MIB)
        pair.near.close()
        await pair.listener.close()

    world.run(scenario())


def test_close_sends_what_is_queued_and_the_peer_sees_an_orderly_end_once(world):
    async def scenario():
        pair = await connect_pair(world)
        data = pattern(12 * MIB, 4)
        pair.near.send([data])
        pair.near.close()
        pair.near.close()
        pair.near.send([b"too late"])
        await pair.far_sink.until(lambda sink: sink.ends)
        await pair.near_sink.until(lambda sink: sink.ends)
        await turns()
        assert pair.far_sink.data == data
        assert pair.far_sink.ends == [""]
        assert len(pair.near_sink.ends) == 1
        assert pair.near_sink.connects == pair.far_sink.connects == 1
        await pair.listener.close()

    world.run(scenario())


def test_an_answer_sent_before_close_arrives_although_the_peer_still_sends(world):
    async def scenario():
        pair = await connect_pair(world)
        pair.far.pause_reading()
        pair.near.send([bytes(3 * MIB)])
        await turns()
        pair.far.send([b"go away"])
        pair.far.close()
        await pair.near_sink.until(lambda sink: sink.ends)
        assert pair.near_sink.data == b"go away"
        assert pair.near_sink.ends == [""], "a close is no reset, although it drops what comes"
        await pair.listener.close()

    world.run(scenario())


def test_abort_is_a_reset_for_the_peer_and_drops_what_was_queued(world):
    async def scenario():
        pair = await connect_pair(world)
        pair.far.pause_reading()
        pair.near.send([bytes(30 * MIB)])
        drain = asyncio.ensure_future(pair.near.drain())
        flushed = asyncio.ensure_future(pair.near.flushed())
        await turns()
        pair.near.abort()
        pair.near.abort()
        assert pair.near_sink.ends == [], "the sink is not called from within abort"
        async with asyncio.timeout(30):
            await drain
            await flushed
        pair.far.resume_reading()
        await pair.far_sink.until(lambda sink: sink.ends)
        await pair.near_sink.until(lambda sink: sink.ends)
        assert len(pair.far_sink.data) < 30 * MIB
        assert len(pair.far_sink.ends) == 1
        assert pair.far_sink.ends[0] != ""
        assert pair.near_sink.ends[0] != ""
        pair.near.send([b"nobody"])
        await pair.near.drain()
        await pair.near.flushed()
        pair.near.close()
        pair.near.pause_reading()
        pair.near.resume_reading()
        assert pair.near.unsent_bytes == 0
        await turns()
        assert len(pair.near_sink.ends) == 1
        await pair.listener.close()

    world.run(scenario())


def test_a_sink_may_abort_while_it_takes_bytes(world):
    async def scenario():
        pair = await connect_pair(world)
        pair.far_sink.on_data = pair.far.abort
        pair.near.send([b"x" * 100])
        await pair.far_sink.until(lambda sink: sink.ends)
        await pair.near_sink.until(lambda sink: sink.ends)
        assert pair.far_sink.data == b"x" * 100
        assert pair.near_sink.ends[0] != ""
        await pair.listener.close()

    world.run(scenario())


def test_a_sink_that_pauses_while_it_takes_bytes_gets_no_more(world):
    async def scenario():
        pair = await connect_pair(world, buffer_bytes=100)
        pair.far_sink.on_data = pair.far.pause_reading
        pair.near.send([b"x" * 1000])
        await pair.far_sink.until(lambda sink: sink.data)
        await turns()
        assert len(pair.far_sink.data) == 100
        pair.far_sink.on_data = None
        pair.far.resume_reading()
        await pair.far_sink.until(lambda sink: len(sink.data) == 1000)
        pair.near.close()
        await pair.listener.close()

    world.run(scenario())


def test_connecting_where_nobody_listens_fails_and_makes_no_connection(world):
    async def scenario():
        sink = Collector()
        listener = await world.env.network.listen(f"{world.host}:0", Collector)
        address = listener.address
        await listener.close()
        for target in (address, "nonsense", "no such host:1"):
            with pytest.raises(ConnectError) as caught:
                await world.env.network.connect(target, lambda: sink, timeout_s=5)
            assert caught.value.address == target
        assert sink.connects == 0
        assert sink.ends == []

    world.run(scenario())


def test_a_taken_port_is_refused_and_is_free_again_after_close(world):
    async def scenario():
        network = world.env.network
        listener = await network.listen(f"{world.host}:0", Collector)
        with pytest.raises(AddressInUseError):
            await network.listen(listener.address, Collector)
        address = listener.address
        await listener.close()
        await listener.close()
        again = await network.listen(address, Collector)
        assert again.address == address
        await again.close()

    world.run(scenario())


@pytest.mark.parametrize("address", ["nonsense", "1.2.3.4:x", "127.0.0.1:70000", ":1", "203.0.113.7:0"])
def test_listening_at_what_is_no_address_of_ours_is_refused(world, address):
    async def scenario():
        with pytest.raises(BadRequestError):
            await world.env.network.listen(address, Collector)

    world.run(scenario())


def test_accepted_connections_outlive_their_listener(world):
    async def scenario():
        pair = await connect_pair(world)
        await pair.listener.close()
        pair.near.send([b"still here"])
        await pair.far_sink.until(lambda sink: sink.data == b"still here")
        pair.near.close()
        await pair.far_sink.until(lambda sink: sink.ends)

    world.run(scenario())


def test_many_connections_live_side_by_side(world):
    async def scenario():
        pairs = [await connect_pair(world) for _ in range(20)]
        for number, pair in enumerate(pairs):
            pair.near.send([b"%d" % number * 1000])
            pair.near.close()
        for number, pair in enumerate(pairs):
            await pair.far_sink.until(lambda sink: sink.ends)
            assert pair.far_sink.data == b"%d" % number * 1000
            await pair.listener.close()

    world.run(scenario())
