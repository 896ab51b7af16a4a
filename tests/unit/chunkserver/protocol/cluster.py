"""Three real chunkservers in a simulated world, and a scripted master that sends them real messages.

The master here is a stand-in of a peer: it gives sessions and serving leases, and raises a version when told to.
"""

import asyncio
import contextlib
import itertools

import pytest

from cairnfs.checksum import piece_crcs
from cairnfs.chunkserver.server import Chunkserver
from cairnfs.config import ChunkserverConfig
from cairnfs.ids import NO_VERSION, ChunkVersion
from cairnfs.limits import BLOCK_BYTES
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.server import Server
from cairnfs.sim.world import SimWorld
from cairnfs.wire.base import Done
from cairnfs.wire.chunk_reads import ChunkLength, ReadChunk
from cairnfs.wire.common import Durability, Lease, Member
from cairnfs.wire.master_orders import Open, Promise, Reconcile, Seal
from cairnfs.wire.membership import (
    Heartbeat,
    HeartbeatAnswer,
    Register,
    Registered,
    ReplicaReport,
    ReportAnswer,
    ReportReplicas,
    ReportSuspect,
    Settings,
)
from cairnfs.wire.mutations import AppendRecord, PushData, SyncChunk, TruncateChunk, WriteChunk
from cairnfs.wire.settled import unpack_columns
from cairnfs.wire.status import GetReplicaInfo

CLUSTER = "c" * 32
NAMES = ("a", "b", "c")
MIB = 1 << 20


