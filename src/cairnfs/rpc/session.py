"""The server's end of one connection: hello, then requests in flight, up to the limits.

Invariants:
    1. Nothing is served before a hello that was accepted, and a peer without one is dropped after HELLO_TIMEOUT_S.
    2. At most INFLIGHT_REQUESTS_MAX requests and INFLIGHT_BYTES_MAX of their payloads are held (rule 27). At a limit no
       further frame is begun; it goes on at half of it, so that one answer does not mean one system call.
    3. A peer that does not take its answers gets no further request served, and is dropped after WRITE_STALL_S.
    4. A payload's buffer goes back to the pool when it has arrived or never will, and the handler has ended.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cairnfs.checksum import Buffer
from cairnfs.errors import BadRequestError, CairnError, ConnectionLostError, ShutdownError
from cairnfs.ids import BootId
from cairnfs.limits import (
    HELLO_TIMEOUT_S,
    INFLIGHT_BYTES_MAX,
    INFLIGHT_REQUESTS_MAX,
    PAYLOAD_BYTES_MAX,
    READ_PIECE_BYTES,
)
from cairnfs.rpc.connection import Channel
from cairnfs.rpc.hello import check_hello, is_hello, refusal_frame, welcome_frame
from cairnfs.rpc.payload import NO_PAYLOAD, Buffers, Incoming
from cairnfs.tasks import Nursery
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.codec import encode_failure, encode_message
from cairnfs.wire.frame import NOT_AGREED, FrameFault, FrameKind, encode_frame, payload_size

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Peer:
    """Who sent a request."""

    address: str
    role: str
    boot: BootId
    number: int
    """Unique per connection of this server."""


@dataclass(slots=True)
class Answer:
    """A reply with file data. `payload` must stay untouched until `release` is called.

    `release` is called when the operating system has the payload, or the connection is lost.
    """

    reply: Reply
    payload: Sequence[Buffer] = ()
    release: Callable[[], None] | None = None


Handler = Callable[[Peer, Any, Incoming], Awaitable[Reply | Answer]]


@dataclass(slots=True)
class Route:
    """How requests of one kind are served."""

    name: str
    handler: Handler
    streaming: bool
    reserved_bytes: int
    """What a request without payload counts for INFLIGHT_BYTES_MAX: its answer may carry as much."""
    quick: bool = False


@dataclass(slots=True)
class Job:
    """One request in flight."""

    number: int
    route: Route
    request: Request[Any]
    incoming: Incoming
    cost_bytes: int


class Host(Protocol):
    """What a session needs of its server."""

    role: str
    cluster: str
    boot: BootId
    buffers: Buffers
    nursery: Nursery
    is_stopping: bool

    def find(self, head: memoryview) -> tuple[Route, Request[Any]]:
        """Decode a request. Raises BadRequestError."""

    def start(self, session: "Session", job: Job) -> None:
        """Run the handler in a task, send what comes of it by `session.answer` or `fail`, then call `session.ended`."""

    def session_opened(self, session: "Session") -> bool:
        """Take note; False if there are too many."""

    def session_lost(self, session: "Session") -> None: ...

    def hello_refused(self, peer: str, error: CairnError) -> None: ...


class Session:
    """One connection of a server. The owner of its channel."""

    def __init__(self, host: Host, number: int) -> None:
        self.number = number
        self.peer: Peer | None = None
        self._host = host
        self._channel = Channel(self, host.nursery)
        self._protocol = NOT_AGREED
        self._running = 0
        self._running_bytes = 0
        self._arriving: Job | None = None  # whose payload is coming in
        self._is_held = False  # at a limit
        self._is_stalled = False  # the peer does not take its answers
        self._hello_timer: asyncio.TimerHandle | None = None

    def make_sink(self) -> Channel:
        return self._channel

    # ---- the owner of the channel

    def channel_opened(self, channel: Channel) -> None:
        if not self._host.session_opened(self):
            channel.abort("too many connections")
            return
        self._hello_timer = asyncio.get_running_loop().call_later(HELLO_TIMEOUT_S, channel.abort, "no hello in time")

    def frame_begun(
        self, protocol: int, kind: int, request_id: int, payload_bytes: int, head: memoryview
    ) -> memoryview | None:
        if self.peer is None:
            self._take_hello(is_hello(protocol, kind, request_id, payload_bytes), head)
            return None
        if protocol != self._protocol or kind != FrameKind.REQUEST:
            self._channel.abort(f"frame of kind {kind} and protocol {protocol}, not {self._protocol}")
            return None
        try:
            if self._host.is_stopping:
                raise ShutdownError(what=self._host.role)
            route, request = self._host.find(head)
        except CairnError as error:
            self.fail(request_id, error)
            return None
        return self._begin(request_id, route, request, payload_bytes)

    def payload_arrived(self, received: int) -> None:
        job = self._arriving
        assert job is not None
        incoming = job.incoming
        incoming.arrived(received)
        if received == incoming.size:
            self._arriving = None
            if not job.route.streaming:
                self._host.start(self, job)
            incoming.drop()
            self._hold_at_limit()

    def parse_failed(self, fault: FrameFault) -> None:
        logger.info("connection closed peer=%s why=%s", self._channel.peer, fault)
        self._channel.abort(f"malformed frame: {fault}")

    def channel_lost(self, why: str) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        job, self._arriving = self._arriving, None
        if job is not None:
            job.incoming.lose(ConnectionLostError(address=self._channel.peer, why=why))
            job.incoming.drop()  # invariant 4: the rest never comes
            if not job.route.streaming:
                job.incoming.drop()  # its handler never begins
                self.ended(job)
        self._host.session_lost(self)

    # ---- the server's side

    def answer(self, job: Job, answer: Reply | Answer) -> None:
        """Send what a handler returned.

        Raises:
            BadRequestError: it is larger than a frame may be. Nothing was sent, and the answer was released.
        """
        if isinstance(answer, Reply):
            head = encode_message(answer)
            self._channel.send(encode_frame(self._protocol, FrameKind.REPLY, job.number, head))
        else:
            self._answer_with_payload(job, answer)
        self._stall_if_untaken()

    def fail(self, request_id: int, error: CairnError) -> None:
        """Send an error in place of an answer."""
        self._channel.send(encode_frame(self._protocol, FrameKind.FAILURE, request_id, encode_failure(error)))
        self._stall_if_untaken()

    def ended(self, job: Job) -> None:
        """Take note that a request is done with."""
        self._running -= 1
        self._running_bytes -= job.cost_bytes
        assert self._running >= 0, self._running
        if (
            self._is_held
            and self._running * 2 <= INFLIGHT_REQUESTS_MAX
            and self._running_bytes * 2 <= INFLIGHT_BYTES_MAX
        ):
            self._is_held = False
            self._go_on()

    def close(self) -> None:
        self._channel.close()

    def abort(self, why: str) -> None:
        self._channel.abort(why)

    # ---- inside

    def _take_hello(self, can_be: bool, head: memoryview) -> None:
        host = self._host
        try:
            if not can_be:
                raise BadRequestError(what="the first message is no hello")
            hello, protocol = check_hello(head, cluster=host.cluster, me=f"the {host.role}")
        except CairnError as error:
            host.hello_refused(self._channel.peer, error)
            self._channel.parser.stop()
            self._channel.send(refusal_frame(error))
            self._channel.close()
            return
        assert self._hello_timer is not None
        self._hello_timer.cancel()
        self._protocol = protocol
        self.peer = Peer(self._channel.peer, hello.role, BootId(hello.boot), self.number)
        self._channel.send(welcome_frame(protocol, host.cluster, host.role, host.boot))

    def _begin(self, request_id: int, route: Route, request: Request[Any], size: int) -> memoryview | None:
        self._running += 1
        if not size:
            job = Job(request_id, route, request, NO_PAYLOAD, route.reserved_bytes)
            self._running_bytes += job.cost_bytes
            self._host.start(self, job)
            self._hold_at_limit()
            return None
        incoming = Incoming(self._host.buffers.take(size), self._host.buffers.give)
        incoming.hold()  # once for the arriving, once for the handler
        job = self._arriving = Job(request_id, route, request, incoming, size)
        self._running_bytes += size
        if route.streaming:
            self._host.start(self, job)
        return incoming.view

    def _hold_at_limit(self) -> None:
        at_limit = (
            self._running >= INFLIGHT_REQUESTS_MAX or self._running_bytes + PAYLOAD_BYTES_MAX > INFLIGHT_BYTES_MAX
        )
        if at_limit and not self._is_held:
            self._is_held = True
            self._channel.pause()

    def _go_on(self) -> None:
        if not self._is_held and not self._is_stalled:
            self._channel.resume()

    def _stall_if_untaken(self) -> None:
        if self._channel.unsent_bytes > PAYLOAD_BYTES_MAX and not self._is_stalled:
            self._is_stalled = True
            self._channel.pause()
            _ = self._host.nursery.start(self._unstall(), name="unstall")

    async def _unstall(self) -> None:
        await self._channel.ready()
        self._is_stalled = False
        self._go_on()

    def _answer_with_payload(self, job: Job, answer: Answer) -> None:
        frame: bytes | None = None
        try:
            size = payload_size(answer.payload)
            if size > PAYLOAD_BYTES_MAX:
                raise BadRequestError(what=f"answer with {size} bytes; at most {PAYLOAD_BYTES_MAX} are sent")
            frame = encode_frame(self._protocol, FrameKind.REPLY, job.number, encode_message(answer.reply), size)
        finally:
            if frame is None and answer.release is not None:
                answer.release()
        self._channel.send(frame, answer.payload, answer.release)


def reserved_bytes(kind: type[Request[Any]]) -> int:
    """Return what a request of that kind without a payload counts: a bulk one is answered with about a piece."""
    return READ_PIECE_BYTES if kind.bulk else 0
