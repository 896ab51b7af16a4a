"""Deleting much at once: freed in small steps, and every server's replicas in their turn. GFS paper, section 4.4."""

from tests.support.master_cluster import master_cluster, run

from cairnfs.master.background import FREED_AT_ONCE
from cairnfs.master.garbage import Garbage
from cairnfs.meta import log
from cairnfs.meta.commands import ExpireTrash
from cairnfs.meta.records import Purged
from cairnfs.sim.world import pass_time
from cairnfs.wire.namespace import CreateFile, Delete
from cairnfs.wire.status import GetStatus

NEVER_S = 1000.0
"""The timers of the master itself stay out of it."""


def test_the_sweep_frees_little_in_one_commit():
    """Goal: a create beside it waits for one small commit. Method: look at what each row of the log has freed."""

    async def go():
        async with master_cluster() as it:
            for number in range(3 * FREED_AT_ONCE):
                await it.call(CreateFile(path=b"/t/%d" % number, parents=True, once=it.once()))
            await it.call(Delete(path=b"/t", recursive=True, now=True, once=it.once()))
            while (await it.call(GetStatus())).folders > 1:
                await pass_time(0.01)
            with it.master.reign.store.read() as view:
                rows = [sum(isinstance(one, Purged) for one in row.records) for row in log.read_from(view, 1)]
        assert sum(rows) == 3 * FREED_AT_ONCE + 1
        assert max(rows) == FREED_AT_ONCE

    run(go)


async def with_garbage(it, *, gone, kept):
    """Make files in a folder that is deleted and freed, then others; return how many replicas each server holds."""
    for number in range(gone):
        await it.closed(b"/t%d" % number)
    for number in range(kept):
        await it.closed(b"/k%d" % number)
    await it.beat()
    for number in range(gone):
        await it.call(Delete(path=b"/t%d" % number, now=True, once=it.once()))
    while (await it.master.reign.execute(ExpireTrash(before_ns=0))).more:
        pass
    return [len(one.replicas) for one in it.servers]


def test_where_there_is_much_garbage_every_server_is_looked_at_in_one_step():
    async def go():
        async with master_cluster(heartbeat_s=NEVER_S, suspect_s=2 * NEVER_S, dead_s=3 * NEVER_S) as it:
            assert await with_garbage(it, gone=8, kept=0) == [8, 8, 8]
            garbage = Garbage(it.master.reign, lambda: True, slice_max=4)
            await garbage.step()
            assert [len(one.replicas) for one in it.servers] == [4, 4, 4]

    run(go)


def test_deleting_a_slice_steps_over_none_of_the_next():
    """Goal: garbage that lies together goes together. Method: two slices of it before many replicas that stay."""

    async def go():
        async with master_cluster(heartbeat_s=NEVER_S, suspect_s=2 * NEVER_S, dead_s=3 * NEVER_S) as it:
            assert await with_garbage(it, gone=8, kept=12) == [20, 20, 20]
            garbage = Garbage(it.master.reign, lambda: True, slice_max=4)
            await garbage.step()
            await garbage.step()
            assert [len(one.replicas) for one in it.servers] == [12, 12, 12]

    run(go)
