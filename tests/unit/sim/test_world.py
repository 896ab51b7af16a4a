"""Crashes, power losses and cuts, as the peers and the next life see them."""

import asyncio

import pytest
from tests.conformance.parts import Collector
from tests.unit.sim.connecting import connect

from cairnfs.errors import ConnectError, FolderInUseError
from cairnfs.sim.loop import HostDeadError
from cairnfs.sim.world import SimWorld, pass_time

SEEDS = range(30)


def test_a_crash_stops_tasks_without_their_finally_blocks():
    for seed in SEEDS:
        with SimWorld(seed) as world:
            ran = []

            async def serve(ran=ran):
                try:
                    while True:
                        await pass_time(1)
                        ran.append("tick")
                finally:
                    ran.append("finally")

            async def scenario(world=world, ran=ran, serve=serve):
                task = world.spawn("a", serve())
                await pass_time(3.5)
                world.crash("a")
                await pass_time(10)
                assert ran == ["tick"] * 3
                assert not task.done()
                assert not world.is_up("a")

            world.run(scenario())


def test_what_a_dead_life_holds_has_no_effect():
    with SimWorld(1) as world:

        async def scenario():
            env = world.env("a")
            disk = env.open_disk("/d")
            file = disk.files.open("f", create=True)
            near, _, far = await connect(world, "a", "b")
            world.crash("a")
            near.send([b"from the dead"])
            near.close()
            near.abort()
            with pytest.raises(HostDeadError):
                file.write(0, [b"x"])
            with pytest.raises(HostDeadError):
                disk.files.unlink("f")
            with pytest.raises(HostDeadError):
                await env.network.connect("b:1", Collector, timeout_s=1)
            with pytest.raises(HostDeadError):
                env.open_disk("/d")
            await pass_time(10)
            assert far[0].data == b""
            assert world.env("a") is not env
            assert world.env("a").open_disk("/d").files.open("f").size() == 0

        world.run(scenario())


@pytest.mark.parametrize("seed", SEEDS)
def test_peers_of_a_crashed_process_see_a_reset(seed):
    with SimWorld(seed) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            near.send([b"hello"])
            await pass_time(1)
            world.crash("b")
            await pass_time(1)
            assert sink.ends == ["connection reset by peer"]
            assert far[0].ends == [], "the dead are told nothing"
            with pytest.raises(ConnectError, match="refused"):
                await world.env("a").network.connect(near.peer, Collector, timeout_s=1)

        world.run(scenario())


@pytest.mark.parametrize("seed", SEEDS)
def test_peers_of_a_host_without_power_hear_nothing_until_it_is_back(seed):
    with SimWorld(seed) as world:

        async def scenario():
            near, sink, _ = await connect(world, "a", "b")
            world.power("b")
            near.send([b"anybody?"])
            await pass_time(100)
            assert sink.ends == []
            with pytest.raises(ConnectError, match="no answer"):
                await world.env("a").network.connect(near.peer, Collector, timeout_s=3)
            world.env("b")
            await pass_time(1)
            assert sink.ends == ["connection reset by peer"]

        world.run(scenario())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_holds_bytes_until_it_is_healed_and_keeps_their_order(seed):
    with SimWorld(seed) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            near.send([b"before "])
            await pass_time(1)
            world.cut("a", "b", one_way=True)
            for number in range(50):
                near.send([b"%d " % number])
                await pass_time(0.0001)
            world.spawn("b", _send(far[0].connection, b"the other way is open"))
            await pass_time(20)
            assert far[0].data == b"before "
            assert sink.data == b"the other way is open"
            # Some are still on the way when the cut is healed, and must not overtake those that were held.
            for number in range(50, 60):
                near.send([b"%d " % number])
                await pass_time(0.0001)
            world.heal()
            near.send([b"after"])
            await pass_time(1)
            assert far[0].data == b"before " + b"".join(b"%d " % n for n in range(60)) + b"after"

        world.run(scenario())


async def _send(connection, data):
    connection.send([data])


def test_connecting_through_a_cut_fails_after_its_time_or_succeeds_once_healed():
    with SimWorld(1) as world:

        async def scenario():
            near, _, _ = await connect(world, "a", "b")
            network = world.env("a").network
            world.cut("b", "a", one_way=True)
            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectError, match="no answer"):
                await network.connect(near.peer, Collector, timeout_s=3)
            assert 3 <= asyncio.get_running_loop().time() - began < 3.1
            waiting = asyncio.ensure_future(network.connect(near.peer, Collector, timeout_s=10))
            await pass_time(2)
            world.heal()
            await waiting

        world.run(scenario())


def test_a_partition_cuts_each_side_from_the_others_only():
    with SimWorld(1) as world:
        for name in "abcd":
            world.env(name)
        world.partition(["a", "b"], ["c"], ["d"])
        reachable = [(x, y) for x in "abcd" for y in "abcd" if x != y and world.network.is_reachable(x, y)]
        assert reachable == [("a", "b"), ("b", "a")]
        world.heal()
        assert world.network.is_reachable("c", "d")


def test_broken_connections_reach_both_ends():
    with SimWorld(3) as world:

        async def scenario():
            near, sink, far = await connect(world, "a", "b")
            world.network.settings.reset_chance = 1.0
            near.send([b"x"])
            await pass_time(1)
            assert far[0].ends == ["connection reset by peer"]
            world.network.settings.reset_chance = 0.0
            near.send([b"y"])
            await pass_time(1)
            assert len(sink.ends) == 1

        world.run(scenario())


def test_locks_and_stores_of_a_dead_life_are_free_for_the_next():
    with SimWorld(1) as world:

        async def scenario():
            env = world.env("a")
            assert env.open_disk("/d").files.lock()
            env.open_store("/m")
            with pytest.raises(FolderInUseError):
                env.open_store("/m")
            world.crash("a")
            again = world.env("a")
            assert again.open_disk("/d").files.lock()
            again.open_store("/m")

        world.run(scenario())


def test_two_hosts_have_folders_of_their_own():
    with SimWorld(1) as world:
        world.env("a").open_disk("/d").files.open("f", create=True)
        assert world.env("b").open_disk("/d").files.listing("") == []


def test_streams_of_chance_do_not_shift_each_other():
    one, two = SimWorld(5), SimWorld(5)
    one.stream("x").random()
    assert one.random.random() == two.random.random()
    assert one.env("a").random.random() == two.env("a").random.random()
    assert one.env("b").random.random() != one.env("a").random.random()
    one.close()
    two.close()
