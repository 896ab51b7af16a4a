"""What blocking clients stand on: one thread with an event loop for all of a process, and what a fork does to it.

    caller's thread ── one hop per call ──▶ loop thread: the asynchronous client ──▶ sockets

The thread starts with the first call. After a fork the child has a copy of the parent's sockets but no thread, so it
starts anew: clients and files notice by the process id and reconnect at their next use.

`Ground` is the seam: the same clients and files also stand on a simulated host, whose loop each call drives itself.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig
from cairnfs.env import Env
from cairnfs.env.light import client_env
from cairnfs.errors import CairnError, ShutdownError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class LoopThread:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._main, name="cairnfs-client", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` on the loop and return its result. An interrupt of the caller cancels it.

        Raises:
            ShutdownError: the interpreter is ending, or this is the loop's own thread.
        """
        if sys.is_finalizing() or threading.current_thread() is self._thread:
            job.close()
            raise ShutdownError(what="the client's thread")
        future = asyncio.run_coroutine_threadsafe(job, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # does nothing unless the wait was interrupted

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop call `callback` soon. Nothing happens if it has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        # Loaded with the first call, not with the package: more small requests per core.
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Abandoned(Protocol):
    """A cluster inside this process."""

    def abandon(self) -> None:
        """Leave nothing behind; the process ends, and its servers with it."""


class Closable(Protocol):
    """A file or writer that must be closed before the process ends."""

    @property
    def closed(self) -> bool: ...

    def close(self) -> None: ...


class _Process:
    """What belongs to one process and must not survive a fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thread: LoopThread | None = None
        self.open_files: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()
        self.clusters: weakref.WeakSet[Abandoned] = weakref.WeakSet()


_process = _Process()


def _after_fork() -> None:
    global _process  # noqa: PLW0603 - the child is another process
    _process = _Process()


os.register_at_fork(after_in_child=_after_fork)


def _thread() -> LoopThread:
    """Return the loop thread of this process, which is started if there is none."""
    thread = _process.thread
    if thread is None:
        with _process.lock:
            thread = _process.thread = _process.thread or LoopThread()
    return thread


def run(job: Coroutine[Any, Any, T]) -> T:
    """Run `job` on the loop thread of this process."""
    return _thread().run(job)


def owner() -> tuple[int, int]:
    """Return (user, group) of this process, for files that it makes."""
    return os.getuid(), os.getgid()


def world() -> Env:
    """Return the real world for a client."""
    return client_env()


class Ground(Protocol):
    """Whose loop a blocking client runs on, and in whose life."""

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` to its end. Raises ShutdownError if the loop has ended for good."""
        ...

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop call `callback` soon, without waiting for it."""
        ...

    def life(self) -> int:
        """Return another number once connections of before are worthless."""
        ...

    def monotonic_s(self) -> float: ...

    def make_client(self, config: ClientConfig) -> Client:
        """Return an asynchronous client for this life. Called on the loop."""
        ...

    def close_at_exit(self, file: Closable) -> None:
        """Close `file` before the loop ends for good, if it is open then."""
        ...


class ProcessGround:
    """This process: its loop thread, its sockets."""

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        return run(job)

    def post(self, callback: Callable[[], object]) -> None:
        _thread().post(callback)

    def life(self) -> int:
        """After a fork the sockets belong to the parent, and so do the client's id and sequences."""
        return os.getpid()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def make_client(self, config: ClientConfig) -> Client:
        uid, gid = owner()
        return Client(world(), config, uid=uid, gid=gid)

    def close_at_exit(self, file: Closable) -> None:
        _process.open_files[id(file)] = file


PROCESS = ProcessGround()


def abandon_at_exit(cluster: Abandoned) -> None:
    """Let a cluster that nobody has stopped tidy up when the process ends: after files have been closed in it."""
    _process.clusters.add(cluster)


@atexit.register
def _close_all() -> None:
    for file in list(_process.open_files.values()):
        if not file.closed:
            try:
                file.close()
            except (CairnError, OSError, ValueError):
                logger.exception("file not closed at exit name=%s", getattr(file, "name", file))
    for cluster in list(_process.clusters):
        cluster.abandon()
