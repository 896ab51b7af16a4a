"""A scripted stand-in for a chunkserver: real messages, a dict of replicas, no disks. For tests of the master.

It obeys the orders of a master as `wire.master_orders` says and keeps a list of what it was told. A test can make it
silent for a kind of order, restart it, or change its replicas.
"""

import asyncio
from dataclasses import dataclass, field

from cairnfs.errors import ChunkMissingError, LowerEpochError, NoCopyError, StaleVersionError
from cairnfs.ids import NO_VERSION, BootId, ChunkHandle, ChunkVersion, ServerId
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.server import Server
from cairnfs.sim.world import pass_time
from cairnfs.units import GIB
from cairnfs.wire.base import Done
from cairnfs.wire.chunk_reads import Held, HoldVersion
from cairnfs.wire.master_orders import (
    Clone,
    Cloned,
    CloneLocal,
    Deleted,
    DeleteReplicas,
    Exclude,
    FenceDone,
    Open,
    Promise,
    Promised,
    Reconcile,
    Reconciled,
    Seal,
)
from cairnfs.wire.membership import (
    ClosedReport,
    DiskReport,
    Heartbeat,
    Register,
    ReplicaReport,
    ReportReplicas,
)


@dataclass
class Replica:
    version: ChunkVersion
    promised: ChunkVersion
    data: bytes = b""
    serial: int = 0
    closed: bool = False
    incomplete: bool = False
    unbroken: bool = True
    plain_writes: bool = False
    lease: object = None


@dataclass
class World:
    """All fakes of a test by address, so that one can copy from another."""

    by_address: dict = field(default_factory=dict)


