"""Bytes fetched before a sequential reader asks for them. Contract 4: at most READAHEAD_AGE_S old when given out.

    read at p ──▶ ends where the last one ended? ──▶ fetch the next window behind it, two windows at most
                  anything else: fetch exactly what was asked for, nothing else

Windows grow from 256 KiB to half of the setting, so that a short look costs little and a long one runs at full speed.
"""

import asyncio
from dataclasses import dataclass

from cairnfs.client.core import Core
from cairnfs.errors import CairnError
from cairnfs.ids import InodeId
from cairnfs.limits import READAHEAD_AGE_S
from cairnfs.units import KIB

_WINDOW_MIN = 256 * KIB


@dataclass(slots=True, eq=False)
class _Window:
    start: int
    buffer: bytearray
    began_s: float
    done: asyncio.Event
    got: int = -1
    """Bytes there; -1 until they are, and if fetching failed."""

    @property
    def end(self) -> int:
        return self.start + len(self.buffer)


class ReadAhead:
    """Of one open file."""

    def __init__(self, core: Core, inode: InodeId) -> None:
        self._core = core
        self._inode = inode
        self._windows: list[_Window] = []  # one behind the other
        self._next = 0
        """Where a sequential reader would go on."""
        self._runs = 0
        self._size = _WINDOW_MIN

    async def read_into(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; fewer bytes only at the confirmed end of the file."""
        is_sequential = offset == self._next and offset > 0
        self._runs = self._runs + 1 if is_sequential else 0
        if not is_sequential:
            self.forget()
        done = await self._from_windows(offset, view)
        if done < len(view):
            done += await self._core.reader.read_into(self._inode, offset + done, view[done:])
        self._next = offset + done
        if done == len(view) and self._runs:
            self._fetch_more()
        return done

    async def _from_windows(self, offset: int, view: memoryview) -> int:
        """Give out what was fetched and is young enough."""
        now_s = self._core.connection.env.clock.now_s
        done = 0
        while done < len(view) and self._windows:
            window = self._windows[0]
            at = offset + done - window.start
            if not 0 <= at < len(window.buffer):
                self.forget()
                break
            await window.done.wait()
            if now_s() - window.began_s > READAHEAD_AGE_S / 2 or window.got <= at:
                # Half of the age: a buffer of Python's own above this one may keep the bytes for the other half.
                self.forget()
                break
            count = min(len(view) - done, window.got - at)
            view[done : done + count] = memoryview(window.buffer)[at : at + count]
            self._core.connection.counters.readahead_hits += 1
            done += count
            if at + count == len(window.buffer):
                self._windows.pop(0)
            elif at + count == window.got:
                self.forget()  # the end of the file when it was fetched: ask again
        return done

    def _fetch_more(self) -> None:
        limit = self._core.connection.config.readahead_bytes
        ahead_at = self._windows[-1].end if self._windows else self._next
        while len(self._windows) < 2 and ahead_at - self._next < limit:
            size = min(self._size, max(limit // 2, 1))
            self._size = min(2 * self._size, max(limit // 2, 1))
            window = _Window(ahead_at, bytearray(size), self._core.connection.env.clock.now_s(), asyncio.Event())
            self._windows.append(window)
            task = self._core.connection.nursery.start(self._fetch(window), name="read-ahead")
            # Not in the task itself: one that is cancelled before it begins runs none of its code.
            task.add_done_callback(lambda _, window=window: window.done.set())  # type: ignore[misc]
            ahead_at = window.end

    async def _fetch(self, window: _Window) -> None:
        try:
            window.got = await self._core.reader.read_into(self._inode, window.start, memoryview(window.buffer))
        except CairnError:
            window.got = -1  # the reader itself will meet the error

    def forget(self) -> None:
        """Drop what was fetched: somebody wrote, or the reader went elsewhere."""
        if self._windows:
            self._windows.clear()
        self._size = _WINDOW_MIN

    async def close(self) -> None:
        self.forget()
