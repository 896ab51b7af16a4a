"""What takes time on a cluster under test, with await: clients, waiting, and looking at chunks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig
from cairnfs.errors import CairnError
from cairnfs.ids import BootId
from cairnfs.paths import AnyPath
from cairnfs.testing.machines import CLIENT, MASTER, Machines
from cairnfs.wire.status import ChunkStatus, ClusterStatus

OBSERVER = "observer"
"""The host from which the cluster is asked how it is, so that cutting a client's network blinds nobody."""
LIMIT_S = 120.0
SETTLE_S = 1.0
STEP_S = 0.1
"""Between two looks at what is waited for."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a file, with its servers by name."""

    index: int
    handle: int
    primary: str
    """Who orders its changes; "" if nobody may change it now."""
    servers: list[str]
    """Those with a current replica, as the master knows."""
    is_closed: bool
    length: int


class AioCluster:
    """For coroutines given to `CairnCluster.run`."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self.hosts = [CLIENT]
        """Where clients are, or may be."""
        self._observer: Client | None = None
        self._boots: dict[str, BootId] = {}
        """Lives of the chunkservers when all was healthy last."""
        self._over: dict[str, BootId] = {}
        """Lives that ended since, although the master may not know yet."""

    async def client(self, host: str = CLIENT) -> Client:
        """Return a client with await, connected; it is its own context manager."""
        self.note_host(host)
        client = self._machines.ground(host).make_client(ClientConfig(master=(self._machines.master_address,)))
        await client.connect()
        return client

    async def until(self, claim: Callable[[], Awaitable[bool]], *, limit_s: float = LIMIT_S) -> None:
        """Let the cluster go on until `await claim()` is true.

        Raises:
            AssertionError: it was not within `limit_s`.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + limit_s
        while not await claim():
            assert loop.time() < end_s, f"did not come true within {limit_s:g} s"
            await asyncio.sleep(STEP_S)

    async def wait_until_healthy(self, *, limit_s: float = LIMIT_S) -> None:
        """See `CairnCluster`."""
        await self.until(self._is_healthy, limit_s=limit_s)
        # A server counts as live when it registers, and gets chunks when it has also reported, a moment later.
        await asyncio.sleep(SETTLE_S)
        await self.until(self._is_healthy, limit_s=limit_s)

    async def chunks(self, path: AnyPath) -> list[Chunk]:
        """Return the chunks of a file, as the master knows them."""
        return [self._shown(chunk) for chunk in await self._observing().chunk_table(path)]

    async def primary_of(self, path: AnyPath) -> str:
        """Return the name of the server that orders changes of the file's last chunk.

        Raises:
            LookupError: there is none now: the file was closed, or nobody wrote to it for a while.
        """
        chunks = await self.chunks(path)
        if not chunks or not chunks[-1].primary:
            raise LookupError(f"the last chunk of {path!r} has no primary now")
        return chunks[-1].primary

    async def close(self) -> None:
        """End the connections that asking needed."""
        if self._observer is not None:
            await self._observer.close()

    def note_host(self, host: str) -> None:
        """Remember the host of a client. Raises ValueError if it is a server."""
        if host == MASTER or host in self._machines.chunkservers:
            raise ValueError(f"{host!r} is a server; give the client's host a name of its own")
        if host not in self.hosts:
            self.hosts.append(host)

    def expect_anew(self, server: str) -> None:
        """Note that a server is started: what the master knows of its life before says nothing."""
        if server in self._boots:
            self._over[server] = self._boots[server]

    # ------------------------------------------------------------------ inside

    def _observing(self) -> Client:
        if self._observer is None:
            config = ClientConfig(master=(self._machines.master_address,))
            self._observer = self._machines.ground(OBSERVER).make_client(config)
        return self._observer

    async def _is_healthy(self) -> bool:
        try:
            return self._knows_servers(await self._observing().status()) and await self._has_all_copies()
        except CairnError:
            return False  # nobody leads: the master is down, or starts

    def _knows_servers(self, status: ClusterStatus) -> bool:
        boots = {self._machines.named(server.address): server.boot for server in status.servers}
        if any(self._over.get(name) == boot for name, boot in boots.items()):
            return False
        up = sorted(name for name in self._machines.chunkservers if self._machines.is_up(name))
        live = sorted(self._machines.named(server.address) for server in status.servers if server.state == "live")
        is_settled = all(server.state in ("live", "dead") for server in status.servers) and not status.safe_start
        if live != up or not is_settled or status.repairs_running:
            return False
        self._boots.update(boots)
        self._over.clear()
        return True

    async def _has_all_copies(self) -> bool:
        """Look at every file: the master's own count is as old as its last round."""
        fs = self._observing()
        folders = ["/"]
        while folders:  # ends because every folder is listed once
            async for entry in fs.scandir(folders.pop()):
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.is_file() and not all(map(_has_its_copies, await fs.chunk_table(entry.path))):
                    return False
        return True

    def _shown(self, chunk: ChunkStatus) -> Chunk:
        names = {replica.server: self._machines.named(replica.address) for replica in chunk.replicas}
        return Chunk(
            index=chunk.index,
            handle=chunk.handle,
            primary=names.get(chunk.primary, ""),
            servers=[names[replica.server] for replica in chunk.replicas if replica.current and replica.live],
            is_closed=chunk.closed,
            length=chunk.length,
        )


def _has_its_copies(chunk: ChunkStatus) -> bool:
    return sum(replica.current and replica.live for replica in chunk.replicas) >= chunk.goal
