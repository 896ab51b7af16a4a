"""Promise, reconcile, open, seal, clone and delete. Rules 1 to 4, 12, 13 and 22."""

import asyncio
import itertools

import pytest
from tests.unit.chunkserver.protocol.cluster import NAMES, pass_time, run

from cairnfs.checksum import piece_crcs
from cairnfs.errors import (
    CairnError,
    ChunkMissingError,
    LowerEpochError,
    MutationFailedError,
    NoCopyError,
    NotPrimaryError,
    NotReadableError,
    OrderRefusedError,
    StaleVersionError,
)
from cairnfs.ids import ChunkVersion
from cairnfs.wire.base import Done
from cairnfs.wire.common import Member
from cairnfs.wire.master_orders import Clone, CloneLocal, DeleteReplicas, ListBlocks, Open, Promise, Reconcile

BLOCK = 4096
FULL = bytes(range(256)) * 56  # 14,336 bytes: four blocks, the last one short
CONTENTS = {
    "absent": None,
    "empty": b"",
    "short": FULL[:5000],
    "full": FULL,
    "different": FULL[:4000] + b"#" * 200 + FULL[4200:9000],
}
OLD = ChunkVersion(1, 1)
SMALL = {"chunk_bytes": 16 * BLOCK, "block_bytes": BLOCK}


async def plant(cluster, name, handle, content):
    """Make a replica with that content at version OLD, behind the protocol's back."""
    if content is None:
        return
    store = cluster.store(name)
    replica = await store.create(handle, version=OLD, epoch=1)
    if content:
        await store.apply(replica, 0, [content], piece_crcs(content, BLOCK), serial=1, durable=True)


@pytest.mark.parametrize("source", CONTENTS)
def test_reconciliation_ends_with_equal_replicas_for_every_combination(source):
    """Goal: rule 12 ends for every combination. Method: all 5 x 5 x 5, the source being what the parameter says."""

    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        for handle, others in enumerate(itertools.product(CONTENTS, CONTENTS), 1):
            for name, content in zip(NAMES, (source, *others), strict=True):
                await plant(cluster, name, handle, CONTENTS[content])
            lease = (
                await cluster.raise_(handle, source="a") if source != "absent" else await empty_raise(cluster, handle)
            )
            cluster.assert_equal(handle)
            content = CONTENTS[source] or b""
            assert cluster.contents(handle)[0][0] == len(content)
            for name in NAMES:
                assert await cluster.read(name, lease, 0, 16 * BLOCK) == content
                info = await cluster.info(name, handle)
                assert (info.incomplete, info.version) == (False, lease.version)
            assert (await cluster.append(lease, b"next")).offset == len(content)

    run(story, **SMALL)


async def empty_raise(cluster, handle):
    """The source has no replica: it is an empty full member (a new chunk that was never written)."""
    version, promised = await cluster.promise(handle)
    base = promised["a"]
    assert not base.present
    made = await cluster.order("a", cluster.reconciliation("a", "a", handle, version, base))
    base = base.__class__(**{**{name: getattr(base, name) for name in base.__struct_fields__}, "digest": made.digest})
    for name in "bc":
        request = cluster.reconciliation(name, "a", handle, version, base)
        fields = {name: getattr(request, name) for name in request.__struct_fields__}
        await cluster.order(name, Reconcile(**{**fields, "source_version": base.version}))
    lease = cluster.lease(handle, version=version, is_new=False)
    for name in NAMES:
        await cluster.order(name, Open(lease=lease))
    return lease


def test_only_blocks_that_differ_are_copied():
    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        for name, content in zip(NAMES, ("full", "different", "full"), strict=True):
            await plant(cluster, name, 1, CONTENTS[content])
        await cluster.raise_(1, source="a")
        assert cluster.servers["b"].context.counters["bytes_copied"] == len(FULL)  # all four blocks differ
        assert "bytes_copied" not in cluster.servers["c"].context.counters

    run(story, **SMALL)


def test_nothing_below_a_promise_is_taken_and_the_promise_survives_a_restart():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        version, promised = await cluster.promise(1, "abc")
        assert {promise.serial for promise in promised.values()} == {1}
        assert len({promise.digest for promise in promised.values()}) == 1
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"x")
        with pytest.raises(StaleVersionError):
            await cluster.order("b", Promise(handle=1, version=lease.version, epoch=1))
        await cluster.order("b", Promise(handle=1, version=version, epoch=1))  # again: the same answer
        await cluster.restart("b", power=True)
        assert (await cluster.info("b", 1)).promised == version
        with pytest.raises(StaleVersionError):
            await cluster.order("b", Promise(handle=1, version=lease.version, epoch=1))

    run(story)


def test_a_promise_without_a_replica_refuses_the_older_grant():
    async def story(cluster):
        older = cluster.lease()
        _, promised = await cluster.promise(1, "abc")
        assert not promised["a"].present
        with pytest.raises(StaleVersionError):
            await cluster.append(older, b"x", shows=True)

    run(story)


