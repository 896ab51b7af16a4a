"""Drain, maintenance, forgetting: what an operator may take away, and what is still needed there. docs/REPAIR.md.

Looks go through all that a server holds, in slices, so that a server of a million replicas holds nobody up.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from cairnfs.errors import BadRequestError, CairnError, NoSuchServerError
from cairnfs.ids import ChunkHandle, DiskId, ServerId
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.master.sessions import Known, Session
from cairnfs.meta import read
from cairnfs.meta.commands import ForgetServer, OrderServer
from cairnfs.meta.tables import ChunkRow
from cairnfs.units import DAY_S, SECOND_NS
from cairnfs.wire.duties import WHOLE_SERVER, Action, Drain, DrainPlan, Maintain, MaintenancePlan, Stuck
from cairnfs.wire.membership import DiskReport

logger = logging.getLogger(__name__)

SLICE = 1000
SHOWN_MAX = 20
MAINTENANCE_S_MAX = 7 * DAY_S


@dataclass(slots=True)
class _Count:
    """What a look at one server found."""

    replicas: int = 0
    size_bytes: int = 0
    left: int = 0
    left_bytes: int = 0
    alone: int = 0
    one_left: int = 0
    needed: list[tuple[int, ChunkHandle]] = field(default_factory=list)
    """(copies elsewhere, handle) of some that are needed, the fewest copies first."""

    def note(self, handle: ChunkHandle, row: ChunkRow, size: int, *, staying: int, others: int) -> None:
        self.replicas += 1
        self.size_bytes += size
        if staying >= row.goal:
            return
        self.left += 1
        self.left_bytes += size
        self.alone += others == 0
        self.one_left += others == 1
        self.needed.append((others, handle))
        if len(self.needed) > 2 * SHOWN_MAX:
            self.needed = sorted(self.needed)[:SHOWN_MAX]


class Draining:
    """Answers `wire.duties` about servers."""

    def __init__(self, reign: Reign, repairing: Repairing) -> None:
        self._reign = reign
        self._repairing = repairing

    def _known(self, server: ServerId) -> Known:
        known = self._reign.sessions.known.get(server)
        if known is None:
            raise NoSuchServerError(server=f"{server:x}")
        return known

    async def drain(self, request: Drain) -> DrainPlan:
        """See `wire.duties.Drain`."""
        known = self._known(request.server)
        if request.disk != WHOLE_SERVER and request.action is Action.START:
            _ = self._disk(request.server, request.disk, known)
        if request.action is not Action.PLAN:
            starts = request.action is Action.START
            await self._order_drain(request.server, request.disk, starts=starts)
            known = self._known(request.server)
        if request.disk == WHOLE_SERVER:
            return await self._plan(request.server, known)
        if self._reign.sessions.of(request.server) is None:
            return self._plan_gone(request.server, request.disk, known)
        return self._plan_disk(request.server, request.disk, known)

    async def _order_drain(self, server: ServerId, disk: DiskId, *, starts: bool) -> None:
        reign = self._reign
        before = known = self._known(server)
        if disk == WHOLE_SERVER:
            command, known = OrderServer(server=server, draining=starts), replace(known, draining=starts)
        else:
            others = tuple(one for one in known.draining_disks if one != disk)
            known = replace(known, draining_disks=(*others, disk) if starts else others)
            command = OrderServer(
                server=server, drain_disks=[disk] if starts else [], keep_disks=[] if starts else [disk]
            )
        # Before it is durable: what is placed from now on goes elsewhere, what was placed is in the records then.
        reign.sessions.known[server] = known
        try:
            await reign.execute(command)
        except CairnError:
            reign.sessions.known[server] = before
            raise
        logger.warning("drain ordered server=%d disk=%x starts=%s", server, disk, starts)
        if disk == WHOLE_SERVER and starts:
            reign.look_at(reign.inventory.of_server(server))

    async def _plan(self, server: ServerId, known: Known) -> DrainPlan:
        reign = self._reign
        count = await self._count(server)
        others = [
            one for one in reign.sessions.live(reign.now_s()) if one.server != server and not reign.is_spared(one)
        ]
        limits = [one for one in (reign.repair_bytes_s, reign.cluster_bytes_s) if one]
        return DrainPlan(
            server=server,
            address=known.address,
            disk=WHOLE_SERVER,
            folder="",
            draining=known.draining,
            live=reign.sessions.is_live(server, reign.now_s()),
            replicas=count.replicas,
            size_bytes=count.size_bytes,
            left=count.left if reign.safeguards.drained_is_needless else 0,
            left_bytes=count.left_bytes,
            alone=count.alone,
            bytes_s=min(limits, default=0),
            room_bytes=sum(one.free_bytes for one in others),
            stuck=[self._stuck(handle) for _, handle in sorted(count.needed)[:SHOWN_MAX]] if known.draining else [],
        )

    def _plan_gone(self, server: ServerId, disk: DiskId, known: Known) -> DrainPlan:
        """Of a disk whose server is away nothing is known but what an operator has said."""
        return DrainPlan(
            server=server,
            address=known.address,
            disk=disk,
            folder="",
            draining=disk in known.draining_disks,
            live=False,
            replicas=0,
            size_bytes=0,
            left=1,
            left_bytes=0,
            alone=0,
            bytes_s=self._reign.repair_bytes_s,
            room_bytes=0,
            exact=False,
        )

    def _plan_disk(self, server: ServerId, disk: DiskId, known: Known) -> DrainPlan:
        """Of a disk its server knows more: it moves replicas to its other disks, and names those without room there."""
        reign = self._reign
        session, found = self._disk(server, disk, known)
        others = [one for one in session.disks if one.disk != disk and not (one.failed or one.read_only)]
        draining = disk in known.draining_disks
        return DrainPlan(
            server=server,
            address=known.address,
            disk=disk,
            folder=found.folder,
            draining=draining,
            live=True,
            replicas=found.replicas,
            size_bytes=found.total - found.free,
            # Until its server has said that it takes no more there, what it said of their number may be out of date.
            left=found.replicas if found.leaving else max(1, found.replicas),
            left_bytes=found.total - found.free if found.replicas else 0,
            alone=0,
            bytes_s=reign.repair_bytes_s,
            room_bytes=sum(one.free for one in others),
            stuck=[self._stuck(handle) for handle in list(session.leaving)[:SHOWN_MAX]] if draining else [],
            exact=False,
        )

    def _disk(self, server: ServerId, disk: DiskId, known: Known) -> tuple[Session, DiskReport]:
        """Return a live server's session and what it said of one of its disks."""
        session = self._reign.sessions.of(server)
        for one in session.disks if session is not None else []:
            if one.disk == disk and session is not None:
                return session, one
        raise BadRequestError(what=f"server {server:x} at {known.address} has no disk {disk:x}, or is not there")

    async def maintain(self, request: Maintain) -> MaintenancePlan:
        """See `wire.duties.Maintain`."""
        reign = self._reign
        known = self._known(request.server)
        if request.for_s is not None:
            if not 0 <= request.for_s <= MAINTENANCE_S_MAX:
                raise BadRequestError(what=f"maintenance for {request.for_s:g} s: 0 s to 7 days can be asked for")
            until_ns = reign.env.clock.wall_ns() + int(request.for_s * SECOND_NS) if request.for_s else 0
            await reign.execute(OrderServer(server=request.server, maintenance_until_ns=until_ns))
            known = replace(self._known(request.server), maintenance_until_ns=until_ns)
            reign.sessions.known[request.server] = known
            logger.warning("maintenance server=%d for_s=%g", request.server, request.for_s)
        count = await self._count(request.server)
        return MaintenancePlan(
            server=request.server,
            address=known.address,
            left_s=reign.maintenance_left_s(request.server),
            replicas=count.replicas,
            alone=count.alone,
            one_left=count.one_left,
            stuck=[self._stuck(handle) for copies, handle in sorted(count.needed)[:SHOWN_MAX] if not copies],
        )

    async def forget(self, server: ServerId) -> None:
        """See `wire.duties.Forget`."""
        reign = self._reign
        known = self._known(server)
        if reign.sessions.of(server) is not None:
            raise BadRequestError(what=f"chunkserver {known.address} is there: drain and stop it first")
        alone = await self._needs(server)
        if alone is not None:
            raise BadRequestError(
                what=f"chunkserver {known.address} may have the only copy of chunk {alone:016x}: nothing was forgotten"
            )
        await reign.execute(ForgetServer(server=server))
        reign.sessions.known.pop(server, None)
        logger.warning("server forgotten server=%d address=%s", server, known.address)

    # ------------------------------------------------------------------ looking

    async def _count(self, server: ServerId) -> _Count:
        """Count what the server holds, as a member of the record, and what of that is needed.

        Quick while something is needed: what it has reported. That nothing is, is said after a look at all records
        only: a chunk that is just being made is in no report yet.
        """
        reign = self._reign
        count = _Count()
        handles = reign.inventory.of_server(server)
        for first in range(0, len(handles), SLICE):
            with reign.store.read() as view:
                rows = [(handle, read.chunk(view, handle)) for handle in handles[first : first + SLICE]]
            for handle, row in rows:
                if row is not None:
                    self._note(count, server, handle, row)
            await asyncio.sleep(0)
        if count.left:
            return count
        count = _Count()
        async for handle, row in self._all_chunks():
            self._note(count, server, handle, row)
        return count

    def _note(self, count: _Count, server: ServerId, handle: ChunkHandle, row: ChunkRow) -> None:
        if all(member != server for member, _ in row.members):
            return
        reign = self._reign
        others = [one for one in reign.live_current(row, handle) if one.server != server]
        staying = sum(not reign.leaves(one, handle) for one in others)
        held = reign.inventory.get(server, handle)
        size = row.length if row.closed or held is None else held.length
        count.note(handle, row, size, staying=staying, others=len(others))

    async def _all_chunks(self) -> AsyncIterator[tuple[ChunkHandle, ChunkRow]]:
        """Go through all records, in slices."""
        after = ChunkHandle(0)
        while True:  # ends with the chunks
            with self._reign.store.read() as view:
                some = [one for one, _ in zip(read.each_chunk(view, after), range(SLICE), strict=False)]
            for one in some:
                yield one
            if len(some) < SLICE:
                return
            after = some[-1][0]
            await asyncio.sleep(0)

    async def _needs(self, server: ServerId) -> ChunkHandle | None:
        """Return a chunk that names the server and has no current copy elsewhere."""
        async for handle, row in self._all_chunks():
            if any(member == server for member, _ in row.members) and not self._reign.live_current(row, handle):
                return handle
        return None

    def _stuck(self, handle: ChunkHandle) -> Stuck:
        reign = self._reign
        path = None
        with reign.store.read() as view:
            row = read.chunk(view, handle)
            if row is not None and row.references == 1:
                path = read.path_of(view, row.inode)
        why = "its file is deleted" if row is None else self._repairing.why_not(handle, row)
        return Stuck(handle=handle, path=b"" if path is None else path, why=why)
