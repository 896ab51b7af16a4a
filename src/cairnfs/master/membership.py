"""Chunkservers come, report, live and go. Rules 2 to 6, 20; the other end of `wire.membership`.

A session begins with `register`; after the last page of its full report has been compared it may get serving leases,
each with the exclusions that its server has not confirmed. Heartbeats renew leases, also those of the predecessor of
this master (a takeover disturbs no writer).
"""

import asyncio
import logging
from dataclasses import replace

from cairnfs.errors import BadRequestError, CairnError, NotLeaderError
from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import PROBE_TIMEOUT_S
from cairnfs.master.granting import Granting
from cairnfs.master.inventory import Held
from cairnfs.master.reign import Reign
from cairnfs.master.reports import Reports
from cairnfs.master.sessions import Known, Session
from cairnfs.meta.commands import CloseChunk, SeeServer
from cairnfs.meta.tables import ChunkRow, get_chunk
from cairnfs.wire.base import Ping
from cairnfs.wire.common import Durability
from cairnfs.wire.membership import (
    ClosedReport,
    Heartbeat,
    HeartbeatAnswer,
    Register,
    Registered,
    Settings,
)

logger = logging.getLogger(__name__)


class Membership:
    """Handles what chunkservers say about themselves."""

    def __init__(self, reign: Reign, granting: Granting, reports: Reports) -> None:
        self._reign = reign
        self._granting = granting
        self._reports = reports
        config, identity = reign.config, reign.identity
        self._settings = Settings(
            heartbeat_s=config.heartbeat_s,
            serving_lease_s=config.serving_lease_s,
            serving_lease_quiet_s=config.serving_lease_quiet_s,
            lease_s=config.lease_s,
            chunk_bytes=identity.chunk_bytes,
            block_bytes=identity.block_bytes,
            durability=Durability(config.durability),
            trash_s=config.replica_trash_s,
            copies_min=identity.copies_min,
            report_page=config.report_page,
            report_bucket=config.report_bucket,
        )

    # ------------------------------------------------------------------ sessions

    async def register(self, request: Register) -> Registered:
        """Begin a session.

        Raises:
            NotLeaderError: the server has seen a higher epoch: this master was deposed.
            BadRequestError: the same server id lives at another address. Nothing was changed.
        """
        reign = self._reign
        reign.check_leads()
        if request.epoch_seen > reign.epoch:
            logger.error("server has seen a later master epoch=%d seen=%d", reign.epoch, request.epoch_seen)
            raise NotLeaderError()
        await self._refuse_twin(request)
        await reign.execute(
            SeeServer(
                server=request.server,
                boot=request.boot,
                address=request.address,
                rack=request.rack,
                disks=[disk.disk for disk in request.disks],
            )
        )
        await self._end_older(request)
        known = reign.sessions.known.get(request.server) or Known(request.address, request.rack)
        reign.sessions.known[request.server] = replace(known, address=request.address, rack=request.rack)
        session = reign.sessions.begin(request, now_s=reign.now_s())
        logger.info("server registered server=%d address=%s boot=%d", request.server, request.address, request.boot)
        return Registered(
            session=session.number,
            epoch=reign.epoch,
            cluster=reign.identity.cluster,
            settings=self._settings,
            remembers=reign.inventory.remembered(request.server),
        )

    async def _end_older(self, request: Register) -> None:
        """End the session before, and have all that the server told in it put aside before the new one begins."""
        reign = self._reign
        while True:  # ends: what one session told
            older = reign.sessions.of(request.server)
            if older is not None:
                self.end(older, restarted=older.boot != request.boot)
            if not reign.inventory.put_aside(request.server):
                return
            await asyncio.sleep(0)

    async def _put_aside(self, server: ServerId) -> None:
        """Bucket by bucket: a server may hold a million replicas, and nobody is to wait for them."""
        inventory, sessions = self._reign.inventory, self._reign.sessions
        while sessions.of(server) is None and inventory.put_aside(server):  # noqa: ASYNC110 - others get their turn
            await asyncio.sleep(0)

    async def _refuse_twin(self, request: Register) -> None:
        """A copied disk folder would be the same server twice. Whoever lives at the older address keeps the name."""
        reign = self._reign
        older = reign.sessions.of(request.server)
        if older is None or older.address == request.address or older.boot == request.boot:
            return
        if not reign.safeguards.refuse_twin:
            return
        if not reign.sessions.is_live(request.server, reign.now_s()):
            return
        try:
            await reign.caller.call(older.address, Ping(), timeout_s=PROBE_TIMEOUT_S)
        except CairnError:
            return  # it has restarted at another port
        raise BadRequestError(
            what=f"server {request.server:x} already lives at {older.address}: is {request.address} a copy of its disk?"
        )

    def end(self, session: Session, *, restarted: bool = False) -> None:
        """The session is over: dead, or replaced by a newer one."""
        reign = self._reign
        reign.exclusions.session_ended(session)
        reign.sessions.end(session, restarted=restarted)
        reign.look_at(reign.inventory.of_server(session.server))
        reign.start(lambda: self._put_aside(session.server), name="put aside")
        if restarted:
            for handle in reign.leases.of_primary(session.server):
                reign.leases.drop(handle)  # rule 2: over when its primary restarted
        logger.info("session ended server=%d restarted=%s", session.server, restarted)

    # ------------------------------------------------------------------ heartbeats

    async def heartbeat(self, request: Heartbeat) -> HeartbeatAnswer:
        """Renew a session, its leases and its serving lease.

        Raises:
            SessionLostError: register anew.
            NotLeaderError: this master cannot prove that it leads, so it renews nothing (rule 1).
        """
        reign = self._reign
        session = reign.sessions.by_number(request.session, request.boot)
        await reign.prove()
        if request.closed:
            await self.close_chunks(request.closed)
        session = reign.sessions.by_number(request.session, request.boot)
        now_s = reign.now_s()
        session.heard_s = now_s
        session.sent_at_s = max(session.sent_at_s, request.sent_at_s)
        session.heartbeats += 1
        session.load = request.load
        session.draining_disks = reign.sessions.known[session.server].draining_disks
        session.take_disks(request.disks)
        reign.exclusions.confirm_upto(session, request.exclusions_confirmed)
        for handle in request.lost:
            reign.inventory.drop(session.server, handle)
        reign.look_at(request.lost)
        self._take_leaving(session, request.leaving)
        if request.gained:
            self._reports.take(session, request.gained)
        renewed, unknown = reign.leases.renew(session.server, session.boot, request.leases, now_s)
        if unknown:
            renewed += self._adopt(session, unknown, now_s)
        self._granting.repeat(session)
        fences = self._fences(session, request.fences_wanted, now_s) if request.fences_wanted else []
        # Taken last: nothing can be added between this and the answer.
        exclusions, upto, all_told = reign.exclusions.to_tell(session)
        serves = session.reported and (all_told or not reign.safeguards.exclusions_before_renewal)
        if serves:
            reign.sessions.renew_serving(session, now_s=now_s)
        return HeartbeatAnswer(
            sent_at_s=request.sent_at_s,
            serves=serves,
            exclusions=exclusions if reign.safeguards.exclusions_before_renewal else [],
            exclusions_upto=upto,
            renewed=renewed,
            fences_done=fences,
            epoch=reign.epoch,
            copy_bytes_s=reign.repair_bytes_s,
            leaving_disks=list(reign.sessions.known[session.server].draining_disks),
        )

    def _take_leaving(self, session: Session, leaving: list[ChunkHandle]) -> None:
        """Replicas that no other disk of the server has room for have to go to other servers."""
        if leaving or session.leaving:
            before, session.leaving = session.leaving, dict.fromkeys(leaving)
            self._reign.look_at(handle for handle in leaving if handle not in before)

    def _adopt(
        self, session: Session, asked: list[tuple[ChunkHandle, ChunkVersion]], now_s: float
    ) -> list[ChunkHandle]:
        """A lease that this master did not grant: go on with it if the record agrees to version, primary and boot."""
        reign = self._reign
        adopted: list[ChunkHandle] = []
        with reign.store.read() as view:
            for handle, version in asked:
                row = get_chunk(view, handle)
                if row is None or row.closed or row.version != version or row.primary != session.server:
                    continue
                if (session.server, session.boot) not in row.members or reign.turns.is_held(handle):
                    continue
                members = self._granting.members(row)
                reign.leases.grant(handle, version, primary=row.primary, members=members, now_s=now_s, is_opened=True)
                adopted.append(handle)
        if adopted:
            logger.info("leases adopted server=%d count=%d", session.server, len(adopted))
        return adopted

    def _fences(
        self, session: Session, wanted: list[tuple[ChunkHandle, ChunkVersion]], now_s: float
    ) -> list[ChunkHandle]:
        """Rule 6: of those a member waits for, the chunks that nobody outside the set can be read from any more."""
        reign = self._reign
        done: list[ChunkHandle] = []
        with reign.store.read() as view:
            for handle, version in wanted:
                row = get_chunk(view, handle)
                if row is None or row.version != version or (session.server, session.boot) not in row.members:
                    continue
                if reign.turns.is_held(handle):
                    continue  # a copy or raise is in the log, but perhaps not yet in the book of exclusions
                if reign.exclusions.is_fenced(handle, [server for server, _ in row.members], now_s):
                    done.append(handle)
        return done

    # ------------------------------------------------------------------ closing

    async def close_chunks(self, closed: list[ClosedReport]) -> None:
        """Record what primaries closed (rule 4): only at the version of the record. Others are out of date."""
        reign = self._reign
        commands = [CloseChunk(handle=one.handle, version=one.version, length=one.length) for one in closed]
        results = await reign.execute_each(commands)
        for one, result in zip(closed, results, strict=True):
            if isinstance(result, CairnError):
                logger.debug("close not recorded chunk=%016x version=%s why=%s", one.handle, one.version, result)
            else:
                self._enter_closed(one.handle, result.row)

    def note_closed(self, handle: ChunkHandle, version: ChunkVersion) -> None:
        """A client says that its primary closed the chunk; if the record agrees, memory follows."""
        row = self._reign.chunk(handle)
        if row is not None and row.closed and row.version == version:
            self._enter_closed(handle, row)

    def _enter_closed(self, handle: ChunkHandle, row: ChunkRow) -> None:
        """All members flushed and stored `closed` before the primary said so; their own reports come later."""
        reign = self._reign
        reign.leases.drop(handle, row.version)
        held = Held(row.version, row.version, row.length, closed=True, incomplete=False, unbroken=True)
        for server, boot in row.members:
            session = reign.sessions.of(server)
            if session is not None and session.boot == boot:
                reign.inventory.infer(server, handle, held)
