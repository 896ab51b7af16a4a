"""Full reports, page by page: their order, their digests, and what is concluded from them. Rule 5."""

import asyncio

import pytest
from tests.support.fake_chunkserver import FakeChunkserver
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import BadRequestError, SessionLostError
from cairnfs.ids import ChunkVersion
from cairnfs.limits import REPORT_TURN_S, REPORT_WAIT_S
from cairnfs.sim.world import pass_time
from cairnfs.wire.membership import BucketDigest, Register, ReplicaReport, ReportReplicas
from cairnfs.wire.settled import SettledReplicas, digest_of, pack


class Teller(FakeChunkserver):
    """Registers without a report; pages are sent by the test."""

    async def register(self):
        request = Register(server=self.server, boot=self.boot, address=self.address, disks=[], epoch_seen=0)
        self.registered = await self.caller.call(self.master, request, timeout_s=5)
        self.session = self.registered.session
        self.page = 0

    async def tell(self, *, last=False, **what):
        request = ReportReplicas(session=self.session, page=self.page, last=last, **{"replicas": [], **what})
        answer = await self.caller.call(self.master, request, timeout_s=30)
        self.page += not answer.waits
        return answer


async def teller(it, number):
    one = Teller(it.env, it.world, number, it.master.address)
    await one.start(register=False)
    it.servers.append(one)
    await one.register()
    return one


def closed_row(it, created):
    row = it.master.reign.chunk(created.first.handle)
    return (created.first.handle, *row.version, row.length)


def test_reports_of_several_pages_are_compared_one_server_after_another():
    """Goal: after a start the first server serves before the last is compared. Method: two begin at once."""

    async def go():
        async with master_cluster() as it:
            one, two = await teller(it, 11), await teller(it, 12)
            assert not (await one.tell()).waits
            waiting = asyncio.ensure_future(two.tell())
            await pass_time(REPORT_WAIT_S / 2)
            assert not waiting.done(), "the other one is under way"
            await one.tell(last=True)
            assert (await one.beat()).serves
            assert not (await waiting).waits
            assert not (await two.beat()).serves
            await two.tell(last=True)
            assert (await two.beat()).serves

    run(go)


def test_who_waits_is_told_to_ask_again_and_counts_as_heard():
    async def go():
        async with master_cluster() as it:
            one, two = await teller(it, 11), await teller(it, 12)
            await one.tell()
            waiting = asyncio.ensure_future(two.tell())
            await pass_time(REPORT_WAIT_S * 0.75)
            await one.tell()
            assert (await waiting).waits
            assert it.master.reign.sessions.of(two.server).has_begun, "its replicas are about to be told"
            await pass_time(REPORT_TURN_S)
            assert not (await two.tell()).waits, "the first one has fallen silent"
            assert not (await one.tell(last=True)).waits, "and may go on beside it"

    run(go)


def test_a_report_of_one_page_waits_for_nobody():
    async def go():
        async with master_cluster() as it:
            one, two = await teller(it, 11), await teller(it, 12)
            await one.tell()
            begun_s = it.env.clock.now_s()
            assert not (await two.tell(last=True)).waits
            assert it.env.clock.now_s() - begun_s < REPORT_WAIT_S / 2
            assert (await two.beat()).serves

    run(go)


def test_a_session_that_ends_while_it_waits_is_lost():
    async def go():
        async with master_cluster() as it:
            one, two = await teller(it, 11), await teller(it, 12)
            await one.tell()
            waiting = asyncio.ensure_future(two.tell())
            await pass_time(0.1)
            await two.register()
            await one.tell(last=True)
            with pytest.raises(SessionLostError):
                await waiting

    run(go)


