"""Belonging to the cluster: register, report, heartbeats. GFS paper, sections 2.6.2 and 4.1; rules 2, 4 to 6 and 20.

    Register ──▶ ReportReplicas, page by page ──▶ Heartbeat, every second ──▶ ...
        ▲                                              │ session lost, not the leader, another epoch
        └──────────────────────────────────────────────┘

A master that is away stops nothing but what leases end: reads at the end of the serving lease, mutations at the end of
the chunk's lease.

Invariants:
    1. Exclusions take effect before the renewal that carries them, and before they are confirmed. Rule 5.
    2. A session is renewed only after its full report was answered.
"""

import asyncio
import logging
from dataclasses import dataclass

from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.secondary import report_of
from cairnfs.chunkserver.telling import Telling
from cairnfs.errors import (
    BadRequestError,
    CairnError,
    FormatError,
    LowerEpochError,
    NotLeaderError,
    ProtocolVersionError,
    SessionLostError,
    WrongClusterError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId
from cairnfs.limits import META_CALL_S, ORDER_TIMEOUT_S, Geometry
from cairnfs.rpc.server import Server
from cairnfs.wire.membership import (
    ClosedReport,
    DiskReport,
    Heartbeat,
    HeartbeatAnswer,
    Register,
    Registered,
    ReplicaReport,
    ReportSuspect,
)

logger = logging.getLogger(__name__)

_PAUSE_MIN_S, _PAUSE_MAX_S = 0.05, 1.0
"""Between two attempts to find the leading master."""
_CHANGES_MAX = 2_000
"""Changes of one kind in one heartbeat: the rest comes with the next."""

_NEED_A_PERSON = (WrongClusterError, ProtocolVersionError, FormatError, BadRequestError)
"""Refusals that no waiting ends: wrong address, foreign disk, older program, copied disk."""
_SAY_AGAIN_S = 60.0
"""Between two reminders of them."""

_LEASES_MAX = 10_000
"""Leases that ask for more time in one heartbeat."""


@dataclass(slots=True)
class _Told:
    """What one heartbeat said, to be forgotten when it is answered."""

    closed: list[ClosedReport]
    gained: dict[ChunkHandle, int]
    lost: dict[ChunkHandle, int]
    used: list[tuple[ChunkHandle, ChunkVersion]]
    fences: dict[ChunkHandle, ChunkVersion]


class Reporter:
    """Talks to the leading master, for ever."""

    def __init__(self, context: Context, server: Server, *, masters: tuple[str, ...], rack: str) -> None:
        self._context = context
        self._server = server
        self._masters = masters
        self._rack = rack
        self._next = 0
        self._master = ""
        self._exclusions_upto = 0
        self._failures = 0
        self._said_at_s = float("-inf")

    # ---- sessions

    async def run(self) -> None:
        """Find the leader, register, and send heartbeats until the session ends; then again."""
        pause_s = _PAUSE_MIN_S
        while True:  # until the nursery stops
            self._master = self._masters[self._next % len(self._masters)]
            try:
                await self._register()
                pause_s = _PAUSE_MIN_S
                await self._keep_session()
            except CairnError as error:
                self._say_why(error)
                if isinstance(error, NotLeaderError) and error.leader in self._masters:
                    self._next = self._masters.index(error.leader)
                else:
                    self._next += 1
            self._context.standing.session = 0
            await asyncio.sleep(pause_s * (0.5 + self._context.env.random.random()))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _say_why(self, error: CairnError) -> None:
        now_s = self._context.now_s()
        if not isinstance(error, _NEED_A_PERSON):
            logger.info("no session master=%s why=%s", self._master, error)
        elif now_s >= self._said_at_s + _SAY_AGAIN_S:
            self._said_at_s = now_s
            logger.error("refused by the master master=%s why=%s hint=%s", self._master, error, error.hint or "-")

    async def _register(self) -> None:
        context = self._context
        request = Register(
            server=context.me,
            boot=context.boot,
            address=context.address,
            rack=self._rack,
            disks=self._disks(),
            epoch_seen=context.store.max_epoch,
        )
        registered = await context.caller.call(self._master, request, timeout_s=META_CALL_S)
        if registered.epoch < context.store.max_epoch and context.safeguards.refuse_lower_epoch:
            raise LowerEpochError(seen=context.store.max_epoch, got=registered.epoch)
        settings = registered.settings
        geometry = Geometry(chunk_bytes=settings.chunk_bytes, block_bytes=settings.block_bytes)
        await context.store.adopt(ClusterId(registered.cluster), geometry)
        await context.check_epoch(registered.epoch)
        context.geometry = geometry
        context.caller.cluster = self._server.cluster = registered.cluster
        context.standing.begin_session(registered.session, settings)
        self._exclusions_upto = 0
        await self._report_all(registered)
        logger.info("session begun master=%s session=%d", self._master, registered.session)

    async def _report_all(self, registered: Registered) -> None:
        """Tell the full inventory, then what is known to be lost."""
        context = self._context
        changes_before = context.standing.changes
        await Telling(context, self._master, registered).run()
        context.standing.forget_changes(changes_before)
        for handle in context.store.lost:
            # That nothing is reported says only that nothing is here: an absent replica may be an empty one.
            if handle not in context.store.replicas:
                context.standing.note_lost(handle)

    # ---- heartbeats

    async def _keep_session(self) -> None:
        """Send heartbeats until one says that the session is over. Raises what ended it."""
        standing = self._context.standing
        assert standing.settings is not None
        self._failures = 0
        while True:  # until the session is over
            if self._context.standing.reports_anew:
                raise SessionLostError(why="the inventory must be told anew")
            try:
                await self._beat()
                self._failures = 0
            except (SessionLostError, NotLeaderError, LowerEpochError):
                raise
            except CairnError as error:
                logger.debug("heartbeat failed master=%s why=%s", self._master, error)
                self._failures += 1
                if len(self._masters) > 1 and self._failures > 1:
                    raise
            await asyncio.sleep(standing.settings.heartbeat_s)

    async def say_goodbye(self) -> None:
        """Tell the master what was closed at the end, if it listens."""
        if self._context.standing.session:
            try:
                await self._beat()
            except CairnError as error:
                logger.debug("last heartbeat not answered why=%s", error)

    async def _beat(self) -> None:
        context, standing = self._context, self._context.standing
        assert standing.settings is not None
        told = self._collect()
        sent_at_s = context.now_s()
        request = Heartbeat(
            session=standing.session,
            boot=context.boot,
            sent_at_s=sent_at_s,
            disks=self._disks(),
            leases=told.used,
            closed=told.closed,
            gained=self._reports(told.gained),
            lost=list(told.lost),
            fences_wanted=list(told.fences.items()),
            exclusions_confirmed=self._exclusions_upto,
            leaving=list(standing.leaving),
            load=sum(primary.load for primary in context.chunks.primaries()),
        )
        timeout_s = max(ORDER_TIMEOUT_S, 2 * standing.settings.heartbeat_s)
        answer = await context.caller.call(self._master, request, timeout_s=timeout_s)
        await self._take(answer, told, sent_at_s)

    def _collect(self) -> _Told:
        standing = self._context.standing
        return _Told(
            closed=list(standing.closed.values())[:_CHANGES_MAX],
            gained=dict(list(standing.gained.items())[:_CHANGES_MAX]),
            lost=dict(list(standing.lost.items())[:_CHANGES_MAX]),
            used=self._used(),
            fences=self._fences_wanted(),
        )

    def _used(self) -> list[tuple[ChunkHandle, ChunkVersion]]:
        """Return the leases that were used since the last renewal and ask for more time. Rule 2."""
        primaries = [primary for primary in self._context.chunks.primaries() if primary.asks_for_time()]
        return [(primary.chunk.handle, primary.version) for primary in primaries[:_LEASES_MAX]]

    def _reports(self, gained: dict[ChunkHandle, int]) -> list[ReplicaReport]:
        replicas = self._context.store.replicas
        return [report_of(self._context, replicas[handle]) for handle in gained if handle in replicas]

    def _fences_wanted(self) -> dict[ChunkHandle, ChunkVersion]:
        """Return versions whose overwrites wait for the master, here or at readers of adopted ones. Rule 6."""
        wanted: dict[ChunkHandle, ChunkVersion] = {}
        for chunk in self._context.chunks.fenced():
            replica = self._context.store.replicas.get(chunk.handle)
            is_open = replica is not None and replica.state.version == chunk.opened
            if is_open and (chunk.primary is not None or chunk.held) and len(wanted) < _CHANGES_MAX:
                wanted[chunk.handle] = chunk.opened
        return wanted

    async def _take(self, answer: HeartbeatAnswer, told: _Told, sent_at_s: float) -> None:
        context, standing = self._context, self._context.standing
        assert standing.settings is not None
        if answer.epoch != context.store.max_epoch:
            await context.check_epoch(answer.epoch)
            raise SessionLostError(why="another master leads")
        # Invariant 1: first the exclusions, then the renewal.
        context.exclusions.take(answer.exclusions, context.chunks)
        self._exclusions_upto = answer.exclusions_upto
        for disk in context.store.disks.values():
            disk.is_leaving = disk.disk_id in answer.leaving_disks
        context.pace_in.bytes_s = context.pace_out.bytes_s = answer.copy_bytes_s
        if answer.serves and answer.sent_at_s == sent_at_s:
            standing.renew(sent_at_s if context.safeguards.lease_from_question else context.now_s())
        for handle in answer.renewed:
            chunk = context.chunks.find(handle)
            if chunk is not None and chunk.primary is not None:
                chunk.primary.renew(sent_at_s, standing.settings.lease_s)
        for handle in answer.fences_done:
            chunk = context.chunks.find(handle)
            if chunk is not None and told.fences.get(handle) == chunk.opened:
                chunk.finish_fence()
        self._forget(told)

    def _forget(self, told: _Told) -> None:
        standing = self._context.standing
        for report in told.closed:
            if standing.closed.get(report.handle) is report:
                del standing.closed[report.handle]
        standing.forget(standing.gained, told.gained)
        standing.forget(standing.lost, told.lost)

    def _disks(self) -> list[DiskReport]:
        return [
            DiskReport(
                disk=usage.disk_id,
                folder=usage.folder,
                free=usage.free,
                total=usage.total,
                replicas=usage.replicas,
                failed=usage.failed,
                read_only=usage.is_read_only,
                latency_s=usage.latency_s,
                leaving=usage.is_leaving,
            )
            for usage in self._context.store.usage()
        ]

    # ---- suspects

    async def report_suspects(self) -> None:
        """Tell the master of silent members at once, not with the next heartbeat. Rule 20."""
        standing = self._context.standing
        while True:  # until the nursery stops
            await standing.has_suspects.wait()
            while standing.suspects:
                report = standing.suspects[0]
                if not standing.session:
                    break
                request = ReportSuspect(session=standing.session, report=report)
                try:
                    await self._context.caller.call(self._master, request, timeout_s=ORDER_TIMEOUT_S)
                except CairnError as error:
                    if error.retry == "never":
                        logger.warning("suspect not taken why=%s", error)
                    else:
                        break
                if standing.suspects and standing.suspects[0] is report:
                    standing.suspects.popleft()
            if not standing.suspects:
                standing.has_suspects.clear()
            else:
                await asyncio.sleep(_PAUSE_MIN_S)
