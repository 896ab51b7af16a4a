"""Full reports and single replicas: entered into the inventory, each compared with its record. Rules 2, 5, 9 and 22.

    page 0 ──▶ wait for the turn ──▶ digests ──▶ replicas ──▶ last page: reported

Nearly all replicas are settled and equal their record: those are compared as columns of numbers, page by page, with the
rows of one sweep of the store. All others are judged one by one.

Invariants:
    1. A session is `reported` only after each replica of its server was compared with the record, as a page told it or
       as the server told it before and repeated by an equal digest. Rule 5.
    2. From a digest nothing is concluded but that.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from cairnfs.errors import BadRequestError
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch
from cairnfs.limits import REPORT_PAGE_MAX
from cairnfs.master.comparing import Worth, differing, judge
from cairnfs.master.granting import Granting
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.master.taking_turns import Line
from cairnfs.meta import read
from cairnfs.meta.sweep import raw_chunks
from cairnfs.meta.tables import get_counters
from cairnfs.meta.views import MetaRead
from cairnfs.wire.membership import BucketDigest, Exclusion, ReplicaReport, ReportAnswer, ReportReplicas
from cairnfs.wire.settled import Columns, SettledReplicas, digest_of, unpack_columns

logger = logging.getLogger(__name__)


class Reports:
    """Takes what servers tell of their replicas."""

    def __init__(self, reign: Reign, granting: Granting) -> None:
        self._reign = reign
        self._granting = granting
        self._line = Line(reign)

    async def report(self, request: ReportReplicas) -> ReportAnswer:
        """Take one page of the full report and compare it with the records.

        Raises:
            SessionLostError: it ended, perhaps on the way; BadRequestError: pages come in order, columns fit each
            other. What was compared before stays entered.
        """
        reign = self._reign
        session = reign.sessions.by_number(request.session)
        session.heard_s = reign.now_s()
        columns = unpack_columns(request.settled)
        if request.page == 0:
            session.is_waiting = True
            if not request.last and not await self._line.enter(session):
                return ReportAnswer(waits=True)
            session = reign.sessions.by_number(request.session)
            reign.inventory.clear(session.server)
            session.reported, session.page = False, 0
        if request.page != session.page:
            raise BadRequestError(what=f"page {session.page} of the report expected, not {request.page}")
        session.page += 1
        found, to_tell = await self._compare_digests(session, request)
        found += self.take_settled(session, columns)
        found += self.take(session, request.replicas)
        reign.counters.add("replicas_told", len(columns.handles) + len(request.replicas))
        session.heard_s = reign.now_s()
        self._line.goes_on(session)
        if request.last:
            self._end(session)
        # The heartbeats repeat them all before any renewal, so none is missed where a page has more than fit.
        return ReportAnswer(exclusions=found[:REPORT_PAGE_MAX], differing=to_tell)

    def _end(self, session: Session) -> None:
        reign = self._reign
        session.reported = True
        reign.inventory.forget_remembered(session.server)
        reign.exclusions.report_compared(session.server)
        self._line.leave(session)
        count = reign.inventory.count(session.server)
        logger.info("report compared server=%d replicas=%d", session.server, count)

    # ------------------------------------------------------------------ digests

    async def _compare_digests(self, session: Session, request: ReportReplicas) -> tuple[list[Exclusion], list[int]]:
        """Take the buckets that are as they were told before; return (exclusions, those that must be told)."""
        found: list[Exclusion] = []
        to_tell: list[int] = []
        for each in request.digests:
            settled = self._repeated(session, each)
            if settled is None:
                to_tell.append(each.bucket)
                continue
            found += self.take_settled(session, unpack_columns(settled))
            self._reign.counters.add("replicas_repeated", len(settled))
            # Each bucket holds up the loop as long as a page of replicas does.
            await asyncio.sleep(0)
            self._reign.sessions.by_number(request.session)
        return found, to_tell

    def _repeated(self, session: Session, told: BucketDigest) -> SettledReplicas | None:
        """Return what the server told of a bucket before, if it tells the same now. Invariant 2."""
        settled = self._reign.inventory.take_remembered(session.server, told.bucket)
        if settled is None:
            return None
        is_equal = digest_of(settled) == told.digest or not self._reign.safeguards.compare_digests
        return settled if is_equal else None

    # ------------------------------------------------------------------ replicas

    def take_settled(self, session: Session, columns: Columns) -> list[Exclusion]:
        """Enter settled replicas and compare each with its record; return what was excluded.

        About two microseconds each while they equal their records, so a page holds up the loop for some 10 ms.
        """
        reign = self._reign
        with reign.store.read() as view:
            rows = raw_chunks(view, columns.handles)
            others = [_report_of(columns, at) for at in differing(rows, columns.versions, session.server)]
            reign.inventory.put_settled(session.server, columns)
            found = self._judge(view, session, others)
        self._exclude(session, found)
        return found

    def take(self, session: Session, replicas: Sequence[ReplicaReport]) -> list[Exclusion]:
        """Enter replicas of any kind and compare each with its record; return what was excluded."""
        if not replicas:
            return []
        for report in replicas:
            self._enter(session, report)
        with self._reign.store.read() as view:
            found = self._judge(view, session, replicas)
        self._exclude(session, found)
        return found

    def _judge(self, view: MetaRead, session: Session, replicas: Iterable[ReplicaReport]) -> list[Exclusion]:
        reign = self._reign
        found: list[Exclusion] = []
        next_handle = get_counters(view).next_handle
        for report in replicas:
            row = read.chunk(view, report.handle)
            purged = read.purged(view, report.handle) if row is None else None
            self._notice_rollback(report, next_handle)
            verdict = judge(
                row,
                purged,
                report,
                (session.server, session.boot),
                is_busy=reign.is_busy(report.handle),
                restart_leaves_set=reign.safeguards.restart_leaves_set,
            )
            if verdict.worth is Worth.UNSEALED:
                self._granting.not_sealed(session.server, report.handle)
            found.extend(verdict.exclusions)
        return found

    def _exclude(self, session: Session, found: list[Exclusion]) -> None:
        now_s = self._reign.now_s()
        for exclusion in found:
            self._reign.exclusions.add(session.server, exclusion, now_s=now_s)

    def _enter(self, session: Session, report: ReplicaReport) -> None:
        """A report that was under way while a raise ended must not undo what the raise has made certain."""
        held = self._reign.inventory.get(session.server, report.handle)
        if held is not None and held.version > report.version:
            return
        self._reign.inventory.put(session.server, report)

    def _notice_rollback(self, report: ReplicaReport, next_handle: ChunkHandle) -> None:
        """Rule 22: a replica above every number that this master knows means that its metadata are an old copy."""
        reign = self._reign
        if reign.rolled_back or not reign.safeguards.notice_rollback:
            return
        highest = max(report.version, report.promised)
        if report.handle >= next_handle or highest > reign.highest_version:
            reign.rolled_back = (
                f"chunk {report.handle:016x} at {highest} is newer than this metadata: nothing will be deleted"
            )
            logger.error("metadata are older than the cluster: safe mode, no deletion: %s", reign.rolled_back)


def _report_of(columns: Columns, at: int) -> ReplicaReport:
    epoch, counter = columns.versions[at]
    version = ChunkVersion(Epoch(epoch), counter)
    return ReplicaReport(
        handle=columns.handles[at],
        version=version,
        promised=version,
        length=columns.lengths[at],
        closed=True,
        incomplete=False,
        unbroken=True,
    )
