"""get and put: streams between local files and the cluster.

A file that is fetched arrives under a name of its own beside its target and is renamed when it is whole: one that
failed half way leaves nothing behind. Local files are read and written on threads, so that the loop goes on meanwhile,
and the next piece comes from one side while the last one goes to the other.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from cairnfs.client.file import File
from cairnfs.fsspec.uploads import Sink, temporary_beside
from cairnfs.tasks import gather_settled
from cairnfs.units import MIB

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

STEP_BYTES = 8 * MIB
"""Moved at a time: a few pieces of the client, and little memory for many files at once."""


class Progress(Protocol):
    """What is used of fsspec's callbacks."""

    def set_size(self, size: int) -> None: ...

    def relative_update(self, inc: int) -> None: ...


async def on_thread(job: Callable[[], T]) -> T:
    """Run a job that blocks on a thread, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(None, job)


async def fetch(source: File, path: str, progress: Progress) -> None:
    """Write all bytes of an open file to the local `path`, which is made or replaced when they are there."""
    temporary = await on_thread(lambda: temporary_beside(os.path.abspath(path)))
    try:
        with await opened(temporary, "xb") as target:
            await stream(source, target, progress)
        await on_thread(partial(os.replace, temporary, path))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


async def opened(path: str, mode: str) -> BinaryIO:
    """Open a local file of bytes, without a buffer, on a thread."""
    return await on_thread(lambda: cast("BinaryIO", open(path, mode, buffering=0)))


async def stream(source: File, target: BinaryIO, progress: Progress) -> None:
    """Write all bytes of an open file to an open local one."""
    progress.set_size(await source.size())
    filling, writing = bytearray(STEP_BYTES), bytearray(STEP_BYTES)
    got = await source.readinto(filling)
    while got:  # ends with the file
        filling, writing, ready = writing, filling, got
        got, _ = await both(
            source.readinto(filling), on_thread(partial(_write_all, target, memoryview(writing)[:ready]))
        )
        progress.relative_update(ready)


async def both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Run two jobs side by side; return their results when both have ended.

    Raises:
        What the first of them raised, else what the second did.
    """
    results: list[Any] = await gather_settled(first, second)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results[0], results[1]


async def send(source: BinaryIO, sink: Sink, progress: Progress) -> None:
    """Write all bytes of an open local file to a sink."""
    progress.set_size(await on_thread(lambda: os.fstat(source.fileno()).st_size))
    data = await on_thread(partial(source.read, STEP_BYTES))
    while data:  # ends with the file
        following, _ = await both(on_thread(partial(source.read, STEP_BYTES)), sink.write(data))
        progress.relative_update(len(data))
        data = following


def _write_all(target: BinaryIO, view: memoryview) -> None:
    while view:  # ends because each write takes something, or raises
        view = view[target.write(view) :]
