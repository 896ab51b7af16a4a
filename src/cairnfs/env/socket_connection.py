"""One end of a real TCP stream: bytes go straight from the socket into the sink's buffers, and out without joining.

asyncio's own transports join what they cannot send at once, and stock asyncio reads into buffers of its own choice.
So this drives the socket itself, through `add_reader` and `add_writer`, alike on stock asyncio and on uvloop.

    open --close()--> closing (sends its queue) --> lingering (told the peer, drops what it still sends) --> lost
      `------------- abort(), error, end of stream ----------------------------------------------------------^
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from enum import Enum

from cairnfs.env import Buffer, Sink
from cairnfs.units import KIB, MIB

READS_PER_TURN = 4
"""Reads for one call of the loop: a fast peer must not starve the others."""
SENDS_PER_TURN = 8
READ_HINT_BYTES = 256 * KIB
BUFFERS_MAX = 1024
"""IOV_MAX of Linux: buffers in one sendmsg."""
DRAIN_BYTES = 1 * MIB
LINGER_S = 5.0
"""After `close` the peer has so long to take what is queued and to close its side; then it sees a reset."""
_RESET = struct.pack("ii", 1, 0)


class _State(Enum):
    OPEN = "open"
    CLOSING = "closing"
    LINGERING = "lingering"
    LOST = "lost"


class SocketConnection:
    """See the module. Everything runs on the loop it was made on."""

    def __init__(self, sock: socket.socket, sink: Sink, *, peer: str) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._fd = sock.fileno()
        self._sink = sink
        self._state = _State.OPEN
        self._reads = False
        self._turn_is_due = False
        # uvloop tells of an error once and then never again: read on until the socket is empty or says it. Stock
        # asyncio tells again, so there a short read, which means empty, saves asking once more.
        self._tells_again = isinstance(self._loop, asyncio.SelectorEventLoop)
        self._waits_to_write = False
        self._queue: deque[memoryview] = deque()
        self._queued_total = 0
        self._sent_total = 0
        self._drain_waiters: list[asyncio.Future[None]] = []
        self._flush_waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._linger: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Tell the sink and begin to read."""
        self._sink.connected(self)
        self.resume_reading()

    # -------------------------------------------------------------- reading

    def pause_reading(self) -> None:
        if self._reads and self._state is _State.OPEN:
            self._reads = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._reads and self._state is _State.OPEN:
            self._reads = True
            self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        if self._turn_is_due:
            return
        for _ in range(READS_PER_TURN):
            buffer = self._sink.get_buffer(READ_HINT_BYTES) if self._state is _State.OPEN else _scratch()
            try:
                count = self._socket.recv_into(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lose(_reason(error))
                return
            if count == 0:
                self._lose("" if self._state is _State.OPEN else "closed here")
                return
            if self._state is _State.OPEN:
                self._sink.buffer_updated(count)
            if not self._reads or (self._tells_again and count < len(buffer)):
                return
        if not self._tells_again:
            self._turn_is_due = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._turn_is_due = False
        if self._reads:
            self._readable()

    # -------------------------------------------------------------- writing

    @property
    def unsent_bytes(self) -> int:
        return self._queued_total - self._sent_total

    def send(self, buffers: Sequence[Buffer]) -> None:
        if self._state is not _State.OPEN:
            return
        was_empty = not self._queue
        for buffer in buffers:
            view = memoryview(buffer)
            if view.nbytes:
                self._queue.append(view if view.format == "B" and view.ndim == 1 else view.cast("B"))
                self._queued_total += view.nbytes
        if was_empty and self._queue:
            self._send_some()

    def _send_some(self) -> None:
        queue = self._queue
        for _ in range(SENDS_PER_TURN):
            try:
                count = self._socket.sendmsg([queue[i] for i in range(min(len(queue), BUFFERS_MAX))])
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._lose(_reason(error))
                return
            self._sent_total += count
            while queue and count >= len(queue[0]):
                count -= len(queue.popleft())
            if not queue:
                break
            if count:
                queue[0] = queue[0][count:]
        self._wait_to_write(bool(queue))
        self._wake_waiters()
        if not queue and self._state is _State.CLOSING:
            self._say_goodbye()

    def _wait_to_write(self, wait: bool) -> None:
        if wait and not self._waits_to_write:
            self._loop.add_writer(self._fd, self._send_some)
        elif not wait and self._waits_to_write:
            self._loop.remove_writer(self._fd)
        self._waits_to_write = wait

    def _wake_waiters(self) -> None:
        if self._drain_waiters and self.unsent_bytes <= DRAIN_BYTES:
            waiters, self._drain_waiters = self._drain_waiters, []
            for waiter in waiters:
                _wake(waiter)
        while self._flush_waiters and self._flush_waiters[0][0] <= self._sent_total:
            _wake(self._flush_waiters.popleft()[1])

    async def drain(self) -> None:
        while self.unsent_bytes > DRAIN_BYTES and self._state is not _State.LOST:
            waiter = self._loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter

    async def flushed(self) -> None:
        if self.unsent_bytes and self._state is not _State.LOST:
            waiter = self._loop.create_future()
            self._flush_waiters.append((self._queued_total, waiter))
            await waiter

    # -------------------------------------------------------------- ending

    def close(self) -> None:
        if self._state is not _State.OPEN:
            return
        self.pause_reading()
        self._state = _State.CLOSING
        self._linger = self._loop.call_later(LINGER_S, self._lose, "closed here, and the peer took too long", True)
        if not self._queue:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """End our stream, then drop what the peer still sends.

        To close a socket with unread bytes in it is a reset, which may destroy the answer that the peer has not read.
        """
        self._state = _State.LINGERING
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._lose(_reason(error))
            return
        self._reads = True
        self._loop.add_reader(self._fd, self._readable)

    def abort(self) -> None:
        self._lose("aborted here", True)

    def _lose(self, why: str, reset: bool = False) -> None:
        if self._state is _State.LOST:
            return
        self._state = _State.LOST
        self._reads = False
        self._loop.remove_reader(self._fd)
        self._wait_to_write(False)
        if self._linger is not None:
            self._linger.cancel()
        if reset:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()
        self._queue.clear()
        self._sent_total = self._queued_total
        self._wake_waiters()
        # Not from within the sink's own call: it may have aborted.
        self._loop.call_soon(self._sink.disconnected, why)


def _scratch() -> memoryview:
    return memoryview(bytearray(READ_HINT_BYTES))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
