"""Handlers of `wire.status` that a chunkserver answers."""

import asyncio

from cairnfs.chunkserver.applying import quarantine
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import CairnError, ChunkCorruptError
from cairnfs.ids import NO_VERSION
from cairnfs.limits import PIECE_BYTES
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.status import Counters, GetCounters, GetReplicaInfo, ReplicaInfo, Verified, VerifyReplica

VERIFIES_AT_ONCE = 2
"""Replicas read through for operators at once: the disks are for clients."""


def serve_status(server: Server, context: Context) -> None:
    """Show what this server holds, and verify it when asked to."""
    verifying = asyncio.Semaphore(VERIFIES_AT_ONCE)

    async def replica_info(peer: Peer, request: GetReplicaInfo, incoming: Incoming) -> ReplicaInfo:
        return _replica_info(context, request)

    async def counters(peer: Peer, request: GetCounters, incoming: Incoming) -> Counters:
        now = {
            "replicas": len(context.store.replicas),
            "pushed_held_bytes": context.pushed.held_bytes,
            "tasks": len(asyncio.all_tasks()),
        }
        return Counters(counters={**context.counters, **now})

    async def verify(peer: Peer, request: VerifyReplica, incoming: Incoming) -> Verified:
        async with verifying:
            return await _verify(context, request)

    server.on(GetReplicaInfo, replica_info)
    server.on(VerifyReplica, verify)
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


async def _verify(context: Context, request: VerifyReplica) -> Verified:
    """Read a closed replica through; quarantine it if it is damaged, as a read would."""
    replica = context.store.replicas.get(request.handle)
    if replica is None:
        return Verified(version=NO_VERSION, length=0, why="no replica here")
    version, length = replica.state.version, replica.length
    if not replica.state.closed or replica.state.incomplete:
        return Verified(version=version, length=length, why="open: what is written is verified by writing it")
    try:
        await _read_through(context, replica, length)
    except ChunkCorruptError as error:
        await quarantine(context, replica, f"fsck: {error}")
        return Verified(version=version, length=length, why=str(error), damaged=True)
    except CairnError as error:
        return Verified(version=version, length=length, why=str(error))
    why = "" if replica.state.version == version else "changed meanwhile"
    return Verified(version=version, length=length, why=why)


async def _read_through(context: Context, replica: Replica, length: int) -> None:
    for offset in range(0, length, PIECE_BYTES):
        _ = await context.store.read_verified(replica, offset, PIECE_BYTES)
