"""Tasks of a role and turns at a thing: the only place that creates tasks.

asyncio's own TaskGroup and `wait` keep sets, whose order differs from run to run; a simulated cluster must not. Loops
hold tasks weakly and swallow what they raise; a role must do neither.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Generator, Hashable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

from cairnfs.errors import CairnError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Nursery:
    """Owns every task of a role, in the order in which they were started.

    A task that ends with an error is logged with its traceback and reported to the loop's exception handler (which
    fails a simulation). `stop` cancels them all, oldest first, and waits.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._finishing: dict[asyncio.Task[Any], tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]]] = {}
        """The jobs of `finish`, and who waits: a task that is cancelled before its first step cannot tell him."""
        self._stopped = False

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, job: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `job` as a task of this nursery. After `stop` it is closed unrun and the task is cancelled."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(job, name=f"{self.name}/{name}")
        if self._stopped:
            task.cancel()
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def start_now(self, job: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `job` here up to its first wait, and the rest of it as a task; one that never waits needs none.

        For jobs that are so short that a task would cost as much, and that ask for no current task before they wait
        (`asyncio.timeout` does). After `stop` it is closed unrun.
        """
        if self._stopped:
            job.close()
            return
        try:
            waits_for = job.send(None)
        except StopIteration:
            return
        _ = self.start(_go_on(job, waits_for), name=name)

    async def finish(self, job: Coroutine[Any, Any, T], *, name: str) -> T:
        """Run `job` to its end, also if whoever awaits this is cancelled, and return what it returns.

        As `asyncio.shield` of a task, with two turns of the loop less. A CairnError is the caller's alone.
        """
        ended: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._finishing[self.start(_tell_end(job, ended), name=name)] = job, ended
        return await ended

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        job, ended = self._finishing.pop(task, (None, None))
        if task.cancelled():
            if job is not None and ended is not None:
                job.close()
                ended.cancel()
            return
        error = task.exception()
        if error is not None:
            logger.error("task failed name=%s", task.get_name(), exc_info=error)
            task.get_loop().call_exception_handler(
                {"message": f"task failed: {task.get_name()}", "exception": error, "task": task}
            )

    async def stop(self) -> None:
        """Cancel all tasks but the calling one, and wait until they have ended."""
        self._stopped = True
        mine = asyncio.current_task()
        while others := [task for task in self._tasks if task is not mine]:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)


async def _go_on(job: Coroutine[Any, Any, None], waits_for: object) -> None:
    await _Rest(job, waits_for)


class _Rest:
    """A coroutine that was begun outside of a task, and what it waits for: a task goes on with both."""

    def __init__(self, job: Coroutine[Any, Any, None], waits_for: object) -> None:
        self._job = job
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:  # ends with the job
                try:
                    value = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the job's
                    waits_for = self._job.throw(error)
                else:
                    waits_for = self._job.send(value)
        except StopIteration:
            return


async def _tell_end(job: Coroutine[Any, Any, T], ended: asyncio.Future[T]) -> None:
    """Run `job` and let `ended` end as it does, unless nobody waits for that any more."""
    try:
        result = await job
        if not ended.done():
            ended.set_result(result)
    except CairnError as error:
        if not ended.done():
            ended.set_exception(error)
    except asyncio.CancelledError:
        ended.cancel()
        raise
    except BaseException as error:
        if not ended.done():
            ended.set_exception(error)
        raise  # the nursery reports it


async def gather_settled(*jobs: Coroutine[Any, Any, T]) -> list[T | BaseException]:
    """Run jobs side by side; return results and errors in the order of the jobs. If cancelled, all are."""
    return await asyncio.gather(*jobs, return_exceptions=True)


class Race(Generic[T]):
    """Jobs that answer one question: their owner takes what they give as they end, and none outlives the block.

        async with Race[Answer]() as race:
            race.start(ask(first), name="ask")
            while (ended := await race.next_ended(patience_s)) is None:
                race.start(ask(second), name="ask")

    Whoever ended first is given first, so that the same seed is the same run. What a job raises is its owner's, in
    `task.exception()`; of one that nobody took it is dropped if it is one of our errors, and else told to the loop.
    """

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[T], None] = {}
        self._ended: deque[asyncio.Task[T]] = deque()
        self._news: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "Race[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    def start(self, job: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(job, name=name)
        self._running[task] = None
        task.add_done_callback(self._end)
        return task

    async def next_ended(self, timeout_s: float | None = None) -> asyncio.Task[T] | None:
        """Return the next job that has ended, not yet given; None if none does within `timeout_s`."""
        if not self._ended:
            timer: asyncio.TimerHandle | None = None
            if timeout_s is not None:
                timer = asyncio.get_running_loop().call_later(max(0.0, timeout_s), self._tell)
            try:
                await self._wait()
            finally:
                if timer is not None:
                    timer.cancel()
        return self._ended.popleft() if self._ended else None

    async def _stop(self) -> None:
        """Cancel the others and wait for them: they may hold buffers, which are the owner's again when this returns.

        Also if the owner is cancelled meanwhile: a job that was cancelled only cleans up, so this ends soon.
        """
        cancelled: asyncio.CancelledError | None = None
        for task in self._running:
            task.cancel()
        while self._running:
            try:
                await self._wait()
            except asyncio.CancelledError as error:
                cancelled = error
        for task in self._ended:
            _drop(task)
        if cancelled is not None:
            raise cancelled

    def _end(self, task: asyncio.Task[T]) -> None:
        del self._running[task]
        self._ended.append(task)
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None


def _drop(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CairnError):
        task.get_loop().call_exception_handler(
            {"message": f"task failed: {task.get_name()}", "exception": error, "task": task}
        )


class Turns:
    """One at a time for each key; who came first goes first. Keys that nobody holds take no memory."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the turn at `key` and keep it inside the block."""
        lock, users = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)

    def is_held(self, key: Hashable) -> bool:
        """True if somebody has the turn or waits for it."""
        return key in self._locks
