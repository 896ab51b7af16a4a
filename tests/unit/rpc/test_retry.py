"""Again or not, for the three kinds of errors, in virtual time."""

import asyncio
import itertools
import random

import pytest
from tests.unit.rpc.world import LoopClock, VirtualLoop, passing

from cairnfs.errors import (
    BadRequestError,
    BusyError,
    CallTimeoutError,
    ConnectError,
    FencePendingError,
    NotLeaderError,
    NotPrimaryError,
    WrongClusterError,
)
from cairnfs.ids import ChunkHandle
from cairnfs.rpc.retry import with_retries

NEVER = WrongClusterError(what="x", expected="a", found="b")
LATER = BusyError(what="x")
STALE = NotPrimaryError(chunk=ChunkHandle(1), why="x")
UNSURE = CallTimeoutError(address="a", what="x", timeout_s=1)


def attempts(errors, **options):
    """Let attempts fail with `errors` in turn, then succeed. Return (outcome, times, refreshed for)."""
    times, refreshed, left = [], [], list(errors)

    async def attempt():
        times.append(asyncio.get_running_loop().time() - 1000)
        if left:
            raise left.pop(0)
        return "done"

    async def whole():
        given = {"timeout_s": 60, "refresh": refreshed.append, **options}
        return await with_retries(attempt, random=random.Random(5), clock=LoopClock(), **given)

    loop = VirtualLoop()
    try:
        outcome = loop.run_until_complete(whole())
    except Exception as error:
        outcome = error
    finally:
        loop.close()
    return outcome, times, refreshed


def test_never_is_raised_at_once():
    assert attempts([NEVER]) == (NEVER, [0], [])


def test_refresh_refreshes_and_tries_at_once_and_pauses_from_the_second_time_on():
    outcome, times, refreshed = attempts([STALE, STALE, STALE])
    assert outcome == "done"
    assert refreshed == [STALE] * 3
    assert times[1] == 0
    assert 0.005 <= times[2] <= 0.015
    assert 0.010 <= times[3] - times[2] <= 0.030


def test_later_pauses_with_jitter_doubling_up_to_a_second():
    outcome, times, refreshed = attempts([LATER] * 12)
    assert outcome == "done"
    assert refreshed == []
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for number, pause in enumerate(pauses):
        usual = min(1.0, 0.01 * 2**number)
        assert 0.5 * usual <= pause <= 1.5 * usual
    assert len({round(pause / min(1.0, 0.01 * 2**n), 3) for n, pause in enumerate(pauses)}) > 5


def test_at_the_deadline_the_last_error_is_raised():
    last = ConnectError(address="a", why="y")
    outcome, times, _ = attempts([LATER] * 8 + [last] * 100, timeout_s=10)
    assert outcome is last
    assert 8 <= times[-1] < 10


def test_what_may_have_happened_is_repeated_only_if_it_may():
    assert attempts([UNSURE])[0] == "done"
    assert attempts([UNSURE], may_repeat=False)[0] is UNSURE
    assert attempts([LATER], may_repeat=False)[0] == "done"


def test_a_refresh_may_wait_and_its_failure_counts_as_one_of_the_attempt():
    calls = []

    async def refresh(error):
        calls.append(error)
        await passing(1)
        if len(calls) == 1:
            raise UNSURE  # of the question, not of the attempt
        if len(calls) == 2:
            raise NotLeaderError()

    outcome, times, _ = attempts([STALE], refresh=refresh, may_repeat=False)
    assert outcome == "done"
    assert calls[0] is STALE
    assert len(calls) == 3
    assert len(times) == 2
    assert times[1] > 3


def test_a_refresh_that_fails_for_ever_ends_at_the_deadline():
    async def refresh(error):
        raise BadRequestError(what="no")

    outcome, times, _ = attempts([STALE], refresh=refresh)
    assert isinstance(outcome, BadRequestError)
    assert len(times) == 1


def test_other_exceptions_pass():
    with pytest.raises(ZeroDivisionError):
        raise attempts([ZeroDivisionError()])[0]


def test_an_error_that_shows_progress_begins_the_time_anew_up_to_twice_in_all():
    waiting = FencePendingError(chunk=ChunkHandle(1))
    patient = {"timeout_s": 10, "extends": (FencePendingError,)}
    outcome, times, _ = attempts([waiting] * 500, **patient)
    assert outcome is waiting
    assert 18 < times[-1] <= 20
    _, impatient, _ = attempts([waiting] * 500, timeout_s=10)
    assert impatient[-1] <= 10
