"""Keeping every chunk at its goal: carries out what `repair` plans, within limits. GFS paper, section 4.3.

Copies of bytes are limited by servers and by the cluster (`streams`), so that client traffic goes first; what moves few
bytes is not. A repair makes one copy and asks again, so that the second copy of one chunk never goes before the first
of another. One that fails is tried again after a pause; why is remembered for who asks.
"""

import logging

from cairnfs.errors import CairnError, StaleVersionError, TooFewCopiesError
from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.limits import JOINER_REST_BYTES
from cairnfs.master.choosing import Choosing
from cairnfs.master.copies import Copies, Waiting
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.master.repair import Health, Repair, Work, need_of
from cairnfs.master.sessions import Session
from cairnfs.master.survey import Census, Survey
from cairnfs.meta.tables import ChunkRow

logger = logging.getLogger(__name__)

LOOKED_AT = 1000
"""Chunks in need that are looked at in one step."""
LOOKED_AT_BETWEEN = 16
"""And when a repair has ended, so that its place is not empty until the next step."""
AGAIN_BEATS = 5
"""Heartbeats to wait before a failed repair is tried again."""
WHY_MAX = 10_000
_JOINS_MAX = 3


class Repairing:
    """Plans and does."""

    def __init__(self, reign: Reign, raising: Raising, choosing: Choosing) -> None:
        self._reign = reign
        self._raising = raising
        self._choosing = choosing
        self.survey = Survey(reign)
        self.copies = Copies(reign, raising, choosing)
        self._later: dict[ChunkHandle, float] = {}
        self._joins: dict[ChunkHandle, int] = {}
        """How often in a row the copy of a joiner could not follow the writer."""
        self._running: dict[ChunkHandle, None] = {}
        self.why: dict[ChunkHandle, str] = {}
        """Why the last try failed, for chunks still in need."""
        reign.by_chunk += [self._later, self._joins, self.why]

    @property
    def census(self) -> Census:
        return self.survey.census

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Chunks in need, as far as they were looked at."""
        return len(self.survey.queue)

    def is_safe(self) -> bool:
        return self.survey.is_safe()

    async def step(self) -> None:
        """Look at the next slice of all chunks, and start repairs where there is a place."""
        self.survey.walk()
        self._start_some(LOOKED_AT)

    def _start_some(self, count: int) -> None:
        reign = self._reign
        if not self.is_safe() or reign.is_deposed:
            return
        now_s = reign.now_s()
        for health, row in self.survey.next_in_need(count):
            if len(self._running) >= reign.config.repairs_max:
                return
            handle = health.handle
            if handle in self._running:
                continue
            if now_s < self._later.get(handle, 0.0) or not self._has_begun(health, row):
                self.survey.queue.to_the_end(handle)

    def _has_begun(self, health: Health, row: ChunkRow) -> bool:
        """Start the repair of a chunk; False if its servers, or the whole cluster, copy enough already."""
        repair = need_of(health)
        assert repair is not None, health
        if repair.copies_bytes and not self.copies.may_copy(health.handle, row):
            return False
        self._running[repair.handle] = None
        self._reign.start(lambda: self._do(repair), name=f"repair {repair.handle:016x}")
        return True

    def why_not(self, handle: ChunkHandle, row: ChunkRow) -> str:
        """Say to a person why a chunk has too few copies that stay."""
        reign = self._reign
        why = "waits for its turn" if row.closed else "is being written: it gets its copy beside that"
        if not reign.config.repairs_max:
            why = "repairs are off (repairs_max = 0)"
        elif handle in self._running:
            why = "is being copied"
        elif not reign.live_current(row, handle):
            why = "no current replica is live: nothing to copy from"
        elif handle in self.why:
            why = self.why[handle]
        elif not self.copies.targets(handle, row, racks=()):
            why = "no other chunkserver has room for it"
        return why

    # ------------------------------------------------------------------ doing

    async def _do(self, repair: Repair) -> None:
        handle = repair.handle
        try:
            logger.info("repair begins chunk=%016x work=%s copies=%d", handle, repair.work, repair.copies)
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
            self._end(repair, why="")
        except Waiting:
            self.survey.queue.to_the_end(handle)
            return  # the end of another one goes on with it, or the next step
        except CairnError as error:
            self._reign.counters.add("repairs_failed")
            self._end(repair, why=str(error))
            logger.warning("repair failed chunk=%016x work=%s why=%s", handle, repair.work, error)
        finally:
            self._running.pop(handle, None)
        self._start_some(LOOKED_AT_BETWEEN)

    def _end(self, repair: Repair, *, why: str) -> None:
        """What is still in need is tried again: at once if that helped, after a pause if not."""
        reign, handle = self._reign, repair.handle
        row = reign.chunk(handle)
        health = self.survey.health(handle, row) if row is not None else None
        rest = need_of(health) if health is not None else None
        if health is None or rest is None:
            self.survey.forget(handle)
            self._later.pop(handle, None)
            self._joins.pop(handle, None)
            self.why.pop(handle, None)
            return
        self.survey.requeue(health)
        if why:
            self._pause(handle, why)
        else:
            self.why.pop(handle, None)
            if rest == repair:
                until_s = reign.now_s() + reign.config.heartbeat_s
                self._later[handle] = max(until_s, self._later.get(handle, 0.0))

    def _pause(self, handle: ChunkHandle, why: str) -> None:
        self._later[handle] = self._reign.now_s() + AGAIN_BEATS * self._reign.config.heartbeat_s
        if len(self.why) >= WHY_MAX:
            self.why.clear()
        self.why[handle] = why

    # ------------------------------------------------------------------ copies

    async def _copy(self, repair: Repair) -> None:
        """A closed chunk: copy it to a new server, a member by its own record. Writers need not wait for it."""
        reign, handle = self._reign, repair.handle
        row = reign.chunk(handle)
        if row is None or not row.closed:
            return
        if reign.is_busy(handle):
            raise Waiting
        target = self.copies.target(handle, row)
        if target is None:
            await self._take_back(handle)
            return
        reign.copying[handle] = None
        try:
            await self.copies.copy_to(handle, row, target)
        except StaleVersionError:
            await self._renumber(handle, row)
        finally:
            reign.copying.pop(handle, None)

    async def _renumber(self, handle: ChunkHandle, row: ChunkRow) -> None:
        """The target has promised a number that was burnt: it takes a copy only above it, so the chunk is raised."""
        async with self._reign.turns.hold(handle):
            now = self._reign.chunk(handle)
            if now is not None and now.closed and now.version == row.version:
                await self._raising.seal(handle)

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
            and not self._is_to_leave(server, handle)
            and not (server in holders and reign.is_newer(holders[server], handle, row))
        ]

    def _is_to_leave(self, server: ServerId, handle: ChunkHandle) -> bool:
        session = self._reign.sessions.of(server)
        return session is not None and self._reign.leaves(session, handle)

    async def _take_back(self, handle: ChunkHandle) -> None:
        """No other server has room: servers that hold an old replica, or lost theirs, join by a raise."""
        reign = self._reign
        async with reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is None or not row.closed:
                return
            missing = row.goal - len(reign.staying(row, handle))
            joiners = self._strays(handle, row)[: max(0, missing)]
            if not joiners:
                raise TooFewCopiesError(what=f"another copy of chunk {handle:016x}", have=0, need=1)
            await self._raising.seal(handle, joiners=joiners)

    async def _join(self, repair: Repair) -> None:
        """An open chunk in use (rule 13): copy in the background, then raise with the joiner and grant again."""
        reign, handle = self._reign, repair.handle
        row = reign.chunk(handle)
        if row is None or row.closed:
            return
        joiners, targets = self._joiners(handle, row, repair.copies)
        rest = 0
        reign.copying[handle] = None
        try:
            for target in targets:
                joiners.append(target.server)
                rest = max(rest, await self._copy_joiner(handle, row, target))
        finally:
            reign.copying.pop(handle, None)
        if not joiners:
            raise TooFewCopiesError(what=f"a copy of open chunk {handle:016x}", have=0, need=repair.copies)
        if self._is_too_much(handle, rest):
            self._later[handle] = reign.now_s() + AGAIN_BEATS * reign.config.heartbeat_s
            return
        async with reign.turns.hold(handle):
            now = reign.chunk(handle)
            if now is not None and not now.closed and now.version == row.version:
                await self._raising.open(handle, joiners=joiners, without=self._dispensable(handle, row, joiners))

    async def _copy_joiner(self, handle: ChunkHandle, row: ChunkRow, target: Session) -> int:
        """Copy an open chunk in the background; return how many bytes a raise would still have to copy."""
        try:
            return (await self.copies.clone(handle, row, target, joiner=True)).rest
        except StaleVersionError:
            return 0  # it has promised a number that was burnt: only a raise, above it, brings it back

    def _dispensable(self, handle: ChunkHandle, row: ChunkRow, joiners: list[ServerId]) -> list[ServerId]:
        """Return the members that are to leave their servers, if the goal is met without them."""
        reign = self._reign
        staying = [one.server for one in reign.staying(row, handle)]
        if len({*staying, *joiners}) < row.goal:
            return []
        return [one.server for one in reign.live_current(row, handle) if one.server not in staying]

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
        racks = tuple(one.rack for one in reign.staying(row, handle) if one.rack)
        chosen = self._choosing.choose(max(0, count - len(strays)), near="", without=(*members, *holders), racks=racks)
        new = [session for one in chosen if (session := reign.sessions.of(one.server)) is not None]
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
            if row is None or row.closed or self.survey.has_lease(handle, row, reign.now_s()):
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
                count += reign.may_come_back(server, now_s)
        return count

    async def _lift(self, repair: Repair) -> None:
        """Rule 9: a shared chunk below its barrier is raised above it, closed as it is."""
        reign, handle = self._reign, repair.handle
        async with reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is not None and row.closed and row.barrier > row.version:
                await self._raising.seal(handle)
