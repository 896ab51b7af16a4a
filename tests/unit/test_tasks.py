"""Races: who ended first is given first, and nobody outlives the block."""

import asyncio

import pytest

from cairnfs.errors import BusyError, ConnectError
from cairnfs.sim.loop import SimFailedError
from cairnfs.sim.world import SimWorld, pass_time
from cairnfs.tasks import Nursery, Race


def play(scene, seed=1):
    with SimWorld(seed) as world:
        return world.run(scene())


async def late(seconds, value):
    await pass_time(seconds)
    return value


def test_who_ends_first_is_given_first_and_time_without_an_end_is_none():
    async def scene():
        async with Race() as race:
            race.start(late(3, "slow"), name="slow")
            race.start(late(2, "quick"), name="quick")
            told = [await race.next_ended(1), await race.next_ended(), await race.next_ended(5)]
        return [task and task.result() for task in told]

    assert play(scene) == [None, "quick", "slow"]


def test_nobody_outlives_the_block_and_what_they_hold_is_free_behind_it():
    async def scene():
        held = ["buffer"]

        async def hold():
            try:
                await pass_time(100)
            finally:
                held.clear()

        async with Race() as race:
            race.start(hold(), name="hold")
            await race.next_ended(1)
            assert held
        return held, asyncio.get_running_loop().time()

    held, _ = play(scene)
    assert held == []


def test_an_owner_that_is_cancelled_twice_still_waits_for_the_others():
    """Method: the second cancellation comes while the block waits for the job that it has cancelled."""

    async def scene():
        free = []

        async def hold():
            try:
                await pass_time(100)
            finally:
                await pass_time(1)
                free.append(True)

        async def own():
            async with Race() as race:
                race.start(hold(), name="hold")
                await race.next_ended()

        owner = asyncio.get_running_loop().create_task(own())
        await pass_time(1)
        owner.cancel()
        await pass_time(0.5)
        owner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await owner
        return free

    assert play(scene) == [True]


def test_an_error_of_ours_that_nobody_took_is_dropped_and_any_other_is_told():
    async def fail(error):
        raise error

    def scene_with(error):
        async def scene():
            async with Race() as race:
                race.start(fail(error), name="fails")
                await pass_time(1)

        return scene

    play(scene_with(ConnectError(address="a", why="gone")))
    with pytest.raises(SimFailedError, match="fails"):
        play(scene_with(AssertionError("a bug")))


def test_a_job_that_never_waits_is_done_at_once_and_needs_no_task():
    async def story():
        nursery = Nursery("test")
        done = []

        async def job():
            done.append(1)

        nursery.start_now(job(), name="job")
        assert done == [1]
        assert len(nursery) == 0

    asyncio.run(story())


@pytest.mark.parametrize("ends", ["result", "error", "cancelled"])
def test_a_job_that_waits_goes_on_as_a_task_and_gets_what_it_waits_for(ends):
    async def story():
        nursery = Nursery("test")
        waiter = asyncio.get_running_loop().create_future()
        seen = []

        async def job():
            await asyncio.sleep(0)
            try:
                seen.append(await waiter)
            except (ValueError, asyncio.CancelledError) as error:
                seen.append(type(error))
                raise
            finally:
                seen.append("ended")
            await asyncio.sleep(0)
            seen.append("went on")

        nursery.start_now(job(), name="job")
        assert len(nursery) == 1
        for _ in range(3):
            await asyncio.sleep(0)
        if ends == "result":
            waiter.set_result(7)
        elif ends == "error":
            waiter.set_exception(ValueError())
        else:
            await nursery.stop()
        for _ in range(5):
            await asyncio.sleep(0)
        first = {"result": 7, "error": ValueError, "cancelled": asyncio.CancelledError}[ends]
        assert seen == [first, "ended", *(["went on"] if ends == "result" else [])]
        assert len(nursery) == 0

    asyncio.run(story())


def test_after_the_end_of_its_nursery_no_job_begins():
    async def story():
        nursery = Nursery("test")
        await nursery.stop()
        seen = []

        async def job():
            seen.append(1)

        nursery.start_now(job(), name="job")
        assert seen == []

    asyncio.run(story())


def test_what_is_to_be_finished_ends_though_its_caller_is_cancelled():
    async def main():
        nursery, gate, done = Nursery("role"), asyncio.Event(), []

        async def job():
            await gate.wait()
            done.append(1)
            return 5

        caller = asyncio.ensure_future(nursery.finish(job(), name="job"))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert caller.cancelled()
        assert not done
        gate.set()
        assert await nursery.finish(job(), name="again") == 5
        assert done == [1, 1]

    asyncio.run(main())


def test_whoever_waits_for_a_job_hears_its_error_or_that_the_nursery_was_stopped():
    async def main():
        nursery = Nursery("role")

        async def refused():
            raise BusyError(what="it")

        async def endless():
            await asyncio.Event().wait()

        with pytest.raises(BusyError):
            await nursery.finish(refused(), name="refused")
        begun = asyncio.ensure_future(nursery.finish(endless(), name="begun"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        not_begun = asyncio.ensure_future(nursery.finish(endless(), name="not begun"))
        await asyncio.sleep(0)
        await nursery.stop()
        for one in (begun, not_begun):
            with pytest.raises(asyncio.CancelledError):
                await one

    asyncio.run(main())
