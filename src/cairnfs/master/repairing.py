"""Keeping every chunk at its goal: looks at all chunks in slices and carries out what `repair` plans. GFS paper, 4.3.

At most `repairs_max` run at once, so that client traffic goes first. A repair that fails is tried again after a pause.
Nothing runs before all known servers have reported, or the longest wait for them is over (safe start).
"""

import logging
from dataclasses import dataclass, field

from cairnfs.errors import CairnError, StaleVersionError
from cairnfs.ids import BootId, ChunkHandle, ServerId
from cairnfs.limits import DATA_CALL_S, JOINER_REST_BYTES
from cairnfs.master.choosing import Choosing
from cairnfs.master.inventory import Held
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.master.repair import Health, Repair, Work, need_of, plan_repairs
from cairnfs.master.sessions import Session
from cairnfs.meta import read
from cairnfs.meta.commands import AddMember
from cairnfs.meta.tables import ChunkRow
from cairnfs.wire.master_orders import Clone
from cairnfs.wire.membership import Exclusion

logger = logging.getLogger(__name__)

SLICE = 1000
"""Chunks looked at in one step: about ten milliseconds of the loop."""
LOOK_BEATS = 2
"""Heartbeats from the begin of one full look to that of the next, at least: liveness changes no faster."""
AGAIN_BEATS = 5
"""Heartbeats to wait before a failed repair is tried again."""
SHOWN_MAX = 20
_JOINS_MAX = 3


@dataclass(slots=True)
class Census:
    """What the last full look counted."""

    missing: int = 0
    one_copy: int = 0
    below_goal: int = 0
    above_goal: int = 0
    missing_handles: list[ChunkHandle] = field(default_factory=list)

    def count(self, health: Health, *, is_safe: bool) -> None:
        if health.live == 0 and is_safe and not health.restarted:
            self.missing += 1
            if len(self.missing_handles) < SHOWN_MAX:
                self.missing_handles.append(health.handle)
        elif health.live == 1 and health.goal > 1:
            self.one_copy += 1
        if health.live < health.goal:
            self.below_goal += 1
        elif health.live > health.goal:
            self.above_goal += 1


