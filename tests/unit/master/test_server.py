"""A master's beginning and end, and what it says about the cluster."""

import asyncio

import pytest
from tests.support.master_cluster import master_cluster, run

from cairnfs.config import ClusterConfig, MasterConfig
from cairnfs.env.memory import MemoryMachine, memory_env
from cairnfs.errors import DiskFullError, FormatError, NotLeaderError, SettingError
from cairnfs.master.server import Master, initialise
from cairnfs.sim.world import pass_time
from cairnfs.wire.namespace import CreateFile, MakeFolder, Stat
from cairnfs.wire.status import GetChunkTable, GetClusterInfo, GetCounters, GetStatus


def test_an_existing_cluster_is_not_initialised_again():
    async def go():
        env = memory_env(1, machine=MemoryMachine())
        await initialise(env, "/meta", ClusterConfig())
        with pytest.raises(SettingError):
            await initialise(env, "/meta", ClusterConfig())

    run(go)


def test_sizes_that_make_no_sense_are_refused():
    async def go():
        env = memory_env(1, machine=MemoryMachine())
        with pytest.raises(SettingError):
            await initialise(env, "/meta", ClusterConfig(chunk_bytes=100, block_bytes=64))

    run(go)


def test_a_master_without_metadata_does_not_start():
    async def go():
        env = memory_env(1, machine=MemoryMachine())
        with pytest.raises(FormatError):
            await Master(env, MasterConfig(data="/meta")).start()

    run(go)


def test_each_start_is_a_new_epoch_and_versions_only_grow():
    async def go():
        async with master_cluster() as it:
            first = await it.create(b"/1")
            epoch = it.master.epoch
            await it.stop_master()
            await it.start_master()
            for one in it.servers:
                await one.join()
            assert it.master.epoch == epoch + 1
            assert (await it.create(b"/2")).first.version > first.first.version

    run(go)


def test_a_master_whose_disk_was_full_says_so_until_it_is_started_anew():
    """Goal: a person hears what to do, not "not the leader". Method: one commit fails; then changes and questions."""

    async def go():
        async with master_cluster() as it:
            it.master.reign.store._sim.fails_with = DiskFullError(where="/meta")
            for _ in range(2):
                for request in (
                    MakeFolder(path=b"/a", once=it.once()),
                    Stat(path=b"/"),
                    CreateFile(path=b"/b", once=it.once()),
                ):
                    with pytest.raises((DiskFullError, NotLeaderError)) as caught:
                        await it.call(request)
                await pass_time(5)
            assert isinstance(caught.value, DiskFullError)
            await it.stop_master()
            await it.start_master()
            await it.call(MakeFolder(path=b"/a", once=it.once()))

    run(go)


def test_the_status_page_counts_servers_chunks_and_what_is_at_risk():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            handle = created.first.handle
            for one in it.servers:
                del one.replicas[handle]
                one.lost.append(handle)
            await it.beat()
            async with asyncio.timeout(20):
                while not (status := await it.call(GetStatus())).chunks_missing:
                    await pass_time(0.01)
            assert status.missing_handles == [handle]
            assert [one.state for one in status.servers] == ["live"] * 3
            assert (status.files, status.chunks, status.safe_start) == (1, 1, False)
            table = await it.call(GetChunkTable(path=b"/f"))
            assert [one.handle for one in table.chunks] == [handle]
            assert not any(one.current for one in table.chunks[0].replicas)
            info = await it.call(GetClusterInfo())
            assert (info.chunk_bytes, info.block_bytes) == (1 << 20, 1 << 16)
            assert "raises" not in (await it.call(GetCounters())).counters

    run(go)


def test_a_dead_server_loses_its_session_and_its_replicas_count_as_gone():
    async def go():
        async with master_cluster() as it:
            created = await it.closed()
            dead = it.servers[0]
            it.master.reign.sessions.of(dead.server).heard_s = -1000.0
            async with asyncio.timeout(20):
                while it.master.reign.sessions.of(dead.server) is not None:
                    await pass_time(0.01)
            assert len((await it.find(created.attributes.inode))[0].members) == 2
            await dead.join()
            assert len((await it.find(created.attributes.inode))[0].members) == 3

    run(go)
