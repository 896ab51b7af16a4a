"""The side that asks: `reply = await caller.call(address, request, timeout_s=...)`.

Connections are made on demand, in lanes: one per address for control messages and one for requests that carry file
data, so that no heartbeat waits behind megabytes; and a few for payloads that are passed on while they arrive, because
such a frame takes as long as its sender does, and nothing can overtake it. Each carries many calls at once, is kept,
and is made anew by the next call after it broke. Nothing is ever repeated here; `retry` does that, where the caller
knows that it may.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from cairnfs.checksum import Buffer
from cairnfs.env import Env
from cairnfs.errors import (
    BadRequestError,
    CairnError,
    CallTimeoutError,
    ConnectError,
    ConnectionLostError,
    ShutdownError,
)
from cairnfs.ids import BootId
from cairnfs.limits import HELLO_TIMEOUT_S, PAYLOAD_BYTES_MAX
from cairnfs.rpc.link import Answered, Link, wrong_cluster
from cairnfs.rpc.payload import Buffers, Incoming
from cairnfs.tasks import Nursery
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.frame import payload_size

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)

_CONTROL = 0
_BULK = 1
_CUT_THROUGH = (2, 3, 4, 5)
_Key = tuple[str, int]
"""Address and lane."""


class Caller:
    """Calls of one role to any number of addresses. Works on the loop that runs when it is called."""

    def __init__(self, env: Env, *, role: str, boot: BootId, cluster: str = "", buffers: Buffers | None = None) -> None:
        self.role = role
        self.cluster = cluster
        """"" until the first server told it, then fixed: a server of another cluster is refused."""
        self.buffers = buffers if buffers is not None else Buffers()
        self._network = env.network
        self._boot = boot
        self._nursery = Nursery(f"{role}-caller")
        self._links: dict[_Key, Link] = {}
        self._retired: dict[Link, None] = {}
        self._connecting: dict[_Key, asyncio.Task[Link | CairnError]] = {}
        self._last_lane = 0
        self._is_closed = False

    async def call(
        self,
        address: str,
        request: Request[R],
        *,
        timeout_s: float,
        payload: Sequence[Buffer] | Incoming = (),
    ) -> R:
        """Ask, and return the answer. `payload` stays untouched by others until this returns or raises.

        An `Incoming` payload is passed on while it arrives; it may be released as soon as this returns or raises.

        Raises:
            ConnectError: nobody answers there. Nothing happened.
            WrongClusterError, ProtocolVersionError: the server is not one of ours. Nothing happened.
            CallTimeoutError, ConnectionLostError: it may have happened, or may happen yet.
            PeerError: the answer makes no sense. It may have happened.
            BadRequestError: too large to be sent. Nothing happened.
            ShutdownError: this caller is closed. Nothing happened.
            CairnError: what the server answered; see the request.
        """
        reply, _ = await self._exchange(address, request, timeout_s, payload, wants=False, into=None)
        return cast("R", reply)

    async def call_for_payload(
        self,
        address: str,
        request: Request[R],
        *,
        timeout_s: float,
        payload: Sequence[Buffer] | Incoming = (),
        into: memoryview | None = None,
    ) -> tuple[R, memoryview]:
        """Ask, and return the answer and its payload, received straight into `into` (else into a fresh buffer).

        `into` is not touched any more when this has returned or raised.

        Raises:
            PeerError: also if the payload is larger than `into`.
            CairnError: as `call`.
        """
        answer = await self._exchange(address, request, timeout_s, payload, wants=True, into=into)
        return cast("tuple[R, memoryview]", answer)

    def distrust(self, address: str) -> None:
        """Let calls made from now on find out with new connections whether somebody is there; those in flight go on.

        For who waits for a server in vain: a machine that is gone without a word leaves connections that look well.
        """
        for lane in (_CONTROL, _BULK):
            link = self._links.get((address, lane))
            if link is not None:
                link.distrust()

    async def close(self) -> None:
        """Break all connections. Calls in flight raise ConnectionLostError, later ones ShutdownError."""
        self._is_closed = True
        for link in [*self._links.values(), *self._retired]:
            link.abort("closed here")
        await self._nursery.stop()
        self._links.clear()
        self._retired.clear()

    async def _exchange(
        self,
        address: str,
        request: Request[Any],
        timeout_s: float,
        payload: Sequence[Buffer] | Incoming,
        *,
        wants: bool,
        into: memoryview | None,
    ) -> Answered:
        if payload:
            _check_size(payload)
        deadline = asyncio.get_running_loop().time() + timeout_s
        key = (address, self._choose_lane(address, request, payload))
        link = self._links.get(key)
        if link is None or not link.is_usable or link.is_full:
            link = await self._usable_link(key, request, deadline, timeout_s)
        call = link.begin(request, payload, deadline=deadline, timeout_s=timeout_s, wants=wants, into=into)
        try:
            return await call.future
        finally:
            link.forget(call)

    def _choose_lane(self, address: str, request: Request[Any], payload: Sequence[Buffer] | Incoming) -> int:
        if not isinstance(payload, Incoming) or payload.received == payload.size:
            return _BULK if request.bulk else _CONTROL
        for lane in _CUT_THROUGH:
            link = self._links.get((address, lane))
            if (address, lane) not in self._connecting and (link is None or not link.is_full):
                return lane
        self._last_lane = (self._last_lane + 1) % len(_CUT_THROUGH)
        return _CUT_THROUGH[self._last_lane]

    async def _usable_link(self, key: _Key, request: Request[Any], deadline: float, timeout_s: float) -> Link:
        """Connect if needed, and wait until the connection takes more. Nothing of the request was sent yet."""
        address = key[0]
        link: Link | None = None
        try:
            async with asyncio.timeout_at(deadline):
                while True:  # ends at the deadline
                    link = self._links.get(key)
                    if link is None or not link.is_usable:
                        link = await self._connect(key)
                    if not link.is_full:
                        return link
                    await link.ready()
        except TimeoutError:
            if link is None or not link.is_usable:
                raise ConnectError(address=address, why=f"no answer within {timeout_s:g} s") from None
            raise CallTimeoutError(address=address, what=type(request).__name__, timeout_s=timeout_s) from None

    async def _connect(self, key: _Key) -> Link:
        """Join the attempt under way, or begin one. The attempt goes on if this caller gives up."""
        if self._is_closed:
            raise ShutdownError(what=self.role)
        attempt = self._connecting.get(key)
        if attempt is None:
            attempt = self._connecting[key] = self._nursery.start(self._attempt(key), name=f"connect {key[0]}")
        try:
            outcome = await asyncio.shield(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled():  # by `close`, not by whoever waits here
                raise ShutdownError(what=self.role) from None
            raise
        if isinstance(outcome, CairnError):
            raise _fresh(outcome)
        return outcome

    async def _attempt(self, key: _Key) -> Link | CairnError:
        address = key[0]
        link = Link(address, cluster=self.cluster, role=self.role, boot=self._boot, nursery=self._nursery)
        is_adopted = False
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                await self._network.connect(address, link.make_sink, timeout_s=HELLO_TIMEOUT_S)
                welcome = await link.welcomed()
            if self.cluster and welcome.cluster not in ("", self.cluster):
                raise wrong_cluster(address, welcome, self.cluster)
            self.cluster = self.cluster or welcome.cluster
            self._adopt(key, link)
            is_adopted = True
            return link
        except TimeoutError:
            return ConnectError(address=address, why=f"no welcome within {HELLO_TIMEOUT_S:g} s")
        except ConnectionLostError as error:
            return ConnectError(address=address, why=error.why)  # before the welcome nothing can have happened
        except CairnError as error:
            return error
        finally:
            del self._connecting[key]
            if not is_adopted:
                link.abort("no welcome, or given up")

    def _adopt(self, key: _Key, link: Link) -> None:
        old = self._links.get(key)
        if old is not None and old.is_usable is False:
            self._retire(old)
        self._links[key] = link

        def forget_link() -> None:
            self._retired.pop(link, None)
            if self._links.get(key) is link:
                del self._links[key]

        link.when_lost = forget_link

    def _retire(self, link: Link) -> None:
        self._retired[link] = None
        link.retire()


def _check_size(payload: Sequence[Buffer] | Incoming) -> None:
    size = payload.size if isinstance(payload, Incoming) else payload_size(payload)
    if size > PAYLOAD_BYTES_MAX:
        raise BadRequestError(what=f"payload of {size} bytes; at most {PAYLOAD_BYTES_MAX} are sent")


def _fresh(error: CairnError) -> CairnError:
    """Return the same error as an object of its own: several callers raise it, each with its own traceback."""
    again: CairnError = error.__reduce__()[0](*error.__reduce__()[1])
    return again
