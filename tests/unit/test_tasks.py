"""Races: who ended first is given first, and nobody outlives the block."""

import asyncio

import pytest

from cairnfs.errors import ConnectError
from cairnfs.sim.loop import SimFailedError
from cairnfs.sim.world import SimWorld, pass_time
from cairnfs.tasks import Race


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
