"""One end of a byte stream between two ends in one loop. Used by `memory_network` and by the simulated network.

    send --> queue --(window)--> Wire.carry --> peer: arrived --> sink
                        ^------------ taken ------------'

It keeps what TCP keeps: order, a bounded number of bytes on the way (a slow reader stops the sender), an orderly
end behind the last byte, a reset that destroys what is queued. Each end has the context of whoever made it, so that a
simulation knows to which host a callback belongs.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from cairnfs.env import Buffer, Sink
from cairnfs.units import KIB, MIB

WINDOW_BYTES = 512 * KIB
"""Bytes on the way or not yet taken by the peer's sink: what socket buffers are for."""
PIECE_BYTES = 256 * KIB
DRAIN_BYTES = 1 * MIB
READ_HINT_BYTES = 256 * KIB
LINGER_S = 5.0
"""After `close` the peer has so long to take what is queued; then it sees a reset. As `socket_connection`."""


class Mark(Enum):
    """What follows the last byte."""

    END = "end"
    RESET = "reset"


Parcel = bytes | Mark


class Wire(Protocol):
    """One direction of a stream: brings each parcel to the end `to`, in order, by calling `to.arrived(parcel)`."""

    def carry(self, parcel: Parcel, to: "MemoryConnection") -> None: ...

    def acknowledge(self, count: int, to: "MemoryConnection") -> None:
        """Tell the end `to` that so many of its bytes were taken, by calling `to.taken(count)`."""

    def piece_bytes(self) -> int:
        """Return how many bytes the next parcel has at most."""