def test_a_lower_epoch_is_refused_in_every_order_of_a_master():
    async def story(cluster):
        lease = await cluster.new_chunk()
        cluster.master.epoch = 5
        await cluster.settle()
        version = ChunkVersion(1, 99)
        orders = [
            Promise(handle=1, version=version, epoch=1),
            Reconcile(handle=1, version=version, epoch=1, source_version=lease.version, length=0, digest=0),
            Open(lease=lease),
            DeleteReplicas(epoch=1, replicas=[(1, lease.version)]),
            Clone(handle=1, version=version, epoch=1, source="b:7410"),
        ]
        for order in orders:
            with pytest.raises(LowerEpochError):
                await cluster.order("a", order)
        assert (await cluster.append(lease, b"a takeover disturbs no writer")).offset == 0

    run(story)


def test_a_grant_for_another_boot_is_no_grant():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        await cluster.restart("a")
        with pytest.raises(OrderRefusedError):
            await cluster.order("a", Open(lease=lease))
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"x")
        mine = Member(server=lease.members[0].server, boot=cluster.servers["a"].boot, address="a:7410")
        fields = {name: getattr(lease, name) for name in lease.__struct_fields__}
        forged = lease.__class__(**{**fields, "members": [mine, *lease.members[1:]]})
        with pytest.raises(OrderRefusedError):  # rule 4: an open replica of another boot needs a raise
            await cluster.order("a", Open(lease=forged))

    run(story)


def test_an_open_that_is_sent_again_changes_nothing():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        for name in NAMES:
            assert await cluster.order(name, Open(lease=lease)) == Done()
        assert (await cluster.append(lease, b"6")).offset == 5

    run(story)


def test_what_only_some_members_have_is_adopted_from_the_source_or_dropped():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"acked")
        cluster.world.cut("a", "c")
        append = asyncio.ensure_future(cluster.append(lease, b"unsure", sequence=77))
        await pass_time(0.5)
        lease = await cluster.raise_(1, "bc", source="c")
        assert (await cluster.info("b", 1)).length == 5  # dropped: the source has not seen it
        assert (await cluster.append(lease, b"unsure", sequence=77)).offset == 5
        cluster.assert_equal(1, "bc")
        with pytest.raises(Exception):  # noqa: B017 - it has failed
            await append

    run(story)


def test_a_half_filled_replica_is_incomplete_durably_and_no_source():
    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        await plant(cluster, "a", 1, FULL)
        await plant(cluster, "b", 1, CONTENTS["different"])
        version, promised = await cluster.promise(1, "ab")
        request = cluster.reconciliation("b", "a", 1, version, promised["a"])
        job = asyncio.ensure_future(cluster.order("b", request))
        while not cluster.store("b").replicas[1].state.incomplete:
            await pass_time(0.0001)
        await cluster.restart("b", power=True)
        with pytest.raises(CairnError):
            await job
        info = await cluster.info("b", 1)
        assert info.incomplete
        assert info.version == OLD
        with pytest.raises(NotReadableError):
            await cluster.call("b", ListBlocks(handle=1, version=OLD))
        await cluster.settle()
        await cluster.raise_(1, "ab", source="a")
        cluster.assert_equal(1, "ab")

    run(story, **SMALL)


def test_a_whole_replica_stays_whole_when_its_source_turns_out_to_be_corrupt():
    """Goal: rule 23: no raise costs the copy that may be the last good one. Method: a bit of the source rots."""

    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        await plant(cluster, "a", 1, FULL)
        await plant(cluster, "b", 1, CONTENTS["different"])
        version, promised = await cluster.promise(1, "ab")
        [node] = [node for path, node in cluster.world.tree("a", "/a").walk() if path.endswith(".dat")]
        node.flip(len(FULL) - 1)
        with pytest.raises(CairnError):
            await cluster.order("b", cluster.reconciliation("b", "a", 1, version, promised["a"]))
        info = await cluster.info("b", 1)
        assert not info.incomplete
        assert cluster.contents(1, "b") == [(len(CONTENTS["different"]), cluster.store("b").replicas[1].digest())]

    run(story, **SMALL)


def test_sealed_replicas_serve_after_a_restart():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        version = await cluster.raise_(1, seal=True)
        sealed = cluster.lease(version=version)
        for name in NAMES:
            assert await cluster.read(name, sealed, 0, 5) == b"12345"
            await cluster.restart(name, power=True)
        sealed = cluster.lease(version=version)
        for name in NAMES:
            assert await cluster.read(name, sealed, 0, 5) == b"12345"
        lease = await cluster.raise_(1)
        assert (await cluster.append(lease, b"6")).offset == 5

    run(story)


def test_a_closed_chunk_is_cloned_to_another_server():
    async def story(cluster):
        cluster.master.counter = itertools.count(10)
        lease = await cluster.new_chunk(names="ab")
        await cluster.append(lease, FULL)
        await cluster.sync(lease, close=True)
        clone = Clone(handle=1, version=lease.version, epoch=1, source=cluster.address("a"))
        cloned = await cluster.order("c", clone)
        assert cloned.length == len(FULL)
        assert await cluster.order("c", clone) == cloned
        cluster.assert_equal(1)
        await cluster.restart("c", power=True)
        assert await cluster.read("c", lease, 0, 16 * BLOCK) == FULL

    run(story, **SMALL)


