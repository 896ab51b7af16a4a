"""Bytes fetched before a sequential reader asks for them. Contract 4: at most READAHEAD_AGE_S old when given out.

    read at p ──▶ ends where the last one ended? ──▶ fetch the next window behind it, two windows at most
                  anything else: fetch exactly what was asked for, nothing else
    large read ─▶ what the windows lack comes straight into the caller's buffer, side by side with them

Windows grow from 256 KiB to half of the setting, so that a short look costs little and a long one runs at full speed.
Behind a large read there is one of READ_PIECE_BYTES: it only has to bridge the way to the next call, and what comes
through a window is copied once more.

Invariant: a window's buffer goes back to the pool once, when it is dropped and nothing is received into it any more.
"""

import asyncio
from dataclasses import dataclass

from cairnfs.client.core import Core
from cairnfs.errors import CairnError
from cairnfs.ids import InodeId
from cairnfs.limits import PAYLOAD_BYTES_MAX, READ_PIECE_BYTES, READAHEAD_AGE_S
from cairnfs.tasks import gather_settled
from cairnfs.units import KIB

_WINDOW_MIN = 256 * KIB


@dataclass(slots=True, eq=False)
class _Window:
    start: int
    buffer: memoryview
    began_s: float
    done: asyncio.Event
    got: int = -1
    """Bytes there; -1 until they are, and if fetching failed."""
    is_dropped: bool = False

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
        ahead = min(self._windows[-1].end - offset, len(view)) if self._windows else 0
        done = await self._read_both(offset, view, ahead)
        self._next = offset + done
        if done == len(view) and self._runs:
            self._fetch_more(len(view))
        return done

    async def _read_both(self, offset: int, view: memoryview, ahead: int) -> int:
        """Take the first `ahead` bytes from the windows, and fetch the others meanwhile."""
        if not ahead:
            return await self._fetch_into(offset, view)
        if ahead == len(view):
            return await self._ahead_first(offset, view)
        first, rest = await gather_settled(
            self._ahead_first(offset, view[:ahead]), self._fetch_into(offset + ahead, view[ahead:])
        )
        if isinstance(first, BaseException):
            raise first
        if isinstance(rest, BaseException):
            raise rest
        # The file may have been cut between the two: bytes behind a confirmed end are none.
        return first + rest if first == ahead else first

    async def _ahead_first(self, offset: int, view: memoryview) -> int:
        done = await self._from_windows(offset, view)
        return done + await self._fetch_into(offset + done, view[done:]) if done < len(view) else done

    async def _fetch_into(self, offset: int, view: memoryview) -> int:
        return await self._core.reader.read_into(self._inode, offset, view)

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
            if window.is_dropped:
                break  # somebody wrote, or closed the file, meanwhile
            if now_s() - window.began_s > READAHEAD_AGE_S / 2 or window.got <= at:
                # Half of the age: a buffer of Python's own above this one may keep the bytes for the other half.
                self.forget()
                break
            count = min(len(view) - done, window.got - at)
            view[done : done + count] = window.buffer[at : at + count]
            self._core.connection.counters.readahead_hits += 1
            done += count
            if at + count == len(window.buffer):
                self._drop(self._windows.pop(0))
            elif at + count == window.got:
                self.forget()  # the end of the file when it was fetched: ask again
        return done

    def _fetch_more(self, read_bytes: int) -> None:
        """Fetch behind the end of a read of `read_bytes`."""
        limit = self._core.connection.config.readahead_bytes
        largest = max(limit // 2, 1)
        if read_bytes >= 2 * READ_PIECE_BYTES:
            limit = largest = min(limit, READ_PIECE_BYTES)
        ahead_at = self._windows[-1].end if self._windows else self._next
        while len(self._windows) < 2 and ahead_at - self._next < limit:
            size = min(self._size, largest, limit - (ahead_at - self._next))
            self._size = min(2 * self._size, largest)
            window = _Window(ahead_at, self._take(size), self._core.connection.env.clock.now_s(), asyncio.Event())
            self._windows.append(window)
            task = self._core.connection.nursery.start(self._fetch(window), name="read-ahead")
            # Not in the task itself: one that is cancelled before it begins runs none of its code.
            task.add_done_callback(lambda _, window=window: self._fetched(window))  # type: ignore[misc]
            ahead_at = window.end

    async def _fetch(self, window: _Window) -> None:
        try:
            window.got = await self._fetch_into(window.start, window.buffer)
        except CairnError:
            window.got = -1  # the reader itself will meet the error

    def _fetched(self, window: _Window) -> None:
        window.done.set()
        if window.is_dropped:
            self._give(window)

    def _drop(self, window: _Window) -> None:
        window.is_dropped = True
        if window.done.is_set():
            self._give(window)

    def _take(self, size: int) -> memoryview:
        # Fresh memory costs more than receiving into it: each page is given by the kernel and zeroed.
        if size <= PAYLOAD_BYTES_MAX:
            return self._core.connection.caller.buffers.take(size)
        return memoryview(bytearray(size))

    def _give(self, window: _Window) -> None:
        self._core.connection.caller.buffers.give(window.buffer)
        window.buffer = memoryview(b"")

    def forget(self) -> None:
        """Drop what was fetched: somebody wrote, or the reader went elsewhere."""
        windows, self._windows = self._windows, []
        for window in windows:
            self._drop(window)
        self._size = _WINDOW_MIN

    async def close(self) -> None:
        self.forget()
