"""A master whose metadata came from a backup: what may be newer stays until an operator's word."""

import pytest
from tests.support.fake_chunkserver import Replica
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import NoCopyError
from cairnfs.ids import ChunkVersion
from cairnfs.meta import commands
from cairnfs.meta.apply import apply
from cairnfs.meta.decide.restores import restored
from cairnfs.sim.world import pass_time
from cairnfs.wire.namespace import Delete, ListTrash
from cairnfs.wire.operating import AcceptRestore, GetDeletions


async def restore(it):
    """What `cairn master restore` does to a store, here to that of the cluster as it is: the backup is of now."""
    reign = it.master.reign

    def job(txn):
        record = restored(txn, reign.epoch, taken_ns=1, now_ns=1, drawn=0)
        apply(txn, record)
        epoch = int(record.epoch).to_bytes(8, "big")
        txn.put("solo", b"epoch", epoch)

    await reign.store.write(job)
    await it.stop_master()
    await it.start_master()
    for one in it.servers:
        await one.join()


async def some_looks(it):
    for _ in range(20):
        await it.beat()
        await pass_time(0.03)


def put(one, handle, version):
    one.replicas[handle] = Replica(version, version, b"newer", closed=True)
    one.gained.append(one.report(handle))


def test_nothing_is_deleted_after_a_restore_until_it_is_accepted():
    """Goal: rules 22 and 23: an unknown handle and an unknown version are held and listed, also after a restart of the
    master, and the usual rules hold after an operator's word. Method: one of each appears on a server that no record
    names; a third replica is of a file that was deleted before the backup: the log explains it, so it goes.
    """

    async def go():
        async with master_cluster(servers=4, copies_min=1) as it:
            made = await it.closed()
            handle = made.first.handle
            lost = ChunkVersion(it.master.reign.epoch, 99)
            unknown = it.master.reign.inventory.highest + 5
            await restore(it)
            stranger = next(one for one in it.servers if handle not in one.replicas)
            put(stranger, handle, lost)
            put(stranger, unknown, lost)
            await some_looks(it)
            assert {handle, unknown} <= set(stranger.replicas)
            told = await it.call(GetDeletions())
            assert told.restored_ns == 1
            assert [(one.server, one.newer) for one in told.held] == [(stranger.server, 2)]
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                await one.join()
            await some_looks(it)
            assert {handle, unknown} <= set(stranger.replicas)
            await it.call(AcceptRestore())
            assert (await it.call(GetDeletions())).restored_ns == 0
            await some_looks(it)
            assert not {handle, unknown} & set(stranger.replicas)
            assert all(handle in one.replicas for one in it.servers if one is not stranger)

    run(go)


def test_a_raise_does_not_write_an_older_state_over_a_newer_one():
    """Goal: rule 23. Method: one member of a closed chunk has been changed after the backup; a writer asks for it."""

    async def go():
        async with master_cluster(copies_min=1) as it:
            made = await it.closed()
            handle = made.first.handle
            lost = ChunkVersion(it.master.reign.epoch, 99)
            await restore(it)
            put(it.servers[1], handle, lost)
            await it.beat()
            with pytest.raises(NoCopyError, match="after the backup"):
                await it.lease(made.attributes.inode)
            assert it.servers[1].replicas[handle].data == b"newer"
            await it.call(AcceptRestore())
            await it.lease(made.attributes.inode)

    run(go)


def test_the_trash_of_a_backup_is_kept_while_newer_replicas_are_held():
    """Goal: what was in the trash may have been taken back after the backup. Method: trash that is over its time."""

    async def go():
        async with master_cluster(trash_s=0.1) as it:
            await it.closed()
            await it.call(Delete(path=b"/f", once=it.once()))
            await restore(it)
            await some_looks(it)
            assert len((await it.call(ListTrash())).entries) == 1
            await it.call(AcceptRestore())
            await some_looks(it)
            assert not (await it.call(ListTrash())).entries

    run(go)


def test_numbers_given_out_after_a_restore_are_above_all_that_were_given_out_before():
    async def go():
        async with master_cluster() as it:
            before = await it.closed()
            epoch = it.master.reign.epoch
            lost = [await it.master.reign.execute(commands.TakeHandle()) for _ in range(3)]
            await restore(it)
            after = await it.closed(b"/g")
            assert it.master.reign.epoch > epoch + 1
            assert after.first.handle > max(one.handle for one in lost) > before.first.handle
            assert after.attributes.inode > before.attributes.inode + 1000

    run(go)
