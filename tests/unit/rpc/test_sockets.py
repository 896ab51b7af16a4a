"""The same conversations over real sockets, on both event loops."""

import asyncio

import pytest
import uvloop
from tests.unit.rpc.world import MIB, GetBytes, GotBytes, Put, PutDone, RawSink, Say, StreamPut, StreamPutDone

from cairnfs.env.real import real_env
from cairnfs.errors import ConnectError, ConnectionLostError
from cairnfs.ids import BootId
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.server import Answer, Server
from cairnfs.wire.base import Done, Ping


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    def run_scenario(scenario):
        async def whole():
            env = real_env()
            server = Server(env, role="server", cluster="abc", boot=BootId(1))
            caller = Caller(env, role="test", boot=BootId(2))
            try:
                async with asyncio.timeout(60):
                    await scenario(env, server, caller)
            finally:
                await caller.close()
                await server.stop(grace_s=1)

        request.param(whole())

    return run_scenario


async def get(peer, request, incoming):
    return Answer(GotBytes(), [bytes([request.fill]) * request.length])


async def put(peer, request, incoming):
    return PutDone(total=bytes(incoming.view).count(1))


def test_small_calls_and_large_payloads_side_by_side(run):
    async def scenario(env, server, caller):
        server.on(GetBytes, get)
        server.on(Put, put)
        address = await server.listen("127.0.0.1:0")

        async def read(fill):
            into = memoryview(bytearray(2 * MIB))
            _, got = await caller.call_for_payload(
                address, GetBytes(length=MIB + fill, fill=fill), timeout_s=30, into=into
            )
            assert bytes(got) == bytes([fill]) * (MIB + fill)

        async def write(size):
            assert (await caller.call(address, Put(), timeout_s=30, payload=[b"\x01" * size, b"\x00"])).total == size

        async def ping():
            for _ in range(50):
                assert await caller.call(address, Ping(), timeout_s=30) == Done()

        await asyncio.gather(
            *[read(n) for n in range(20)], *[write(n * 100_000) for n in range(20)], *[ping() for _ in range(20)]
        )

    run(scenario)


def test_a_server_that_goes_away_and_comes_back_is_found_again(run):
    async def scenario(env, server, caller):
        gone = asyncio.Event()

        async def slow(peer, request, incoming):
            gone.set()
            await asyncio.Event().wait()

        server.on(Say, slow)
        address = await server.listen("127.0.0.1:0")
        call = asyncio.ensure_future(caller.call(address, Say(text="x"), timeout_s=30))
        await gone.wait()
        await server.stop(grace_s=0)
        with pytest.raises(ConnectionLostError):
            await call
        with pytest.raises(ConnectError):
            await caller.call(address, Ping(), timeout_s=30)
        again = Server(env, role="server", cluster="abc", boot=BootId(3))
        await again.listen(address)
        assert await caller.call(address, Ping(), timeout_s=30) == Done()
        await again.stop(grace_s=0)

    run(scenario)


def test_garbage_is_dropped_and_others_are_served(run):
    async def scenario(env, server, caller):
        address = await server.listen("127.0.0.1:0")
        await caller.call(address, Ping(), timeout_s=30)
        sink = RawSink()
        connection = await env.network.connect(address, lambda: sink, timeout_s=10)
        connection.send([b"GET / HTTP/1.1\r\n\r\n" * 1000])
        await sink.until(lambda sink: sink.ended is not None)
        await caller.call(address, Ping(), timeout_s=30)

    run(scenario)


def test_a_payload_is_passed_on_through_three_servers(run):
    async def scenario(env, server, caller):
        servers = [server] + [Server(env, role="server", cluster="abc", boot=BootId(n)) for n in (4, 5)]
        addresses = []

        def serve(at):
            async def pass_on(peer, request, incoming):
                if at == 2:
                    await incoming.complete()
                    return StreamPutDone(total=bytes(incoming.view).count(1))
                return await caller.call(addresses[at + 1], request, timeout_s=30, payload=incoming)

            return pass_on

        for at, each in enumerate(servers):
            each.on(StreamPut, serve(at), streaming=True)
            addresses.append(await each.listen("127.0.0.1:0"))
        payload = b"\x01" * (4 * MIB)
        replies = await asyncio.gather(
            *[caller.call(addresses[0], StreamPut(), timeout_s=30, payload=[payload]) for _ in range(5)]
        )
        assert [reply.total for reply in replies] == [4 * MIB] * 5
        for each in servers[1:]:
            await each.stop(grace_s=0)

    run(scenario)
