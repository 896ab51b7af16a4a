"""Pictures of the cluster: status, chunks, servers, counters. Used by the command line and the web page too."""

from cairnfs.client.deadlines import timed
from cairnfs.client.quotas import QuotaCalls
from cairnfs.client.stats import Space
from cairnfs.ids import NO_SERVER, ChunkHandle, DiskId, ServerId
from cairnfs.limits import DATA_CALL_S, META_CALL_S
from cairnfs.paths import AnyPath, parse_path
from cairnfs.wire.duties import Action, Drain, DrainPlan, Forget, Maintain, MaintenancePlan, Speeds, Tune
from cairnfs.wire.operating import AcceptRestore, GetDeletions, HeldDeletions, ReleaseDeletions
from cairnfs.wire.status import (
    ChunkStatus,
    ClusterInfo,
    ClusterStatus,
    GetChunkTable,
    GetCounters,
    GetReplicaInfo,
    GetStatus,
    ReplicaInfo,
    Verified,
    VerifyReplica,
)


@timed
class Admin(QuotaCalls):
    """What a client can ask about the cluster as a whole."""

    async def info(self) -> ClusterInfo:
        """Return what the cluster is like: id, epoch, chunk and block size, durability."""
        return await self._core.connection.ready()

    async def status(self) -> ClusterStatus:
        """Return how the cluster is: servers, chunks at risk, repairs."""
        return await self._ask(GetStatus())

    async def deletions(self) -> list[HeldDeletions]:
        """Return which deletions the brake of rule 22 holds, by server."""
        return (await self._ask(GetDeletions())).held

    async def restored_ns(self) -> int:
        """Return when the backup was made that the metadata came from, while what is newer is held; else 0."""
        return (await self._ask(GetDeletions())).restored_ns

    async def accept_restore(self) -> None:
        """Let what is newer than the restored metadata be deleted from now on, by the usual rules. For good."""
        await self._ask(AcceptRestore())

    async def release_deletions(self, server: int = NO_SERVER) -> int:
        """Let go the deletions held on one server, or on all; return how many."""
        return (await self._ask(ReleaseDeletions(server=ServerId(server)))).count

    async def drain(self, server: int, *, disk: int = 0, action: str = "plan") -> DrainPlan:
        """Say what it takes to empty a server or one of its disks; "start" or "cancel" that. See `wire.duties`."""
        return await self._ask(Drain(server=ServerId(server), disk=DiskId(disk), action=Action(action)))

    async def maintain(self, server: int, *, for_s: float | None = None) -> MaintenancePlan:
        """Say what hangs on a server, and that it may be silent for `for_s` seconds (0: no longer)."""
        return await self._ask(Maintain(server=ServerId(server), for_s=for_s))

    async def forget_server(self, server: int) -> None:
        """Count on a server no more that will not come back."""
        await self._ask(Forget(server=ServerId(server)))

    async def tune(
        self, *, repair: int | None = None, cluster: int | None = None, balance: int | None = None
    ) -> Speeds:
        """Return how fast copies and moves may be, in bytes a second, after changing what is given."""
        return await self._ask(Tune(repair_bytes_s=repair, cluster_bytes_s=cluster, balance_bytes_s=balance))

    async def free(self) -> Space:
        """Add up the disks that are in use."""
        servers = (await self.status()).servers
        disks = [disk for server in servers if server.state != "dead" for disk in server.disks if not disk.failed]
        free = sum(disk.free for disk in disks if not disk.read_only)
        return Space(total_bytes=sum(disk.total for disk in disks), free_bytes=free)

    async def chunk_table(self, path: AnyPath) -> list[ChunkStatus]:
        """Return everything the master knows about the chunks of a file."""
        chunks: list[ChunkStatus] = []
        while True:  # ends with the last page
            index = chunks[-1].index + 1 if chunks else 0
            table = await self._ask(GetChunkTable(path=parse_path(path), index=index))
            chunks += table.chunks
            if not table.more or not table.chunks:
                return chunks

    async def replica_info(self, address: str, handle: int) -> ReplicaInfo:
        """Ask a chunkserver what it holds of a chunk."""
        request = GetReplicaInfo(handle=ChunkHandle(handle))
        return await self._core.connection.caller.call(address, request, timeout_s=META_CALL_S)

    async def verify_replica(self, address: str, handle: int) -> Verified:
        """Have a chunkserver read its closed replica of a chunk through; one that is damaged is made again."""
        request = VerifyReplica(handle=ChunkHandle(handle))
        return await self._core.connection.caller.call(address, request, timeout_s=DATA_CALL_S)

    async def server_counters(self, address: str) -> dict[str, int]:
        """Return the plain counters of any server."""
        reply = await self._core.connection.caller.call(address, GetCounters(), timeout_s=META_CALL_S)
        return reply.counters

    def counters(self) -> dict[str, int]:
        """Return what this client did so far."""
        return self._core.connection.counters.as_dict()
