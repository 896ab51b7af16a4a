"""The caller's end of one connection: hello, then any number of calls in flight, matched with answers by request id.

    call ──begin──▶ in flight ──answer | failure──────▶ done
                        ├──────deadline──────────────▶ CallTimeoutError      (a late answer is thrown away)
                        ├──────cancelled─────────────▶ forgotten             (likewise)
                        └──────connection broken─────▶ ConnectionLostError

Invariants:
    1. A call ends exactly once, and is then in no table.
    2. After a call has ended its `into` is not written to, not even by the rest of a payload that is arriving.
    3. After a call has ended its own payload is not read any more, unless it is `bytes`, which nobody can change.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from cairnfs.checksum import Buffer
from cairnfs.errors import CairnError, CallTimeoutError, ConnectionLostError, PeerError, WrongClusterError
from cairnfs.ids import BootId
from cairnfs.limits import PAYLOAD_BYTES_MAX
from cairnfs.rpc.connection import Channel, Payload, Release
from cairnfs.rpc.hello import check_welcome, hello_frame
from cairnfs.rpc.payload import Incoming
from cairnfs.tasks import Nursery
from cairnfs.wire.base import Reply, Request, Welcome
from cairnfs.wire.codec import decode_failure, decode_reply, encode_message
from cairnfs.wire.frame import HELLO_ID, NOT_AGREED, FrameFault, FrameKind, encode_frame, payload_size

_REQUEST_IDS = 2**32
_NO_PAYLOAD = memoryview(b"")

Answered = tuple[Reply, memoryview]


class Call:
    """One request that waits for its answer."""

    __slots__ = (
        "deadline",
        "future",
        "heard",
        "into",
        "is_unsent",
        "kind",
        "number",
        "reply",
        "timeout_s",
        "view",
        "wants",
    )

    def __init__(
        self,
        number: int,
        request: Request[Any],
        *,
        deadline: float,
        timeout_s: float,
        wants: bool,
        into: memoryview | None,
    ) -> None:
        self.number = number
        self.kind = type(request)
        self.deadline = deadline
        self.timeout_s = timeout_s
        self.wants = wants  # the payload of the answer; else it is thrown away
        self.into = into
        self.future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self.heard = 0  # how often the link had heard the peer when the call was sent
        self.is_unsent = False  # True while the connection may still read its payload
        self.reply: Reply | None = None  # here already, while its payload arrives
        self.view = _NO_PAYLOAD

    def sent(self) -> None:
        self.is_unsent = False


class Link:
    """One connection to a server, from the hello on. The owner of its channel."""

    def __init__(self, address: str, *, cluster: str, role: str, boot: BootId, nursery: Nursery) -> None:
        self.address = address
        self.is_retired = False
        """True once no new call may use it; it closes when the last call in flight has ended."""
        self._hello = hello_frame(cluster, role, boot)
        self._cluster = cluster
        self._channel = Channel(self, nursery)
        self._protocol = NOT_AGREED
        self._calls: dict[int, Call] = {}
        self._receiving: Call | None = None  # whose answer's payload is arriving
        self._last_number = HELLO_ID
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.when_lost: Callable[[], None] | None = None

    def make_sink(self) -> Channel:
        return self._channel

    @property
    def is_usable(self) -> bool:
        return not self.is_retired and not self._channel.is_lost

    @property
    def is_full(self) -> bool:
        return self._channel.is_full

    async def ready(self) -> None:
        """Wait until the connection takes more, or is lost."""
        await self._channel.ready()

    async def welcomed(self) -> Welcome:
        """Wait for the server's welcome.

        Raises:
            ConnectionLostError, WrongClusterError, ProtocolVersionError, PeerError: as `check_welcome` says.
        """
        return await self._welcome

    def begin(
        self,
        request: Request[Any],
        payload: Payload,
        *,
        deadline: float,
        timeout_s: float,
        wants: bool,
        into: memoryview | None,
    ) -> Call:
        """Send a request and return the call, whose future gets the answer. End it with `forget`, whatever happens.

        Raises:
            BadRequestError: too large. Nothing was sent.
        """
        head = encode_message(request)
        size = payload.size if isinstance(payload, Incoming) else payload_size(payload) if payload else 0
        assert size <= PAYLOAD_BYTES_MAX, size
        call = Call(self._next_number(), request, deadline=deadline, timeout_s=timeout_s, wants=wants, into=into)
        call.heard = self._channel.heard
        self._calls[call.number] = call
        if self._channel.is_lost:
            call.future.set_exception(self._lost_error(self._channel.why_lost))
            return call
        release: Release | None = None
        if size and not isinstance(payload, Incoming) and not all(_is_fixed(part) for part in payload):
            call.is_unsent, release = True, call.sent
        frame = encode_frame(self._protocol, FrameKind.REQUEST, call.number, head, size)
        self._channel.send(frame, payload, release)
        if self._timer is None or deadline < self._timer_at:
            self._set_timer(deadline)
        return call

    def forget(self, call: Call) -> None:
        """End a call: its buffers are the caller's again when this returns."""
        self._calls.pop(call.number, None)
        if self._receiving is call:
            self._receiving = None
            self._channel.parser.discard_payload()
        if call.is_unsent:
            # The frame cannot be finished without the caller's buffer, so the connection cannot go on.
            self._channel.abort("a call was given up while its payload was being sent")
        if self.is_retired and not self._calls:
            self._channel.close()

    def retire(self) -> None:
        """Let no new call in."""
        self.is_retired = True
        if not self._calls:
            self._channel.close()

    def distrust(self) -> None:
        """Let no new call in if one is in flight since whose sending not a byte has come."""
        if any(call.heard == self._channel.heard for call in self._calls.values()):
            self.is_retired = True

    def abort(self, why: str) -> None:
        self._channel.abort(why)

    # ---- the owner of the channel

    def channel_opened(self, channel: Channel) -> None:
        channel.send(self._hello)

    def frame_begun(
        self, protocol: int, kind: int, request_id: int, payload_bytes: int, head: memoryview
    ) -> memoryview | None:
        if self._protocol == NOT_AGREED:
            self._take_welcome(kind, request_id, payload_bytes, head)
            return None
        if protocol != self._protocol or kind == FrameKind.REQUEST:
            self._channel.abort(f"frame of kind {kind} and protocol {protocol}, not {self._protocol}")
            return None
        call = self._calls.get(request_id)
        if call is None or call.future.done():
            return None  # a late answer
        try:
            if kind == FrameKind.FAILURE:
                raise decode_failure(head)
            reply = decode_reply(call.kind, head)
            if not payload_bytes or not call.wants:
                call.future.set_result((reply, _NO_PAYLOAD))
                return None
            return self._begin_payload(call, reply, payload_bytes)
        except CairnError as error:
            if isinstance(error, PeerError) and not error.peer:
                error.peer = self.address
            call.future.set_exception(error)
            return None

    def payload_arrived(self, received: int) -> None:
        call = self._receiving
        if call is not None and received == call.view.nbytes:
            self._receiving = None
            if not call.future.done():
                assert call.reply is not None
                call.future.set_result((call.reply, call.view))

    def parse_failed(self, fault: FrameFault) -> None:
        self._channel.abort(f"malformed frame: {fault}")

    def channel_lost(self, why: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._receiving = None
        for call in self._calls.values():
            if not call.future.done():
                call.future.set_exception(self._lost_error(why))
        if not self._welcome.done():
            self._refuse(self._lost_error(why))
        if self.when_lost is not None:
            self.when_lost()

    # ---- inside

    def _next_number(self) -> int:
        number = self._last_number
        while True:  # ends: far fewer calls are in flight than there are numbers
            number = (number + 1) % _REQUEST_IDS
            if number != HELLO_ID and number not in self._calls:
                self._last_number = number
                return number

    def _lost_error(self, why: str) -> ConnectionLostError:
        return ConnectionLostError(address=self.address, why=why)

    def _take_welcome(self, kind: int, request_id: int, payload_bytes: int, head: memoryview) -> None:
        try:
            if request_id != HELLO_ID or payload_bytes:
                raise PeerError(what="its first frame is no welcome", peer=self.address)
            welcome = check_welcome(kind, head, cluster=self._cluster, peer=self.address)
        except CairnError as error:
            self._refuse(error)
            self._channel.abort(str(error))
            return
        self._protocol = welcome.protocol
        if not self._welcome.done():
            self._welcome.set_result(welcome)

    def _refuse(self, error: CairnError) -> None:
        if not self._welcome.done():
            self._welcome.set_exception(error)
            self._welcome.exception()  # whoever waited may have gone: then nobody needs to hear of it

    def _begin_payload(self, call: Call, reply: Reply, size: int) -> memoryview:
        if call.into is None:
            call.view = memoryview(bytearray(size))
        elif size > call.into.nbytes:
            raise PeerError(what=f"{size} bytes where at most {call.into.nbytes} were asked for", peer=self.address)
        else:
            call.view = call.into[:size]
        call.reply = reply
        self._receiving = call
        return call.view

    def _set_timer(self, deadline: float) -> None:
        """One timer for all calls of the link: with equal timeouts it is set once per timeout, not once per call."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        # The timer may ring a clock tick early; what is due then is due.
        now = max(asyncio.get_running_loop().time(), self._timer_at)
        self._timer = None
        for call in list(self._calls.values()):
            if call.deadline <= now and not call.future.done():
                self._time_out(call)
        waiting = [call.deadline for call in self._calls.values() if not call.future.done()]
        if waiting:
            self._set_timer(min(waiting))

    def _time_out(self, call: Call) -> None:
        error = CallTimeoutError(address=self.address, what=call.kind.__name__, timeout_s=call.timeout_s)
        call.future.set_exception(error)
        if self._channel.heard == call.heard:
            # Not a byte since the call was sent: perhaps the machine is gone without a word. The next call finds out
            # with a connection of its own, instead of waiting for this one's retransmissions to end.
            self.is_retired = True


def _is_fixed(part: Buffer) -> bool:
    return isinstance(part, bytes) or (isinstance(part, memoryview) and part.readonly)


def wrong_cluster(address: str, welcome: Welcome, cluster: str) -> WrongClusterError:
    """Return the error for a server of another cluster than the one that another server told meanwhile."""
    return WrongClusterError(what=f"the {welcome.role} at {address}", expected=cluster, found=welcome.cluster)
