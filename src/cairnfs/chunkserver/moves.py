"""Moving deleted replicas to the trash, many at a time: one job and one flush of the trash folder for all that wait.

    move(a) ──▶ job: a                      move(d) ──▶ job: b, c, d
    move(b), move(c): wait for it  ─────────────────▶

Deleting a large tree sends each server thousands of replicas. One by one they took 2.6 ms each: four flushes in a row,
of the journal and three folders, and one more turn of the loop and the threads for each.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cairnfs.chunkserver.format import ROOT, data_name, replica_folder, sum_name
from cairnfs.env import Files
from cairnfs.errors import CairnError, ShutdownError
from cairnfs.ids import ChunkHandle

AT_ONCE = 64
"""Replicas of one job: what waits behind it waits some ten milliseconds."""


Job = Callable[[], None]
Move = tuple[ChunkHandle, str, "asyncio.Future[None]"]


class Moves:
    """The moves of one disk. Each caller must run to its end: it may be moving the replicas of others."""

    def __init__(self, run: Callable[[Job], Coroutine[Any, Any, None]], files: Files) -> None:
        self._run, self._files = run, files
        self._waiting: list[Move] = []
        self._is_moving = False

    async def move(self, handle: ChunkHandle, target: str) -> None:
        """Rename both files of a replica to `target`.dat and .sum; durable when it returns.

        Raises:
            DiskFailedError: it may have moved or not; the journal says that it is gone.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((handle, target, future))
        if not self._is_moving:
            await self._move_all()
        await future

    async def _move_all(self) -> None:
        self._is_moving = True
        try:
            while self._waiting:  # ends: who comes meanwhile is moved in the next turn, as with any queue
                some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._move_some(some)
        finally:
            self._is_moving = False
            _fail(self._waiting, ShutdownError(what="the disk"))

    async def _move_some(self, some: Sequence[Move]) -> None:
        moves = [(handle, target) for handle, target, _ in some]
        try:
            await self._run(lambda: move_replicas(self._files, moves))
        except CairnError as error:
            _fail(some, error)
        finally:
            # Nothing is left to wait for ever, whatever ended this.
            for _, _, future in some:
                if not future.done():
                    future.set_result(None)


def _fail(some: Sequence[Move], error: CairnError) -> None:
    for _, _, future in some:
        if not future.done():
            future.set_exception(error)


def move_replicas(files: Files, moves: Sequence[tuple[ChunkHandle, str]]) -> None:
    """Rename both files of each replica to its target's .dat and .sum, durably. A job; repeating it is harmless."""
    folders = dict.fromkeys(target.rpartition("/")[0] for _, target in moves)
    for folder in folders:
        files.make_folder(folder)
    files.sync_folder(ROOT)
    for handle, target in moves:
        for name, kind in ((sum_name(handle), "sum"), (data_name(handle), "dat")):
            if files.exists(name):
                files.rename(name, f"{target}.{kind}")
    # The new names first: a file with two names is found again, one with none is lost.
    for folder in folders:
        files.sync_folder(folder)
    # The old ones before anybody makes the same chunk anew: its files must not turn out to be the old ones.
    for folder in dict.fromkeys(replica_folder(handle) for handle, _ in moves):
        if files.listing(folder) or files.exists(folder):
            files.sync_folder(folder)
