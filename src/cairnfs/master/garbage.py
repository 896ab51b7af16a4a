"""Deleting replicas that nobody needs. GFS paper, sections 4.4 and 4.5; rules 22 and 23.

    orphan    no file uses the chunk (purged, or a copy that was never used)
    stale     the record does not name its server, and the goal is met by others
    excess    more current copies than the goal, for long: one leaves the record first, and is stale then
    left      its disk is to be emptied, and the goal is met elsewhere; or it was moved: as excess, but at once

Guards, each of which alone stops a deletion: the safe start is over; metadata are not older than the cluster; the chunk
is not busy; exact version; the goal is met by confirmed copies on live servers (never the last one, rule 23); the brake
on deletions that no purge in the log explains.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import ORDER_TIMEOUT_S
from cairnfs.master.braking import Brake, HeldBack
from cairnfs.master.inventory import Held
from cairnfs.master.placement import machine_of
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.meta import read
from cairnfs.meta.commands import PurgeDone, RemoveMember
from cairnfs.meta.tables import ChunkRow, get_chunk, get_counters
from cairnfs.meta.views import MetaRead
from cairnfs.wire.master_orders import DeleteReplicas

logger = logging.getLogger(__name__)

SLICE = 2000
"""Replicas of one server looked at in one step."""
BATCH = 100
"""Replicas in one order, and judged without a pause: about 1 ms in which nobody else is served."""
MANY = 4
"""Where more than such a part of a slice was garbage, there is more to do than one server each heartbeat."""


class Why(StrEnum):
    """Why a replica is not needed."""

    PURGED = "purged"  # explained by a purge in the log: no brake
    ORPHAN = "orphan"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Doomed:
    """A replica to be deleted at exactly this version (rule 22)."""

    handle: ChunkHandle
    version: ChunkVersion
    why: Why
    newer: bool = False
    """Than the backup that the metadata came from."""
    enough: bool = True
    """False: shown to an operator only; the goal is not met without it (rule 23)."""


class Garbage:
    """Looks at one server at a time."""

    def __init__(self, reign: Reign, is_safe: Callable[[], bool], *, slice_max: int = SLICE) -> None:
        self._reign = reign
        self._slice = slice_max
        self._is_safe = is_safe
        self._cursor: dict[ServerId, int] = {}
        self._turn = 0
        self.brake = Brake()
        self._told: dict[ServerId, int] = {}
        self._purge_cursor = 0
        self._excess_since: dict[ChunkHandle, float] = {}
        reign.by_chunk.append(self._excess_since)

    @property
    def waiting(self) -> int:
        """Replicas that the brake holds back."""
        return sum(held.count for held in self.brake.held.values())

    def warnings(self) -> list[str]:
        held = [
            f"server {server:x}: {held.count} deletions wait for an operator, see `cairn deletions`"
            for server, held in sorted(self.brake.held.items())
            if held.count
        ]
        if self._reign.holds_newer:
            return ["the metadata came from a backup: all deletions wait, see `cairn deletions`", *held]
        return held

    def may_delete(self) -> bool:
        """Rule 22: not while this master has just started, and not if its metadata are older than the cluster."""
        reign = self._reign
        safe = self._is_safe() or not reign.safeguards.safe_start
        return safe and not reign.rolled_back and not reign.is_deposed

    async def step(self) -> None:
        """Look at a slice of the next server and delete what is garbage there."""
        if not self.may_delete():
            return
        sessions = [one for one in self._reign.sessions.live(self._reign.now_s()) if one.reported]
        if not sessions:
            return
        for _ in sessions:
            self._turn += 1
            session = sessions[self._turn % len(sessions)]
            deleted, excess = await self._collect(session)
            # Excess copies may differ from each other after a restore: nobody knows which of them is to go.
            for handle, row in [] if self._reign.holds_newer else excess:
                await self._leave(session, handle, row)
            # Where one server has much garbage the others have, too: all get their turn at once.
            if deleted < self._slice // MANY:
                break
        await self._forget_purged()

    # ------------------------------------------------------------------ choosing

    async def _collect(self, session: Session) -> tuple[int, list[tuple[ChunkHandle, ChunkRow]]]:
        """Delete orphans and stale replicas of a slice; return how many, and what is in excess there."""
        handles = self._reign.inventory.of_server(session.server)
        start = self._cursor.get(session.server, 0)
        if start >= len(handles):
            start = 0
        some = handles[start : start + self._slice]
        doomed: list[Doomed] = []
        excess: list[tuple[ChunkHandle, ChunkRow]] = []
        for first in range(0, len(some), BATCH):
            with self._reign.store.read() as view:
                for handle in some[first : first + BATCH]:
                    found = self._judge(view, session, handle)
                    if isinstance(found, Doomed):
                        doomed.append(found)
                    elif found is not None:
                        excess.append((handle, found))
            await asyncio.sleep(0)
        if start == 0:
            self.brake.begin_look(session.server)
        allowed = self._brake(session, doomed)
        deleted = 0
        for first in range(0, len(allowed), BATCH):
            deleted += await self._delete(session, allowed[first : first + BATCH])
        # The next slice has moved up by as many: whoever stepped over them would pass every other slice by.
        self._cursor[session.server] = start + self._slice - deleted
        return deleted, excess

    def _judge(self, view: MetaRead, session: Session, handle: ChunkHandle) -> Doomed | ChunkRow | None:
        reign = self._reign
        held = reign.inventory.get(session.server, handle)
        if held is None or reign.is_busy(handle):
            return None
        row = get_chunk(view, handle)
        if row is None:
            return self._judge_unknown(view, handle, held)
        is_member = any(server == session.server for server, _ in row.members)
        if is_member and (not row.closed or len(row.members) <= row.goal):
            return None  # the common case, without a look at the others
        confirmed = [one for one in reign.staying(row, handle) if reign.inventory.get(one.server, handle)]
        if not is_member:
            enough = len(confirmed) >= row.goal or not reign.safeguards.keep_last_copy
            newer = reign.is_newer(held, handle, row)
            return Doomed(handle, held.version, Why.STALE, newer, enough) if enough or newer else None
        if handle in session.leaving:
            is_too_many = len(confirmed) >= row.goal
        else:
            is_too_many = session in confirmed and self._is_long_in_excess(handle, row, confirmed)
            is_too_many = is_too_many and self._fullest(confirmed) is session
        return row if is_too_many else None

    def _is_long_in_excess(self, handle: ChunkHandle, row: ChunkRow, confirmed: list[Session]) -> bool:
        """True if there has been a copy too many for long without a break: a server that flaps costs no copy."""
        now_s, least_s = self._reign.now_s(), self._reign.config.trim_after_s
        if len(confirmed) <= row.goal:
            self._excess_since.pop(handle, None)
            return False
        since_s = self._excess_since.setdefault(handle, now_s)
        return now_s - max(since_s, *(one.begun_s for one in confirmed)) >= least_s

    def _judge_unknown(self, view: MetaRead, handle: ChunkHandle, held: Held) -> Doomed | None:
        """A replica of a chunk that no record names."""
        if handle >= get_counters(view).next_handle:
            return None  # above all that this master knows: never garbage
        purged = read.purged(view, handle)
        why = Why.ORPHAN if purged is None else Why.PURGED
        return Doomed(handle, held.version, why, self._reign.is_newer(held, handle, purged))

    def _fullest(self, sessions: list[Session]) -> Session:
        """Return whose copy goes: from the rack, then the machine, with the most; then from the fullest server."""
        racks = [one.rack for one in sessions]
        machines = [machine_of(one.address) for one in sessions]
        return max(
            sessions,
            key=lambda one: (
                racks.count(one.rack) if one.rack else 1,
                machines.count(machine_of(one.address)),
                1.0 - one.free_bytes / max(1, one.total_bytes),
                -one.server,
            ),
        )

    def _brake(self, session: Session, doomed: list[Doomed]) -> list[Doomed]:
        """Let through what a purge explains, and of the rest what stays within the brake or an operator let go."""
        server = session.server
        explained = [one for one in doomed if one.why is Why.PURGED and not one.newer]
        others = [one for one in doomed if (one.why is not Why.PURGED or one.newer) and one.enough]
        for one in doomed:
            if not one.enough:
                self.brake.held.setdefault(server, HeldBack()).show(one.handle)
        replicas = self._reign.inventory.count(server)
        count = self.brake.take(
            server, len(others), replicas=replicas, now_s=self._reign.now_s(), all_wait=self._reign.holds_newer
        )
        if count < len(others):
            held = self.brake.held.setdefault(server, HeldBack())
            for one in others[count:]:
                held.note(one.handle, orphan=one.why is not Why.STALE, newer=one.newer)
            if held.count > self._told.get(server, 0):  # not at every look
                self._told[server] = held.count
                logger.error("deletions wait for an operator server=%d count=%d", server, held.count)
        return explained + others[:count]

    # ------------------------------------------------------------------ doing

    async def _delete(self, session: Session, doomed: list[Doomed]) -> int:
        """Look once more, then order; return how many are gone.

        Between the look and the order nothing can change: there is no await.
        """
        reign = self._reign
        with reign.store.read() as view:
            still = [one for one in doomed if self._judge(view, session, one.handle) == one]
        if not still or not self.may_delete():
            return 0
        order = DeleteReplicas(epoch=reign.epoch, replicas=[(one.handle, one.version) for one in still])
        try:
            answer = await reign.order(session.address, order, timeout_s=5 * ORDER_TIMEOUT_S)
        except CairnError as error:
            logger.info("deletion not answered server=%d why=%s", session.server, error)
            return 0
        versions = {one.handle: one.version for one in still}
        dropped = 0
        for handle in answer.deleted:
            held = reign.inventory.get(session.server, handle)
            if held is not None and held.version == versions.get(handle):
                reign.inventory.drop(session.server, handle)
                dropped += 1
        reign.counters.add("replicas_deleted", len(answer.deleted))
        logger.info("replicas deleted server=%d asked=%d deleted=%d", session.server, len(still), len(answer.deleted))
        return dropped

    async def _leave(self, session: Session, handle: ChunkHandle, row: ChunkRow) -> None:
        """An excess copy leaves the record; it is garbage from then on."""
        if await self.take_out(session, handle, row):
            self._excess_since.pop(handle, None)
            if handle in session.leaving:
                await self.delete_left(session, handle)

    async def take_out(self, session: Session, handle: ChunkHandle, row: ChunkRow) -> bool:
        """Take a server out of a closed chunk's record if the goal is met by others. True: it is out."""
        reign = self._reign
        async with reign.turns.hold(handle):
            now = reign.chunk(handle)
            if now is None or now.version != row.version or not now.closed:
                return False
            if len([one for one in reign.staying(now, handle) if one is not session]) < now.goal:
                return False
            try:
                await reign.execute(RemoveMember(handle=handle, version=row.version, server=session.server))
            except CairnError as error:
                logger.info("excess copy stays chunk=%016x why=%s", handle, error)
                return False
        return True

    async def delete_left(self, session: Session, handle: ChunkHandle) -> None:
        """Delete a replica that has been moved: the log explains it, so it is no case for the brake."""
        if not self.may_delete() or self._reign.holds_newer:
            return
        with self._reign.store.read() as view:
            found = self._judge(view, session, handle)
        if isinstance(found, Doomed) and found.enough:
            await self._delete(session, [found])

    async def _forget_purged(self) -> None:
        """Purged chunks that no server holds any more need not be remembered, once every known server was heard."""
        reign = self._reign
        if reign.sessions.unheard():
            return
        for _ in range(SLICE // BATCH):
            done: list[ChunkHandle] = []
            last = 0
            with reign.store.read() as view:
                for seen, (handle, _row) in enumerate(read.each_purged(view, self._purge_cursor)):
                    if seen == BATCH:
                        break
                    last = handle
                    if not reign.inventory.holders(handle):
                        done.append(handle)
                else:
                    last = 0
            self._purge_cursor = last
            if done:
                await reign.execute(PurgeDone(handles=done))
                reign.forget(done)
            if not last:
                return
            await asyncio.sleep(0)
