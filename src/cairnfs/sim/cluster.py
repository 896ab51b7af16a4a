"""A whole cluster in a simulated world: the same roles as in production, on hosts that a seed breaks.

    with SimWorld(seed) as world:
        cluster = SimCluster(world, chunkservers=4)
        cluster.start()
        world.run(cluster.on_client(append_records))
        cluster.crash("cs1"); await cluster.restart("cs1")
        cluster.power_all(); await cluster.restart_all()

Chunks are small, so that a short run meets many chunk ends.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from cairnfs.chunkserver.server import Chunkserver
from cairnfs.client.filesystem import Client
from cairnfs.config import ChunkserverConfig, ClientConfig, ClusterConfig, MasterConfig
from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.limits import REPLICAS_DEFAULT, Geometry
from cairnfs.master.server import Master, initialise
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.pages import SimNode
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

T = TypeVar("T")

MASTER = "master"
CLIENT = "client"
FOLDER = "/data"
MASTER_ADDRESS = f"{MASTER}:7400"
SMALL = Geometry(chunk_bytes=64 * KIB, block_bytes=4 * KIB)
QUICK = MasterConfig(
    listen=(MASTER_ADDRESS,),
    data=FOLDER,
    repair_grace_s=5.0,
    trim_after_s=10.0,
    safe_start_s=10.0,
    lease_s=20.0,
    recent_creations_max=1000,
    report_page=4,
    report_bucket=4,
)
"""Times that make a simulated minute eventful, and reports of several pages although there are few chunks."""


ROOMY = ChunkserverConfig(reserve_bytes=0)
"""Nothing is kept free: simulated disks are small or endless."""


class SimCluster:
    """One master, some chunkservers and any client hosts, each a host of the world."""

    def __init__(  # noqa: PLR0913 - what a run may vary, each with a default
        self,
        world: SimWorld,
        *,
        chunkservers: int = 4,
        names: Sequence[str] = (),
        disks: int = 1,
        racks: int = 0,
        clients: int = 1,
        goal: int | None = None,
        copies_min: int = 2,
        durability: str | None = None,
        geometry: Geometry = SMALL,
        config: MasterConfig = QUICK,
        chunkserver_config: ChunkserverConfig = ROOMY,
        client_config: ClientConfig | None = None,
        client_configs: Mapping[str, ClientConfig] | None = None,
        safeguards: Safeguards = ALL_ON,
    ) -> None:
        """Addresses and folders in the settings are filled in here.

        Args:
            world: Where it lives.
            chunkservers: How many, unless `names` says which.
            names: Of their hosts.
            disks: How many folders each chunkserver has.
            racks: In how many racks the chunkservers stand, in turn; 0: nobody knows.
            clients: How many names `clients` has; any other host may have a client too.
            goal: Copies of a file; None: as `config` says.
            copies_min: Rule 19; fewer for files whose goal is lower.
            durability: What an append's ack means, "disk" or "memory"; None: as `config` says.
            geometry: Sizes of chunks and blocks.
            config: Of the master.
            chunkserver_config: Of every chunkserver.
            client_config: Of clients on hosts that `client_configs` does not name.
            client_configs: By host.
            safeguards: Those that are on.
        """
        self.world = world
        self.names = list(names) or [f"cs{number}" for number in range(chunkservers)]
        self.folders = [FOLDER, *(f"{FOLDER}{number}" for number in range(1, disks))]
        """Of each chunkserver, one per disk."""
        self.clients = [CLIENT, *(f"{CLIENT}{number}" for number in range(1, clients))]
        self.racks = {name: f"rack{number % racks}" if racks else "" for number, name in enumerate(self.names)}
        self._goal = goal if goal is not None else config.replicas
        durability = durability if durability is not None else config.durability
        self.config = replace(config, replicas=self._goal, durability=durability)
        self._copies_min = copies_min
        self._geometry = geometry
        self._chunkserver_config = chunkserver_config
        self._client_config = client_config if client_config is not None else ClientConfig()
        self._client_configs = dict(client_configs or {})
        self._safeguards = safeguards
        self.servers: dict[str, Chunkserver] = {}
        """By host; of hosts that are up."""
        self.master: Master | None = None
        self._counted: dict[str, int] = {}

    def start(self) -> None:
        """Make the cluster and start every server; returns when all chunkservers are registered."""
        self.world.run(self._start())

    async def _start(self) -> None:
        shape = ClusterConfig(
            chunk_bytes=self._geometry.chunk_bytes,
            block_bytes=self._geometry.block_bytes,
            copies_min=self._copies_min,
        )
        await self.world.spawn(MASTER, initialise(self.world.env(MASTER), FOLDER, shape))
        await self.start_master()
        for name in self.names:
            await self.start_chunkserver(name)
        await self.until(lambda: self._registered() == len(self.names))
        if self._goal != REPLICAS_DEFAULT:
            # The top folder has a goal of its own, and every other inherits it.
            await self.on_client(lambda client: client.set_replicas("/", self._goal))

    def _registered(self) -> int:
        assert self.master is not None
        sessions = self.master.reign.sessions
        return sum(1 for server in sessions.known if (one := sessions.of(server)) is not None and one.reported)

    async def start_master(self) -> None:
        """Start the master on its host, over whatever it stored before."""
        self.master = Master(self.world.env(MASTER), self.config, safeguards=self._safeguards)
        await self.world.spawn(MASTER, self.master.start())

    async def start_chunkserver(self, name: str) -> None:
        config = replace(
            self._chunkserver_config,
            listen=(f"{name}:7410",),
            master=(MASTER_ADDRESS,),
            data=tuple(self.folders),
            rack=self.racks[name],
        )
        server = Chunkserver(self.world.env(name), config, safeguards=self._safeguards)
        await self.world.spawn(name, server.start())
        self.servers[name] = server

    def crash(self, name: str, *, power: bool = False) -> None:
        """Kill -9 the host's process, or cut the machine's power."""
        self._harvest(name)
        self.servers.pop(name, None)
        if name == MASTER:
            self.master = None
        if power:
            self.world.power(name)
        else:
            self.world.crash(name)

    def counters(self) -> dict[str, int]:
        """Return what all servers have counted, in all their lives so far; sorted by name."""
        for name in [MASTER, *self.servers]:
            self._harvest(name)
        return dict(sorted(self._counted.items()))

    def _harvest(self, name: str) -> None:
        """Add what a server has counted to the sum, once."""
        counted: dict[str, int] = {}
        if name == MASTER and self.master is not None and self.master.is_started:
            counted = self.master.reign.counters.take()
        elif name in self.servers:
            counters = self.servers[name].context.counters
            counted = dict(counters)
            counters.clear()
        for what, count in counted.items():
            self._counted[what] = self._counted.get(what, 0) + count

    def power_all(self) -> None:
        """Cut the power of every machine at one moment, the clients' as well."""
        for name in [MASTER, *self.servers]:
            self._harvest(name)
        self.servers.clear()
        self.master = None
        self.world.power_all()

    async def restart_all(self) -> None:
        """Start every server that is down."""
        for name in [MASTER, *self.names]:
            if not self.world.is_up(name):
                await self.restart(name)

    async def restart(self, name: str) -> None:
        """Start what ran on the host again."""
        if name == MASTER:
            await self.start_master()
        else:
            await self.start_chunkserver(name)

    async def until(self, claim: Callable[[], bool], *, limit_s: float = 120.0) -> None:
        """Let the world go on until `claim` holds; looks every tenth of a second.

        Raises:
            AssertionError: it did not within `limit_s` of virtual time.
        """
        end_s = self.world.now_s() + limit_s
        while not claim():
            assert self.world.now_s() < end_s, f"did not come true within {limit_s:g} s"
            await self.pause(0.1)

    async def pause(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        reached = self.world.loop.create_future()
        self.world.loop.call_later(seconds, reached.set_result, None)
        await reached

    def client(self, host: str = CLIENT) -> Client:
        """Return a client on a host of its own."""
        config = self._client_configs.get(host, self._client_config)
        return Client(self.world.env(host), replace(config, master=(MASTER_ADDRESS,)))

    async def on_client(self, job: Callable[[Client], Coroutine[Any, Any, T]], host: str = CLIENT) -> T:
        """Run `job` with a client on its host."""
        client = self.client(host)

        async def with_client() -> T:
            async with client:
                return await job(client)

        return await self.world.spawn(host, with_client(), name=f"job {host}")

    # ------------------------------------------------------------------ looking inside

    def name_of(self, server: ServerId) -> str:
        """Return the host of a chunkserver that is up; of another one, its number in words."""
        return next((name for name, one in self.servers.items() if one.server_id == server), f"server {server:x}")

    def files_on(self, name: str) -> list[tuple[str, SimNode]]:
        """Return (path, file) of all that lies on the disks of a chunkserver's host, up or down."""
        return [one for folder in self.folders for one in self.world.tree(name, folder).walk()]

    def digests(self, handle: ChunkHandle) -> dict[str, tuple[int, int]]:
        """Return (length, digest of all block checksums) of each replica of a chunk on a host that is up."""
        found = {}
        for name, server in self.servers.items():
            replica = server.context.store.replicas.get(handle)
            if replica is not None and not replica.state.incomplete:
                found[name] = (replica.length, replica.digest())
        return found
