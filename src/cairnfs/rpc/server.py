"""The side that answers: listeners, and one handler for each kind of request.

    server.on(Stat, self.stat)
    address = await server.listen("127.0.0.1:0")

Handlers of one connection run side by side and begin in the order in which their requests arrived. This is one of the
three doors: whatever a handler raises becomes a failure for its caller, and the server goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cairnfs.env import Env, Listener
from cairnfs.errors import CairnError, PeerError
from cairnfs.ids import BootId
from cairnfs.limits import CONNECTIONS_MAX
from cairnfs.rpc.payload import Buffers, Incoming
from cairnfs.rpc.session import Answer, Handler, Job, Peer, Route, Session, reserved_bytes
from cairnfs.tasks import Nursery
from cairnfs.wire.base import Done, Ping, Reply, Request
from cairnfs.wire.codec import RequestCodec

logger = logging.getLogger(__name__)
Q = TypeVar("Q", bound=Request[Any])

__all__ = ["Answer", "Handler", "Peer", "Server"]

_REFUSED_S = 60.0
_REFUSED_MAX = 100
"""Refused callers that are remembered, and how long. Rule 27."""
_GOODBYE_S = 1.0
"""After its last answer a peer has so long to close its side; then the connection is reset."""


class Server:
    """Serves one role at any number of addresses."""

    def __init__(self, env: Env, *, role: str, cluster: str, boot: BootId, buffers: Buffers | None = None) -> None:
        self.role = role
        self.cluster = cluster
        """"" accepts callers of any cluster; may be assigned once, when the cluster is known."""
        self.boot = boot
        self.buffers = buffers if buffers is not None else Buffers()
        self.nursery = Nursery(f"{role}-server")
        self.is_stopping = False
        self._network = env.network
        self._routes: dict[type[Request[Any]], Route] = {}
        self._codec: RequestCodec | None = None
        self._listeners: list[Listener] = []
        self._sessions: dict[Session, None] = {}
        self._refused: dict[tuple[str, str], tuple[float, float, CairnError]] = {}  # last said, last seen, why
        self._last_number = 0
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []  # for jobs or sessions to end
        self.on(Ping, _answer_ping, quick=True)

    def on(
        self,
        kind: type[Q],
        handler: Callable[[Peer, Q, Incoming], Awaitable[Reply | Answer]],
        *,
        streaming: bool = False,
        quick: bool = False,
    ) -> None:
        """Serve requests of a kind. Its buffer is the server's again after the reply, unless the handler keeps it.

        `streaming`: the handler begins when the head is there and waits for the bytes itself; else it begins when the
        whole payload has arrived. `quick`: it seldom waits and takes microseconds, so it begins at once and gets a
        task of its own only when it waits (see `Nursery.start_now`).
        """
        assert kind not in self._routes, kind
        self._routes[kind] = Route(kind.__name__, handler, streaming, reserved_bytes(kind), quick)
        self._codec = None

    async def listen(self, address: str) -> str:
        """Accept connections at host:port; return the bound one. May be called for several addresses.

        Raises:
            AddressInUseError, BadRequestError: as `Network.listen`.
        """
        listener = await self._network.listen(address, lambda: self._new_session().make_sink())
        self._listeners.append(listener)
        return listener.address

    async def stop(self, *, grace_s: float = 5.0) -> None:
        """Accept no more, answer new requests with ShutdownError, let running handlers end, then close.

        Handlers that run longer than `grace_s` are cancelled.
        """
        self.is_stopping = True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            await listener.close()
        await self._wait_until(lambda: self._running == 0, timeout_s=grace_s)
        for session in list(self._sessions):
            session.close()
        await self._wait_until(lambda: not self._sessions, timeout_s=min(grace_s, _GOODBYE_S))
        for session in list(self._sessions):
            session.abort("the server has stopped")
        await self.nursery.stop()

    # ---- for sessions

    def find(self, head: memoryview) -> tuple[Route, Request[Any]]:
        """Decode a request and find its route. Raises BadRequestError."""
        if self._codec is None:
            self._codec = RequestCodec(self._routes)
        request = self._codec.decode(head)
        return self._routes[type(request)], request

    def start(self, session: Session, job: Job) -> None:
        """Run one request in a task of its own, or at once."""
        self._running += 1
        if job.route.quick:
            self.nursery.start_now(self._run(session, job), name=job.route.name)
            return
        _ = self.nursery.start(self._run(session, job), name=job.route.name)

    async def _run(self, session: Session, job: Job) -> None:
        """Run one request to its end. The door: nothing a handler raises gets further."""
        assert session.peer is not None
        try:
            session.answer(job, await job.route.handler(session.peer, job.request, job.incoming))
        except CairnError as error:
            session.fail(job.number, error)
        except Exception as error:
            logger.exception("request failed kind=%s peer=%s", job.route.name, session.peer.address)
            what = f"internal error in {job.route.name}: {type(error).__name__}"
            session.fail(job.number, PeerError(what=what, peer=self.role))
        finally:
            job.incoming.drop()
            session.ended(job)
            self._running -= 1
            if self._waiting:
                self._wake()

    def session_opened(self, session: Session) -> bool:
        """Count a connection; False if there are too many."""
        if len(self._sessions) >= CONNECTIONS_MAX:
            logger.warning("connection refused: too many count=%d", len(self._sessions))
            return False
        self._sessions[session] = None
        return True

    def session_lost(self, session: Session) -> None:
        self._sessions.pop(session, None)
        self._wake()

    def hello_refused(self, peer: str, error: CairnError) -> None:
        """Remember who was refused. Said once a minute: who comes in vain usually comes again every second."""
        now_s = asyncio.get_running_loop().time()
        key = (peer.rpartition(":")[0], str(error))
        said_s, _, _ = self._refused.pop(key, (float("-inf"), 0.0, error))
        if now_s >= said_s + _REFUSED_S:
            said_s = now_s
            logger.info("hello refused peer=%s why=%s", peer, error)
        self._refused[key] = (said_s, now_s, error)
        while len(self._refused) > _REFUSED_MAX:
            del self._refused[next(iter(self._refused))]

    def refused_lately(self) -> list[tuple[str, CairnError]]:
        """Return (host, why) of callers refused within the last minute, for people."""
        since_s = asyncio.get_running_loop().time() - _REFUSED_S
        return [(host, error) for (host, _), (_, at_s, error) in self._refused.items() if at_s >= since_s]

    # ---- inside

    def _new_session(self) -> Session:
        self._last_number += 1
        return Session(self, self._last_number)

    async def _wait_until(self, is_so: Callable[[], bool], *, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    await waiter
        except TimeoutError:
            logger.warning("stopping without waiting longer running=%d", self._running)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


async def _answer_ping(peer: Peer, ping: Ping, incoming: Incoming) -> Done:
    return Done()
