"""Again or not: the one place that decides, from what an error says about itself.

    never     raise
    refresh   refresh(error) forgets what was cached, then again: the first time at once, later after a pause
    later     again after a pause

A pause is 10 ms, doubling up to 1 s, times 0.5 to 1.5 so that callers who failed together do not come back together.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, assert_never

from cairnfs.env import Clock
from cairnfs.errors import CairnError, Retry
from cairnfs.limits import RETRY_PAUSE_MAX_S, RETRY_PAUSE_MIN_S

T = TypeVar("T")


class Chance(Protocol):
    """What is used of `random.Random`."""

    def random(self) -> float: ...


Refresh = Callable[[CairnError], Awaitable[None] | None]
"""Forgets what was cached, and may ask the master at once."""


async def with_retries(  # noqa: PLR0913 - what to do for each kind of error
    attempt: Callable[[], Awaitable[T]],
    *,
    random: Chance,
    clock: Clock,
    timeout_s: float,
    refresh: Refresh | None = None,
    may_repeat: bool = True,
    extends: tuple[type[CairnError], ...] = (),
    final: tuple[type[CairnError], ...] = (),
) -> T:
    """Return what `attempt` returns, trying again within `timeout_s` as its errors allow.

    `may_repeat`: doing it twice is as good as once (it is idempotent, or its sequence number filters repeats). If not,
    an error that leaves open whether it happened is raised. Each attempt must have a deadline of its own: one that is
    under way at the end is not broken off, because then nobody could say whether it happened.

    `extends`: errors of a peer that lives and works on it: the time begins anew, up to twice `timeout_s` in all.

    `final`: errors that the caller acts on at once, whatever they say of retries.

    Raises:
        CairnError: the last error; what it says about what happened is about the last attempt.
    """
    deadline_s = clock.now_s() + timeout_s
    last_s = deadline_s + timeout_s
    pauses = _Pauses()
    stale: CairnError | None = None  # what the next attempt must refresh for
    while True:  # ends at the deadline
        try:
            if stale is not None and refresh is not None:
                waiting = refresh(stale)
                if waiting is not None:
                    await waiting
            stale = None
            return await attempt()
        except CairnError as error:
            # While something is stale only the refresh has failed, and a refresh changes nothing.
            happened = error.may_have_happened and stale is None
            if error.retry is Retry.NEVER or isinstance(error, final) or (happened and not may_repeat):
                raise
            if error.retry is Retry.REFRESH:
                stale = error
            if isinstance(error, extends):
                deadline_s = min(last_s, clock.now_s() + timeout_s)
            wait_s = pauses.after(error.retry) * (0.5 + random.random())
            if clock.now_s() + wait_s >= deadline_s:
                raise
        if wait_s:
            await asyncio.sleep(wait_s)


class _Pauses:
    """How long to wait before the next attempt, in seconds, without the jitter."""

    def __init__(self) -> None:
        self._next_s = RETRY_PAUSE_MIN_S
        self._has_refreshed = False

    def after(self, retry: Retry) -> float:
        match retry:
            case Retry.REFRESH:
                if not self._has_refreshed:
                    self._has_refreshed = True
                    return 0.0
            case Retry.LATER:
                pass
            case Retry.NEVER:
                raise AssertionError(retry)
            case _:
                assert_never(retry)
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
        return pause_s
