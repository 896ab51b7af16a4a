"""Several jobs at a time, in the order given. Used by reading, writing and appending."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cairnfs.tasks import gather_settled

T = TypeVar("T")


async def side_by_side(jobs: Sequence[Callable[[], Awaitable[T]]], *, width: int) -> list[T]:
    """Run the jobs, at most `width` at a time, and return their results in order.

    Raises:
        What the first failing job raised, after those under way have ended; jobs not begun are left out.
    """
    if len(jobs) == 1:
        return [await jobs[0]()]
    results: dict[int, T] = {}
    waiting = iter(range(len(jobs)))
    failed: list[int] = []

    async def work() -> None:
        for number in waiting:  # shared: each worker takes the next job
            if failed:
                return
            try:
                results[number] = await jobs[number]()
            finally:
                if number not in results:
                    failed.append(number)

    for ended in await gather_settled(*(work() for _ in range(min(width, len(jobs))))):
        if isinstance(ended, BaseException):
            raise ended
    return [results[number] for number in range(len(jobs))]
