"""Operators at work while everything else goes wrong: drains, maintenance, speeds. Part of the faults of a storm.

An operator who drains a server takes it away, disk and all, once the master says that nothing there is needed; a new
machine comes in its place. Within the promises that loses nothing.
"""

import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cairnfs.chunkserver.format import parse_handle
from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle, DiskId, ServerId
from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.insight import chunk_row
from cairnfs.sim.schedule import Fault

T = TypeVar("T")
OPERATOR = "operator"
LOOK_S = 1.0
ASKS_MAX = 60
"""How often an operator asks a master that is away; then he gives up."""


class Operators:
    """One at a time, on a host that nothing befalls."""

    def __init__(self, cluster: SimCluster, *, tell: Callable[[str], None]) -> None:
        self._cluster, self._tell = cluster, tell
        self._disks: list[tuple[ServerId, DiskId]] = []
        """Those that were ever drained."""

    async def _ask(self, job: Callable[[Client], Coroutine[Any, Any, T]]) -> T | None:
        """Ask until there is an answer; None: refused, or nobody answered for long."""
        for _ in range(ASKS_MAX):
            try:
                return await self._cluster.on_client(job, host=OPERATOR)
            except CairnError as error:
                if error.retry == "never":
                    self._tell(f"  operator: {error}")
                    return None
                await self._cluster.pause(LOOK_S)
        return None

    def _id_of(self, host: str) -> ServerId | None:
        server = self._cluster.servers.get(host)
        return server.server_id if server is not None and server.server_id else None

    async def drain(self, fault: Fault, *, restart: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Drain a server for a while. If it gets empty it may be replaced, else the drain is cancelled."""
        server = self._id_of(fault.host)
        if server is None or await self._ask(lambda client: client.drain(server, action="start")) is None:
            return
        until_s = self._cluster.world.loop.time() + 2 * fault.for_s + 5
        while self._cluster.world.loop.time() < until_s:
            plan = await self._ask(lambda client: client.drain(server))
            is_empty = plan is not None and plan.live and not plan.left
            may_go = is_empty and random.Random(fault.dice).random() < 0.7
            if may_go and await self._has_replaced(fault.host, server, restart):
                return
            await self._cluster.pause(LOOK_S)
        await self._ask(lambda client: client.drain(server, action="cancel"))

    async def _has_replaced(
        self, host: str, server: ServerId, restart: Callable[[str], Coroutine[Any, Any, None]]
    ) -> bool:
        """Put a new machine in the place of a drained one, unless another fault took the other copies meanwhile."""
        if self._id_of(host) != server or not self._is_needless(host):
            return False
        self._tell(f"  {host} is replaced")
        self._cluster.crash(host, power=True)
        for folder in self._cluster.folders:
            self._cluster.world.make_folder(host, folder)
        await self._cluster.pause(LOOK_S)
        await restart(host)
        await self._ask(lambda client: client.forget_server(server))
        return True

    def _is_needless(self, host: str) -> bool:
        """True if some other disk has each chunk that is there: of two faults at a time nothing is promised."""
        for path, _ in self._cluster.files_on(host):
            handle = parse_handle(path.rpartition("/")[2])
            row = chunk_row(self._cluster, handle) if handle is not None else None
            if handle is not None and row is not None and not self.has_another_copy(host, handle, path):
                return False
        return True

    def has_another_copy(self, host: str, handle: ChunkHandle, path: str) -> bool:
        """True if another member has a file of the chunk, in its place, and takes it for whole if it is up."""
        row = chunk_row(self._cluster, handle)
        members = dict(row.members) if row is not None else {}
        for name in self._cluster.names:
            if name == host:
                continue
            up = self._cluster.servers.get(name)
            if up is not None and up.server_id:
                replica = up.context.store.replicas.get(handle) if up.server_id in members else None
                if replica is not None and not replica.state.incomplete:
                    return True
            elif any(other == path for other, _ in self._cluster.files_on(name)):
                return True
        return False

    async def drain_disk(self, fault: Fault) -> None:
        """Empty one disk of a server for a while; what has left it comes back only if it is needed."""
        server = self._id_of(fault.host)
        disks = list(self._cluster.servers[fault.host].context.store.disks) if server is not None else []
        if server is None or not disks:
            return
        disk = disks[fault.dice % len(disks)]
        if await self._ask(lambda client: client.drain(server, disk=disk, action="start")) is None:
            return
        self._disks.append((server, disk))
        await self._cluster.pause(2 * fault.for_s + 5)
        await self._ask(lambda client: client.drain(server, disk=disk, action="cancel"))

    async def maintenance(self, fault: Fault, *, restart: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Announce that a server will be away, and take it away for that long."""
        server = self._id_of(fault.host)
        if server is None:
            return
        plan = await self._ask(lambda client: client.maintain(server, for_s=2 * fault.for_s))
        if plan is not None and not plan.alone and self._id_of(fault.host) == server:
            self._cluster.crash(fault.host)
        await self._cluster.pause(fault.for_s)
        await restart(fault.host)
        await self._ask(lambda client: client.maintain(server, for_s=0))

    async def tune(self, fault: Fault) -> None:
        """Change the speed of repairs, for good."""
        chance = random.Random(fault.dice)
        speed = chance.choice((1_000_000, 20_000_000, 0))
        await self._ask(lambda client: client.tune(repair=speed, cluster=chance.choice((0, 2_000_000)), balance=speed))

    async def end(self) -> None:
        """Take back all that was ordered."""
        for server, disk in self._disks:
            await self._ask(lambda client, one=server, disk=disk: client.drain(one, disk=disk, action="cancel"))  # type: ignore[misc]
        status = await self._ask(lambda client: client.status())
        assert status is not None, "the master was started"
        for one in status.servers:
            if one.draining:
                await self._ask(lambda client, server=one.server: client.drain(server, action="cancel"))  # type: ignore[misc]
            if one.maintenance_s:
                await self._ask(lambda client, server=one.server: client.maintain(server, for_s=0))  # type: ignore[misc]
