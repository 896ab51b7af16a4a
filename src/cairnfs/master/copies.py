"""Copying replicas in the background: from where, to where, within which limits. GFS paper, sections 4.2 and 4.3.

Used by repairs and by moves. The speed itself is kept by both chunkservers (`chunkserver.pacing`).
"""

import logging

from cairnfs.ids import BootId, ChunkHandle, ServerId
from cairnfs.limits import DATA_CALL_S
from cairnfs.master.choosing import CANDIDATES_MAX, Choosing
from cairnfs.master.inventory import Held
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.master.streams import Budget, Streams
from cairnfs.meta.commands import AddMember
from cairnfs.meta.tables import ChunkRow
from cairnfs.wire.master_orders import Clone, Cloned
from cairnfs.wire.membership import Exclusion

logger = logging.getLogger(__name__)


class Waiting(Exception):  # noqa: N818 - no error: it goes on by itself
    """Not now: its servers have enough to do."""


class Copies:
    """Chooses both ends, orders the copy, and enters it."""

    def __init__(self, reign: Reign, raising: Raising, choosing: Choosing) -> None:
        self._reign = reign
        self._raising = raising
        self._choosing = choosing
        self.streams = Streams(reign.identity.chunk_bytes)
        self._budget = Budget(reign.env.clock)

    def may_copy(self, handle: ChunkHandle, row: ChunkRow) -> bool:
        """True if the cluster's budget is open, and a source may give."""
        reign = self._reign
        if not self._budget.is_open(reign.cluster_bytes_s):
            return False
        size = reign.size_of(handle, row)
        return any(self.streams.may_give(one.server, size) for one in reign.live_current(row, handle))

    async def copy_to(self, handle: ChunkHandle, row: ChunkRow, target: Session) -> None:
        """Copy a closed chunk, verified, and enter the new replica into the record. The caller marked it as copying.

        Raises:
            Waiting: no source may give more now. CairnError: nothing was entered.
        """
        reign = self._reign
        cloned = await self.clone(handle, row, target)
        member: tuple[ServerId, BootId] = (target.server, cloned.boot)
        await reign.execute(AddMember(handle=handle, version=row.version, member=member))
        held = Held(row.version, row.version, cloned.length, closed=True, incomplete=False, unbroken=True)
        reign.inventory.set(target.server, handle, held)
        now = reign.chunk(handle)
        if now is not None and all(server != target.server for server, _ in now.members):
            # A raise went on beside the copy and logged its result last: it could not know of this replica yet.
            self._raising.exclude([target.server], Exclusion(handle=handle, below=now.version))
        reign.counters.add("copies_made")
        reign.counters.add("bytes_cloned", cloned.length)
        logger.info("replica copied chunk=%016x to=%d", handle, target.server)

    async def clone(self, handle: ChunkHandle, row: ChunkRow, target: Session, *, joiner: bool = False) -> Cloned:
        """Order a copy and keep account of it. Raises as `copy_to`."""
        reign = self._reign
        size = reign.size_of(handle, row)
        source = self._source(handle, row, size)
        order = Clone(handle=handle, version=row.version, epoch=reign.epoch, source=source.address, joiner=joiner)
        self.streams.begin(source.server, target.server, size)
        self._budget.spend(size, reign.cluster_bytes_s)
        try:
            return await reign.order(target.address, order, timeout_s=self._timeout_s())
        finally:
            self.streams.end(source.server, target.server, size)

    def _timeout_s(self) -> float:
        """Return how long a copy may take: the limit of its servers, shared, and then some."""
        limit = self._reign.repair_bytes_s
        return DATA_CALL_S + (4 * self._reign.identity.chunk_bytes / limit if limit else 0.0)

    def _source(self, handle: ChunkHandle, row: ChunkRow, size: int) -> Session:
        """Return the live holder that gives the least now."""
        free = [one for one in self._reign.live_current(row, handle) if self.streams.may_give(one.server, size)]
        if not free:
            raise Waiting
        return min(free, key=lambda one: (self.streams.given_by(one.server), one.load))

    def target(self, handle: ChunkHandle, row: ChunkRow) -> Session | None:
        """Return where the next copy goes; None if no other server has room.

        Where a copy was interrupted it goes on: only blocks that differ are fetched.

        Raises:
            Waiting: those with room are all being copied to as much as they may.
        """
        reign = self._reign
        size = reign.size_of(handle, row)
        members = [server for server, _ in row.members]
        holders = reign.inventory.holders(handle)
        racks = tuple(one.rack for one in reign.staying(row, handle) if one.rack)
        begun = [server for server, held in holders.items() if held.incomplete and server not in members]
        for server in begun:
            session = reign.sessions.of(server)
            is_usable = session is not None and reign.sessions.is_live(server, reign.now_s())
            if session is not None and is_usable and not reign.is_spared(session):
                if not self.streams.may_take(server, size):
                    raise Waiting
                return session
        chosen = self.targets(handle, row, racks=racks)
        # Whoever takes the least now, so that none is still at it when the others are done.
        for session in sorted(chosen, key=lambda one: (one.rack in racks, self.streams.taken_by(one.server))):
            if self.streams.may_take(session.server, size):
                return session
        if chosen:
            raise Waiting
        return None

    def targets(self, handle: ChunkHandle, row: ChunkRow, *, racks: tuple[str, ...]) -> list[Session]:
        """Return servers with room that hold nothing of the chunk, those in other racks first."""
        without = (*(server for server, _ in row.members), *self._reign.inventory.holders(handle))
        chosen = self._choosing.choose(CANDIDATES_MAX, near="", without=without, racks=racks)
        return [session for one in chosen if (session := self._reign.sessions.of(one.server)) is not None]
