"""The real disk: its folder, and a few threads to use it from without stopping the loop. Used by `real.py`.

    run(job) --> [bounded queue] --> threads --> Handover --> one hop to the loop for all that is done

Whoever starts a process sets `sys.setswitchinterval`: at the default of 5 ms a busy thread delays the loop by as much.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from cairnfs.env import Files
from cairnfs.env.files import PosixFiles
from cairnfs.env.handover import Handover, Job
from cairnfs.errors import ShutdownError

T = TypeVar("T")

THREADS = 4
"""Enough to keep one disk busy while one of them waits in a sync; more only fight for the interpreter lock."""
JOBS_MAX = 128
"""Jobs that wait or run; who comes later waits. Rule 27."""


class ThreadedDisk:
    """A folder and daemon threads of its own: a disk that blocks for 30 s delays no other disk and no heartbeat."""

    def __init__(self, files: PosixFiles, *, threads: int = THREADS) -> None:
        self.files: Files = files
        self._posix = files
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._slots = asyncio.Semaphore(JOBS_MAX)
        self._handover = Handover(self._free_slots)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"disk {files.root} {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Callable[[], T]) -> T:
        self._check_open()
        await self._slots.acquire()
        # Whoever waited may find it closed; its slot is of no use to anybody then.
        self._check_open()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(job, future))
        return await future

    def _check_open(self) -> None:
        if self._closed:
            raise ShutdownError(what=f"disk {self.files.root}")

    def _free_slots(self, count: int) -> None:
        # Not when the caller stops waiting: a cancelled caller's job still has its place in the queue.
        for _ in range(count):
            self._slots.release()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
            self._handover.give([job])
            # This frame would keep the last job's buffers alive while it waits for the next one.
            del job

    async def close(self) -> None:
        """Finish the jobs that wait, end the threads, and give the folder back."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._join)
        self._posix.close()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
