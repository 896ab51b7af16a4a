"""Virtual time, the seeded order, and the ways in which a run fails."""

import asyncio

import pytest

from cairnfs.sim.loop import SimDeadlockError, SimError, SimFailedError, SimTimeoutError
from cairnfs.sim.world import SimWorld, pass_time
from cairnfs.tasks import Nursery


def test_time_stands_still_while_tasks_run_and_jumps_when_they_wait():
    with SimWorld(1) as world:
        clock = world.env("a").clock

        async def scenario():
            times = [clock.now_s()]
            for _ in range(100):
                await asyncio.sleep(0)
            times.append(clock.now_s())
            await pass_time(1_000_000)
            times.append(clock.now_s())
            return times

        first, second, third = world.run(scenario(), limit_s=2e6)
        assert first == second
        assert third == second + 1_000_000


def test_waiting_for_the_rest_of_the_time_ends():
    with SimWorld(1) as world:

        async def scenario():
            loop = asyncio.get_running_loop()
            for number in range(1, 2000):
                due = loop.time() + number * 0.1 / 3
                waits = 0
                while loop.time() < due:
                    await pass_time(due - loop.time())
                    waits += 1
                assert waits <= 2
                assert loop.time() - due < 2e-9

        world.run(scenario())


def test_timeouts_count_virtual_time():
    with SimWorld(1) as world:

        async def scenario():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(500):
                    await asyncio.Event().wait()
            return asyncio.get_running_loop().time()

        assert world.run(scenario()) == 500


def orders(count):
    found = []
    for seed in range(count):
        with SimWorld(seed) as world:
            order = []

            async def note(name, order=order):
                order.append(name)

            async def scenario(order=order, note=note):
                await asyncio.gather(*(note(n) for n in range(4)))
                return order

            found.append(tuple(world.run(scenario())))
    return found


def test_the_seed_decides_in_which_order_ready_tasks_run():
    found = orders(60)
    assert len(set(found)) > 15
    assert found == orders(60)


def test_tasks_hash_by_the_order_of_their_making_so_that_sets_of_them_are_repeatable():
    for _ in range(2):
        with SimWorld(1) as world:

            async def scenario():
                tasks = [asyncio.ensure_future(pass_time(1)) for _ in range(5)]
                await pass_time(2)
                return [hash(task) for task in tasks]

            assert world.run(scenario()) == [1, 2, 3, 4, 5]


def test_plain_callbacks_of_one_host_run_in_the_order_that_asyncio_promises():
    for seed in range(20):
        with SimWorld(seed) as world:
            order = []

            async def scenario(order=order):
                for number in range(10):
                    asyncio.get_running_loop().call_soon(order.append, number)
                    asyncio.get_running_loop().create_task(asyncio.sleep(0))
                await pass_time(1)

            world.run(scenario())
            assert order == list(range(10))


def test_what_is_called_as_if_from_a_thread_runs_in_its_turn():
    with SimWorld(1) as world:

        async def scenario():
            reached = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon_threadsafe(reached.set_result, 1)
            return await reached

        assert world.run(scenario()) == 1


def test_a_forgotten_wake_up_is_a_deadlock_that_names_who_waits():
    with SimWorld(1) as world:

        async def waiter():
            await asyncio.Event().wait()

        task = world.spawn("a", waiter(), name="patient")
        with pytest.raises(SimDeadlockError, match=r"a patient at .*waiter"):
            world.run(_wait(task))


async def _wait(task):
    return await task


def test_a_loop_that_never_waits_is_found():
    with SimWorld(1) as world:
        world.loop.steps_per_moment_max = 5000

        async def spin():
            while True:
                await asyncio.sleep(0)

        with pytest.raises(SimTimeoutError, match="no end"):
            world.run(spin())


def test_a_run_that_takes_too_long_is_ended():
    with SimWorld(1) as world:

        async def forever():
            while True:
                await pass_time(10)

        with pytest.raises(SimTimeoutError, match="not done after"):
            world.run(forever(), limit_s=100)


def test_an_error_that_nobody_takes_fails_the_run():
    with SimWorld(1) as world:
        nursery = Nursery("role")

        async def fails():
            raise KeyError("lost")

        async def scenario():
            nursery.start(fails(), name="bad")
            await pass_time(10)

        with pytest.raises(SimFailedError) as caught:
            world.run(scenario())
        assert isinstance(caught.value.__cause__, KeyError)
        assert any("seed 1" in note for note in _notes(world, caught.value))


def _notes(world, error):
    world.__exit__(type(error), error, None)
    return error.__notes__


def test_a_callback_that_raises_fails_the_run():
    with SimWorld(1) as world:

        async def scenario():
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)
            await pass_time(1)

        with pytest.raises(SimFailedError):
            world.run(scenario())


def test_real_descriptors_and_threads_are_refused():
    with SimWorld(1) as world:

        async def scenario():
            loop = asyncio.get_running_loop()
            for call in (lambda: loop.add_reader(0, print), lambda: loop.add_writer(0, print)):
                with pytest.raises(SimError):
                    call()
            with pytest.raises(SimError):
                await asyncio.to_thread(print)

        world.run(scenario())


def test_a_clock_may_run_fast_and_never_jumps():
    with SimWorld(1, clocks_differ=False) as world:
        clock = world.env("a").clock
        other = world.env("b").clock

        async def scenario():
            await pass_time(10)
            clock.set_rate(1.5)
            assert clock.now_s() == 10
            await pass_time(10)
            clock.set_rate(0.5)
            await pass_time(10)

        world.run(scenario())
        assert clock.now_s() == 30
        assert other.now_s() == 30
        assert world.host("a").clock is clock
