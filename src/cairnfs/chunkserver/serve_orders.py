"""Handlers of `wire.orders`: the secondary's side of a primary."""

from cairnfs.chunkserver import secondary
from cairnfs.chunkserver.context import Context
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.orders import Applied, ApplyOrders, CommitMarks, Flushed, FlushOrder


def serve_orders(server: Server, context: Context) -> None:
    """Take orders of primaries."""

    async def apply_orders(peer: Peer, request: ApplyOrders, incoming: Incoming) -> Applied:
        return await secondary.apply_orders(context, request, incoming.view)

    async def flush_order(peer: Peer, request: FlushOrder, incoming: Incoming) -> Flushed:
        return await secondary.flush_order(context, request)

    async def commit_marks(peer: Peer, request: CommitMarks, incoming: Incoming) -> Done:
        secondary.commit_marks(context, request)
        return Done()

    server.on(ApplyOrders, apply_orders)
    server.on(FlushOrder, flush_order)
    server.on(CommitMarks, commit_marks)
