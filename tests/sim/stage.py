"""A small cluster for directed scenes: one chunk of one file, three or more servers, and clients beside chosen ones.

    with Stage(seed, safeguards=...) as stage:
        stage.play(scene)                 # async def scene(stage)

A scene says what it saw by failing an assertion. With every safeguard on no scene fails; with the one that it is about
switched off, it does.
"""

from contextlib import AsyncExitStack

from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig, MasterConfig
from cairnfs.ids import BootId
from cairnfs.rpc.caller import Caller
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.cluster import FOLDER, MASTER_ADDRESS, QUICK, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.wire.locations import LeaseChunk

FILE = "/file"
SIZE = 6_000
"""One and a half blocks, so that a write also touches half a block."""


def content(number: int, size: int = SIZE) -> bytes:
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
    ) -> None:
        self.world = SimWorld(seed)
        self.cluster = SimCluster(self.world, chunkservers=chunkservers, safeguards=safeguards, config=config)
        self._open = AsyncExitStack()

    def __enter__(self) -> "Stage":
        self.world.__enter__()
        self.cluster.start()
        return self

    def __exit__(self, *error) -> None:
        self.world.__exit__(*error)

    def play(self, scene) -> None:
        async def whole() -> None:
            async with self._open:
                await scene(self)

        self.world.run(whole(), limit_s=600)

    # ------------------------------------------------------------------ people

    async def client(self, host: str, *, near: str = "") -> Client:
        """A client on a host of its own that reads from the chunkserver `near` first."""
        config = ClientConfig(master=(MASTER_ADDRESS,), near=f"{near}:7410" if near else "", readahead_bytes=0)
        client = Client(self.world.env(host), config)
        await self.on(host, client.connect())
        self._open.push_async_callback(lambda: self.on(host, client.close()))
        return client

    async def on(self, host: str, job):
        """Run `job` as part of a host's life."""
        return await self.world.spawn(host, job)

    async def reader(self, near: str):
        """An open file whose reads go to one chunkserver first; where the chunk is is cached already."""
        host = f"reader-{near}"
        client = await self.client(host, near=near)
        file = await self.on(host, client.open(FILE, "rb"))
        await self.on(host, file.pread(SIZE, 0))
        return Seat(self, host, file)

    async def writer(self, host: str = "writer"):
        client = await self.client(host)
        return Seat(self, host, await self.on(host, client.open(FILE, "r+b")))

    async def make(self, number: int = 1) -> None:
        """The file holds `number`, synced; its chunk is closed."""
        client = await self.client("maker")

        async def fill() -> None:
            async with await client.open(FILE, "wb") as file:
                await file.pwrite(content(number), 0)

        await self.on("maker", fill())

    # ------------------------------------------------------------------ looking inside

    @property
    def row(self):
        """The record of the only chunk."""
        reign = self.cluster.master.reign
        return reign.chunk(self.handle)

    @property
    def handle(self) -> int:
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

    async def raise_without(self, name: str, *, host: str = "complainer") -> None:
        """Somebody complains of a server that the master cannot reach: it raises without it."""
        server = self.cluster.servers[name].server_id
        client = await self.client(host)
        core = client._core
        inode = (await self.on(host, client.stat(FILE))).inode
        request = LeaseChunk(
            inode=inode, index=0, create=False, near="", failed=self.row.version, suspect=server, append=False
        )
        await self.on(host, core.connection.ask(request, timeout_s=60))
        assert name not in self.members, "it was to be left out"

    async def order(self, name: str, request, payload: bytes = b""):
        """Send an order as a master of another day would."""
        env = self.world.env("ghost")
        cluster = self.cluster.master.reign.identity.cluster
        caller = Caller(env, role="master", boot=BootId(1), cluster=cluster)
        return await self.on(
            "ghost", caller.call(f"{name}:7410", request, timeout_s=5, payload=(payload,) if payload else ())
        )

    async def pause(self, seconds: float) -> None:
        await self.cluster.pause(seconds)

    def later(self, job):
        """Start `job` and go on."""
        return self.world.loop.create_task(job)

    def flip(self, name: str, handle: int, offset: int) -> None:
        """Bit rot in a replica."""
        tree = self.world.tree(name, FOLDER)
        hexed = f"{handle:016x}"
        (node,) = [one for path, one in walk(tree) if path.endswith(f"{hexed}.dat")]
        node.flip(offset)


class Seat:
    """One open file and the host that uses it."""

    def __init__(self, stage: Stage, host: str, file) -> None:
        self.stage, self.host, self.file = stage, host, file
        self.acked = 0

    async def read(self, size: int = SIZE, offset: int = 0) -> bytes:
        return await self.stage.on(self.host, self.file.pread(size, offset))

    async def show(self) -> int:
        """The number that the file shows."""
        data = await self.read()
        assert len(data) == SIZE, len(data)
        assert len(set(data)) == 1, f"a mixture of {sorted(set(data))}"
        return data[0]

    async def write(self, number: int) -> None:
        await self.stage.on(self.host, self.file.pwrite(content(number), 0))
        self.acked = number

    async def do(self, job):
        return await self.stage.on(self.host, job)


def walk(tree):
    """Each file of a disk with its path."""
    todo = [("", tree.top)]
    while todo:
        path, folder = todo.pop()
        for name, entry in folder.entries.items():
            if hasattr(entry, "entries"):
                todo.append((f"{path}/{name}", entry))
            else:
                yield f"{path}/{name}", entry
