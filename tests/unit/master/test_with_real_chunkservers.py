"""The master together with real chunkservers and a real client, in one simulated world."""

import asyncio
from contextlib import asynccontextmanager

from tests.support.master_cluster import run, world_env

from cairnfs.chunkserver.server import Chunkserver
from cairnfs.client.filesystem import Client
from cairnfs.config import ChunkserverConfig, ClientConfig, ClusterConfig, MasterConfig
from cairnfs.master.server import Master, initialise
from cairnfs.sim.world import pass_time

QUICK = {
    "listen": ("here:0",),
    "data": "/meta",
    "heartbeat_s": 0.05,
    "suspect_s": 0.3,
    "dead_s": 1.0,
    "repair_grace_s": 0.0,
    "serving_lease_s": 1.0,
    "serving_lease_quiet_s": 2.0,
    "lease_s": 2.0,
}


class Whole:
    def __init__(self, env, master):
        self.env, self.master, self.servers = env, master, []

    def chunkserver(self, number):
        config = ChunkserverConfig(
            listen=("here:0",),
            master=(self.master.address,),
            data=(f"/disk{number}",),
            reserve_bytes=0,
            reserve_fraction=0.0,
        )
        return Chunkserver(self.env, config)

    async def restart(self, server):
        number = self.servers.index(server)
        self.servers[number] = self.chunkserver(number)
        await self.servers[number].start()

    async def restart_master(self):
        address = self.master.address
        await self.master.stop()
        self.master = Master(self.env, MasterConfig(**{**QUICK, "listen": (address,)}))
        await self.master.start()

    def rows(self):
        found = ((handle, self.master.reign.chunk(handle)) for handle in range(1, 50))
        return {handle: row for handle, row in found if row is not None}

    async def until(self, is_so):
        async with asyncio.timeout(30):
            while not is_so():
                await pass_time(0.02)

    def at_goal(self):
        return all(len(self.master.reign.live_current(row, handle)) == 3 for handle, row in self.rows().items())


@asynccontextmanager
async def whole_cluster(servers=3):
    env = world_env()
    await initialise(env, "/meta", ClusterConfig(chunk_bytes=1 << 20, block_bytes=1 << 16))
    master = Master(env, MasterConfig(**QUICK))
    await master.start()
    it = Whole(env, master)
    try:
        for number in range(servers):
            it.servers.append(it.chunkserver(number))
            await it.servers[-1].start()
        await it.until(lambda: len([one for one in master.reign.sessions.all() if one.reported]) == servers)
        async with Client(env, ClientConfig(master=(master.address,))) as it.client:
            yield it
    finally:
        for one in it.servers:
            await one.stop()
        await it.master.stop()


def test_writes_go_on_when_a_member_dies_and_the_chunk_returns_to_its_goal():
    async def go():
        async with whole_cluster(servers=4) as it:
            for number, which in enumerate(("primary", "secondary")):
                path = f"/{which}"
                file = await it.client.open(path, "wb")
                await file.write(b"before ")
                await file.sync()
                row = next(row for row in it.rows().values() if not row.closed)
                dead = next(
                    one
                    for one in it.servers
                    if any(one.server_id == member for member, _ in row.members)
                    and (one.server_id == row.primary) == (which == "primary")
                )
                await dead.stop()
                await file.write(b"after")
                await file.close()
                assert await it.client.read_bytes(path) == b"before after", number
                await it.restart(dead)
                await it.until(it.at_goal)

    run(go)


def test_a_writer_does_not_notice_a_restart_of_the_master():
    async def go():
        async with whole_cluster() as it:
            file = await it.client.open("/f", "wb")
            await file.write(b"one ")
            await file.flush()
            await it.restart_master()
            await file.write(b"two")
            await file.close()
            assert await it.client.read_bytes("/f") == b"one two"
            assert it.master.counters.get("raises") == 0

    run(go)


def test_a_snapshot_keeps_its_bytes_while_the_source_is_written():
    async def go():
        async with whole_cluster() as it:
            file = await it.client.open("/f", "wb")
            await file.write(b"old bytes")
            await file.flush()
            await it.client.snapshot("/f", "/g")
            await file.pwrite(b"NEW", 0)
            await file.close()
            assert await it.client.read_bytes("/g") == b"old bytes"
            assert await it.client.read_bytes("/f") == b"NEW bytes"

    run(go)


def test_deleted_files_leave_no_replica():
    async def go():
        async with whole_cluster() as it:
            await it.client.write_bytes("/f", b"x" * 2_500_000)
            assert len(it.rows()) == 3
            await it.client.remove("/f", now=True)
            await it.until(lambda: not any(one.context.store.replicas for one in it.servers))

    run(go)


def test_all_servers_restart_at_once_and_everything_is_there_again():
    async def go():
        async with whole_cluster() as it:
            await it.client.write_bytes("/closed", b"c" * 1_500_000)
            await it.client.append("/log", b"record")
            for one in it.servers:
                await one.stop()
            for one in list(it.servers):
                await it.restart(one)
            assert await it.client.read_bytes("/closed") == b"c" * 1_500_000
            await it.until(it.at_goal)
            await it.client.append("/log", b"another")
            data = await it.client.read_bytes("/log")
            assert b"record" in data
            assert b"another" in data

    run(go)
