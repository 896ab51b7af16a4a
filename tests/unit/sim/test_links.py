"""Slow, stalled, half-open and broken connections, and listeners that do not answer."""

import asyncio

import pytest
from tests.conformance.parts import Collector
from tests.unit.sim.connecting import connect

from cairnfs.errors import ConnectError
from cairnfs.sim.network import NetworkSettings
from cairnfs.sim.world import SimWorld, pass_time
from cairnfs.units import KIB, MIB

SEEDS = range(20)


def now_s():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stall_holds_what_is_on_the_way_and_ends_after_its_time(seed):
    with SimWorld(seed) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            world.stall("a", "b", 10, one_way=True)
            for number in range(20):
                near.send([b"%d " % number])
                await pass_time(0.0003)
            far[0].connection.send([b"the other way is open"])
            await pass_time(9.5)
            assert far[0].data == b""
            assert sink.data == b"the other way is open"
            await connect(world, "a", "b")
            await pass_time(1)
            assert far[0].data == b"".join(b"%d " % n for n in range(20))

        world.run(scenario())


def test_a_half_open_connection_passes_nothing_until_it_is_reset():
    with SimWorld(1) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            world.stall("a", "b")
            near.send([b"x"])
            far[0].connection.abort()
            await pass_time(5000)
            assert far[0].data == b""
            assert sink.ends == []
            world.reset("b", "a")
            await pass_time(1)
            assert sink.ends == ["connection reset by peer"]

        world.run(scenario())


def test_a_reset_tells_both_ends_and_drops_what_is_on_the_way():
    with SimWorld(1) as world:

        async def scenario():
            world.network.settings.latency_s = (5, 5)
            near, sink, far = await connect(world, "a", "b")
            _, other_sink, _ = await connect(world, "a", "c")
            near.send([b"on the way"])
            await pass_time(1)
            world.network.settings.latency_s = (0.1, 0.1)
            world.reset("a", "b")
            await pass_time(10)
            assert far[0].data == b""
            assert sink.ends == far[0].ends == ["connection reset by peer"]
            assert other_sink.ends == []

        world.run(scenario())


def test_stalls_come_by_chance_and_healing_ends_them():
    arrived = []
    for seed in range(60):
        with SimWorld(seed) as world:

            async def scenario(world=world):
                near, sink, far = await connect(world, "a", "b")
                settings = world.network.settings = NetworkSettings(stall_chance=0.05, small_piece_chance=0.0)
                for _ in range(20):
                    near.send([b"x"])
                    await pass_time(0.01)
                await pass_time(1)
                early = len(far[0].data)
                settings.stall_chance = 0.0
                await pass_time(100)
                late = len(far[0].data)
                world.heal()
                await pass_time(1)
                assert len(far[0].data) == 20
                assert sink.ends == []
                return early, late

            arrived.append(world.run(scenario()))
    assert any(early == late == 20 for early, late in arrived)
    assert any(early < late == 20 for early, late in arrived), "no stall ended by itself"
    assert any(early == late < 20 for early, late in arrived), "no stall lasted"


def test_a_slow_card_makes_transfers_take_time_and_senders_wait():
    with SimWorld(1) as world:

        async def scenario():
            near, _, far = await connect(world, "a", "b")
            _, other_sink, other_far = await connect(world, "a", "c")
            world.slow_link("b", bytes_per_s=100 * KIB)
            began = now_s()
            near.send([bytes(2 * MIB)])
            other_far[0].connection.send([bytes(MIB)])
            drain = asyncio.ensure_future(near.drain())
            await pass_time(2)
            assert not drain.done(), "nothing stops the sender"
            assert len(other_sink.data) == MIB, "another host is slowed down"
            assert 150 * KIB <= len(far[0].data) <= 200 * KIB
            await drain
            await far[0].until(lambda sink: len(sink.data) == 2 * MIB)
            assert 20 <= now_s() - began < 22

        world.run(scenario())


@pytest.mark.parametrize("pairs", [("ab", "cb"), ("ab", "ac")], ids=["the taker's", "the sender's"])
def test_two_who_share_a_slow_card_share_its_bytes(pairs):
    with SimWorld(1) as world:

        async def scenario():
            near, _, far = await connect(world, *pairs[0])
            other, _, other_far = await connect(world, *pairs[1])
            world.network.settings.bytes_per_s = 100 * KIB
            near.send([bytes(MIB)])
            other.send([bytes(MIB)])
            await pass_time(10)
            assert 400 * KIB < len(far[0].data) < 600 * KIB
            assert 400 * KIB < len(other_far[0].data) < 600 * KIB

        world.run(scenario())


