"""What all changes of a chunk share: a primary, pushed bytes, and what to do when it does not work. Rules 2, 3, 10, 20.

    lease ──▶ push along the chain (more than 64 KiB) ──▶ order to the primary ──▶ ack by every member
      ▲                                                        │
      └── refused: forget the place, ask the master again ◀────┘   the same sequence each time (rule 11)

Invariants:
    1. A repeated request carries the sequence of the first try: members filter it.
    2. The token of a new chunk goes with every mutation until one was acked; the primary takes it once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cairnfs.checksum import Buffer, piece_crcs
from cairnfs.client.connection import Connection
from cairnfs.client.locations import NOBODY, Accused, Known, Locations
from cairnfs.client.sequences import Doubt
from cairnfs.errors import (
    BusyError,
    CairnError,
    CallTimeoutError,
    ChecksumError,
    ChunkFullError,
    ConnectError,
    ConnectionLostError,
    DataMissingError,
    FencePendingError,
    LostWritesError,
    UnsureError,
)
from cairnfs.ids import NO_SERVER, NO_VERSION, ChunkVersion, DataId, InodeId, ServerId
from cairnfs.limits import BLOCK_BYTES, ORDER_TIMEOUT_S
from cairnfs.rpc.retry import with_retries
from cairnfs.wire.base import Ping, Reply, Request
from cairnfs.wire.common import Lease
from cairnfs.wire.mutations import PushData

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R", bound=Reply)

SPENT = (LostWritesError, UnsureError)
"""Errors after which a plain write is not repeated: who wants it anew takes another sequence. Rule 11."""
_FINAL = (*SPENT, ChunkFullError)
"""Errors that a retry at the same chunk cannot mend: the caller decides."""
_SAME_LEASE = (DataMissingError, ChecksumError, BusyError, FencePendingError)
"""Errors that say nothing against the primary."""


class Mutator:
    """Carries out mutations for one client."""

    def __init__(self, connection: Connection, locations: Locations) -> None:
        self._connection = connection
        self._locations = locations

    async def run(
        self,
        inode: InodeId,
        index: int,
        send: Callable[[Known], Awaitable[T]],
        *,
        create: bool = True,
        append: bool = False,
        doubt: Doubt | None = None,
    ) -> T:
        """Return what `send` returns at the chunk's primary, retried within the data deadline.

        `send` is called with each place anew and must repeat its first sequence. `create`: add the chunk if it is
        missing. `append`: rather fail with ChunkFullError at once than wait for a second member (rule 17).
        `doubt`: of a write or truncation, which must not happen twice (rule 11): when a try may have happened and
        continuity was broken since, it fails instead of being repeated.

        Raises:
            LostWritesError, UnsureError, ChunkFullError: at once. Others: the last error at the deadline.
        """
        attempts = _Attempts(self._locations, inode, index, send, create, append, doubt)
        try:
            return await with_retries(
                attempts.once_more,
                random=self._connection.env.random,
                clock=self._connection.env.clock,
                timeout_s=self._connection.config.data_timeout_s,
                extends=(FencePendingError,),
                final=_FINAL,
            )
        finally:
            self._connection.counters.retries += max(0, attempts.count - 1)

    async def push(self, known: Known, data: Buffer, crcs: list[int]) -> DataId:
        """Send bytes along the chain of members, nearest first; return the name they go by. GFS paper, section 3.2.

        Raises:
            ChecksumError, BusyError, ConnectError: not every member has them.
        """
        name = DataId(self._connection.env.random.getrandbits(63) or 1)
        chain = self._chain(known)
        request = PushData(data=name, size=len(data), crcs=crcs, chain=chain[1:])
        timeout_s = self._connection.config.data_timeout_s
        call = self._connection.caller.call(chain[0], request, timeout_s=timeout_s, payload=(data,))
        await self.watch(chain[0], call)
        return name

    def _chain(self, known: Known) -> list[str]:
        """The nearest member first if one is on this machine, else the primary: it needs the bytes soonest."""
        addresses = [member.address for member in known.place.members]
        first = known.order[0] if self._connection.config.near in addresses else known.primary_address
        return [first, *(address for address in addresses if address != first)]

    async def order(
        self, known: Known, request: Request[R], payload: Sequence[Buffer] = (), *, doubt: Doubt | None = None
    ) -> R:
        """Send a mutation to the primary. `doubt` is told if it may have happened when this fails or is cancelled."""
        timeout_s = self._connection.config.data_timeout_s
        call = self._connection.caller.call(known.primary_address, request, timeout_s=timeout_s, payload=payload)
        try:
            return await self.watch(known.primary_address, call)
        except (CairnError, asyncio.CancelledError) as error:
            if doubt is not None and (not isinstance(error, CairnError) or error.may_have_happened):
                doubt.note(known.place.version)
            raise

    async def watch(self, address: str, call: Awaitable[T]) -> T:
        """Await `call`, but give up when the server answers no ping either. Rule 20: silence is reported after 1 s.

        Raises:
            CallTimeoutError: silent, to the call and to the ping.
        """
        loop = asyncio.get_running_loop()
        scope = asyncio.timeout(None)
        nursery = self._connection.nursery
        is_done = False

        async def ask() -> None:
            while not is_done:  # ends with the call
                try:
                    await self._connection.caller.call(address, Ping(), timeout_s=ORDER_TIMEOUT_S)
                except (ConnectError, ConnectionLostError, CallTimeoutError):
                    if not is_done:
                        scope.reschedule(loop.time())
                    return
                except CairnError:
                    return
                await asyncio.sleep(ORDER_TIMEOUT_S)

        # A timer costs little; the task that pings is only made for the rare call that takes so long.
        timer = loop.call_later(ORDER_TIMEOUT_S, lambda: is_done or nursery.start(ask(), name="watch"))
        try:
            async with scope:
                return await call
        except TimeoutError as error:
            if isinstance(error, CairnError):
                raise
            raise CallTimeoutError(address=address, what="mutation", timeout_s=ORDER_TIMEOUT_S) from error
        finally:
            is_done = True
            timer.cancel()


def token_of(known: Known) -> Lease | None:
    """Return the lease to be shown with a mutation: that of a chunk that was just made."""
    return known.place.lease


def crcs_of(data: Buffer) -> list[int]:
    """Return the checksums that travel with a mutation's bytes: one per 64 KiB."""
    return piece_crcs(data, BLOCK_BYTES)


