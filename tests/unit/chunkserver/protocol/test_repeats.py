"""A write is never applied a second time, whatever became of the replica that took it. Rule 11."""

import itertools

import pytest
from tests.unit.chunkserver.protocol.cluster import NAMES, refused, run

from cairnfs.errors import FencePendingError, MutationFailedError, NoCopyError, NotReadableError, UnsureError
from cairnfs.ids import NO_VERSION, ChunkVersion
from cairnfs.wire.master_orders import Clone, CloneLocal, ListBlocks, Open, Reconcile

COPY = ChunkVersion(1, 500)
TRIED = 7
"""The sequence of the write that is tried twice."""


async def take_twice(cluster, lease):
    """Take a write in doubt and another one over it; return the version of the first try."""
    await cluster.write(lease, 0, b"first", sequence=TRIED)
    await cluster.write(lease, 0, b"later")
    return lease.version


async def assert_known(cluster, lease, since):
    """The retry is answered, and changes nothing."""
    await cluster.write(lease, 0, b"first", sequence=TRIED, since=since)
    assert await cluster.read(cluster.primary(lease), lease, 0, 5) == b"later"


async def assert_refused(cluster, lease, since):
    await refused(UnsureError, cluster.write(lease, 0, b"first", sequence=TRIED, since=since))
    assert await cluster.read(cluster.primary(lease), lease, 0, 5) == b"later"


async def copy_on_write(cluster, handle, version, names=NAMES):
    """Copy chunk 1 to `handle` on each server, as for the first writer after a snapshot."""
    for name in names:
        await cluster.order(name, CloneLocal(handle=1, version=version, new=handle, new_version=COPY, epoch=1))
    cluster.master.counter = itertools.count(600)


def test_a_copy_on_write_knows_the_writes_of_its_original():
    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk())
        await copy_on_write(cluster, 2, await cluster.raise_(1, seal=True))
        await assert_known(cluster, await cluster.raise_(2), since)

    run(story)


def test_a_copy_on_write_of_a_restarted_replica_refuses_what_it_cannot_know():
    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk())
        version = await cluster.raise_(1, seal=True)
        for name in NAMES:
            await cluster.restart(name)
        await copy_on_write(cluster, 2, version)
        await assert_refused(cluster, await cluster.raise_(2), since)

    run(story)


def test_a_copy_from_another_server_knows_the_writes_of_its_source():
    """Method: the copy is the only replica that is raised, and primary."""

    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk(names="ab"))
        version = await cluster.raise_(1, "ab", seal=True)
        await cluster.order("c", Clone(handle=1, version=version, epoch=1, source=cluster.address("a")))
        await assert_known(cluster, await cluster.raise_(1, "c", primary="c"), since)

    run(story)


def test_a_copy_of_a_restarted_replica_knows_no_more_than_it():
    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk(names="ab"))
        version = await cluster.raise_(1, "ab", seal=True)
        await cluster.restart("a")
        await cluster.order("c", Clone(handle=1, version=version, epoch=1, source=cluster.address("a")))
        await assert_refused(cluster, await cluster.raise_(1, "c", primary="c"), since)

    run(story)


def test_after_a_restart_of_all_a_retry_is_refused_and_everything_else_is_taken():
    """Goal: no try before the restart is carried out, no other is refused. Method: the chunk was closed meanwhile.

    Found by the models in spec/ too (closing, "what the filter forgot is not repeated").
    """

    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk())
        await cluster.raise_(1, seal=True)
        for name in NAMES:
            await cluster.restart(name)
        lease = await cluster.raise_(1)
        await assert_refused(cluster, lease, since)
        await refused(UnsureError, cluster.truncate(lease, 1, sequence=TRIED + 1, since=since))
        assert await cluster.length(lease) == 5
        assert (await cluster.append(lease, b"!", sequence=TRIED)).offset == 5
        await cluster.write(lease, 0, b"now", sequence=100)
        await cluster.write(lease, 0, b"now", sequence=101, since=lease.version)
        again = await cluster.raise_(1, primary="b")
        await cluster.write(again, 0, b"new", sequence=102, since=lease.version)
        await cluster.truncate(again, 4, sequence=103, since=lease.version)
        assert await cluster.read("b", again, 0, 9) == b"newe"

    run(story)


def test_a_restarted_server_learns_the_writes_from_the_source_of_a_raise():
    async def story(cluster):
        since = await take_twice(cluster, await cluster.new_chunk())
        await cluster.restart("a")
        await assert_known(cluster, await cluster.raise_(1, primary="a"), since)

    run(story)


def test_a_promise_says_since_when_the_filter_is_complete():
    async def story(cluster):
        lease = await cluster.new_chunk(names="ab")
        await cluster.write(lease, 0, b"first")
        await cluster.raise_(1, "ab", seal=True)
        await cluster.restart("b")
        _, promised = await cluster.promise(1)
        assert {name: one.filter_since for name, one in promised.items()} == {"a": lease.version, "b": None, "c": None}
        assert not promised["c"].present

    run(story)


def test_a_new_chunk_that_nobody_has_takes_the_retry_of_its_first_write():
    """Goal: no false refusal. Method: the token never reached anybody, so a raise begins with empty replicas."""

    async def story(cluster):
        token = cluster.lease()
        version, promised = await cluster.promise(1)
        made = await cluster.order("a", cluster.reconciliation("a", "a", 1, version, promised["a"]))
        for name in "bc":
            source = cluster.address("a")
            digest = made.digest
            request = Reconcile(
                handle=1, version=version, epoch=1, source=source, source_version=version, length=0, digest=digest
            )
            await cluster.order(name, request)
        lease = cluster.lease(version=version, primary="b", is_new=False)
        for name in NAMES:
            await cluster.order(name, Open(lease=lease))
        await cluster.write(lease, 0, b"first", sequence=TRIED, since=token.version)
        assert await cluster.read("b", lease, 0, 5) == b"first"

    run(story)


def test_a_replica_that_was_opened_here_and_lost_is_not_taken_for_one_to_which_nothing_happened():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"first", sequence=TRIED)
        store = cluster.store("a")
        await store.quarantine(store.replicas[1], "scripted")
        version, promised = await cluster.promise(1, "a")
        await cluster.order("a", cluster.reconciliation("a", "a", 1, version, promised["a"]))
        assert (await cluster.call("a", ListBlocks(handle=1, version=version))).filter_since is None

    run(story)


def test_a_copy_on_write_of_an_adopted_overwrite_waits_for_the_fence_too():
    """Goal: rules 6 and 9. Method: the write reached two of three; a snapshot adopts it; its retry comes to the copy.

    As long as the server that was left behind may be read, nobody may see the new bytes, and the retry gets no answer.
    """

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"older")
        cluster.world.crash("c")
        await refused(MutationFailedError, cluster.write(lease, 0, b"first", sequence=TRIED))
        version = await cluster.raise_(1, "ab", seal=True)
        await copy_on_write(cluster, 2, version, "ab")
        closed = cluster.lease(2, version=COPY, names="ab")
        await refused(NotReadableError, cluster.read("a", closed, 0, 5))
        copy = await cluster.raise_(2, "ab", fence_done=False)
        retry = cluster.write(copy, 0, b"first", sequence=TRIED, since=lease.version)
        await refused(FencePendingError, retry)
        await refused(NotReadableError, cluster.read("a", copy, 0, 5))

    run(story)
