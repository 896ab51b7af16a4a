"""What only real sockets have: descriptors that run out, two families, ports that connect to themselves."""

import asyncio
import os
import resource
import socket

import pytest
from tests.conformance.parts import Collector, connect_pair, real_world, turns, uvloop_world

from cairnfs.env.addresses import join_address, split_address
from cairnfs.env.sockets import SocketNetwork
from cairnfs.errors import BadRequestError, ConnectError

WORLDS = pytest.mark.parametrize("make_world", [real_world, uvloop_world])


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@WORLDS
def test_ipv6_addresses_stand_in_brackets_everywhere(make_world):
    async def scenario():
        network = SocketNetwork()
        sink = Collector()
        listener = await network.listen("[::1]:0", lambda: sink)
        assert listener.address.startswith("[::1]:")
        near = await network.connect(listener.address, Collector, timeout_s=5)
        near.send([b"six"])
        await sink.until(lambda s: s.data == b"six")
        assert sink.connection.peer.startswith("[::1]:")
        near.close()
        await listener.close()

    make_world(None).run(scenario())


@WORLDS
def test_a_name_is_tried_at_all_its_addresses(make_world):
    async def scenario():
        network = SocketNetwork()
        listener = await network.listen("127.0.0.1:0", Collector)
        port = split_address(listener.address)[1]
        near = await network.connect(f"localhost:{port}", Collector, timeout_s=5)
        assert near.peer == f"127.0.0.1:{port}"
        near.close()
        await listener.close()

    make_world(None).run(scenario())


@WORLDS
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_addresses_are_found_without_threads(make_world, host):
    """Goal: at the end of the interpreter there are none any more, and a file may still have to be closed."""

    async def scenario():
        network = SocketNetwork()
        listener = await network.listen("127.0.0.1:0", Collector)
        await asyncio.get_running_loop().shutdown_default_executor()
        near = await network.connect(f"{host}:{split_address(listener.address)[1]}", Collector, timeout_s=5)
        near.close()
        await listener.close()

    make_world(None).run(scenario())


@WORLDS
def test_without_descriptors_accepting_rests_and_goes_on_later(make_world, caplog):
    async def scenario():
        accepted = []

        def make():
            accepted.append(Collector())
            return accepted[-1]

        listener = await SocketNetwork(accept_pause_s=0.01).listen("127.0.0.1:0", make)
        # More than one, since threads of earlier tests may free a descriptor just now.
        clients = [socket.socket() for _ in range(20)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", split_address(listener.address)[1]))
            async with asyncio.timeout(20):
                while len(caplog.records) < 3:
                    await asyncio.sleep(0)
            assert len(accepted) < len(clients)
            assert "cannot accept" in caplog.text
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        async with asyncio.timeout(20):
            while len(accepted) < len(clients):
                await asyncio.sleep(0)
        await listener.close()
        for sink, client in zip(accepted, clients, strict=True):
            client.close()
            await sink.until(lambda s: s.ends)

    make_world(None).run(scenario())


@WORLDS
def test_one_busy_connection_does_not_starve_another(make_world):
    world = make_world(None)

    async def scenario():
        busy, quiet = await connect_pair(world), await connect_pair(world)
        most = 0
        since = 0

        def count():
            nonlocal since, most
            since += 1
            most = max(most, since)

        def pass_turn():
            nonlocal since
            since = 0
            if not quiet.far_sink.data:
                asyncio.get_running_loop().call_soon(pass_turn)

        busy.far_sink.on_data = count
        busy.near.send([bytes(64 << 20)])
        await busy.far_sink.until(lambda s: s.data)
        pass_turn()
        quiet.near.send([b"me too"])
        await quiet.far_sink.until(lambda s: s.data)
        assert most <= 8, "reads in one turn of the loop"
        for pair in (busy, quiet):
            pair.near.abort()
            await pair.listener.close()
        await turns()

    world.run(scenario())


def test_a_port_that_nobody_listens_at_never_answers_itself():
    async def scenario():
        network = SocketNetwork()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for _ in range(200):
            with pytest.raises(ConnectError):
                await network.connect(f"127.0.0.1:{port}", Collector, timeout_s=5)

    asyncio.run(scenario())


def test_a_silent_host_costs_no_more_than_the_timeout():
    async def scenario():
        # A listener whose queue is full answers no further connect.
        with socket.socket() as full, socket.socket() as one, socket.socket() as two:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for client in (one, two):
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectError, match="no answer within"):
                await SocketNetwork().connect(join_address(*full.getsockname()), Collector, timeout_s=0.2)
            assert asyncio.get_running_loop().time() - began < 5

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["h:1", "1.2.3.4:0", "[::1]:7400", "some.name:65535"])
def test_addresses_are_read_and_written_alike(address):
    assert join_address(*split_address(address)) == address


@pytest.mark.parametrize("address", ["", ":", "h", "h:", ":1", "h:x", "h:-1", "h:65536", "::1:7400", "h:²", "[]:1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BadRequestError):
        split_address(address)