async def pass_time(seconds):
    """Let simulated time pass: the world jumps to whatever happens next."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Master:
    """Scripted: answers sessions, and does one step of a raise when told to."""

    def __init__(self, world, *, chunk_bytes, block_bytes, lease_s):
        self.world = world
        self.geometry = (chunk_bytes, block_bytes)
        self.lease_s = lease_s
        self.epoch = 1
        self.counter = itertools.count(1)
        self.sessions = itertools.count(1)
        self.serves = True
        self.silent = False
        self.refusal = None
        self.renews = True
        self.registered = {}
        self.heartbeats = []
        self.closed = []
        self.suspects = []
        self.lost = []
        self.exclusions = {}
        self.fences_done = []
        self.reported = {}

    async def start(self):
        env = self.world.env("m")
        self.server = Server(env, role="master", cluster=CLUSTER, boot=7)
        self.server.on(Register, self.register)
        self.server.on(ReportReplicas, self.report)
        self.server.on(Heartbeat, self.heartbeat)
        self.server.on(ReportSuspect, self.suspect)
        self.address = await self.server.listen("m:7400")
        self.caller = Caller(env, role="master", boot=7, cluster=CLUSTER)

    async def hush(self):
        while self.silent:
            await pass_time(0.1)

    async def register(self, peer, request, incoming):
        await self.hush()
        if self.refusal is not None:
            raise self.refusal
        self.registered[request.server] = request
        settings = Settings(
            heartbeat_s=1.0,
            serving_lease_s=10.0,
            serving_lease_quiet_s=10.0,
            lease_s=self.lease_s,
            chunk_bytes=self.geometry[0],
            block_bytes=self.geometry[1],
            durability=Durability.DISK,
            trash_s=3600.0,
        )
        return Registered(session=next(self.sessions), epoch=self.epoch, cluster=CLUSTER, settings=settings)

    async def report(self, peer, request, incoming):
        for replica in request.replicas:
            self.reported[replica.handle, request.session] = replica
        for handle, version, length in unpack_columns(request.settled).rows():
            self.reported[handle, request.session] = ReplicaReport(
                handle=handle, version=ChunkVersion(*version), promised=ChunkVersion(*version), length=length,
                closed=True, incomplete=False, unbroken=True,
            )  # fmt: skip
        return ReportAnswer()

    async def heartbeat(self, peer, request, incoming):
        await self.hush()
        self.heartbeats.append(request)
        self.closed += request.closed
        self.lost += request.lost
        return HeartbeatAnswer(
            sent_at_s=request.sent_at_s,
            serves=self.serves,
            exclusions=self.exclusions.get(request.boot, []),
            exclusions_upto=0,
            renewed=[handle for handle, _ in request.leases] if self.renews else [],
            fences_done=self.fences_done,
            epoch=self.epoch,
        )

    async def suspect(self, peer, request, incoming):
        await self.hush()
        self.suspects.append(request.report)
        return Done()

    def version(self):
        return ChunkVersion(self.epoch, next(self.counter))


class Cluster:
    """Use `run`: it starts everything, runs the story and ends the world."""

    def __init__(self, world, *, chunk_bytes=4 * MIB, block_bytes=BLOCK_BYTES, lease_s=60.0):
        self.world = world
        self.master = Master(world, chunk_bytes=chunk_bytes, block_bytes=block_bytes, lease_s=lease_s)
        self.servers = {}
        self.sequence = itertools.count(1)

    async def start(self):
        await self.world.spawn("m", self.master.start())
        for name in NAMES:
            await self.boot(name)
        self.caller = Caller(self.world.env("x"), role="client", boot=5, cluster=CLUSTER)
        await self.settle()

    async def settle(self, seconds=3.0):
        await pass_time(seconds)

    async def boot(self, name):
        config = ChunkserverConfig(listen=(f"{name}:7410",), master=(self.master.address,), data=(f"/{name}",))
        server = Chunkserver(self.world.env(name), config)
        self.servers[name] = server
        await self.world.spawn(name, server.start())

    async def restart(self, name, *, power=False):
        (self.world.power if power else self.world.crash)(name)
        await self.boot(name)
        await self.settle()

    def store(self, name):
        return self.servers[name].context.store

    def address(self, name):
        return self.servers[name].address

    def member(self, name):
        server = self.servers[name]
        return Member(server=server.server_id, boot=server.boot, address=server.address)

    # ---- what a client says

    async def call(self, name, request, payload=()):
        return await self.caller.call(self.address(name), request, timeout_s=30, payload=payload)

    async def push(self, data, bytes_, chain):
        request = PushData(
            data=data,
            size=len(bytes_),
            crcs=piece_crcs(bytes_, BLOCK_BYTES),
            chain=[self.address(name) for name in chain[1:]],
        )
        return await self.call(chain[0], request, [bytes_])

    def once(self, client=1, sequence=None):
        return {"client": client, "sequence": sequence or next(self.sequence), "lowest": 0}

    async def write(self, lease, offset, bytes_, *, at=None, pushed=(), shows=False, client=1, sequence=None, **more):
        request = WriteChunk(
            handle=lease.handle,
            version=lease.version,
            offset=offset,
            length=len(bytes_),
            data=[pushed] if isinstance(pushed, int) else list(pushed),
            crcs=[] if pushed else piece_crcs(bytes_, BLOCK_BYTES),
            lease=lease if shows else None,
            **self.once(client, sequence),
            **more,
        )
        return await self.call(at or self.primary(lease), request, [] if pushed else [bytes_])

    async def append(self, lease, bytes_, *, at=None, pushed=(), shows=False, client=1, sequence=None):
        request = AppendRecord(
            handle=lease.handle,
            version=lease.version,
            length=len(bytes_),
            data=list(pushed),
            crcs=[] if pushed else piece_crcs(bytes_, BLOCK_BYTES),
            lease=lease if shows else None,
            **self.once(client, sequence),
        )
        return await self.call(at or self.primary(lease), request, [] if pushed else [bytes_])

    async def truncate(self, lease, length, *, sequence=None, **more):
        once = self.once(sequence=sequence)
        request = TruncateChunk(handle=lease.handle, version=lease.version, length=length, **once, **more)
        return await self.call(self.primary(lease), request)

    async def sync(self, lease, *, since=None, close=False):
        request = SyncChunk(handle=lease.handle, version=lease.version, since=since or lease.version, close=close)
        return await self.call(self.primary(lease), request)

    async def read(self, name, lease, offset, length, version=None, **more):
        request = ReadChunk(handle=lease.handle, version=version or lease.version, offset=offset, length=length, **more)
        reply, data = await self.caller.call_for_payload(self.address(name), request, timeout_s=30)
        block = self.master.geometry[1]
        assert reply.crcs == (piece_crcs(data, max(1, len(data))) if reply.exact else piece_crcs(data, block))
        return bytes(data[offset - reply.start :][:length])

    async def length(self, lease, *, at=None, **more):
        request = ChunkLength(handle=lease.handle, version=lease.version, **more)
        return (await self.call(at or self.primary(lease), request)).length

    async def info(self, name, handle):
        return await self.call(name, GetReplicaInfo(handle=handle))

    def primary(self, lease):
        address = next(member.address for member in lease.members if member.server == lease.primary)
        return address.partition(":")[0]

    # ---- what a master does

    def lease(self, handle=1, *, version=None, primary="a", names=NAMES, is_new=True, **more):
        return Lease(
            handle=handle,
            version=version or self.master.version(),
            epoch=self.master.epoch,
            members=[self.member(name) for name in names],
            primary=self.servers[primary].server_id,
            base_length=more.pop("base_length", 0),
            lease_s=self.master.lease_s,
            anchor_s=self.servers[primary].context.now_s(),
            is_new=is_new,
            **more,
        )

    def open_order(self, lease):
        return Open(lease=lease)

    async def order(self, name, request):
        return await self.master.caller.call(self.address(name), request, timeout_s=20)

    async def new_chunk(self, handle=1, **more):
        lease = self.lease(handle, **more)
        for member in lease.members:
            await self.master.caller.call(member.address, Open(lease=lease), timeout_s=20)
        return lease

    async def promise(self, handle, names=NAMES, version=None):
        version = version or self.master.version()
        promise = Promise(handle=handle, version=version, epoch=self.master.epoch)
        return version, {name: await self.order(name, promise) for name in names}

    async def raise_(self, handle, names=NAMES, *, primary=None, source=None, seal=False, old=NO_VERSION, **more):
        """The long form of rule 3. Returns the new lease, or the version if sealed."""
        version, promised = await self.promise(handle, names)
        if source is None:
            able = [name for name in names if promised[name].unbroken and not promised[name].incomplete]
            source = max(able, key=lambda name: (promised[name].version, promised[name].serial))
        base = promised[source]
        for name in [source, *(name for name in names if name != source)]:
            await self.order(name, self.reconciliation(name, source, handle, version, base))
        if seal:
            for name in names:
                request = Seal(handle=handle, version=version, epoch=self.master.epoch, length=base.length)
                await self.order(name, request)
            return version
        lease = self.lease(
            handle,
            version=version,
            primary=primary or names[0],
            names=names,
            is_new=False,
            base_length=base.length,
            **more,
        )
        for name in names:
            await self.order(name, Open(lease=lease))
        return lease

    def reconciliation(self, name, source, handle, version, base):
        return Reconcile(
            handle=handle,
            version=version,
            epoch=self.master.epoch,
            source="" if name == source else self.address(source),
            source_version=base.version,
            length=base.length,
            digest=base.digest,
        )

    # ---- what a test looks at

    def contents(self, handle, names=NAMES):
        """Digest and length of each replica."""
        return [(replica.length, replica.digest()) for replica in (self.store(name).replicas[handle] for name in names)]

    def assert_equal(self, handle, names=NAMES):
        contents = self.contents(handle, names)
        assert len({*contents}) == 1, contents


def run(story, *, seed=1, **settings):
    """Run `story(cluster)` in a world of its own."""
    with SimWorld(seed) as world:
        cluster = Cluster(world, **settings)

        async def play():
            await cluster.start()
            await story(cluster)

        world.run(play(), limit_s=3600)


async def refused(kind, job):
    """Return the error, which must be of that kind."""
    with pytest.raises(kind) as caught:
        await job
    return caught.value
