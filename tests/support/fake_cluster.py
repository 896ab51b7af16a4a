"""A scripted master and chunkservers on rpc.Server, with the real messages and bytes in dicts.

Stand-ins of the client's peers, not of the client. `fail` makes the next requests of a kind fail, before or after they
were carried out; `silence` makes a server answer nothing; `asked` counts requests by kind.
"""

import asyncio
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.fake_namespace import FakeNames

from cairnfs.checksum import crc32c, piece_crcs
from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig
from cairnfs.env.light import client_env
from cairnfs.errors import (
    ChecksumError,
    ChunkFullError,
    ChunkMissingError,
    DataMissingError,
    ExistsError,
    LostWritesError,
    NotFoundError,
    NotPrimaryError,
    StaleVersionError,
)  # fmt: skip
from cairnfs.ids import NO_VERSION, ChunkVersion
from cairnfs.limits import BLOCK_BYTES
from cairnfs.rpc.server import Answer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.chunk_reads import ChunkData, ChunkLength, Length, ReadChunk
from cairnfs.wire.common import ChunkPlace, Durability, Kind, Lease, Member
from cairnfs.wire.locations import DropEmptyTail, FindChunks, LeaseChunk, Places
from cairnfs.wire.mutations import (
    Appended,
    AppendedAll,
    AppendRecord,
    AppendRecords,
    PushData,
    SyncChunk,
    Synced,
    TruncateChunk,
    WriteChunk,
    Written,
)  # fmt: skip
from cairnfs.wire.namespace import Created, CreateFile, IfExists, SetLength, Truncate
from cairnfs.wire.status import ClusterInfo, GetClusterInfo

CLUSTER = "c" * 32


class Scripted:
    """A server whose requests can be made to fail."""

    def __init__(self, env, role, number):
        self.server = Server(env, role=role, cluster=CLUSTER, boot=1000 + number)
        self.asked = Counter()
        self.requests = defaultdict(list)
        self._before = defaultdict(list)
        self._after = defaultdict(list)
        self.is_silent = False
        self.gate = asyncio.Event()
        """Requests wait until it is set."""
        self.gate.set()

    def fail(self, kind, *errors, after=False):
        (self._after if after else self._before)[kind].extend(errors)

    def on(self, kind, handler):
        async def scripted(peer, request, incoming):
            self.asked[kind] += 1
            self.requests[kind].append(request)
            if self.is_silent:
                await asyncio.Event().wait()
            await self.gate.wait()
            if self._before[kind]:
                raise self._before[kind].pop(0)
            reply = await handler(peer, request, incoming)
            if self._after[kind]:
                error = self._after[kind].pop(0)
                raise error() if callable(error) else error
            return reply

        self.server.on(kind, scripted)


@dataclass
class FakeChunk:
    handle: int
    index: int
    version: ChunkVersion
    members: list
    primary: int
    closed: bool = False
    length: int = 0
    is_shown: bool = False
    broken_at: ChunkVersion = NO_VERSION
    filter: dict = field(default_factory=dict)
    serial: int = 0

    def place(self, *, lease=None):
        return ChunkPlace(
            index=self.index, handle=self.handle, version=self.version, epoch=1, members=self.members,
            primary=0 if self.closed else self.primary, closed=self.closed, length=self.length if self.closed else 0,
            lease=lease, broken_at=self.broken_at,
        )  # fmt: skip


