"""Raising a chunk to a new version: promise → reconcile → result → open, or seal. Rules 2, 3, 6, 12, 19, 20.

        Promise      to all targets; from then on nothing is acked below the new version
        Reconcile    all targets become equal to the source (`raise_plan`), flushed
        result       one record in the log: version, set, primary (or: closed)
        Open | Seal  the primary gets its role, or every replica is closed

A target that fails burns the number: the next one is offered to those that are left, and the last result stays the base
(rule 3). The caller holds the turn at the handle, so that one raise runs at a time.

Invariants:
    1. The result is logged only when every target has promised and holds the same flushed bytes.
    2. At least one target is a full member of the last result: the source.
    3. Nothing is opened with fewer members than rule 19 wants.
"""

import logging
from collections.abc import Iterable, Sequence

from cairnfs.errors import CairnError, NoCopyError, NotFoundError, TooFewCopiesError
from cairnfs.ids import NO_SERVER, BootId, ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import ORDER_TIMEOUT_S, PROBE_TIMEOUT_S
from cairnfs.master.granting import Granting
from cairnfs.master.inventory import Held
from cairnfs.master.raise_plan import Base, NoSource, Source, choose_source
from cairnfs.master.raise_steps import Aim, Raise, Steps
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.meta.commands import CloseChunk, OpenChunk
from cairnfs.meta.tables import ChunkRow
from cairnfs.tasks import gather_settled
from cairnfs.wire.chunk_reads import HoldVersion
from cairnfs.wire.master_orders import Promised, Reconciled, Seal
from cairnfs.wire.membership import Exclusion

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 6
"""Numbers burnt in one raise: each attempt leaves at least one server out, so more than a set's size is in vain."""


PROBED_S = 1.0
"""A server that did not answer a probe is not asked again for so long."""
SILENT_MAX = 10_000


