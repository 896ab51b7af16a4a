"""Clocks that drift and jump, and machines that sleep."""

import asyncio

import pytest
from tests.conformance.parts import Collector
from tests.unit.sim.connecting import connect

from cairnfs.errors import ConnectError
from cairnfs.sim.network import SimNetwork
from cairnfs.sim.world import SimWorld, pass_time
from cairnfs.units import SECOND_NS

TICK_S = 10.0


async def tick(world, env, ticks):
    """Note every ten seconds of the host's timers: (time of the world, the host's clock)."""
    while True:
        await pass_time(TICK_S)
        ticks.append((world.now_s(), env.clock.now_s()))


def run_ticks(world, seconds, trouble):
    ticks = []

    async def scenario():
        world.spawn("a", tick(world, world.env("a"), ticks))
        await pass_time(1)
        trouble()
        await pass_time(seconds)
        world.crash("a")

    world.run(scenario())
    return ticks


def test_a_drifting_host_has_clock_and_timers_that_agree():
    with SimWorld(1, clocks_differ=False) as world:
        world.env("a")
        world.set_clock_rate("a", 1.25)
        ticks = run_ticks(world, 40, lambda: None)
        assert ticks == [(8, 10), (16, 20), (24, 30), (32, 40), (40, 50)]
        assert world.env("b").clock.now_s() == 41, "another host drifts"
        world.env("a")
        assert world.host("a").life.clock is not None, "the next life drifts as well"


def test_a_rate_that_changes_makes_no_jump():
    with SimWorld(1, clocks_differ=False) as world:

        async def scenario():
            env = world.env("a")
            await pass_time(10)
            world.set_clock_rate("a", 0.5)
            assert env.clock.now_s() == 10
            await pass_time(10)
            world.set_clock_rate("a", 2)
            await pass_time(10)
            return env.clock.now_s()

        assert world.run(scenario()) == 35


def test_the_wall_clock_jumps_both_ways_and_alone():
    with SimWorld(1, clocks_differ=False) as world:
        clock = world.env("a").clock
        began = clock.wall_ns()
        world.step_wall("a", 3600)
        assert clock.wall_ns() - began == 3600 * SECOND_NS
        world.step_wall("a", -7200)
        assert clock.wall_ns() - began == -3600 * SECOND_NS
        assert clock.now_s() == 0
        assert world.env("b").clock.wall_ns() == began


def test_timers_of_a_paused_process_ring_when_it_goes_on_and_those_of_a_sleeping_machine_later():
    """Goal: SIGSTOP and a suspended machine differ as on Linux.

    Method: a process wakes every ten seconds by its timers. Stopped for 25 seconds it finds its timer long due; on a
    machine that slept so long the timer has as much to go as before, though CLOCK_BOOTTIME went on.
    """
    with SimWorld(1, clocks_differ=False) as world:
        assert run_ticks(world, 40, lambda: world.pause("a", 25)) == [(26, 26), (36, 36)]
    with SimWorld(1, clocks_differ=False) as world:
        assert run_ticks(world, 50, lambda: world.suspend("a", 25)) == [(35, 35), (45, 45)]


@pytest.mark.parametrize("rate, counted_s", [(1, 9), (2, 17)])
def test_what_a_loop_counts_stands_still_while_its_machine_sleeps(rate, counted_s):
    with SimWorld(1, clocks_differ=False) as world:

        async def watch():
            loop, clock = asyncio.get_running_loop(), world.env("a").clock
            began_s, began_clock_s = loop.time(), clock.now_s()
            async with asyncio.timeout(100):
                await pass_time(9)
            return loop.time() - began_s, clock.now_s() - began_clock_s

        async def scenario():
            watching = world.spawn("a", watch())
            await pass_time(1)
            world.suspend("a", 100)
            world.set_clock_rate("a", rate)  # what is set keeps its moment: eight seconds are left
            return await watching

        assert world.run(scenario()) == (counted_s, 1 + 108 * rate)


def test_nothing_reaches_a_sleeping_machine_and_all_of_it_arrives_when_it_wakes():
    with SimWorld(1, clocks_differ=False) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            world.suspend("b", 30)
            near.send([b"x" * 10])
            network = SimNetwork(world.network, world.host("a").life)
            with pytest.raises(ConnectError, match="no answer"):
                await network.connect(near.peer, lambda: sink, timeout_s=3)
            await pass_time(25)
            assert far[0].data == b""
            world.heal()
            await pass_time(1)
            assert far[0].data == b"", "healing wakes nobody"
            await pass_time(5)
            assert far[0].data == b"x" * 10
            assert sink.ends == []

        world.run(scenario())


def test_who_dies_in_his_sleep_does_not_wake_up_his_successor():
    with SimWorld(1, clocks_differ=False) as world:

        async def scenario():
            await connect(world, "a", "b")
            world.suspend("b", 30)
            world.power("b")
            near, _, far = await connect(world, "a", "b")
            near.send([b"one"])
            await pass_time(1)
            assert far[0].data == b"one", "the next life is awake"
            world.suspend("b", 60)
            near.send([b"two"])
            await pass_time(50)
            network = SimNetwork(world.network, world.host("a").life)
            with pytest.raises(ConnectError, match="no answer"):
                await network.connect(near.peer, Collector, timeout_s=3)
            assert far[0].data == b"one"
            await pass_time(20)
            assert far[0].data == b"onetwo"

        world.run(scenario())


def test_clocks_of_machines_have_nothing_to_do_with_each_other():
    with SimWorld(1) as world:
        first, other = world.env("a").clock.now_s(), world.env("b").clock.now_s()
        assert first != other
        world.crash("a")
        assert world.env("a").clock.now_s() == first, "a machine outlives its processes"
        world.power("a")
        assert world.env("a").clock.now_s() not in (first, other)


def test_the_power_of_all_fails_at_one_moment():
    with SimWorld(1, clocks_differ=False) as world:
        for name in "abc":
            world.env(name)
        world.crash("b")
        assert world.power_all() == ["a", "c"]
        assert not any(world.is_up(name) for name in "abc")
        assert not world.network.is_reachable("b", "a")
        world.env("a")
        assert world.network.is_reachable("b", "a")
