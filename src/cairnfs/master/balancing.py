"""Moves replicas for even disks and for racks, slowly. GFS paper, section 4.3; docs/REPAIR.md.

A move is a copy, a member more in the record, a member less, and only then a deletion at exactly its version: if it
fails anywhere there is one copy too many, never one too few. It waits while any chunk needs a repair.
"""

import logging

from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.master.balance import Use, keeps_apart, plan_move
from cairnfs.master.copies import Waiting
from cairnfs.master.garbage import Garbage
from cairnfs.master.outliers import outliers
from cairnfs.master.placement import machine_of
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.master.sessions import Session
from cairnfs.master.streams import Budget
from cairnfs.meta.commands import RemoveMember
from cairnfs.meta.tables import ChunkRow

logger = logging.getLogger(__name__)

MOVES_MAX = 2
"""Moves at once in the whole cluster."""
TRIES = 50
"""Chunks drawn from a server for one that may be moved."""


class Balancing:
    """Looks once a heartbeat, and moves a chunk or two."""

    def __init__(self, reign: Reign, repairing: Repairing, garbage: Garbage) -> None:
        self._reign = reign
        self._repairing = repairing
        self._garbage = garbage
        self._budget = Budget(reign.env.clock)
        self._loads: dict[ServerId, float] = {}
        self._running: dict[ChunkHandle, None] = {}

    @property
    def running(self) -> int:
        return len(self._running)

    def _may_move(self) -> bool:
        reign = self._reign
        if not self._garbage.may_delete() or reign.holds_newer or not reign.config.repairs_max:
            return False
        if reign.config.balance_spread >= 1.0 or self._repairing.waiting or self._repairing.running:
            return False
        return len(self._running) < MOVES_MAX and self._budget.is_open(reign.balance_bytes_s)

    async def step(self) -> None:
        """Begin a move if one is worth it."""
        sessions = [one for one in self._reign.sessions.live(self._reign.now_s()) if one.reported]
        for session in sessions:
            before = self._loads.get(session.server, 0.0)
            self._loads[session.server] = before + (session.load - before) / 10
        self._note_outliers(sessions)
        if self._may_move():
            found = self._misplaced() or self._uneven(sessions)
            if found is not None:
                self._begin(*found)

    def _note_outliers(self, sessions: list[Session]) -> None:
        """Note since when servers are much slower than their peers; `Reign.is_spared` says what follows."""
        slow = outliers({one.server: one.latency_s for one in sessions})
        for session in sessions:
            if session.server not in slow:
                session.slow_since_s = None
            elif session.slow_since_s is None:
                session.slow_since_s = self._reign.now_s()
                logger.info("server is slow server=%d latency_s=%.3f", session.server, session.latency_s)

    # ------------------------------------------------------------------ choosing

    def _misplaced(self) -> tuple[ChunkHandle, ChunkRow, Session, Session] | None:
        """A chunk whose copies all stand in one rack, though there are others."""
        reign = self._reign
        misplaced = self._repairing.survey.misplaced
        for handle in list(misplaced)[:TRIES]:
            del misplaced[handle]
            row = reign.chunk(handle)
            if row is None or not self._is_movable(handle, row):
                continue
            staying = reign.staying(row, handle)
            racks = tuple({one.rack: None for one in staying})
            chosen = self._repairing.copies.targets(handle, row, racks=racks)
            others = [one for one in chosen if one.rack not in racks]
            if others and len(racks) == 1:
                fullest = max(staying, key=lambda one: 1.0 - one.free_bytes / max(1, one.total_bytes))
                return handle, row, fullest, others[0]
        return None

    def _uneven(self, sessions: list[Session]) -> tuple[ChunkHandle, ChunkRow, Session, Session] | None:
        reign = self._reign
        uses = [
            Use(
                server=one.server,
                rack=one.rack,
                used=1.0 - one.free_bytes / max(1, one.total_bytes),
                load=self._loads.get(one.server, 0.0),
                has_room=one.room_bytes(reign.identity.chunk_bytes) >= 2 * reign.identity.chunk_bytes,
            )
            for one in sessions
            if one.total_bytes and not reign.is_spared(one)
        ]
        plan = plan_move(uses, spread=reign.config.balance_spread)
        if plan is None:
            return None
        source = reign.sessions.of(plan[0])
        targets = [session for server in plan[1] if (session := reign.sessions.of(server)) is not None]
        return self._chunk_of(source, targets) if source is not None else None

    def _chunk_of(
        self, source: Session, targets: list[Session]
    ) -> tuple[ChunkHandle, ChunkRow, Session, Session] | None:
        """Draw chunks of a server until one may go to one of the others."""
        reign = self._reign
        handles = reign.inventory.of_server(source.server)
        for _ in range(min(TRIES, len(handles))):
            handle = reign.env.random.choice(handles)
            row = reign.chunk(handle)
            if row is None or not row.length or not self._is_movable(handle, row):
                continue
            staying = reign.staying(row, handle)
            holders = reign.inventory.holders(handle)
            for target in targets:
                if source in staying and target.server not in holders and _keeps_apart(staying, source, target):
                    return handle, row, source, target
        return None

    def _is_movable(self, handle: ChunkHandle, row: ChunkRow) -> bool:
        """Closed, nobody at work on it, and neither a copy too few nor one too many."""
        reign = self._reign
        if not row.closed or reign.is_busy(handle) or len(row.members) != row.goal:
            return False
        return len(reign.staying(row, handle)) == row.goal

    # ------------------------------------------------------------------ doing

    def _begin(self, handle: ChunkHandle, row: ChunkRow, source: Session, target: Session) -> None:
        self._running[handle] = None
        self._budget.spend(row.length, self._reign.balance_bytes_s)
        self._reign.start(lambda: self._move(handle, row, source, target), name=f"move {handle:016x}")

    async def _move(self, handle: ChunkHandle, row: ChunkRow, source: Session, target: Session) -> None:
        reign = self._reign
        try:
            if not reign.safeguards.copy_before_move:
                await reign.execute(RemoveMember(handle=handle, version=row.version, server=source.server))
                await self._garbage.delete_left(source, handle)
            reign.copying[handle] = None
            try:
                await self._repairing.copies.copy_to(handle, row, target)
            finally:
                reign.copying.pop(handle, None)
            # Registered: the record names it, and its server lives with a current replica.
            if await self._garbage.take_out(source, handle, row):
                await self._garbage.delete_left(source, handle)
                reign.counters.add("moves_done")
                logger.info("replica moved chunk=%016x from=%d to=%d", handle, source.server, target.server)
        except Waiting:
            pass
        except CairnError as error:
            reign.counters.add("moves_failed")
            logger.info("move failed chunk=%016x to=%d why=%s", handle, target.server, error)
        finally:
            self._running.pop(handle, None)


def _keeps_apart(staying: list[Session], source: Session, target: Session) -> bool:
    racks = [one.rack for one in staying]
    machines = [machine_of(one.address) for one in staying]
    return keeps_apart(racks, source.rack, target.rack) and keeps_apart(
        machines, machine_of(source.address), machine_of(target.address)
    )
