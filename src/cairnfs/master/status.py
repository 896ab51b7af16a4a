"""A picture of the cluster for people: answers `wire.status` from memory and constant-time counts."""

import asyncio

from cairnfs.errors import WrongClusterError
from cairnfs.ids import BootId, ServerId
from cairnfs.limits import LIST_PAGE_MAX
from cairnfs.master.balancing import Balancing
from cairnfs.master.garbage import Garbage
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.master.sessions import Health
from cairnfs.meta import read, read_quotas
from cairnfs.paths import check_path
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.common import Durability
from cairnfs.wire.status import (
    ChunkStatus,
    ChunkTable,
    ClusterInfo,
    ClusterStatus,
    Counters,
    GetChunkTable,
    GetClusterInfo,
    GetCounters,
    GetStatus,
    ReplicaStatus,
    ServerStatus,
)


class StatusPage:
    """Answers `wire.status`."""

    def __init__(self, reign: Reign, repairing: Repairing, balancing: Balancing, garbage: Garbage) -> None:
        self._reign = reign
        self._repairing = repairing
        self._balancing = balancing
        self._garbage = garbage
        self._durability = Durability(reign.config.durability)
        self._server: Server | None = None

    def serve(self, server: Server) -> None:
        """Register the handlers."""
        self._server = server
        server.on(GetClusterInfo, self.info)
        server.on(GetStatus, self.status)
        server.on(GetChunkTable, self.chunk_table)
        server.on(GetCounters, self.counters)

    async def info(self, _peer: Peer, _request: GetClusterInfo, _incoming: Incoming) -> ClusterInfo:
        reign = self._reign
        reign.check_leads()
        return ClusterInfo(
            cluster=reign.identity.cluster,
            epoch=reign.epoch,
            chunk_bytes=reign.identity.chunk_bytes,
            block_bytes=reign.identity.block_bytes,
            durability=self._durability,
            replicas=reign.config.replicas,
            location_cache_s=reign.config.location_cache_s,
        )

    async def status(self, _peer: Peer, _request: GetStatus, _incoming: Incoming) -> ClusterStatus:
        reign = self._reign
        with reign.store.read() as view:
            counts = read.counts(view)
            quota_warnings = read_quotas.warnings(view)
        seen = self._repairing.census
        warnings = [reign.rolled_back] if reign.rolled_back else []
        warnings += self._garbage.warnings()
        warnings += self._strangers()
        warnings += quota_warnings
        return ClusterStatus(
            cluster=reign.identity.cluster,
            epoch=reign.epoch,
            uptime_s=reign.now_s() - reign.started_s,
            servers=self._servers(),
            files=counts.files,
            folders=counts.folders,
            chunks=counts.chunks,
            open_chunks=len(reign.leases),
            chunks_missing=seen.missing,
            chunks_one_copy=seen.one_copy,
            chunks_below_goal=seen.below_goal,
            chunks_above_goal=seen.above_goal,
            repairs_running=self._repairing.running,
            garbage=self._garbage.waiting + counts.purged,
            trash_entries=counts.trash,
            log_index=counts.log_index,
            metadata_bytes=reign.store.size()[0],
            durability=self._durability,
            safe_start=not self._repairing.is_safe(),
            missing_handles=list(seen.missing_handles),
            warnings=warnings,
            servers_reported=len(reign.sessions.known) - len(reign.sessions.unheard()),
            chunks_reported=reign.inventory.chunks,
            repairs_waiting=self._repairing.waiting,
            moves_running=self._balancing.running,
        )

    def _strangers(self) -> list[str]:
        """Say who asks here in vain: a server with a foreign disk or a wrong address is in no other list."""
        refused = self._server.refused_lately() if self._server is not None else []
        return [
            f"a peer at {host} belongs to cluster {error.expected} and was refused"
            for host, error in refused
            if isinstance(error, WrongClusterError)
        ]

    def _servers(self) -> list[ServerStatus]:
        reign = self._reign
        now_s = reign.now_s()
        found: list[ServerStatus] = []
        for server in sorted(reign.sessions.known):
            session = reign.sessions.of(server)
            known = reign.sessions.known[server]
            found.append(
                ServerStatus(
                    server=server,
                    address=session.address if session is not None else known.address,
                    rack=session.rack if session is not None else known.rack,
                    state=(reign.sessions.health(session, now_s) if session is not None else Health.DEAD).value,
                    boot=session.boot if session is not None else BootId(0),
                    disks=session.disks if session is not None else [],
                    replicas=reign.inventory.count(server),
                    primaries=reign.leases.count_of(server),
                    heard_s=now_s - session.heard_s if session is not None else now_s - reign.started_s,
                    draining=known.draining,
                    maintenance_s=reign.maintenance_left_s(server),
                    slow_s=now_s - session.slow_since_s if session and session.slow_since_s is not None else 0.0,
                )
            )
        return found

    async def chunk_table(self, _peer: Peer, request: GetChunkTable, _incoming: Incoming) -> ChunkTable:
        check_path(request.path)
        reign = self._reign
        limit = max(1, min(request.limit, LIST_PAGE_MAX))
        with reign.store.read() as view:
            found = read.resolve(view, request.path)
            chunks = read.find_chunks(view, found.inode, request.index, limit + 1)
        return ChunkTable(chunks=[self._chunk(one) for one in chunks[:limit]], more=len(chunks) > limit)

    def _chunk(self, one: read.FileChunk) -> ChunkStatus:
        reign = self._reign
        now_s = reign.now_s()
        held = reign.leases.get(one.handle, now_s)
        return ChunkStatus(
            index=one.index,
            handle=one.handle,
            version=one.row.version,
            closed=one.row.closed,
            length=one.row.length,
            goal=one.row.goal,
            references=one.row.references,
            primary=held.primary if held is not None else ServerId(0),
            lease_left_s=held.until_s - now_s if held is not None else 0.0,
            replicas=self._replicas(one, now_s),
        )

    def _replicas(self, one: read.FileChunk, now_s: float) -> list[ReplicaStatus]:
        reign = self._reign
        holders = reign.inventory.holders(one.handle)
        boots = dict(one.row.members)
        found: list[ReplicaStatus] = []
        for server in dict.fromkeys([*boots, *holders]):
            session = reign.sessions.of(server)
            held = holders.get(server)
            known = reign.sessions.known.get(server)
            found.append(
                ReplicaStatus(
                    server=server,
                    address=session.address if session is not None else known.address if known is not None else "",
                    version=held.version if held is not None else one.row.version,
                    current=reign.current_session(one.row, server, one.handle) is not None,
                    live=reign.sessions.is_live(server, now_s),
                    boot=session.boot if session is not None else boots[server],
                )
            )
        return found

    async def counters(self, _peer: Peer, _request: GetCounters, _incoming: Incoming) -> Counters:
        return Counters(counters={**self._reign.counters.all(), "tasks": len(asyncio.all_tasks())})