def test_digests_alone_let_nobody_serve():
    """Goal: rule 5. Method: all digests are equal, and the last page has not come."""

    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            row = closed_row(it, created)
            one = await teller(it, 11)
            await one.tell(last=True, settled=pack([row]))
            await one.register()
            assert one.registered.remembers == 1
            digest = BucketDigest(bucket=row[0] // it.config.report_bucket, digest=digest_of(pack([row])))
            answer = await one.tell(digests=[digest])
            assert answer.differing == []
            assert not (await one.beat()).serves
            await one.tell(last=True)
            assert (await one.beat()).serves
            assert it.master.reign.inventory.count(one.server) == 1

    run(go)


def test_buckets_that_differ_or_are_unknown_are_asked_for_and_others_forgotten():
    async def go():
        async with master_cluster() as it:
            row = closed_row(it, await it.closed())
            one = await teller(it, 11)
            await one.tell(last=True, settled=pack([row]))
            await one.register()
            assert one.registered.remembers == 1
            await one.tell(last=True)
            assert it.master.reign.inventory.remembered(one.server) == 0, "a bucket that is not named is gone"
            await one.register()
            await one.tell(last=True, settled=pack([row]))
            await one.register()
            digests = [BucketDigest(bucket=bucket, digest=1) for bucket in (0, 5)]
            assert (await one.tell(digests=digests)).differing == [0, 5]
            await one.tell(last=True)
            inventory = it.master.reign.inventory
            assert (inventory.count(one.server), inventory.remembered(one.server)) == (0, 0)
            await one.register()
            assert one.registered.remembers == 0

    run(go)


def test_what_an_equal_digest_repeats_is_compared_with_the_record_of_now():
    """Goal: rule 5: an exclusion is told whichever way a replica was.

    Method: a stranger told of a chunk's replica before; no record names the stranger, then or now.
    """

    async def go():
        async with master_cluster() as it:
            row = closed_row(it, await it.closed())
            one = await teller(it, 11)
            first = await one.tell(last=True, settled=pack([row]))
            await one.register()
            again = await one.tell(digests=[BucketDigest(bucket=0, digest=digest_of(pack([row])))])
            assert [(e.handle, e.below) for e in again.exclusions] == [(row[0], ChunkVersion(row[1], row[2] + 1))]
            assert again.exclusions == first.exclusions

    run(go)


def test_columns_are_judged_as_single_reports_are():
    """Goal: a replica is worth the same whichever way it is told.

    Method: of a member and of a stranger, at the record's version, below it, above all, and of a chunk that is not.
    """

    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            handle, epoch, counter, length = closed_row(it, created)
            rows = [
                (handle, epoch, counter, length),
                (handle, epoch, counter - 1, length),
                (handle, epoch, counter + 1, length),
                (handle + 50, epoch, counter, length),
            ]
            member = next(iter(it.servers)).server
            for number in (member, 11):
                session = it.master.reign.sessions.of(number)
                one = await teller(it, 11) if session is None else it.by_id(number)
                for row in rows:
                    version = ChunkVersion(row[1], row[2])
                    report = ReplicaReport(
                        handle=row[0], version=version, promised=version, length=length, closed=True,
                        incomplete=False, unbroken=True,
                    )  # fmt: skip
                    found = []
                    for what in ({"replicas": [report]}, {"replicas": [], "settled": pack([row])}):
                        request = ReportReplicas(session=one.session, page=0, last=True, **what)
                        answer = await one.caller.call(one.master, request, timeout_s=5)
                        held = it.master.reign.inventory.get(one.server, row[0])
                        found.append((answer.exclusions, held.version, held.length, it.master.reign.rolled_back))
                        it.master.reign.rolled_back = ""
                    assert found[0] == found[1], (number, row)

    run(go)


def test_columns_that_do_not_fit_change_nothing():
    async def go():
        async with master_cluster() as it:
            row = closed_row(it, await it.closed())
            one = await teller(it, 11)
            await one.tell(settled=pack([row]))
            with pytest.raises(BadRequestError):
                await one.tell(settled=SettledReplicas(handles=bytes(8)))
            assert it.master.reign.inventory.count(one.server) == 1
            await one.tell(last=True)

    run(go)
