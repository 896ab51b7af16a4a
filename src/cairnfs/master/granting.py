"""Telling servers what was decided: leases (`Open`), seals and exclusions, until each is confirmed. Rules 2, 5, 6.

Everything here is idempotent and repeated: at once, and again with every heartbeat of a server that has not confirmed.
"""

import logging

from cairnfs.errors import CairnError, NotFoundError
from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.limits import ORDER_TIMEOUT_S
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.meta import read
from cairnfs.meta.tables import ChunkRow
from cairnfs.tasks import gather_settled
from cairnfs.wire.common import ChunkPlace, Durability, Lease, Member
from cairnfs.wire.master_orders import Exclude, FenceDone, Open, Seal

logger = logging.getLogger(__name__)

REPEAT_MAX = 200
"""Orders repeated for one server at one heartbeat: the rest waits for the next."""


class Granting:
    """Builds leases and places, and brings decisions to the servers."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign
        self._durability = Durability(reign.config.durability)
        self._unsealed: dict[ServerId, dict[ChunkHandle, None]] = {}
        self._telling: dict[ServerId, None] = {}
        self._repeating: dict[ServerId, None] = {}
        self._fences: dict[ChunkHandle, None] = {}

    # ------------------------------------------------------------------ leases and places

    def members(self, row: ChunkRow) -> list[Member]:
        """Return the record's members with the addresses of their sessions or, without one, the last known."""
        return [Member(server=server, boot=boot, address=self.address(server)) for server, boot in row.members]

    def address(self, server: ServerId) -> str:
        session = self._reign.sessions.of(server)
        if session is not None:
            return session.address
        known = self._reign.sessions.known.get(server)
        return known.address if known is not None else ""

    def lease(self, handle: ChunkHandle, row: ChunkRow, members: list[Member]) -> Lease:
        """Build the lease that the record stands for. A new chunk has no fence: nobody can hold its handle yet."""
        reign = self._reign
        fenced = row.is_new or not reign.safeguards.fence_before_overwrite
        primary = reign.sessions.of(row.primary)
        return Lease(
            handle=handle,
            version=row.version,
            epoch=reign.epoch,
            members=members,
            primary=row.primary,
            base_length=row.base_length,
            broken_at=row.broken_at,
            fence_done=fenced or reign.exclusions.is_fenced(handle, [one.server for one in members], reign.now_s()),
            lease_s=reign.config.lease_s,
            anchor_s=primary.sent_at_s if primary is not None else 0.0,
            durability=self._durability,
            is_new=row.is_new,
            takes_records=self._is_last(row) or not reign.safeguards.records_at_end,
        )

    def _is_last(self, row: ChunkRow) -> bool:
        """True unless another chunk follows in the chunk's file: a client may know this one only."""
        try:
            with self._reign.store.read() as view:
                return row.index >= read.inode_row(view, row.inode).chunks - 1
        except NotFoundError:
            return True  # purged: nobody comes any more

    def new_lease(self, place: ChunkPlace) -> Lease:
        """Build the lease of a chunk that was just made."""
        reign = self._reign
        primary = reign.sessions.of(place.primary)
        return Lease(
            handle=place.handle,
            version=place.version,
            epoch=reign.epoch,
            members=place.members,
            primary=place.primary,
            base_length=0,
            lease_s=reign.config.lease_s,
            anchor_s=primary.sent_at_s if primary is not None else 0.0,
            durability=self._durability,
            is_new=True,
        )

    def place(self, handle: ChunkHandle, row: ChunkRow, index: int, *, lease: Lease | None = None) -> ChunkPlace:
        """Build what a client caches: the current replicas that live, and the primary if there is one."""
        reign = self._reign
        members = [
            Member(server=session.server, boot=session.boot, address=session.address)
            for session in reign.live_current(row, handle)
        ]
        has_primary = not row.closed and any(member.server == row.primary for member in members)
        return ChunkPlace(
            index=index,
            handle=handle,
            version=row.version,
            epoch=reign.epoch,
            members=members if lease is None else lease.members,
            primary=row.primary if has_primary or lease is not None else ServerId(0),
            closed=row.closed,
            length=row.length,
            lease=lease,
            broken_at=row.broken_at,
        )

    # ------------------------------------------------------------------ open

    async def open(self, handle: ChunkHandle, row: ChunkRow) -> bool:
        """Grant the record's lease to all members; True if the primary took it. The others are told until they do.

        Entered in the book before it is sent: if the answer is lost, the primary may be at work.
        """
        reign = self._reign
        members = self.members(row)
        held = reign.leases.grant(
            handle, row.version, primary=row.primary, members=members, now_s=reign.now_s(), is_opened=False
        )
        order = Open(lease=self.lease(handle, row, members))
        answers = await gather_settled(
            *[reign.order(one.address, order, timeout_s=2 * ORDER_TIMEOUT_S) for one in members]
        )
        for member, answer in zip(members, answers, strict=True):
            if isinstance(answer, BaseException):
                reign.leases.not_confirmed(held, member.server)
                logger.info("open not confirmed chunk=%016x server=%d why=%s", handle, member.server, answer)
            elif member.server == row.primary:
                held.is_opened = True
        if not held.is_opened:
            reign.leases.drop(handle, row.version)
        else:
            reign.counters.add("leases_granted")
            if not order.lease.fence_done:
                self._fences[handle] = None
        return held.is_opened

    def repeat(self, session: Session) -> None:
        """Tell one server again what it has not confirmed: leases and seals. Called at each of its heartbeats."""
        server = session.server
        if server not in self._repeating and (self._unsealed.get(server) or self._reign.leases.to_repeat(server)):
            self._repeating[server] = None
            self._reign.start(lambda: self._repeat(session), name=f"repeat {server}")

    async def _repeat(self, session: Session) -> None:
        try:
            await self._repeat_opens(session)
            await self._repeat_seals(session)
        finally:
            self._repeating.pop(session.server, None)

    async def _repeat_opens(self, session: Session) -> None:
        reign = self._reign
        for held in reign.leases.to_repeat(session.server)[:REPEAT_MAX]:
            row = reign.chunk(held.handle)
            if row is None or row.version != held.version or row.closed:
                reign.leases.drop(held.handle, held.version)
                continue
            order = Open(lease=self.lease(held.handle, row, held.members))
            try:
                await reign.order(session.address, order, timeout_s=ORDER_TIMEOUT_S)
            except CairnError as error:
                logger.info("open refused again chunk=%016x server=%d why=%s", held.handle, session.server, error)
                if isinstance(error, ConnectionError | TimeoutError):
                    return
                continue
            reign.leases.confirmed(held, session.server)

    # ------------------------------------------------------------------ seal

    def not_sealed(self, server: ServerId, handle: ChunkHandle) -> None:
        """The record says closed, but this server's replica does not: tell it again."""
        self._unsealed.setdefault(server, {})[handle] = None

    async def _repeat_seals(self, session: Session) -> None:
        reign = self._reign
        waiting = self._unsealed.get(session.server, {})
        for handle in list(waiting)[:REPEAT_MAX]:
            row = reign.chunk(handle)
            if row is not None and row.closed and any(server == session.server for server, _ in row.members):
                order = Seal(handle=handle, version=row.version, epoch=reign.epoch, length=row.length)
                try:
                    await reign.order(session.address, order, timeout_s=ORDER_TIMEOUT_S)
                except CairnError as error:
                    logger.info("seal refused chunk=%016x server=%d why=%s", handle, session.server, error)
                    if isinstance(error, ConnectionError | TimeoutError):
                        return
                    continue
            waiting.pop(handle, None)

    # ------------------------------------------------------------------ exclusions and fences

    def tell(self, session: Session) -> None:
        """Send a server its unconfirmed exclusions at once; its next heartbeat answer carries them as well."""
        if session.server not in self._telling:
            self._telling[session.server] = None
            self._reign.start(lambda: self._tell(session), name=f"exclude {session.server}")

    async def _tell(self, session: Session) -> None:
        try:
            while session.pending:  # ends: each turn confirms some, or fails
                numbers = list(session.pending)[:REPEAT_MAX]
                order = Exclude(epoch=self._reign.epoch, exclusions=[session.pending[number] for number in numbers])
                await self._reign.order(session.address, order, timeout_s=ORDER_TIMEOUT_S)
                self._reign.exclusions.confirm(session, numbers)
        except CairnError as error:
            logger.info("exclusion not told server=%d why=%s", session.server, error)
        finally:
            self._telling.pop(session.server, None)
        await self.finish_fences()

    async def finish_fences(self) -> None:
        """Tell primaries whose fence is done by now (rule 6). Who misses it asks with its heartbeats."""
        reign = self._reign
        now_s = reign.now_s()
        for handle in list(self._fences):
            held = reign.leases.get(handle, now_s)
            if held is None:
                self._fences.pop(handle, None)
                continue
            if not reign.exclusions.is_fenced(handle, [one.server for one in held.members], now_s):
                continue
            self._fences.pop(handle, None)
            try:
                order = FenceDone(handle=handle, version=held.version, epoch=reign.epoch)
                await reign.order(self.address(held.primary), order, timeout_s=ORDER_TIMEOUT_S)
            except CairnError as error:
                logger.info("fence not told chunk=%016x why=%s", handle, error)
