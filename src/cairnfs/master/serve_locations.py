"""Handlers of `wire.locations`. Thin: see `locate`."""

from cairnfs.master.locate import Locate
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.locations import DropEmptyTail, FindChunks, LeaseChunk, Places


def serve_locations(server: Server, locate: Locate) -> None:
    """Register the handlers."""

    async def find(_peer: Peer, request: FindChunks, _incoming: Incoming) -> Places:
        return await locate.find(request)

    async def lease(_peer: Peer, request: LeaseChunk, _incoming: Incoming) -> Places:
        return await locate.lease(request)

    async def drop_empty_tail(_peer: Peer, request: DropEmptyTail, _incoming: Incoming) -> Done:
        await locate.drop_empty_tail(request)
        return Done()

    server.on(FindChunks, find)
    server.on(LeaseChunk, lease)
    server.on(DropEmptyTail, drop_empty_tail)
