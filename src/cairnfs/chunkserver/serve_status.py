"""Handlers of `wire.status` that a chunkserver answers."""

from cairnfs.chunkserver.context import Context
from cairnfs.ids import NO_VERSION
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.status import Counters, GetCounters, GetReplicaInfo, ReplicaInfo


def serve_status(server: Server, context: Context) -> None:
    """Show what this server holds; nothing here waits."""

    async def replica_info(peer: Peer, request: GetReplicaInfo, incoming: Incoming) -> ReplicaInfo:
        return _replica_info(context, request)

    async def counters(peer: Peer, request: GetCounters, incoming: Incoming) -> Counters:
        now = {"replicas": len(context.store.replicas), "pushed_held_bytes": context.pushed.held_bytes}
        return Counters(counters={**context.counters, **now})

    server.on(GetReplicaInfo, replica_info)
    server.on(GetCounters, counters)


def _replica_info(context: Context, request: GetReplicaInfo) -> ReplicaInfo:
    replica = context.store.replicas.get(request.handle)
    chunk = context.chunks.find(request.handle)
    state = replica.state if replica is not None else None
    primary = chunk.primary if chunk is not None else None
    return ReplicaInfo(
        present=replica is not None,
        version=state.version if state is not None else NO_VERSION,
        promised=context.promised(chunk) if chunk is not None else (state.promised if state else NO_VERSION),
        length=replica.length if replica is not None else 0,
        closed=state.closed if state is not None else False,
        incomplete=state.incomplete if state is not None else False,
        unbroken=replica is not None and (replica.unbroken or replica.state.closed),
        digest=replica.digest() if replica is not None else 0,
        is_primary=primary is not None,
        serial=chunk.serial if chunk is not None else 0,
        committed=chunk.ranges.committed if chunk is not None else 0,
        lease_left_s=max(0.0, primary.expires_s - context.now_s()) if primary is not None else 0.0,
        served=chunk.served if chunk is not None else 0,
    )
