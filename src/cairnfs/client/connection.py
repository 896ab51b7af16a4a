"""The way to the masters: which of them leads, retries, exactly-once numbers, and what the cluster is like.

Used by every other part of the client. One `Connection` is one client instance: one id, one set of sequences, one
`Caller` for masters and chunkservers alike.
"""

import logging
from dataclasses import dataclass, fields
from typing import TypeVar

from cairnfs.client.sequences import Sequences
from cairnfs.config import ClientConfig
from cairnfs.env import Env
from cairnfs.errors import (
    CairnError,
    CallTimeoutError,
    ConnectError,
    ConnectionLostError,
    NotLeaderError,
    ShutdownError,
)
from cairnfs.ids import BootId, ClientId
from cairnfs.limits import Geometry
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.retry import with_retries
from cairnfs.tasks import Nursery
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.status import ClusterInfo, GetClusterInfo

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)

_START_ONE = "`cairn up` starts a cluster on this machine"
_FIRST_CONTACT_S = 5.0
"""Whoever has no cluster shall hear it soon, not after all retries."""


@dataclass(slots=True)
class Counters:
    """What this client did, in plain numbers."""

    master_calls: int = 0
    retries: int = 0
    location_hits: int = 0
    location_misses: int = 0
    location_refreshes: int = 0
    reads: int = 0
    bytes_read: int = 0
    replicas_failed: int = 0
    checksums_failed: int = 0
    reads_hedged: int = 0
    """Requests sent to a further replica because the first was slow or silent."""
    hedges_won: int = 0
    """Those that were the first to give a good answer."""
    readahead_hits: int = 0
    writes: int = 0
    bytes_written: int = 0
    appends: int = 0
    appends_gathered: int = 0
    syncs: int = 0
    rewrites: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Connection:
    """Talks to the masters of a configuration; the chunkservers are called through its `caller`."""

    def __init__(self, env: Env, config: ClientConfig) -> None:
        assert config.master, "a client needs at least one master address"
        self.env = env
        self.config = config
        self.client = ClientId(env.random.getrandbits(63))
        self.sequences = Sequences(self.client)
        self.counters = Counters()
        self.nursery = Nursery("client")
        self.caller = Caller(env, role="client", boot=BootId(self.client))
        self._masters = list(config.master)
        self._leader = self._masters[0]
        self._info: ClusterInfo | None = None

    def __repr__(self) -> str:
        return f"<Connection to {', '.join(self._masters)}>"

    @property
    def info(self) -> ClusterInfo:
        """What the cluster told at the first contact."""
        assert self._info is not None, "nobody was asked yet: call `ready` first"
        return self._info

    @property
    def geometry(self) -> Geometry:
        info = self.info
        return Geometry(chunk_bytes=info.chunk_bytes, block_bytes=info.block_bytes)

    async def ready(self) -> ClusterInfo:
        """Return what the cluster is like; ask for it the first time.

        Raises:
            ConnectError: no master could be reached; the text says how to start one.
        """
        if self._info is None:
            self._info = await self._first_contact()
        return self._info

    async def _first_contact(self) -> ClusterInfo:
        failed: CairnError | None = None
        patience_s = min(_FIRST_CONTACT_S, self.config.meta_timeout_s)
        for master in self._masters:
            try:
                info = await self.caller.call(master, GetClusterInfo(), timeout_s=patience_s)
                self._leader = master
                return info
            except (ConnectError, ConnectionLostError) as error:
                failed = error
            except CairnError as error:
                logger.debug("first contact refused master=%s error=%s", master, error)
                return await self.ask(GetClusterInfo())  # somebody is there: worth all retries
        assert failed is not None
        raise self._nobody(failed) from failed

    async def ask(
        self,
        request: Request[R],
        *,
        timeout_s: float | None = None,
        final: tuple[type[CairnError], ...] = (),
        extends: tuple[type[CairnError], ...] = (),
    ) -> R:
        """Ask the leading master; retry over all masters until `timeout_s` (default: the metadata deadline).

        `final`: errors that are raised at once. `extends`: errors that begin the time anew, as `with_retries` has it.

        Every request to a master is idempotent or carries `once`, so repeating it is always safe (contract 1).

        Raises:
            ConnectError: no master could be reached within the time. Other errors: as the message's docstring says.
        """
        limit_s = self.config.meta_timeout_s if timeout_s is None else timeout_s
        patience_s = min(limit_s, self.config.meta_timeout_s)
        if len(self._masters) > 1:
            patience_s = max(patience_s / 3, 0.001)  # so that a silent one leaves time for the others
        try:
            return await with_retries(
                lambda: self._ask_once(request, patience_s),
                random=self.env.random,
                clock=self.env.clock,
                timeout_s=limit_s,
                final=final,
                extends=extends,
            )
        except ConnectError as error:
            raise self._nobody(error) from error

    async def _ask_once(self, request: Request[R], patience_s: float) -> R:
        master = self._leader
        self.counters.master_calls += 1
        try:
            return await self.caller.call(master, request, timeout_s=patience_s)
        except NotLeaderError as error:
            self._turn_from(master, error.leader)
            raise
        except (ConnectError, ConnectionLostError, CallTimeoutError, ShutdownError):
            self._turn_from(master, "")
            raise

    def _turn_from(self, master: str, leader: str) -> None:
        """Go on with `leader` if one was named, else with the next of the list."""
        self.counters.retries += 1
        if self._leader != master:
            return  # another call has turned already
        if leader and leader != master:
            self._leader = leader
            return
        place = self._masters.index(master) if master in self._masters else -1
        self._leader = self._masters[(place + 1) % len(self._masters)]

    def _nobody(self, error: CairnError) -> ConnectError:
        why = error.why if isinstance(error, ConnectError | ConnectionLostError) else str(error)
        if _START_ONE not in why:
            why = f"{why}; {_START_ONE}"
        return ConnectError(address=", ".join(self._masters), why=why, role="master")

    async def close(self) -> None:
        """End all calls and connections. May be called again."""
        await self.nursery.stop()
        await self.caller.close()
