"""What the models found that the code does not keep yet. Each is marked so that the test fails once it is mended.

docs/CONSISTENCY.md, "What the models found", says what each of them breaks.
"""

import asyncio
import itertools

import pytest
from tests.support.fake_chunkserver import Replica
from tests.support.master_cluster import master_cluster
from tests.support.master_cluster import run as run_master
from tests.unit.chunkserver.protocol.cluster import pass_time, run

from cairnfs.chunkserver.clone import DELETED_AT_ONCE
from cairnfs.ids import ChunkVersion
from cairnfs.wire.master_orders import Clone, DeleteReplicas


@pytest.mark.xfail(strict=True, reason="rule 22: a deletion names a version, and a new copy has the same one")
def test_a_late_deletion_spares_a_copy_that_was_made_after_it():
    """Goal: rule 23, an order that was overtaken deletes nothing that became current meanwhile.
    Method: an order for many chunks waits at the first one, which is busy; the master asks again for the last, then
    has it copied there anew at the version of its record; then the first order goes on. Model: deletion, "exact copy".
    """

    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        leases = [await cluster.new_chunk(handle) for handle in (1, 2)]
        for lease in leases:
            await cluster.append(lease, b"12345")
            await cluster.sync(lease, close=True)
        replicas = [(lease.handle, lease.version) for lease in leases]
        # As many as are deleted side by side, of which nothing is there but the first; then the one that matters.
        others = [(100 + number, leases[0].version) for number in range(DELETED_AT_ONCE)]
        many = [replicas[0], *others, replicas[1]]
        async with cluster.servers["c"].context.turns.hold(1):
            late = asyncio.ensure_future(cluster.order("c", DeleteReplicas(epoch=1, replicas=many)))
            await pass_time(1)
            await cluster.order("c", DeleteReplicas(epoch=1, replicas=replicas[1:]))
            copy = Clone(handle=2, version=leases[1].version, epoch=1, source=cluster.address("a"))
            await cluster.order("c", copy)
        await late
        assert 2 in cluster.store("c").replicas

    run(story)


@pytest.mark.xfail(strict=True, reason="rule 22: versions begin with the epoch, so those of a predecessor are lower")
def test_metadata_restored_from_a_copy_of_the_last_reign_are_noticed():
    """Goal: rule 22, a master whose log is behind what the chunkservers have seen orders no deletion.
    A copy put back by hand: `cairn master restore` marks the store, see tests/unit/master/test_holding.py.
    Method: the next master knows a chunk at a version of its predecessor; a server reports a later one of that reign,
    which this log has lost. Model: deletion, "rollback noticed by the log".
    """

    async def go():
        async with master_cluster() as it:
            made = await it.closed()
            lost = ChunkVersion(it.master.reign.epoch, 9)
            await it.stop_master()
            await it.start_master()
            assert it.record(made.first.handle).version < lost
            one = it.by_id(made.first.lease.primary)
            one.replicas[made.first.handle] = Replica(lost, lost, b"hello", closed=True)
            await one.join()
            assert it.master.reign.rolled_back

    run_master(go)
