"""A small cluster for directed scenes: one chunk of one file, three or more servers, and clients beside chosen ones.

    with Stage(seed, safeguards=...) as stage:
        stage.play(scene)                 # async def scene(stage)

A scene says what it saw by failing an assertion. With every safeguard on no scene fails; with the one that it is about
switched off, it does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, TypeVar

from msgspec.structs import replace

from cairnfs.chunkserver.roles import Chunk
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig, MasterConfig
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle
from cairnfs.master.reign import Reign
from cairnfs.meta.tables import ChunkRow
from cairnfs.rpc.caller import Caller
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.cluster import FOLDER, MASTER, MASTER_ADDRESS, QUICK, ROOMY, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.locations import LeaseChunk

T = TypeVar("T")
R = TypeVar("R", bound=Reply)

FILE = "/file"
SIZE = 6_000
"""One and a half blocks, so that a write also touches half a block."""
PLAY_S = 600.0
"""Virtual time that a scene may take."""


def content(number: int, size: int = SIZE) -> bytes:
    """Return bytes that all show `number`."""
    return bytes([number]) * size


class Stage:
    """See the module."""

    def __init__(
        self,
        seed: int = 0,
        *,
        chunkservers: int = 3,
        safeguards: Safeguards = ALL_ON,
        config: MasterConfig = QUICK,
        scrub_period_s: float = 0.0,
    ) -> None:
        self.world = SimWorld(seed)
        self.cluster = SimCluster(
            self.world,
            chunkservers=chunkservers,
            safeguards=safeguards,
            config=config,
            chunkserver_config=replace(ROOMY, scrub_period_s=scrub_period_s),
        )
        self._open = AsyncExitStack()

    def __enter__(self) -> "Stage":
        self.world.__enter__()
        self.cluster.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.world.__exit__(kind, error, traceback)

    def play(self, scene: "Scene") -> None:
        """Run a scene to its end.

        Raises:
            AssertionError: what the scene saw was wrong. SimError: it never ended.
        """

        async def whole() -> None:
            async with self._open:
                await scene(self)

        self.world.run(whole(), limit_s=PLAY_S)

    # ------------------------------------------------------------------ people

    async def client(self, host: str, *, near: str = "") -> Client:
        """Return a client on a host of its own that reads from the chunkserver `near` first."""
        # No hedging: a scene is about what one replica gives out, and the reader must not turn to another one.
        config = ClientConfig(
            master=(MASTER_ADDRESS,), near=f"{near}:7410" if near else "", readahead_bytes=0, hedge=False
        )
        client = Client(self.world.env(host), config)
        await self.on(host, client.connect())
        self._open.push_async_callback(lambda: self.on(host, client.close()))
        return client

    async def on(self, host: str, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` as part of a host's life."""
        return await self.world.spawn(host, job)

    async def reader(self, near: str) -> "Seat":
        """Return an open file whose reads go to one chunkserver first; where the chunk is is cached already."""
        host = f"reader-{near}"
        client = await self.client(host, near=near)
        file = await self.on(host, client.open(FILE, "rb"))
        await self.on(host, file.pread(SIZE, 0))
        return Seat(self, host, file)

    async def writer(self, host: str = "writer") -> "Seat":
        """Return an open file on a host of its own."""
        client = await self.client(host)
        return Seat(self, host, await self.on(host, client.open(FILE, "r+b")))

    async def make(self, number: int = 1) -> None:
        """Let the file hold `number`, synced; its chunk is closed."""
        client = await self.client("maker")

        async def fill() -> None:
            async with await client.open(FILE, "wb") as file:
                await file.pwrite(content(number), 0)

        await self.on("maker", fill())

    # ------------------------------------------------------------------ looking inside

    @property
    def reign(self) -> Reign:
        """What the master that is up keeps in memory."""
        assert self.cluster.master is not None, "the master is down"
        return self.cluster.master.reign

    @property
    def row(self) -> ChunkRow:
        """The record of the only chunk."""
        row = self.reign.chunk(self.handle)
        assert row is not None, self.handle
        return row

    @property
    def handle(self) -> ChunkHandle:
        """The chunk that lies on a server."""
        for server in self.cluster.servers.values():
            for handle in server.context.store.replicas:
                return handle
        raise AssertionError("no replica anywhere")

    @property
    def primary(self) -> str:
        return self.cluster.name_of(self.row.primary)

    @property
    def members(self) -> list[str]:
        return [self.cluster.name_of(server) for server, _ in self.row.members]

    @property
    def others(self) -> list[str]:
        return [name for name in self.members if name != self.primary]

    def chunk_at(self, name: str) -> Chunk:
        """Return what a server knows of the only chunk's order."""
        chunk = self.cluster.servers[name].context.chunks.find(self.handle)
        assert chunk is not None, name
        return chunk

    # ------------------------------------------------------------------ what happens

    async def raise_without(self, name: str, *, host: str = "complainer") -> None:
        """Complain of a server that the master cannot reach: it raises without it."""
        server = self.cluster.servers[name].server_id
        client = await self.client(host)
        inode = (await self.on(host, client.stat(FILE))).inode
        request = LeaseChunk(
            inode=inode, index=0, create=False, near="", failed=self.row.version, suspect=server, append=False
        )
        await self.call(host, "client", MASTER_ADDRESS, request, timeout_s=60)
        assert name not in self.members, "it was to be left out"

    async def order(self, name: str, request: Request[R], payload: bytes = b"") -> R:
        """Send an order as a master of another day would."""
        return await self.call("ghost", "master", f"{name}:7410", request, timeout_s=5, payload=payload)

    async def call(
        self, host: str, role: str, address: str, request: Request[R], *, timeout_s: float, payload: bytes = b""
    ) -> R:
        """Send one request from a host, in the role that it claims to have."""
        caller = Caller(self.world.env(host), role=role, boot=BootId(1), cluster=self.reign.identity.cluster)
        return await self.on(
            host, caller.call(address, request, timeout_s=timeout_s, payload=(payload,) if payload else ())
        )

    async def pause(self, seconds: float) -> None:
        await self.cluster.pause(seconds)

    def later(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `job` and go on."""
        return self.world.loop.create_task(job)

    async def power_of_all(self) -> None:
        """Let every machine lose power at once, and start them all again."""
        for name in [*self.cluster.names, MASTER]:
            self.cluster.crash(name, power=True)
        await self.pause(1)
        for name in [MASTER, *self.cluster.names]:
            await self.cluster.restart(name)

    def flip(self, name: str, handle: ChunkHandle, offset: int) -> None:
        """Let a bit of a replica rot."""
        tree = self.world.tree(name, FOLDER)
        (node,) = [node for path, node in tree.walk() if path.endswith(f"{handle:016x}.dat")]
        node.flip(offset)


class Seat:
    """One open file and the host that uses it."""

    def __init__(self, stage: Stage, host: str, file: File) -> None:
        self.stage, self.host, self.file = stage, host, file
        self.acked = 0

    async def read(self, size: int = SIZE, offset: int = 0) -> bytes:
        return await self.stage.on(self.host, self.file.pread(size, offset))

    async def show(self) -> int:
        """Return the number that the file shows."""
        data = await self.read()
        assert len(data) == SIZE, len(data)
        assert len(set(data)) == 1, f"a mixture of {sorted(set(data))}"
        return data[0]

    async def try_to_show(self, seconds: float) -> int | None:
        """Return the number that the file shows; None if nobody says so in time."""

        async def ask() -> bytes | None:
            with suppress(CairnError, TimeoutError):
                async with asyncio.timeout(seconds):
                    return await self.file.pread(SIZE, 0)
            return None

        data = await self.do(ask())
        if data is None:
            return None
        assert data == content(data[0]), "a mixture"
        return data[0]

    async def write(self, number: int) -> None:
        await self.stage.on(self.host, self.file.pwrite(content(number), 0))
        self.acked = number

    async def do(self, job: Coroutine[Any, Any, T]) -> T:
        return await self.stage.on(self.host, job)


Scene = Callable[[Stage], Awaitable[None]]