class FakeChunkserver(Scripted):
    def __init__(self, env, cluster, number):
        super().__init__(env, "chunkserver", number)
        self.cluster, self.number, self.replicas, self.pushed = cluster, number, {}, {}
        self.address = ""
        for kind, handler in (
            (ReadChunk, self.read), (ChunkLength, self.length), (PushData, self.push), (WriteChunk, self.write),
            (AppendRecord, self.append), (AppendRecords, self.append_all), (SyncChunk, self.sync),
            (TruncateChunk, self.truncate),
        ):  # fmt: skip
            self.on(kind, handler)

    def bytes_of(self, request):
        if request.handle not in self.replicas:
            raise ChunkMissingError(chunk=request.handle)
        chunk = self.cluster.chunks[request.handle]
        if chunk.version < request.version:
            raise StaleVersionError(chunk=request.handle, has=chunk.version, wanted=request.version)
        return self.replicas[request.handle]

    async def read(self, peer, request, incoming):
        data, block = self.bytes_of(request), self.cluster.block_bytes
        start, end = request.offset, request.offset + request.length
        exact = request.length < BLOCK_BYTES
        if not exact:
            start, end = start - start % block, end + -end % block
        part = bytes(data[start:end])
        crcs = [crc32c(part)] if exact else piece_crcs(part, block)
        if self.cluster.corrupt == self.number:
            part = bytes(len(part))
        reply = ChunkData(version=request.version, start=start, crcs=crcs, exact=exact)
        return Answer(reply=reply, payload=(part,) if part else ())

    def chunk(self, request):
        chunk = self.cluster.chunks.get(request.handle)
        if chunk is None or chunk.closed or chunk.primary != self.number:
            raise NotPrimaryError(chunk=request.handle, why="closed or another")
        if getattr(request, "lease", None) is not None:
            chunk.is_shown = True
        if not chunk.is_shown:
            raise NotPrimaryError(chunk=request.handle, why="no lease was shown")
        if request.version != chunk.version:
            raise StaleVersionError(chunk=request.handle, has=chunk.version, wanted=request.version)
        for member in chunk.members:
            self.cluster.servers[member.server - 1].replicas.setdefault(request.handle, bytearray())
        return chunk

    async def length(self, peer, request, incoming):
        chunk = self.chunk(request)
        return Length(length=chunk.length, version=chunk.version)

    async def push(self, peer, request, incoming):
        data = bytes(await incoming.complete())
        if piece_crcs(data, BLOCK_BYTES) != request.crcs:
            raise ChecksumError(what="push")
        for server in self.cluster.servers:
            if server.address in [self.address, *request.chain]:
                server.pushed[request.data] = data
        return Done()

    async def mutation_bytes(self, request, names, incoming):
        if not names:
            data = bytes(await incoming.complete())
            if piece_crcs(data, BLOCK_BYTES) != request.crcs or len(data) != request.length:
                raise ChecksumError(what="payload")
            return data
        for name in names:
            if name not in self.pushed:
                raise DataMissingError(data=name)
        return b"".join(self.pushed[name] for name in names)

    def apply(self, chunk, offset, data):
        chunk.serial += 1
        for member in chunk.members:
            replica = self.cluster.servers[member.server - 1].replicas[chunk.handle]
            replica.extend(bytes(max(0, offset - len(replica))))
            replica[offset : offset + len(data)] = data
            chunk.length = len(replica)

    async def write(self, peer, request, incoming):
        data = await self.mutation_bytes(request, request.data, incoming)
        chunk = self.chunk(request)
        key = (request.client, request.sequence)
        if key not in chunk.filter:
            self.apply(chunk, request.offset, data)
            chunk.filter[key] = request.offset
        chunk.closed = request.close
        return Written(version=chunk.version, serial=chunk.serial, length=chunk.length, closed=chunk.closed)

    async def append(self, peer, request, incoming):
        data = await self.mutation_bytes(request, request.data, incoming)
        chunk = self.chunk(request)
        key = (request.client, request.sequence)
        if key not in chunk.filter:
            if chunk.length + len(data) > self.cluster.chunk_bytes:
                chunk.closed = True
                raise ChunkFullError(chunk=chunk.handle)
            chunk.filter[key] = chunk.length
            self.apply(chunk, chunk.length, data)
        return Appended(offset=chunk.filter[key], version=chunk.version, serial=chunk.serial)

    async def append_all(self, peer, request, incoming):
        data = bytes(await incoming.complete())
        chunk, start, offsets = self.chunk(request), 0, []
        for record in request.records:
            key, part = (request.client, record.sequence), data[start : start + record.length]
            start += record.length
            if key not in chunk.filter and (chunk.closed or chunk.length + len(part) > self.cluster.chunk_bytes):
                chunk.closed = True
            elif key not in chunk.filter:
                chunk.filter[key] = chunk.length
                self.apply(chunk, chunk.length, part)
            offsets.append(chunk.filter.get(key))
        return AppendedAll(offsets=offsets, version=chunk.version)

    async def sync(self, peer, request, incoming):
        chunk = self.chunk(request)
        if request.since < chunk.broken_at:
            raise LostWritesError(chunk=chunk.handle, since=request.since)
        chunk.closed = request.close
        return Synced(version=chunk.version, length=chunk.length, closed=chunk.closed)

    async def truncate(self, peer, request, incoming):
        chunk = self.chunk(request)
        for member in chunk.members:
            del self.cluster.servers[member.server - 1].replicas[chunk.handle][request.length :]
        chunk.length = min(chunk.length, request.length)
        return Written(version=chunk.version, serial=chunk.serial, length=chunk.length)


