"""One connection: joins the frame parser, the send side and the network. Used by link (callers) and session (servers).

Sending:
    small frames of one turn of the loop ──▶ joined ──┐
    header and head, then the payload's buffers ──────┴──▶ connection.send ──▶ flushed: buffers are released
    header and head, then a payload that still arrives (cut-through) ──▶ nobody sends until it is through

Invariants:
    1. Frames leave whole and in the order of `send`.
    2. Each `release` is called exactly once: when the operating system has the payload, or the connection is lost.
    3. After `disconnected` nothing is sent and the owner hears nothing more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from cairnfs.checksum import Buffer
from cairnfs.env import Connection
from cairnfs.errors import ConnectionLostError
from cairnfs.limits import JOINED_BYTES_MAX, SEND_QUEUE_BYTES, WRITE_STALL_S
from cairnfs.rpc.payload import Incoming
from cairnfs.tasks import Nursery
from cairnfs.units import KIB
from cairnfs.wire.frame import FrameParser, FrameTarget, payload_size

Payload = Sequence[Buffer] | Incoming
Release = Callable[[], None]

_SMALL_BYTES_MAX = 1 * KIB
"""Small frames of one turn are joined up to here; then they leave at once, so that the peer begins with the first while
the rest is made. With all of a turn in one send two processes take turns: 22,000 lookups a second against 38,000."""

_PASS_BYTES = 256 * KIB
"""What a payload that still arrives is passed on by: a send for every few packets costs more than it hides."""


class ChannelOwner(FrameTarget, Protocol):
    """What stands behind a connection: a link or a session."""

    def channel_opened(self, channel: "Channel") -> None:
        """Called once, before any frame."""

    def channel_lost(self, why: str) -> None:
        """Called once, after everything else."""


class Channel:
    """The sink of one connection, and its send side."""

    def __init__(self, owner: ChannelOwner, nursery: Nursery) -> None:
        self._owner = owner
        self._nursery = nursery
        self.parser = FrameParser(owner)
        # The parser's own methods are the sink's, without a call between.
        self.get_buffer = self.parser.get_buffer
        self.is_lost = False
        self.why_lost = ""
        self.heard = 0
        self._connection: Connection | None = None
        self._small: list[bytes] = []
        self._release_small: list[Release] = []
        self._small_bytes = 0
        self._is_scheduled = False
        self._passing: Incoming | None = None  # the cut-through payload under way
        self._waiting_for_room: list[asyncio.Future[None]] = []
        self._unreleased: list[Release] = []
        self._is_flushing = False
        self._handed_bytes = 0
        self._fault: str | None = None

    # ---- the sink

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self._owner.channel_opened(self)

    def buffer_updated(self, count: int) -> None:
        self.heard += 1
        self.parser.buffer_updated(count)

    def disconnected(self, why: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.why_lost = self._fault or why or "closed by the peer"
        self.parser.stop()
        self._small.clear()
        self._release_all()
        self._wake_waiting()
        self._owner.channel_lost(self.why_lost)

    # ---- the owner's side

    @property
    def peer(self) -> str:
        """host:port of the other end, for logs."""
        return self._connection.peer if self._connection is not None else ""

    @property
    def unsent_bytes(self) -> int:
        """Bytes handed over and not yet with the operating system."""
        return self._connection.unsent_bytes if self._connection is not None and not self.is_lost else 0

    @property
    def is_full(self) -> bool:
        """True if the sender should wait for `ready` before it sends more."""
        return self._passing is not None or self.unsent_bytes > SEND_QUEUE_BYTES

    async def ready(self) -> None:
        """Wait until there is room, or the connection is lost.

        A peer that takes no byte for WRITE_STALL_S is dropped.
        """
        while self.is_full and not self.is_lost:
            if self._passing is not None:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting_for_room.append(waiter)
                await waiter
            elif self._connection is not None:
                await self._unless_stalled(self._connection.drain)

    def send(self, frame: bytes, payload: Payload = (), release: Release | None = None) -> None:
        """Send a frame: header and head in `frame`, and its payload, uncopied unless it is small.

        An `Incoming` is held until it is sent, and the connection is aborted if the rest of it never comes; until then
        `is_full` says that nothing else may be sent. On a lost connection nothing is sent.
        """
        assert self._passing is None, "a frame inside another frame's payload"
        if self.is_lost:
            if release is not None:
                release()
            return
        if isinstance(payload, Incoming):
            payload.hold()
            if payload.received < payload.size:
                self._begin_passing(frame, payload)
                return
            release = payload.drop
            payload = (payload.view,)
        self._send_now(frame, payload, release)

    def close(self) -> None:
        """Send what is queued, then close."""
        self._flush()
        if self._connection is not None and not self.is_lost:
            self._connection.close()

    def abort(self, why: str) -> None:
        """Close now; the owner hears `why`."""
        if self._fault is None:
            self._fault = why
        self.parser.stop()
        if self._connection is not None and not self.is_lost:
            self._connection.abort()

    def pause(self) -> None:
        """Begin no further frame, and leave the peer's bytes where they are: back-pressure."""
        self.parser.pause()
        if self._connection is not None and not self.is_lost:
            self._connection.pause_reading()

    def resume(self) -> None:
        if self.is_lost:
            return
        self.parser.resume()  # what was read ahead comes first, and may end in the next pause
        if self._connection is not None and not self.parser.is_paused:
            self._connection.resume_reading()

    # ---- sending

    def _send_now(self, frame: bytes, payload: Sequence[Buffer], release: Release | None) -> None:
        size = payload_size(payload) if payload else 0
        self._small.append(frame)
        if size <= JOINED_BYTES_MAX:
            self._small.extend(bytes(part) for part in payload)
            if release is not None:
                release()  # the bytes are copied
            self._small_bytes += len(frame) + size
            if self._small_bytes > _SMALL_BYTES_MAX:
                self._hand_over(())
            elif not self._is_scheduled:
                self._is_scheduled = True
                asyncio.get_running_loop().call_soon(self._flush)
            return
        self._hand_over(payload)
        if release is not None:
            self._release_later(release)

    def _flush(self) -> None:
        self._is_scheduled = False
        if self._small:
            self._hand_over(())

    def _hand_over(self, payload: Sequence[Buffer]) -> None:
        small, self._small, self._small_bytes = self._small, [], 0
        if self.is_lost or self._connection is None:
            return
        joined = small[0] if len(small) == 1 else b"".join(small)
        self._handed_bytes += len(joined) + payload_size(payload)
        self._connection.send([joined, *payload])

    def _begin_passing(self, frame: bytes, payload: Incoming) -> None:
        self._small.append(frame)
        self._hand_over(())
        self._passing = payload
        _ = self._nursery.start(self._pass_on(payload), name="cut-through")

    async def _pass_on(self, payload: Incoming) -> None:
        """Send a payload while it arrives. The connection is aborted if it breaks off: the frame cannot be finished."""
        try:
            sent = 0
            while sent < payload.size and not self.is_lost:
                await payload.wait(min(payload.size, sent + _PASS_BYTES))
                received = payload.received
                assert self._connection is not None
                self._handed_bytes += received - sent
                self._connection.send([payload.view[sent:received]])
                sent = received
                if self.unsent_bytes > SEND_QUEUE_BYTES:
                    await self._unless_stalled(self._connection.drain)
        except ConnectionLostError as error:
            self.abort(f"its payload broke off: {error.why}")
        finally:
            self._passing = None
            self._wake_waiting()
            if self.is_lost:
                payload.drop()
            else:
                self._release_later(payload.drop)

    # ---- releasing

    def _release_later(self, release: Release) -> None:
        if self.is_lost or self.unsent_bytes == 0:
            release()
            return
        self._unreleased.append(release)
        if not self._is_flushing:
            self._is_flushing = True
            _ = self._nursery.start(self._release_flushed(), name="flush")

    async def _release_flushed(self) -> None:
        try:
            while self._unreleased and not self.is_lost and self._connection is not None:
                count = len(self._unreleased)
                await self._unless_stalled(self._connection.flushed)
                done, self._unreleased = self._unreleased[:count], self._unreleased[count:]
                for release in done:
                    release()
        finally:
            self._is_flushing = False

    def _release_all(self) -> None:
        done, self._unreleased = self._unreleased, []
        for release in done:
            release()

    def _wake_waiting(self) -> None:
        waiting, self._waiting_for_room = self._waiting_for_room, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def _unless_stalled(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait`, but abort if the peer takes no byte for WRITE_STALL_S."""
        while not self.is_lost:
            taken = self._handed_bytes - self.unsent_bytes
            try:
                async with asyncio.timeout(WRITE_STALL_S):
                    await wait()
                return
            except TimeoutError:
                if self._handed_bytes - self.unsent_bytes <= taken:
                    self.abort(f"took no byte for {WRITE_STALL_S:g} s")
                    return
