"""A master in a simulated world, with stand-ins for chunkservers and a client's calls. For tests of the master.

`run(go)` runs a test in virtual time; inside, `master_cluster()` makes the cluster and `pass_time` lets time go by.
"""

from contextlib import asynccontextmanager

from tests.support.fake_chunkserver import FakeChunkserver, World

from cairnfs.config import ClusterConfig, MasterConfig
from cairnfs.ids import BootId
from cairnfs.master.server import Master, initialise
from cairnfs.rpc.caller import Caller
from cairnfs.sim.world import SimWorld
from cairnfs.wire.common import Once
from cairnfs.wire.locations import FindChunks, LeaseChunk
from cairnfs.wire.namespace import CreateFile, Stat

FAST = {
    "listen": ("here:0",),
    "data": "/meta",
    "heartbeat_s": 0.02,
    "suspect_s": 60.0,
    "dead_s": 120.0,
    "serving_lease_s": 60.0,
    "serving_lease_quiet_s": 60.0,
    "safe_start_s": 0.0,
    "repair_grace_s": 0.0,
    "repairs_max": 0,
    "trim_after_s": 0.0,
}
"""Nobody dies by himself in a test that runs for a second, and nothing is repaired unless the test says so."""


_worlds = []
"""The world of the test that runs."""


def run(go, seed=1):
    """Run a test in a world of its own."""
    with SimWorld(seed) as world:
        _worlds.append(world)
        try:
            return world.run(go())
        finally:
            _worlds.pop()


def world_env():
    """The world of the test that runs, as its only host sees it."""
    return _worlds[-1].env("here")


class MasterCluster:
    def __init__(self, env, config, cluster, *, safeguards=None):
        self.env, self.config, self.cluster = env, config, cluster
        self.world = World()
        self.servers = []
        self.sequence = 0
        self.extra = {} if safeguards is None else {"safeguards": safeguards}

    async def start_master(self):
        self.master = Master(self.env, self.config, **self.extra)
        await self.master.start()
        self.caller = Caller(self.env, role="client", boot=BootId(7))
        for one in self.servers:
            one.master = self.master.address

    async def stop_master(self):
        await self.caller.close()
        await self.master.stop(grace_s=0)

    async def add_server(self, number, **settings):
        one = FakeChunkserver(self.env, self.world, number, self.master.address, **settings)
        self.servers.append(one)
        await one.start()
        return one

    def by_id(self, server):
        return next(one for one in self.servers if one.server == server)

    async def call(self, request, timeout_s=10.0):
        return await self.caller.call(self.master.address, request, timeout_s=timeout_s)

    def once(self):
        self.sequence += 1
        return Once(client=1, sequence=self.sequence, lowest=self.sequence)

    async def create(self, path=b"/f", **fields):
        return await self.call(CreateFile(path=path, with_chunk=True, once=self.once(), **fields))

    async def lease(self, inode, index=0, **fields):
        return (await self.call(LeaseChunk(inode=inode, index=index, **fields))).places[0]

    async def find(self, inode, index=0, count=1):
        return (await self.call(FindChunks(inode=inode, index=index, count=count))).places

    async def stat(self, path=b"/f"):
        return await self.call(Stat(path=path))

    async def written(self, path=b"/f", data=b"hello", **fields):
        """A file with one open chunk that holds `data` on every member."""
        created = await self.create(path, **fields)
        lease = created.first.lease
        self.by_id(lease.primary).write_new(lease, data)
        for one in self.servers:
            await one.beat()
        return created

    async def closed(self, path=b"/f", data=b"hello", **fields):
        """The same, closed by its primary."""
        created = await self.written(path, data, **fields)
        await self.by_id(created.first.lease.primary).close(created.first.lease)
        return created

    async def beat(self, times=1):
        for _ in range(times):
            for one in self.servers:
                await one.beat()

    def record(self, handle):
        return self.master.reign.chunk(handle)


@asynccontextmanager
async def master_cluster(servers=3, *, racks=(), safeguards=None, copies_min=2, **settings):
    env = world_env()
    cluster = await initialise(
        env, "/meta", ClusterConfig(chunk_bytes=1 << 20, block_bytes=1 << 16, copies_min=copies_min)
    )
    it = MasterCluster(env, MasterConfig(**{**FAST, **settings}), cluster, safeguards=safeguards)
    await it.start_master()
    try:
        for number in range(1, servers + 1):
            await it.add_server(number, rack=racks[number - 1] if racks else "")
        yield it
    finally:
        for one in it.servers:
            await one.stop()
        await it.stop_master()