def test_a_slow_line_is_slow_between_its_hosts_only_and_until_it_is_healed():
    with SimWorld(1) as world:

        async def scenario():
            world.slow_link("a", "b", latency_s=(3, 3))
            near, _, far = await connect(world, "a", "b", wait_s=10)
            other, _, other_far = await connect(world, "a", "c")
            near.send([b"x"])
            other.send([b"x"])
            await pass_time(2.5)
            assert (far[0].data, other_far[0].data) == (b"", b"x")
            await pass_time(1)
            assert far[0].data == b"x"
            world.heal("a", "b")
            near.send([b"y"])
            await pass_time(1)
            assert far[0].data == b"xy"

        world.run(scenario())


def test_what_one_way_is_cut_from_acknowledging_stops_its_sender():
    with SimWorld(1) as world:

        async def scenario():
            near, _, far = await connect(world, "a", "b")
            world.cut("b", "a", one_way=True)
            near.send([bytes(3 * MIB)])
            await pass_time(30)
            assert 0 < len(far[0].data) < MIB, "nobody acknowledges, but bytes go on"
            world.heal()
            await far[0].until(lambda sink: len(sink.data) == 3 * MIB)

        world.run(scenario())


def test_messages_of_two_connections_overtake_each_other():
    firsts = set()
    for seed in range(30):
        with SimWorld(seed) as world:

            async def scenario(world=world):
                one, _, far_one = await connect(world, "a", "b")
                two, _, far_two = await connect(world, "a", "b")
                order = []
                far_one[0].on_data = lambda: order.append("one")
                far_two[0].on_data = lambda: order.append("two")
                one.send([b"x"])
                two.send([b"x"])
                await pass_time(1)
                firsts.add(order[0])

            world.run(scenario())
    assert firsts == {"one", "two"}


async def dial(world, address, *, timeout_s):
    return await world.env("a").network.connect(address, Collector, timeout_s=timeout_s)


def test_a_full_accept_queue_gives_no_answer_and_a_shut_one_refuses():
    with SimWorld(1) as world:

        async def scenario():
            near, _, _ = await connect(world, "a", "b")
            world.refuse_connections("b")
            began = now_s()
            with pytest.raises(ConnectError, match="refused"):
                await dial(world, near.peer, timeout_s=5)
            assert now_s() - began < 1
            world.refuse_connections("b", silently=True)
            with pytest.raises(ConnectError, match="no answer"):
                await dial(world, near.peer, timeout_s=5)
            assert now_s() - began >= 5
            near.send([b"who is connected stays so"])
            world.heal()
            await dial(world, near.peer, timeout_s=5)

        world.run(scenario())


def test_some_attempts_are_refused_by_chance():
    with SimWorld(1) as world:

        async def scenario():
            near, _, _ = await connect(world, "a", "b")
            world.network.settings.refuse_chance = 0.5
            refused = 0
            for _ in range(40):
                try:
                    await dial(world, near.peer, timeout_s=5)
                except ConnectError:
                    refused += 1
            assert 5 < refused < 35

        world.run(scenario())


def test_an_attempt_whose_answer_is_lost_leaves_a_ghost_that_is_reset_later():
    with SimWorld(1) as world:

        async def scenario():
            near, _, far = await connect(world, "a", "b")
            world.network.settings.ghost_chance = 1.0
            began = now_s()
            again = await dial(world, near.peer, timeout_s=5)
            assert now_s() - began >= 1, "the caller waits before it tries again"
            again.send([b"x"])
            await pass_time(0.05)
            ghost, real = far[1], far[2]
            assert (ghost.data, real.data) == (b"", b"x")
            await pass_time(100)
            assert ghost.ends == ["connection reset by peer"]
            assert real.ends == []
            await dial(world, near.peer, timeout_s=5)
            far[3].connection.send([b"anybody?"])
            await pass_time(0.05)
            assert far[3].ends == ["connection reset by peer"]

        world.run(scenario())


def test_where_bytes_are_cut_is_the_seeds_choice():
    with SimWorld(1) as world:

        async def scenario():
            near, _, far = await connect(world, "a", "b")
            sizes = []
            far[0].on_data = lambda: sizes.append(len(far[0].data))
            near.send([bytes(100 * KIB)])
            near.send([bytes(100 * KIB)])
            for _ in range(50):
                near.send([bytes(500)])
            await pass_time(1)
            steps = {late - early for early, late in zip([0, *sizes], sizes, strict=False)}
            assert len(steps) > 4, steps

        world.run(scenario())