@dataclass(slots=True)
class _Attempts(Generic[T]):
    """The tries of one mutation, and what they taught about the primary."""

    _locations: Locations
    _inode: InodeId
    _index: int
    _send: Callable[[Known], Awaitable[T]]
    _create: bool
    _append: bool
    _doubt: Doubt | None
    count: int = 0
    _refused: Known | None = None
    _accused: Accused = NOBODY
    _last_version: ChunkVersion = NO_VERSION

    async def once_more(self) -> T:
        self.count += 1
        known = await self._locations.lease(
            self._inode,
            self._index,
            create=self._create,
            not_this=self._refused,
            append=self._append,
            accused=self._accused,
        )
        since = NO_VERSION if self._doubt is None else self._doubt.since
        if since != NO_VERSION and known.place.broken_at > since:
            raise LostWritesError(chunk=known.place.handle, since=since)
        try:
            return await self._send(known)
        except (*_FINAL, *_SAME_LEASE):
            raise
        except CairnError as error:
            self._learn(known, error)
            raise

    def _learn(self, known: Known, error: CairnError) -> None:
        """Ask the master next time; accuse the primary if it was silent, or refused the same version twice."""
        logger.debug("mutation failed chunk=%016x try=%d error=%s", known.place.handle, self.count, error)
        self._locations.forget(self._inode, self._index, only=known)
        self._refused = known
        version = known.place.version
        is_silent = isinstance(error, ConnectError | ConnectionLostError | CallTimeoutError)
        if is_silent or version == self._last_version:
            self._accused = Accused(version, _silent_one(known, error) if is_silent else NO_SERVER)
        self._last_version = version


def _silent_one(known: Known, error: CairnError) -> ServerId:
    """Return the server that an error names: a push may have failed further down the chain."""
    address = error.address if isinstance(error, ConnectError | ConnectionLostError | CallTimeoutError) else ""
    for member in known.place.members:
        if member.address == address:
            return member.server
    return known.place.primary