def test_a_joiner_copies_an_open_chunk_and_a_raise_makes_it_a_member():
    async def story(cluster):
        lease = await cluster.new_chunk(names="ab")
        for _ in range(5):
            await cluster.append(lease, FULL)
        clone = Clone(handle=1, version=lease.version, epoch=1, source=cluster.address("b"), joiner=True)
        writer = asyncio.ensure_future(cluster.append(lease, FULL))
        await cluster.order("c", clone)
        await writer
        assert (await cluster.info("c", 1)).incomplete
        with pytest.raises((NotReadableError, StaleVersionError)):
            await cluster.read("c", lease, 0, 5)
        before = cluster.servers["c"].context.counters["bytes_copied"]
        lease = await cluster.raise_(1, "abc", source="a")
        assert cluster.servers["c"].context.counters["bytes_copied"] - before < 3 * len(FULL)
        cluster.assert_equal(1)
        assert await cluster.read("c", lease, 5 * len(FULL), 100) == FULL[:100]

    run(story, chunk_bytes=64 * BLOCK, block_bytes=BLOCK)


def test_a_local_clone_shares_nothing_afterwards():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, FULL)
        await cluster.sync(lease, close=True)
        version = ChunkVersion(1, 500)
        for name in NAMES:
            clone = CloneLocal(handle=1, version=lease.version, new=2, new_version=version, epoch=1)
            assert (await cluster.order(name, clone)).length == len(FULL)
            await cluster.order(name, clone)
        cluster.assert_equal(2)
        cluster.master.counter = itertools.count(600)
        copy = await cluster.raise_(2)
        await cluster.write(copy, 0, b"changed")
        for name in NAMES:
            assert await cluster.read(name, lease, 0, 7) == FULL[:7]
            assert await cluster.read(name, copy, 0, 7) == b"changed"

    run(story, **SMALL)


def test_a_write_is_not_repeated_on_the_copy_that_a_snapshot_made_necessary():
    """Goal: rule 11 across copy-on-write: W, U, W is never seen, though the handle is another one.
    Method: W is carried out but not heard of; a snapshot seals the chunk, U goes to its copy, then W is repeated there.
    Found by the model in spec/ (maps).
    """

    async def story(cluster):
        first, other = {"client": 1, "sequence": 1}, {"client": 2, "sequence": 1}
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"W", **first)
        sealed = await cluster.raise_(1, seal=True)
        for name in NAMES:
            copy = CloneLocal(handle=1, version=sealed, new=2, new_version=ChunkVersion(1, 500), epoch=1)
            await cluster.order(name, copy)
        cluster.master.counter = itertools.count(600)
        again = await cluster.raise_(2)
        await cluster.write(again, 0, b"U", **other)
        await cluster.write(again, 0, b"W", **first)
        assert await cluster.read("a", again, 0, 1) == b"U"

    run(story)


def test_a_replica_is_deleted_only_at_exactly_its_version():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        wrong = DeleteReplicas(epoch=1, replicas=[(1, ChunkVersion(1, 99)), (2, ChunkVersion(1, 1))])
        assert (await cluster.order("b", wrong)).deleted == [2]
        assert await cluster.read("b", lease, 0, 5) == b"12345"
        right = DeleteReplicas(epoch=1, replicas=[(1, lease.version)])
        assert (await cluster.order("b", right)).deleted == [1]
        with pytest.raises(ChunkMissingError):
            await cluster.read("b", lease, 0, 5)

    run(story)


def test_a_deleted_replica_leaves_its_promise_and_no_lease_shown_late_makes_it_again():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"12345")
        for name in NAMES:
            await cluster.order(name, DeleteReplicas(epoch=1, replicas=[(1, lease.version)]))
        with pytest.raises(CairnError):
            await cluster.append(lease, b"late", at="a", shows=True)
        assert not (await cluster.info("a", 1)).present
        assert cluster.servers["a"].context.chunks.find(1).opened == lease.version
        await cluster.order("a", Promise(handle=1, version=ChunkVersion(1, 90), epoch=1))
        with pytest.raises(StaleVersionError):
            await cluster.order("a", Promise(handle=1, version=ChunkVersion(1, 80), epoch=1))

    run(story)


def test_a_lease_of_a_new_chunk_is_void_after_a_restart_of_its_primary_or_of_a_member():
    async def story(cluster):
        lease = cluster.lease()
        await cluster.restart("a")
        with pytest.raises(OrderRefusedError):
            await cluster.append(lease, b"x", at="a", shows=True)
        assert not (await cluster.info("a", 1)).present
        lease = cluster.lease(2, primary="b")
        await cluster.restart("c")
        with pytest.raises(MutationFailedError):
            await cluster.append(lease, b"x", shows=True)
        assert not (await cluster.info("c", 2)).present

    run(story)
