"""Handlers of `wire.membership`. Thin: see `membership`, `reports` and `locate`."""

import logging

from cairnfs.errors import CairnError
from cairnfs.ids import ServerId
from cairnfs.master.locate import Locate
from cairnfs.master.membership import Membership
from cairnfs.master.reign import Reign
from cairnfs.master.reports import Reports
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.membership import (
    Heartbeat,
    HeartbeatAnswer,
    Register,
    Registered,
    ReportAnswer,
    ReportReplicas,
    ReportSuspect,
    SuspectReport,
)

logger = logging.getLogger(__name__)


def serve_membership(server: Server, reign: Reign, membership: Membership, reports: Reports, locate: Locate) -> None:
    """Register the handlers."""

    async def register(_peer: Peer, request: Register, _incoming: Incoming) -> Registered:
        return await membership.register(request)

    async def report(_peer: Peer, request: ReportReplicas, _incoming: Incoming) -> ReportAnswer:
        return await reports.report(request)

    async def heartbeat(_peer: Peer, request: Heartbeat, _incoming: Incoming) -> HeartbeatAnswer:
        return await membership.heartbeat(request)

    async def suspect(_peer: Peer, request: ReportSuspect, _incoming: Incoming) -> Done:
        session = reign.sessions.by_number(request.session)
        # Answered at once: the reporter must not wait for a raise that it takes part in.
        reign.start(lambda: _raise(locate, request.report, session.server), name="suspect")
        return Done()

    server.on(Register, register)
    server.on(ReportReplicas, report)
    server.on(Heartbeat, heartbeat)
    server.on(ReportSuspect, suspect)


async def _raise(locate: Locate, report: SuspectReport, reporter: ServerId) -> None:
    try:
        await locate.suspect(report.handle, report.version, reporter=reporter, accused=report.suspect)
    except CairnError as error:
        logger.info("not raised after a report chunk=%016x why=%s", report.handle, error)