class Repairing:
    """Looks, plans, does."""

    def __init__(self, reign: Reign, raising: Raising, choosing: Choosing) -> None:
        self._reign = reign
        self._raising = raising
        self._choosing = choosing
        self.census = Census()
        self._next_census = Census()
        self._cursor = 0
        self._look_again_s = 0.0
        self._sick: dict[ChunkHandle, None] = {}
        self._later: dict[ChunkHandle, float] = {}
        self._joins: dict[ChunkHandle, int] = {}
        """How often in a row the copy of a joiner could not follow the writer."""
        self._running: dict[ChunkHandle, None] = {}
        self._is_safe = False

    @property
    def running(self) -> int:
        return len(self._running)

    def is_safe(self) -> bool:
        """True once all known servers have reported, or the wait for them is over. It stays true."""
        reign = self._reign
        if not self._is_safe:
            waited = reign.now_s() - reign.started_s >= reign.config.safe_start_s
            self._is_safe = waited or not reign.sessions.unheard() or not reign.safeguards.safe_start
        return self._is_safe

    # ------------------------------------------------------------------ looking

    async def step(self) -> None:
        """Look at the next slice of all chunks, and start repairs where there is a place."""
        self._look()
        if not self.is_safe():
            return
        places = self._reign.config.repairs_max - len(self._running)
        if places <= 0:
            return
        for repair in plan_repairs(self._candidates(), places=places):
            self._running[repair.handle] = None
            self._reign.start(lambda repair=repair: self._do(repair), name=f"repair {repair.handle:016x}")  # type: ignore[misc]

    def _look(self) -> None:
        reign = self._reign
        if not self._cursor:
            if reign.now_s() < self._look_again_s:
                return
            self._look_again_s = reign.now_s() + LOOK_BEATS * reign.config.heartbeat_s
        seen = 0
        with reign.store.read() as view:
            for handle, row in read.each_chunk(view, self._cursor):
                self._cursor = handle
                health = self.health(handle, row)
                self._next_census.count(health, is_safe=self._is_safe)
                if need_of(health) is not None:
                    self._sick[handle] = None
                seen += 1
                if seen == SLICE:
                    return
        self._cursor = 0
        self.census, self._next_census = self._next_census, Census()

    def health(self, handle: ChunkHandle, row: ChunkRow) -> Health:
        """Return a chunk's state as memory and record have it."""
        reign = self._reign
        now_s = reign.now_s()
        holders = reign.inventory.holders(handle)
        live = unheard = restarted = 0
        for server, boot in row.members:
            session = reign.sessions.of(server)
            if session is None or not session.reported or now_s - session.heard_s >= reign.config.suspect_s:
                unheard += reign.sessions.gone_for_s(server, now_s) < reign.config.repair_grace_s
            elif reign.is_current(row, holders.get(server), session, boot, handle):
                live += 1
            elif not row.closed and session.boot != boot:
                restarted += 1
        return Health(
            handle=handle,
            goal=row.goal,
            live=live,
            closed=row.closed,
            has_lease=not row.closed and self._has_lease(handle, row, now_s),
            unheard=unheard,
            is_wanted=handle in reign.wanted,
            below_barrier=row.barrier > row.version,
            restarted=restarted,
        )

    def _has_lease(self, handle: ChunkHandle, row: ChunkRow, now_s: float) -> bool:
        """True while the primary may be at work, or may be about to close the chunk itself."""
        reign = self._reign
        session = reign.sessions.of(row.primary)
        if reign.is_revoked(handle, row):
            return False
        if session is None or (row.primary, session.boot) not in row.members:
            return False
        held = reign.leases.find(handle)
        grace_s = 3 * reign.config.heartbeat_s
        if held is None:
            # A lease of the predecessor, not asked for again yet.
            return now_s < reign.started_s + reign.config.lease_s + grace_s
        return now_s < held.until_s + grace_s

    def _candidates(self) -> list[Health]:
        reign = self._reign
        now_s = reign.now_s()
        found: list[Health] = []
        for handle in dict.fromkeys([*list(reign.wanted)[:SLICE], *list(self._sick)[:SLICE]]):
            row = reign.chunk(handle)
            health = self.health(handle, row) if row is not None else None
            if health is None or need_of(health) is None:
                self._sick.pop(handle, None)
                reign.wanted.pop(handle, None)
                self._later.pop(handle, None)
                self._joins.pop(handle, None)
            elif handle not in self._running:
                if now_s >= self._later.get(handle, 0.0):
                    found.append(health)
                else:
                    self._to_the_end(handle)
        return found

    def _to_the_end(self, handle: ChunkHandle) -> None:
        """What must wait after a failure does not stand in the way of the others."""
        for queue in (self._sick, self._reign.wanted):
            if handle in queue:
                del queue[handle]
                queue[handle] = None

    # ------------------------------------------------------------------ doing

    async def _do(self, repair: Repair) -> None:
        try:
            logger.info("repair begins chunk=%016x work=%s copies=%d", repair.handle, repair.work, repair.copies)
            match repair.work:
                case Work.COPY:
                    await self._copy(repair)
                case Work.JOIN:
                    await self._join(repair)
                case Work.REVIVE:
                    await self._revive(repair)
                case Work.LIFT:
                    await self._lift(repair)
            self._reign.counters.add("repairs_done")
        except CairnError as error:
            self._reign.counters.add("repairs_failed")
            self._later[repair.handle] = self._reign.now_s() + AGAIN_BEATS * self._reign.config.heartbeat_s
            logger.warning("repair failed chunk=%016x work=%s why=%s", repair.handle, repair.work, error)
        finally:
            self._running.pop(repair.handle, None)

    async def _copy(self, repair: Repair) -> None:
        """A closed chunk: copy it to new servers, each a member by its own record. Writers need not wait for it."""
        reign, handle = self._reign, repair.handle
        row = reign.chunk(handle)
        if row is None or not row.closed or reign.is_busy(handle):
            return
        sources = reign.live_current(row, handle)
        holders = tuple(reign.inventory.holders(handle))
        targets = self._targets(row, repair.copies, sources, without=holders)
        if not targets:
            await self._take_back(handle)
            return
        reign.copying[handle] = None
        try:
            for target in targets:
                await self._clone(handle, row, sources, target)
        finally:
            reign.copying.pop(handle, None)

    async def _clone(self, handle: ChunkHandle, row: ChunkRow, sources: list[Session], target: Session) -> None:
        reign = self._reign
        source = min(sources, key=lambda one: one.load)
        order = Clone(handle=handle, version=row.version, epoch=reign.epoch, source=source.address)
        cloned = await reign.order(target.address, order, timeout_s=DATA_CALL_S)
        member: tuple[ServerId, BootId] = (target.server, cloned.boot)
        await reign.execute(AddMember(handle=handle, version=row.version, member=member))
        held = Held(row.version, row.version, cloned.length, closed=True, incomplete=False, unbroken=True)
        reign.inventory.set(target.server, handle, held)
        now = reign.chunk(handle)
        if now is not None and all(server != target.server for server, _ in now.members):
            # A raise went on beside the copy and logged its result last: it could not know of this replica yet.
            self._raising.exclude([target.server], Exclusion(handle=handle, below=now.version))
        logger.info("replica copied chunk=%016x from=%d to=%d", handle, source.server, target.server)

    def _targets(
        self, row: ChunkRow, count: int, sources: list[Session], *, without: tuple[ServerId, ...]
    ) -> list[Session]:
        members = tuple(server for server, _ in row.members)
        racks = tuple(one.rack for one in sources if one.rack)
        chosen = self._choosing.choose(count, near="", without=(*members, *without), racks=racks)
        return [session for one in chosen if (session := self._reign.sessions.of(one.server)) is not None]

    def _strays(self, handle: ChunkHandle, row: ChunkRow) -> list[ServerId]:
        """Live servers with a replica that is not current: a raise brings it back with only the blocks that differ."""
        reign = self._reign
        now_s = reign.now_s()
        current = [one.server for one in reign.current(row, handle)]
        holders = reign.inventory.holders(handle)
        members = [server for server, _ in row.members if server not in current]
        return [
            server
            for server in dict.fromkeys([*members, *holders])
            if server not in current
            and reign.sessions.is_live(server, now_s)
            and not (server in holders and reign.is_newer(holders[server], handle, row))
        ]

    async def _take_back(self, handle: ChunkHandle) -> None:
        """No other server has room: servers that hold an old replica, or lost theirs, join by a raise."""
        reign = self._reign
        async with reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is None or not row.closed:
                return
            missing = row.goal - len(reign.live_current(row, handle))
            joiners = self._strays(handle, row)[: max(0, missing)]
            if joiners:
                await self._raising.seal(handle, joiners=joiners)

    async def _join(self, repair: Repair) -> None:
        """An open chunk in use (rule 13): copy in the background, then raise with the joiner and grant again."""
        reign, handle = self._reign, repair.handle
        row = reign.chunk(handle)
        if row is None or row.closed:
            return
        joiners, targets = self._joiners(handle, row, repair.copies)
        sources = reign.live_current(row, handle)
        rest = 0
        reign.copying[handle] = None
        try:
            for target in targets:
                order = Clone(
                    handle=handle, version=row.version, epoch=reign.epoch, source=sources[0].address, joiner=True
                )
                joiners.append(target.server)
                try:
                    cloned = await reign.order(target.address, order, timeout_s=DATA_CALL_S)
                except StaleVersionError:
                    continue  # it has promised a number that was burnt: only a raise, above it, brings it back
                rest = max(rest, cloned.rest)
        finally:
            reign.copying.pop(handle, None)
        if not joiners or self._is_too_much(handle, rest):
            self._later[handle] = reign.now_s() + AGAIN_BEATS * reign.config.heartbeat_s
            return
        async with reign.turns.hold(handle):
            now = reign.chunk(handle)
            if now is not None and not now.closed and now.version == row.version:
                await self._raising.open(handle, joiners=joiners)

    def _joiners(self, handle: ChunkHandle, row: ChunkRow, count: int) -> tuple[list[ServerId], list[Session]]:
        """Return who joins as it is, and to whom the chunk is copied first.

        A member that has restarted may be the one source that is left after a loss of power (rule 12), so nothing
        marks it incomplete but the raise itself; it missed little. An old replica is no source: it is copied over.
        """
        reign = self._reign
        members = [server for server, _ in row.members]
        strays = self._strays(handle, row)[:count]
        old = [one for server in strays if server not in members and (one := reign.sessions.of(server)) is not None]
        holders = tuple(reign.inventory.holders(handle))
        new = self._targets(row, count - len(strays), reign.live_current(row, handle), without=holders)
        return [server for server in strays if server in members], [*old, *new]

    def _is_too_much(self, handle: ChunkHandle, rest: int) -> bool:
        """Rule 13: a raise holds up the writers, so it copies 4 MiB at most; but a copy less is not borne for ever.

        Ours: a writer that was faster than the copy _JOINS_MAX times in a row waits for the rest.
        """
        tries = self._joins.pop(handle, 0) + 1
        if rest <= JOINER_REST_BYTES or tries >= _JOINS_MAX:
            return False
        self._joins[handle] = tries
        logger.info("joiner cannot follow yet chunk=%016x rest_bytes=%d try=%d", handle, rest, tries)
        return True

    async def _revive(self, repair: Repair) -> None:
        """An open chunk that nobody orders any more: seal it with whoever is there, also with old replicas."""
        reign, handle = self._reign, repair.handle
        async with reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is None or row.closed or self._has_lease(handle, row, reign.now_s()):
                return
            missing = max(0, row.goal - len(reign.live_current(row, handle)))
            least = 1 if self._may_have_it(handle, row) <= 1 else 0
            await self._raising.seal(handle, joiners=self._strays(handle, row)[:missing], least=least)

    def _may_have_it(self, handle: ChunkHandle, row: ChunkRow) -> int:
        """Return how many members hold the chunk, or may come back with it: a silent one may only be slow."""
        reign = self._reign
        now_s = reign.now_s()
        count = 0
        for server, _ in row.members:
            if reign.sessions.is_live(server, now_s):
                count += not reign.inventory.is_lost(server, handle)
            else:
                count += reign.sessions.gone_for_s(server, now_s) < reign.config.repair_grace_s
        return count

    async def _lift(self, repair: Repair) -> None:
        """Rule 9: a shared chunk below its barrier is raised above it, closed as it is."""
        reign, handle = self._reign, repair.handle
        async with reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is not None and row.closed and row.barrier > row.version:
                await self._raising.seal(handle)