class FakeMaster(Scripted):
    def __init__(self, env, cluster):
        super().__init__(env, "master", 0)
        self.cluster, self.names, self.address = cluster, FakeNames(), ""
        self.counter = 0
        self.names.serve(self)
        for kind, handler in (
            (GetClusterInfo, self.info), (CreateFile, self.create), (FindChunks, self.find), (LeaseChunk, self.lease),
            (Truncate, self.truncate), (SetLength, self.set_length), (DropEmptyTail, self.drop_empty_tail),
        ):  # fmt: skip
            self.on(kind, handler)

    async def info(self, peer, request, incoming):
        return ClusterInfo(
            cluster=CLUSTER, epoch=1, chunk_bytes=self.cluster.chunk_bytes, block_bytes=self.cluster.block_bytes,
            durability=Durability.DISK, replicas=3,
        )  # fmt: skip

    def version(self):
        self.counter += 1
        return ChunkVersion(1, self.counter)

    def add_chunk(self, node, index):
        members = [Member(server=s.number, boot=1, address=s.address) for s in self.cluster.servers[:3]]
        primary = members[index % len(members)].server
        handle = len(self.cluster.chunks) + 1
        chunk = FakeChunk(handle=handle, index=index, version=self.version(), members=members, primary=primary)
        self.cluster.chunks[chunk.handle] = node.chunks[index] = chunk
        lease = Lease(
            handle=chunk.handle, version=chunk.version, epoch=1, members=members, primary=primary, base_length=0,
            lease_s=60, anchor_s=0, is_new=True,
        )  # fmt: skip
        return chunk.place(lease=lease)

    async def create(self, peer, request, incoming):
        def change():
            if request.parents:
                self.names.make_parents(request.path)
            node = self.names.nodes.get(request.path)
            if node is not None:
                if request.if_exists is IfExists.FAIL:
                    raise ExistsError(path=request.path.decode())
                node = self.names.check_file(request.path, self.names.find(request.path))
                return Created(attributes=self.names.attributes(node), created=False)
            node = self.names.make(request.path, Kind.FILE, mode=request.mode)
            first = self.add_chunk(node, 0) if request.with_chunk else None
            return Created(attributes=self.names.attributes(node), created=True, first=first)

        return self.names.once(request, change)

    def node(self, inode):
        if inode not in self.names.inodes:
            raise NotFoundError(path=f"inode {inode}")
        return self.names.inodes[inode]

    def places(self, node, places):
        return Places(places=places, chunks=max(node.chunks, default=-1) + 1, length=node.length)

    async def find(self, peer, request, incoming):
        node = self.node(request.inode)
        wanted = range(request.index, request.index + request.count)
        return self.places(node, [node.chunks[index].place() for index in wanted if index in node.chunks])

    async def lease(self, peer, request, incoming):
        node = self.node(request.inode)
        chunk = node.chunks.get(request.index)
        if chunk is None:
            if not request.create:
                raise NotFoundError(path=f"chunk {request.index}")
            return self.places(node, [self.add_chunk(node, request.index)])
        if chunk.closed or request.failed == chunk.version:
            chunk.version = self.version()
            if request.suspect:
                chunk.members = [member for member in chunk.members if member.server != request.suspect]
            chunk.primary = chunk.members[0].server
        chunk.closed, chunk.is_shown = False, True
        return self.places(node, [chunk.place()])

    async def truncate(self, peer, request, incoming):
        def change():
            node = self.node(request.inode)
            node.length = request.length
            for index in [i for i in node.chunks if i * self.cluster.chunk_bytes >= request.length]:
                del node.chunks[index]
            return self.names.status(node)

        return self.names.once(request, change)

    async def drop_empty_tail(self, peer, request, incoming):
        chunks = self.node(request.inode).chunks
        chunk = chunks.get(request.index)
        held = [server.replicas.get(request.handle, b"") for server in self.cluster.servers]
        if chunk is not None and chunk.handle == request.handle and request.index == max(chunks) and not any(held):
            del chunks[request.index]
        return Done()

    async def set_length(self, peer, request, incoming):
        node = self.node(request.inode)
        node.length = max(node.length, request.index * self.cluster.chunk_bytes + request.length)
        node.mtime_ns = request.mtime_ns
        return Done()


class FakeCluster:
    """A master and chunkservers on free ports of this machine."""

    def __init__(self, *, servers=3, chunk_bytes=256 * 1024, block_bytes=64 * 1024):
        self.env = client_env(seed=7)
        self.chunk_bytes, self.block_bytes, self.chunks, self.corrupt = chunk_bytes, block_bytes, {}, 0
        self.servers = [FakeChunkserver(self.env, self, number + 1) for number in range(servers)]
        self.master = FakeMaster(self.env, self)

    async def start(self):
        for part in [self.master, *self.servers]:
            part.address = await part.server.listen("127.0.0.1:0")

    async def stop(self):
        for part in [self.master, *self.servers]:
            await part.server.stop(grace_s=0)

    def break_continuity(self):
        """As after the loss of power of every machine: unsynced plain writes of open chunks are gone."""
        for chunk in self.chunks.values():
            chunk.version = chunk.broken_at = self.master.version()
            for server in self.servers:
                server.replicas[chunk.handle] = bytearray()
            chunk.length, chunk.filter = 0, {}

    def client(self, **settings):
        config = ClientConfig(master=(self.master.address,), **{"data_timeout_s": 10.0, **settings})
        return Client(self.env, config)


@asynccontextmanager
async def fake_cluster(*, settings=None, **shape):
    cluster = FakeCluster(**shape)
    await cluster.start()
    client = cluster.client(**(settings or {}))
    try:
        yield cluster, client
    finally:
        await client.close()
        await cluster.stop()