class Raising:
    """Carries raises out."""

    def __init__(self, reign: Reign, granting: Granting) -> None:
        self._reign = reign
        self._granting = granting
        self._steps = Steps(reign)
        self._silent: dict[int, float] = {}
        """When a session did not answer a probe: its thousands of chunks do not ask it one by one."""

    async def open(
        self,
        handle: ChunkHandle,
        *,
        suspects: Sequence[ServerId] = (),
        joiners: Sequence[ServerId] = (),
        without: Sequence[ServerId] = (),
        near: str = "",
        avoid: ServerId = NO_SERVER,
    ) -> ChunkRow:
        """Raise and grant; return the new record. The new version is open at its primary when this returns.

        Raises:
            NoCopyError: no source can be reached. Members may have promised: nothing is acked until a later raise.
            TooFewCopiesError: fewer members than rule 19 wants.
            NotFoundError: the chunk is gone.
        """
        left_out = {server: f"server {server} is left out" for server in without}
        return await self._run(Raise(handle, Aim.OPEN, joiners, near, avoid, left_out), suspects)

    async def seal(
        self,
        handle: ChunkHandle,
        *,
        suspects: Sequence[ServerId] = (),
        joiners: Sequence[ServerId] = (),
        least: int = 0,
    ) -> ChunkRow:
        """Raise without a grant and close the chunk. Raises as `open`.

        `least`: with so few members, where rule 19 would ask for more; for those whose others will hardly come back.
        A result makes every replica stale that it does not name: with one member, one bad disk loses what all had.
        """
        return await self._run(Raise(handle, Aim.SEAL, joiners, least=least), suspects)

    async def revoke(self, handle: ChunkHandle) -> None:
        """End whatever lease there is, and nothing else: one member promises a version that is then burnt (rule 2).

        The last result stays the base, so no replica becomes stale.

        Raises:
            NoCopyError: no member answers.
        """
        assert self._reign.turns.is_held(handle), handle
        job = Raise(handle, Aim.SEAL, least=1)
        row = self._row(handle)
        targets = self._targets(job, row)
        if not await self._steps.promise(job, self._reign.next_version(), targets):
            raise NoCopyError(chunk=handle, why=self._why(job, "no server answered"))
        self._reign.revoke(handle, row)
        self._reign.counters.add("leases_revoked")

    # ------------------------------------------------------------------ attempts

    async def _run(self, job: Raise, suspects: Sequence[ServerId]) -> ChunkRow:
        assert self._reign.turns.is_held(job.handle), job.handle
        await self._probe(job, suspects)
        try:
            return await self._attempts(job)
        except CairnError:
            if job.handle in self._reign.revoked:
                self._reign.wanted[job.handle] = None  # begun and not ended: nobody can order the chunk
            raise

    async def _attempts(self, job: Raise) -> ChunkRow:
        for _ in range(ATTEMPTS_MAX):
            row = self._row(job.handle)
            targets = self._targets(job, row)
            self._reign.check_overwrites_nothing_newer(job.handle, row, [one.server for one in targets])
            done = await self._attempt(job, row, targets)
            if done is not None:
                return done
            self._reign.counters.add("raises_burnt")
        raise NoCopyError(chunk=job.handle, why="; ".join(job.left_out.values()) or "every attempt failed")

    def _row(self, handle: ChunkHandle) -> ChunkRow:
        row = self._reign.chunk(handle)
        if row is None:
            raise NotFoundError(path=f"chunk {handle:016x}")
        return row

    async def _probe(self, job: Raise, suspects: Sequence[ServerId]) -> None:
        """Rule 20: ask the suspects once, briefly; who is silent is left out without waiting for `dead`."""
        row = self._row(job.handle)
        now_s = self._reign.now_s()
        unheard = [server for server, _ in row.members if not self._reign.sessions.is_live(server, now_s)]
        asked: list[Session] = []
        for server in dict.fromkeys([*suspects, *unheard]):
            session = self._reign.sessions.of(server)
            if session is not None and now_s - self._silent.get(session.number, -PROBED_S) < PROBED_S:
                job.left_out[server] = f"server {server} did not answer a moment ago"
            elif session is not None:
                asked.append(session)
        if not asked:
            return
        question = HoldVersion(handle=job.handle, version=row.version)
        answers = await gather_settled(
            *[self._reign.caller.call(one.address, question, timeout_s=PROBE_TIMEOUT_S) for one in asked]
        )
        for session, answer in zip(asked, answers, strict=True):
            # An error that the server itself sends (it holds another version) shows that it lives as well.
            if isinstance(answer, ConnectionError | TimeoutError):
                job.left_out[session.server] = str(answer)
                if len(self._silent) >= SILENT_MAX:
                    self._silent.clear()
                self._silent[session.number] = self._reign.now_s()

    def _targets(self, job: Raise, row: ChunkRow) -> list[Session]:
        """Return the sessions to raise with. Raises if they are too few (invariant 3)."""
        named = [server for server, _ in row.members] + list(job.joiners)
        targets = [
            session
            for server in dict.fromkeys(named)
            if server not in job.left_out and (session := self._reign.sessions.of(server)) is not None
        ]
        if not targets:
            raise NoCopyError(chunk=job.handle, why=self._why(job, "none of its servers is there"))
        need = job.least or self._reign.copies_needed(row.goal)
        if job.aim is Aim.SEAL:
            need = min(need, len(row.members))  # it was so few before
        if len(targets) < need:
            raise TooFewCopiesError(what=f"chunk {job.handle:016x}", have=len(targets), need=need)
        job.is_alone = len(targets) == 1 < len(row.members)
        return targets

    def _why(self, job: Raise, otherwise: str) -> str:
        return "; ".join(job.left_out.values()) or otherwise

    async def _attempt(self, job: Raise, row: ChunkRow, targets: list[Session]) -> ChunkRow | None:
        """Try one number; None if it is burnt."""
        version = self._reign.next_version()
        self._reign.counters.add("raises")
        promised = await self._steps.promise(job, version, targets)
        if promised:
            self._reign.revoke(job.handle, row)
        base = Base(
            version=row.version,
            members=row.members,
            closed=row.closed,
            length=row.length,
            is_new=row.is_new,
        )
        source = choose_source(base, promised)
        if isinstance(source, NoSource) and job.shunned != NO_SERVER:
            self._take_back(job, targets)
            return None
        if len(promised) < len(targets) and self._can_do_without(job, row, promised, source):
            return None
        if isinstance(source, NoSource):
            raise NoCopyError(chunk=job.handle, why=self._why(job, source.why))
        reconciled = await self._steps.reconcile(job, version, targets, promised, source)
        if reconciled is None:
            return None
        return await self._finish(job, row, version, source, reconciled)

    def _take_back(self, job: Raise, targets: list[Session]) -> None:
        """Without the source that nobody could copy from there is none: then it goes on without the others."""
        why = job.left_out.pop(job.shunned)
        job.left_out.update({one.server: why for one in targets})
        job.shunned = NO_SERVER

    def _can_do_without(
        self, job: Raise, row: ChunkRow, promised: dict[ServerId, Promised], source: Source | NoSource
    ) -> bool:
        """A target failed, so this number is burnt. Raise at once what the next attempt would only find again."""
        if isinstance(source, NoSource):
            raise NoCopyError(chunk=job.handle, why=self._why(job, source.why))
        if not promised:
            raise NoCopyError(chunk=job.handle, why=self._why(job, "no server answered"))
        return True

    # ------------------------------------------------------------------ result, open or seal

    async def _finish(
        self, job: Raise, row: ChunkRow, version: ChunkVersion, source: Source, reconciled: dict[ServerId, Reconciled]
    ) -> ChunkRow | None:
        members = [(server, answer.boot) for server, answer in reconciled.items()]
        length = reconciled[source.server].length
        is_told = source.breaks_continuity and self._reign.safeguards.tell_lost_writes
        broken_at = version if is_told else row.broken_at
        if source.breaks_continuity:
            self._reign.counters.add("continuity_broken")
            logger.warning("continuity broken chunk=%016x version=%s: unsynced writes may be lost", job.handle, version)
        assert source.server in reconciled, "invariant 2: the source is a target"
        if job.aim is Aim.OPEN:
            primary = self._choose_primary(job, row, [server for server, _ in members])
            command: OpenChunk | CloseChunk = OpenChunk(
                handle=job.handle,
                version=version,
                members=members,
                primary=primary,
                base_length=length,
                broken_at=broken_at,
            )
        else:
            primary = NO_SERVER
            command = CloseChunk(
                handle=job.handle, version=version, length=length, members=members, broken_at=broken_at
            )
        _ = await self._reign.execute(command)
        self._remember(job, row, version, members, length)
        if job.aim is Aim.SEAL:
            await self._seal(job.handle, version, length, members)
            return self._row(job.handle)
        new = self._row(job.handle)
        if await self._granting.open(job.handle, new):
            return new
        job.left_out[primary] = f"server {primary} did not take its role"
        return None

    def _choose_primary(self, job: Raise, row: ChunkRow, servers: list[ServerId]) -> ServerId:
        """The writer's own server, else the present primary, else the one with the fewest leases."""
        reign = self._reign

        def rank(server: ServerId) -> tuple[bool, bool, bool, bool, int]:
            session = reign.sessions.of(server)
            spared = session is not None and reign.is_spared(session)
            near = session is not None and bool(job.near) and session.address == job.near
            return server == job.avoid, spared, not near, server != row.primary, reign.leases.count_of(server)

        return min(servers, key=rank)

    def _remember(
        self,
        job: Raise,
        row: ChunkRow,
        version: ChunkVersion,
        members: list[tuple[ServerId, BootId]],
        length: int,
    ) -> None:
        """The result is durable: the old lease is over, the others are excluded (rules 5 and 6)."""
        reign = self._reign
        reign.leases.drop(job.handle)
        inside = dict(members)
        outside = [server for server, _ in row.members] + list(reign.inventory.holders(job.handle))
        exclusion = Exclusion(handle=job.handle, below=version)
        told = row.version in job.overwritten or not reign.safeguards.short_fence_if_told
        for server in dict.fromkeys(outside):
            if server not in inside:
                self.exclude([server], exclusion, overwritten=told and server in dict(row.members))
        for server in inside:
            reign.exclusions.took_part(server, job.handle)
        self._hold(job.handle, version, length, members, closed=job.aim is Aim.SEAL)

    def remember_closed(
        self, handle: ChunkHandle, version: ChunkVersion, length: int, members: list[tuple[ServerId, BootId]]
    ) -> None:
        """Enter replicas that were just made, before their servers report them."""
        self._hold(handle, version, length, members, closed=True)

    def _hold(
        self,
        handle: ChunkHandle,
        version: ChunkVersion,
        length: int,
        members: list[tuple[ServerId, BootId]],
        *,
        closed: bool,
    ) -> None:
        held = Held(version, version, length, closed=closed, incomplete=False, unbroken=True)
        for server, boot in members:
            session = self._reign.sessions.of(server)
            if session is not None and session.boot == boot:
                self._reign.inventory.set(server, handle, held)

    def exclude(self, servers: Iterable[ServerId], exclusion: Exclusion, *, overwritten: bool = False) -> None:
        """Exclude servers from a chunk: remembered first, then told at once. `overwritten`: as `Exclusions.add`."""
        for server in servers:
            session = self._reign.exclusions.add(server, exclusion, now_s=self._reign.now_s(), overwritten=overwritten)
            if session is not None:
                self._granting.tell(session)

    async def _seal(
        self, handle: ChunkHandle, version: ChunkVersion, length: int, members: list[tuple[ServerId, BootId]]
    ) -> None:
        """Tell the members; who misses it is told again when it reports (the record says closed)."""
        order = Seal(handle=handle, version=version, epoch=self._reign.epoch, length=length)
        sessions = [session for server, _ in members if (session := self._reign.sessions.of(server)) is not None]
        answers = await gather_settled(
            *[self._reign.order(one.address, order, timeout_s=2 * ORDER_TIMEOUT_S) for one in sessions]
        )
        for session, answer in zip(sessions, answers, strict=True):
            if isinstance(answer, BaseException):
                self._granting.not_sealed(session.server, handle)
