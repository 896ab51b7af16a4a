"""How a thread gives results back to the event loop: whole batches, one hop each. Used by `threads` and `lmdb_store`.

A hop wakes the loop through a pipe and makes it wait for the interpreter lock; sixteen results in one hop cost about
what one costs.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Job:
    """A job on its way through a thread, and the future that its caller awaits."""

    call: Callable[..., Any]
    future: asyncio.Future[Any] | None = None
    result: Any = None
    error: BaseException | None = None

    def run(self, *args: Any) -> None:
        """Run it here and keep what it returns or raises; the caller gets either."""
        try:
            self.result = self.call(*args)
        except StopIteration as error:
            # A future refuses it, and its caller would wait for ever.
            self.error = RuntimeError("a job ended with StopIteration")
            self.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - nothing is swallowed: the caller gets it
            self.error = error

    def settle(self) -> None:
        """On the loop: wake the caller, if it still waits."""
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Handover:
    """Finished jobs wait here for the one hop that takes them all to their loop."""

    def __init__(self, delivered: Callable[[int], None] | None = None) -> None:
        """`delivered(count)` is called on the loop after each batch."""
        self._lock = threading.Lock()
        self._done: deque[Job] = deque()
        self._hop_is_due = False
        self._delivered = delivered

    def give(self, jobs: Sequence[Job]) -> None:
        """From any thread: hand finished jobs over."""
        if not jobs:
            return
        with self._lock:
            self._done.extend(jobs)
            if self._hop_is_due:
                return
            self._hop_is_due = True
        future = jobs[0].future
        assert future is not None, jobs[0]
        # The loop may be closed already: then nobody waits for the results.
        with contextlib.suppress(RuntimeError):
            future.get_loop().call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            self._hop_is_due = False
            jobs, self._done = self._done, deque()
        for job in jobs:
            job.settle()
        if self._delivered is not None:
            self._delivered(len(jobs))
