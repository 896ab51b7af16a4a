"""Handlers of `wire.master_orders`: raises, copies, exclusions and deletions."""

from cairnfs.chunkserver import clone as cloning
from cairnfs.chunkserver import copying
from cairnfs.chunkserver import reconcile as raising
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.opening import open_version
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Answer, Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.master_orders import (
    Blocks,
    Clone,
    Cloned,
    CloneLocal,
    Deleted,
    DeleteReplicas,
    Exclude,
    FenceDone,
    ListBlocks,
    Open,
    Promise,
    Promised,
    ReadBlocks,
    Reconcile,
    Reconciled,
    Seal,
)


def serve_master_orders(server: Server, context: Context) -> None:
    """Take orders of the master, and be copied by other chunkservers on its behalf."""
    _serve_raises(server, context)
    _serve_copies(server, context)

    async def exclude(peer: Peer, request: Exclude, incoming: Incoming) -> Done:
        await context.check_epoch(request.epoch)
        context.exclusions.take(request.exclusions, context.chunks)
        return Done()

    async def delete_replicas(peer: Peer, request: DeleteReplicas, incoming: Incoming) -> Deleted:
        return await cloning.delete_replicas(context, request)

    server.on(Exclude, exclude)
    server.on(DeleteReplicas, delete_replicas)


def _serve_raises(server: Server, context: Context) -> None:
    async def promise(peer: Peer, request: Promise, incoming: Incoming) -> Promised:
        return await raising.promise(context, request)

    async def reconcile(peer: Peer, request: Reconcile, incoming: Incoming) -> Reconciled:
        return await raising.reconcile(context, request)

    async def open_(peer: Peer, request: Open, incoming: Incoming) -> Done:
        async with context.turns.hold(request.lease.handle):
            await open_version(context, request.lease)
        return Done()

    async def seal(peer: Peer, request: Seal, incoming: Incoming) -> Done:
        return await raising.seal(context, request)

    async def fence_done(peer: Peer, request: FenceDone, incoming: Incoming) -> Done:
        await context.check_epoch(request.epoch)
        chunk = context.chunks.find(request.handle)
        if chunk is not None and chunk.opened == request.version:
            chunk.finish_fence()
        return Done()

    server.on(Promise, promise)
    server.on(Reconcile, reconcile)
    server.on(Open, open_)
    server.on(Seal, seal)
    server.on(FenceDone, fence_done)


def _serve_copies(server: Server, context: Context) -> None:
    async def list_blocks(peer: Peer, request: ListBlocks, incoming: Incoming) -> Blocks:
        return copying.list_blocks(context, request)

    async def read_blocks(peer: Peer, request: ReadBlocks, incoming: Incoming) -> Answer:
        return await copying.read_blocks(context, request)

    async def clone(peer: Peer, request: Clone, incoming: Incoming) -> Cloned:
        return await cloning.clone(context, request)

    async def clone_local(peer: Peer, request: CloneLocal, incoming: Incoming) -> Cloned:
        return await cloning.clone_local(context, request)

    server.on(ListBlocks, list_blocks)
    server.on(ReadBlocks, read_blocks)
    server.on(Clone, clone)
    server.on(CloneLocal, clone_local)