class FakeChunkserver:
    def __init__(self, env, world, server, master, *, rack="", free=100 * GIB, total=200 * GIB):
        self.env, self.world, self.server, self.master = env, world, ServerId(server), master
        self.rack, self.free, self.total = rack, free, total
        self.replicas: dict[ChunkHandle, Replica] = {}
        self.promises: dict[ChunkHandle, ChunkVersion] = {}
        self.told: list = []
        self.exclusions: list = []
        self.silent: set[str] = set()
        self.broken: dict[str, Exception] = {}
        self.held_back: dict[str, asyncio.Event] = {}
        self.epoch = 0
        self.closed: list[ClosedReport] = []
        self.gained: list[ReplicaReport] = []
        self.lost: list[ChunkHandle] = []
        self.leases: list = []
        self.fences_wanted: list = []
        self.confirmed = 0
        self.boots = 0
        self.rpc = None
        self.caller = None
        self.beating = True
        self.rests = []
        """What the next copies of a joiner say is left."""

    async def start(self, *, address="here:0", register=True):
        self.boots += 1
        self.boot = BootId(self.server * 1000 + self.boots)
        self.rpc = Server(self.env, role="chunkserver", cluster="", boot=self.boot)
        for kind, handler in (
            (Promise, self.promise),
            (Reconcile, self.reconcile),
            (Open, self.open),
            (Seal, self.seal),
            (Clone, self.clone),
            (CloneLocal, self.clone_local),
            (Exclude, self.exclude),
            (FenceDone, self.fence_done),
            (DeleteReplicas, self.delete),
            (HoldVersion, self.hold),
        ):
            self.rpc.on(kind, self._wrap(kind.__name__, handler))
        self.address = await self.rpc.listen(address)
        self.world.by_address[self.address] = self
        self.caller = Caller(self.env, role="chunkserver", boot=self.boot)
        if register:
            await self.join()

    def _wrap(self, name, handler):
        async def run(peer, request, incoming):
            self.told.append(request)
            if name in self.silent:
                await pass_time(1000)
            if name in self.held_back:
                await self.held_back[name].wait()
            if name in self.broken:
                raise self.broken[name]
            epoch = getattr(request, "epoch", None)
            if epoch is not None:
                if epoch < self.epoch:
                    raise LowerEpochError(seen=self.epoch, got=epoch)
                self.epoch = epoch
            return await handler(request)

        return run

    async def stop(self):
        await self.rpc.stop(grace_s=0)
        await self.caller.close()
        self.world.by_address.pop(self.address, None)

    async def crash(self):
        """Lose what is only in memory: boot, unbroken, role; disks stay."""
        await self.stop()
        for replica in self.replicas.values():
            replica.unbroken = False
            replica.lease = None
        self.promises.clear()
        self.closed, self.gained, self.lost, self.leases = [], [], [], []

    def disks(self):
        count = len(self.replicas)
        return [DiskReport(disk=1, folder="/d", free=self.free, total=self.total, replicas=count)]

    async def join(self, *, last=True):
        reply = await self.caller.call(
            self.master,
            Register(
                server=self.server,
                boot=self.boot,
                address=self.address,
                rack=self.rack,
                disks=self.disks(),
                epoch_seen=self.epoch,
            ),
            timeout_s=5,
        )
        self.session, self.settings = reply.session, reply.settings
        self.rpc.cluster = reply.cluster
        answer = await self.caller.call(
            self.master,
            ReportReplicas(session=self.session, page=0, last=last, replicas=[self.report(h) for h in self.replicas]),
            timeout_s=5,
        )
        self.exclusions += answer.exclusions
        return await self.beat()

    def report(self, handle):
        r = self.replicas[handle]
        return ReplicaReport(
            handle=handle,
            version=r.version,
            promised=max(r.promised, self.promises.get(handle, NO_VERSION)),
            length=len(r.data),
            closed=r.closed,
            incomplete=r.incomplete,
            unbroken=r.unbroken,
        )

    async def beat(self):
        answer = await self.caller.call(
            self.master,
            Heartbeat(
                session=self.session,
                boot=self.boot,
                sent_at_s=self.env.clock.now_s(),
                disks=self.disks(),
                leases=self.leases,
                closed=self.closed,
                gained=self.gained,
                lost=self.lost,
                fences_wanted=self.fences_wanted,
                exclusions_confirmed=self.confirmed,
            ),
            timeout_s=5,
        )
        self.closed, self.gained, self.lost = [], [], []
        self.exclusions += answer.exclusions
        self.confirmed = answer.exclusions_upto
        return answer

    # ---- what a primary does

    def write_new(self, lease, data):
        """Act on a token: every member makes its replica, as with the first order."""
        for member in lease.members:
            other = self.world.by_address[member.address]
            other.replicas[lease.handle] = Replica(lease.version, lease.version, data, serial=1)
            other.gained.append(other.report(lease.handle))

    async def close(self, lease):
        for member in lease.members:
            self.world.by_address[member.address].replicas[lease.handle].closed = True
        length = len(self.replicas[lease.handle].data)
        self.closed.append(ClosedReport(handle=lease.handle, version=lease.version, length=length))
        await self.beat()

    # ---- orders

    async def promise(self, r):
        held = self.promises.get(r.handle, NO_VERSION)
        if held > r.version:
            raise StaleVersionError(chunk=r.handle, has=held, wanted=r.version)
        self.promises[r.handle] = r.version
        x = self.replicas.get(r.handle)
        if x is None:
            return Promised(
                boot=self.boot, present=False, version=NO_VERSION, serial=0, length=0, closed=False,
                incomplete=False, unbroken=False, plain_writes=False, digest=0,
            )  # fmt: skip
        x.promised, x.lease = r.version, None
        return Promised(
            boot=self.boot, present=True, version=x.version, serial=x.serial, length=len(x.data), closed=x.closed,
            incomplete=x.incomplete, unbroken=x.unbroken or x.closed, plain_writes=x.plain_writes,
            digest=digest(x.data),
        )  # fmt: skip

    async def reconcile(self, r):
        x = self.replicas.setdefault(r.handle, Replica(NO_VERSION, NO_VERSION))
        if r.source:
            other = self.world.by_address.get(r.source)
            source = other.replicas.get(r.handle) if other else None
            if source is None or source.version != r.source_version:
                raise NoCopyError(chunk=r.handle, why="source moved")
            x.data = source.data
        x.version, x.serial, x.incomplete, x.unbroken = r.version, 0, False, True
        return Reconciled(boot=self.boot, length=len(x.data), digest=digest(x.data))

    async def open(self, r):
        lease = r.lease
        x = self.replicas.get(lease.handle)
        if x is None and lease.is_new:
            x = self.replicas[lease.handle] = Replica(lease.version, lease.version)
            self.gained.append(self.report(lease.handle))
        if x is None or x.version != lease.version or self.promises.get(lease.handle, NO_VERSION) > lease.version:
            raise StaleVersionError(chunk=lease.handle, has=x.version if x else NO_VERSION, wanted=lease.version)
        x.closed, x.lease, x.plain_writes = False, lease, False
        return Done()

    async def seal(self, r):
        x = self.replicas[r.handle]
        x.closed, x.lease = True, None
        return Done()

    async def clone(self, r):
        source = self.world.by_address[r.source].replicas[r.handle]
        self.replicas[r.handle] = Replica(
            r.version, r.version, source.data, closed=not r.joiner, incomplete=r.joiner, unbroken=False
        )
        self.gained.append(self.report(r.handle))
        rest = self.rests.pop(0) if r.joiner and self.rests else 0
        return Cloned(boot=self.boot, length=len(source.data), digest=digest(source.data), rest=rest)

    async def clone_local(self, r):
        source = self.replicas.get(r.handle)
        if source is None or source.version != r.version:
            raise ChunkMissingError(chunk=r.handle)
        self.replicas[r.new] = Replica(r.new_version, r.new_version, source.data, closed=True)
        self.gained.append(self.report(r.new))
        return Cloned(boot=self.boot, length=len(source.data), digest=digest(source.data))

    async def exclude(self, r):
        self.exclusions += r.exclusions
        return Done()

    async def fence_done(self, r):
        return Done()

    async def delete(self, r):
        deleted = []
        for handle, version in r.replicas:
            x = self.replicas.get(handle)
            if x is None or x.version == version:
                self.replicas.pop(handle, None)
                deleted.append(handle)
        return Deleted(deleted=deleted)

    async def hold(self, r):
        x = self.replicas.get(r.handle)
        if x is None:
            raise ChunkMissingError(chunk=r.handle)
        if x.version != r.version:
            raise StaleVersionError(chunk=r.handle, has=x.version, wanted=r.version)
        return Held(boot=self.boot)

    def asked(self, kind):
        return [one for one in self.told if isinstance(one, kind)]


def digest(data):
    return hash(("digest", data)) & (2**63 - 1)
