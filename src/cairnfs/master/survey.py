"""Looking at all chunks: what each one needs, and what the whole cluster lacks. GFS paper, section 4.3.

    walk      all chunks in slices, again and again
    affected  what a server held that has died, or is to leave: at once, beside the walk

Nothing runs before all known servers have reported, or the longest wait for them is over (safe start).
"""

import asyncio
from dataclasses import dataclass, field, replace

from cairnfs.ids import ChunkHandle
from cairnfs.master.reign import Reign
from cairnfs.master.repair import Health, Queue, need_of, urgency_of
from cairnfs.meta import read
from cairnfs.meta.tables import ChunkRow
from cairnfs.meta.views import MetaRead

SLICE = 1000
"""Chunks looked at in one step: about ten milliseconds of the loop."""
LOOK_BEATS = 2
"""Heartbeats from the begin of one full look to that of the next, at least: liveness changes no faster."""
SLICES_PER_BEAT = 50
"""Of what is affected: 50,000 chunks a second, which leaves half of the loop to others."""
SHOWN_MAX = 20


@dataclass(slots=True)
class Census:
    """What the last full look counted."""

    missing: int = 0
    one_copy: int = 0
    below_goal: int = 0
    above_goal: int = 0
    missing_handles: list[ChunkHandle] = field(default_factory=list)

    def count(self, health: Health, *, is_safe: bool) -> None:
        if health.copies == 0 and is_safe and not health.restarted:
            self.missing += 1
            if len(self.missing_handles) < SHOWN_MAX:
                self.missing_handles.append(health.handle)
        elif health.copies == 1 and health.goal > 1:
            self.one_copy += 1
        if health.live < health.goal:
            self.below_goal += 1
        elif health.live > health.goal:
            self.above_goal += 1


class Survey:
    """Looks, and keeps the queue of chunks in need."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign
        self.census = Census()
        self.queue = Queue()
        self._next_census = Census()
        self._cursor = 0
        self._look_again_s = 0.0
        self._is_safe = False
        self.misplaced: dict[ChunkHandle, None] = {}
        """Some chunks whose copies all stand in one rack, while there are others."""

    def is_safe(self) -> bool:
        """True once all known servers have reported, or the wait for them is over. It stays true."""
        reign = self._reign
        if not self._is_safe:
            waited = reign.now_s() - reign.started_s >= reign.config.safe_start_s
            self._is_safe = waited or not reign.sessions.unheard() or not reign.safeguards.safe_start
        return self._is_safe

    # ------------------------------------------------------------------ looking

    def walk(self) -> None:
        """Look at the next slice of all chunks."""
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
                self._enter(view, health, row)
                seen += 1
                if seen == SLICE:
                    return
        self._cursor = 0
        self.census, self._next_census = self._next_census, Census()

    async def watch_affected(self) -> None:
        """Look at what servers held that are gone, for as long as this master leads."""
        reign = self._reign
        while not reign.is_deposed:  # ends with the reign
            await reign.has_affected.wait()
            if not self.is_safe():
                await asyncio.sleep(reign.config.heartbeat_s / 2)
                continue
            self._look_at_affected()
            await asyncio.sleep(reign.config.heartbeat_s / SLICES_PER_BEAT)

    def _look_at_affected(self) -> None:
        reign = self._reign
        with reign.store.read() as view:
            for handle in list(reign.affected)[:SLICE]:
                del reign.affected[handle]
                row = read.chunk(view, handle)
                if row is not None:
                    self._enter(view, self.health(handle, row), row)
        if not reign.affected:
            reign.has_affected.clear()

    def _enter(self, view: MetaRead, health: Health, row: ChunkRow) -> None:
        if need_of(health) is not None:
            self._put(health, is_trash=self._is_trash(view, row))
        elif self._is_in_one_rack(health, row) and len(self.misplaced) < SLICE:
            self.misplaced[health.handle] = None

    def _put(self, health: Health, *, is_trash: bool = False) -> None:
        urgency = urgency_of(replace(health, is_trash=is_trash)) if self._reign.safeguards.last_copy_first else 0
        self.queue.put(health.handle, urgency)

    def _is_in_one_rack(self, health: Health, row: ChunkRow) -> bool:
        if not health.closed or health.live != health.goal or health.goal < 2:
            return False
        known = self._reign.sessions.known
        racks = {known[server].rack: None for server, _ in row.members if server in known}
        if len(racks) != 1:
            return False
        return any(one.rack not in racks for one in self._reign.sessions.all())

    @staticmethod
    def _is_trash(view: MetaRead, row: ChunkRow) -> bool:
        """True if the one file that uses the chunk is deleted."""
        return row.references == 1 and read.path_of(view, row.inode) is None

    # ------------------------------------------------------------------ one chunk

    def health(self, handle: ChunkHandle, row: ChunkRow) -> Health:
        """Return a chunk's state as memory and record have it."""
        reign = self._reign
        now_s = reign.now_s()
        holders = reign.inventory.holders(handle)
        live = leaving = unheard = restarted = 0
        for server, boot in row.members:
            session = reign.sessions.of(server)
            if session is None or not session.reported or now_s - session.heard_s >= reign.config.suspect_s:
                unheard += reign.may_come_back(server, now_s)
            elif reign.is_current(row, holders.get(server), session, boot, handle):
                if reign.leaves(session, handle):
                    leaving += 1
                else:
                    live += 1
            elif not row.closed and session.boot != boot:
                restarted += 1
        return Health(
            handle=handle,
            goal=row.goal,
            live=live,
            closed=row.closed,
            has_lease=not row.closed and self.has_lease(handle, row, now_s),
            leaving=leaving,
            unheard=unheard,
            is_wanted=handle in reign.wanted,
            below_barrier=row.barrier > row.version,
            restarted=restarted,
        )

    def has_lease(self, handle: ChunkHandle, row: ChunkRow, now_s: float) -> bool:
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

    def next_in_need(self, count: int) -> list[tuple[Health, ChunkRow]]:
        """Return up to `count` chunks that need something now, the most urgent first; others leave the queue."""
        reign = self._reign
        for handle in list(reign.wanted)[:count]:
            self._look_once(handle)
        found: list[tuple[Health, ChunkRow]] = []
        for handle in self.queue.first(count):
            row = reign.chunk(handle)
            health = self.health(handle, row) if row is not None else None
            if row is None or health is None or need_of(health) is None:
                self.forget(handle)
            else:
                found.append((health, row))
        return found

    def _look_once(self, handle: ChunkHandle) -> None:
        row = self._reign.chunk(handle)
        health = self.health(handle, row) if row is not None else None
        if health is None or need_of(health) is None:
            self._reign.wanted.pop(handle, None)
        else:
            self._put(health)

    def requeue(self, health: Health) -> None:
        """It still needs something: it goes behind its equals, as urgent as it is now."""
        self.queue.drop(health.handle)
        self._put(health)

    def forget(self, handle: ChunkHandle) -> None:
        """It needs nothing any more."""
        self.queue.drop(handle)
        self._reign.wanted.pop(handle, None)