class SoonWire:
    """Brings everything with the next turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def carry(self, parcel: Parcel, to: "MemoryConnection") -> None:
        self._loop.call_soon(to.arrived, parcel, context=to.context)

    def acknowledge(self, count: int, to: "MemoryConnection") -> None:
        self._loop.call_soon(to.taken, count, context=to.context)

    def piece_bytes(self) -> int:
        return PIECE_BYTES


class MemoryConnection:
    """See the module. `join` must be called before the loop turns."""

    def __init__(self, sink: Sink, wire: Wire, *, peer: str, context: contextvars.Context) -> None:
        self.peer = peer
        self.context = context
        self._loop = asyncio.get_running_loop()
        self._sink = sink
        self._wire = wire
        self._other: MemoryConnection
        self.is_lost = False
        """Nothing is sent or received any more."""
        self._is_closing = False
        self._end_is_sent = False
        self._paused = False
        self._inbox: deque[memoryview] = deque()
        self._mark: Mark | None = None
        self._feed_is_due = False
        self._queue: deque[memoryview] = deque()
        self._queued_total = 0
        self._sent_total = 0
        self._window_used = 0
        self._drain_waiters: list[asyncio.Future[None]] = []
        self._flush_waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._linger: asyncio.TimerHandle | None = None

    def join(self, other: "MemoryConnection") -> None:
        """Name the other end."""
        self._other = other

    def start(self) -> None:
        """Tell the sink."""
        self._sink.connected(self)
        self._feed_soon()

    # -------------------------------------------------------------- reading

    def arrived(self, parcel: Parcel, *, now: bool = False) -> None:
        """The wire brings a parcel. `now`: the sink may be told at once, from outside of its context."""
        if self.is_lost:
            # Nobody reads here any more; what TCP answers to that is a reset.
            if isinstance(parcel, bytes):
                self._wire.carry(Mark.RESET, self._other)
            return
        if isinstance(parcel, Mark):
            self._mark = parcel
            if parcel is Mark.RESET and (self._queue or self._is_closing):
                self._lose("connection reset by peer")
                return
        else:
            self._inbox.append(memoryview(parcel))
        if now and not self._feed_is_due:
            self.context.run(self._feed)
        else:
            self._feed_soon()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._feed_soon()

    def _feed_soon(self) -> None:
        if not self._feed_is_due and not self.is_lost:
            self._feed_is_due = True
            self._loop.call_soon(self._feed, context=self.context)

    def _feed(self) -> None:
        self._feed_is_due = False
        while self._inbox and not self.is_lost and (self._is_closing or not self._paused):
            piece = self._inbox.popleft()
            count = len(piece)
            if not self._is_closing:
                buffer = self._sink.get_buffer(READ_HINT_BYTES)
                count = min(count, len(buffer))
                buffer[:count] = piece[:count]
                if count < len(piece):
                    self._inbox.appendleft(piece[count:])
                self._sink.buffer_updated(count)
            self._wire.acknowledge(count, self._other)
        if self._mark and not self._inbox and not self.is_lost and (self._is_closing or not self._paused):
            self._meet_mark(self._mark)

    def _meet_mark(self, mark: Mark) -> None:
        if mark is Mark.RESET:
            self._lose("connection reset by peer")
            return
        # The other side has ended its stream and will not read ours.
        if not self._end_is_sent:
            self._wire.carry(Mark.END, self._other)
        self._lose("closed here" if self._is_closing else "")

    # -------------------------------------------------------------- writing

    @property
    def unsent_bytes(self) -> int:
        return self._queued_total - self._sent_total

    def send(self, buffers: Sequence[Buffer]) -> None:
        if self.is_lost or self._is_closing:
            return
        for buffer in buffers:
            view = memoryview(buffer)
            if view.nbytes:
                self._queue.append(view.cast("B"))
                self._queued_total += view.nbytes
        if self._mark is Mark.RESET:
            self._lose("connection reset by peer")
            return
        self._pump()

    @property
    def waits_for_window(self) -> bool:
        """True if something is queued: `taken` will send it."""
        return bool(self._queue)

    def taken(self, count: int) -> None:
        """The other end's sink has taken bytes: so many more may go."""
        self._window_used -= count
        if self._queue and not self.is_lost:
            self._pump()

    def _pump(self) -> None:
        while self._queue and self._window_used < WINDOW_BYTES:
            view = self._queue.popleft()
            count = min(len(view), WINDOW_BYTES - self._window_used, self._wire.piece_bytes())
            if count < len(view):
                self._queue.appendleft(view[count:])
            # A copy, as into a socket: from here on the buffer is its owner's again.
            self._wire.carry(bytes(view[:count]), self._other)
            self._window_used += count
            self._sent_total += count
        self._wake_waiters()
        if self._is_closing and not self._queue and not self._end_is_sent:
            self._end_is_sent = True
            self._wire.carry(Mark.END, self._other)

    def _wake_waiters(self) -> None:
        if self._drain_waiters and self.unsent_bytes <= DRAIN_BYTES:
            waiters, self._drain_waiters = self._drain_waiters, []
            for waiter in waiters:
                _wake(waiter)
        while self._flush_waiters and self._flush_waiters[0][0] <= self._sent_total:
            _wake(self._flush_waiters.popleft()[1])

    async def drain(self) -> None:
        while self.unsent_bytes > DRAIN_BYTES and not self.is_lost:
            waiter = self._loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter

    async def flushed(self) -> None:
        if self.unsent_bytes and not self.is_lost:
            waiter = self._loop.create_future()
            self._flush_waiters.append((self._queued_total, waiter))
            await waiter

    # -------------------------------------------------------------- ending

    def close(self) -> None:
        if self.is_lost or self._is_closing:
            return
        self._is_closing = True
        self._linger = self._loop.call_later(LINGER_S, self._give_up, context=self.context)
        self._pump()
        self._feed_soon()

    def _give_up(self) -> None:
        self._wire.carry(Mark.RESET, self._other)
        self._lose("closed here, and the peer took too long")

    def abort(self) -> None:
        if not self.is_lost:
            self._wire.carry(Mark.RESET, self._other)
            self._lose("aborted here")

    def vanish(self) -> None:
        """Its process is dead: the end is lost, and there is no sink to tell."""
        self.is_lost = True
        if self._linger is not None:
            self._linger.cancel()
        self._queue.clear()
        self._inbox.clear()

    def _lose(self, why: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if self._linger is not None:
            self._linger.cancel()
        self._queue.clear()
        self._inbox.clear()
        self._sent_total = self._queued_total
        self._wake_waiters()
        # Not from within the sink's own call: it may have aborted.
        self._loop.call_soon(self._sink.disconnected, why, context=self.context)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
