"""Handlers of `wire.chunk_reads`."""

from cairnfs.chunkserver import reading
from cairnfs.chunkserver.context import Context
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Answer, Peer, Server
from cairnfs.wire.chunk_reads import AskCommitted, ChunkLength, Committed, Held, HoldVersion, Length, ReadChunk


def serve_reads(server: Server, context: Context) -> None:
    """Answer readers, and the rounds of other members."""
    rounds = reading.SharedRounds(context)

    async def read_chunk(peer: Peer, request: ReadChunk, incoming: Incoming) -> Answer:
        return await reading.read_chunk(context, request)

    async def chunk_length(peer: Peer, request: ChunkLength, incoming: Incoming) -> Length:
        return await reading.chunk_length(context, rounds, request)

    async def ask_committed(peer: Peer, request: AskCommitted, incoming: Incoming) -> Committed:
        return await reading.ask_committed(context, request)

    async def hold_version(peer: Peer, request: HoldVersion, incoming: Incoming) -> Held:
        return reading.hold_version(context, request)

    server.on(ReadChunk, read_chunk)
    server.on(ChunkLength, chunk_length)
    server.on(AskCommitted, ask_committed)
    server.on(HoldVersion, hold_version)
