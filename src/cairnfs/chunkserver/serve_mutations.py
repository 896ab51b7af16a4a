"""Handlers of `wire.mutations`: the primary's side of a client."""

import asyncio

from cairnfs.chunkserver.batch import Outcome, Work, WorkKind
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.opening import open_version
from cairnfs.chunkserver.primary import Primary
from cairnfs.chunkserver.push import check_crcs, take_push
from cairnfs.chunkserver.roles import Chunk
from cairnfs.errors import (
    BadRequestError,
    CairnError,
    ChunkFullError,
    LostWritesError,
    MutationFailedError,
    NotPrimaryError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, Serial
from cairnfs.limits import DATA_CALL_S, SMALL_MUTATION_BYTES
from cairnfs.rpc.payload import Incoming, IncomingPart
from cairnfs.rpc.server import Peer, Server
from cairnfs.tasks import gather_settled
from cairnfs.wire.base import Done
from cairnfs.wire.common import Lease
from cairnfs.wire.mutations import (
    Appended,
    AppendedAll,
    AppendRecord,
    AppendRecords,
    PushData,
    SyncChunk,
    Synced,
    TruncateChunk,
    WriteChunk,
    Written,
)


def serve_mutations(server: Server, context: Context) -> None:
    """Take pushes and mutations."""

    async def push(peer: Peer, request: PushData, incoming: Incoming) -> Done:
        return await take_push(context, request, incoming)

    async def write(peer: Peer, request: WriteChunk, incoming: Incoming) -> Written:
        return await _write(context, request, incoming)

    async def append(peer: Peer, request: AppendRecord, incoming: Incoming) -> Appended:
        return await _append(context, request, incoming)

    async def append_all(peer: Peer, request: AppendRecords, incoming: Incoming) -> AppendedAll:
        return await _append_all(context, request, incoming)

    async def truncate(peer: Peer, request: TruncateChunk, incoming: Incoming) -> Written:
        return await _truncate(context, request)

    async def sync(peer: Peer, request: SyncChunk, incoming: Incoming) -> Synced:
        return await _sync(context, request)

    server.on(PushData, push, streaming=True)
    server.on(WriteChunk, write)
    server.on(AppendRecord, append)
    server.on(AppendRecords, append_all)
    server.on(TruncateChunk, truncate)
    server.on(SyncChunk, sync)


async def _primary(context: Context, handle: ChunkHandle, version: ChunkVersion, lease: Lease | None) -> Primary:
    """Find the role, or open it from the lease that the client shows: a new chunk needs no raise. Rule 3."""
    chunk = context.chunks.find(handle)
    if lease is not None and (chunk is None or chunk.opened < version):
        await _open_shown(context, handle, version, lease)
        chunk = context.chunks.find(handle)
    if chunk is None or chunk.primary is None:
        raise NotPrimaryError(chunk=handle, why="no lease here")
    return chunk.primary


async def _open_shown(context: Context, handle: ChunkHandle, version: ChunkVersion, lease: Lease) -> None:
    if not lease.is_new or (lease.handle, lease.version) != (handle, version):
        raise BadRequestError(what="the lease is not that of the mutation")
    if lease.primary != context.me:
        raise NotPrimaryError(chunk=handle, why="the lease names another primary")
    if context.now_s() >= lease.anchor_s + lease.lease_s:
        raise NotPrimaryError(chunk=handle, why="the lease is over")
    async with context.turns.hold(handle):
        chunk = context.chunks.find(handle)
        if chunk is None or chunk.opened < lease.version:
            await open_version(context, lease)


def _work(context: Context, kind: WorkKind, request: WriteChunk | AppendRecord, incoming: Incoming) -> Work:
    """Check the bytes that came along, and make the work of it. Nothing is copied."""
    work = Work(
        kind=kind,
        client=request.client,
        sequence=request.sequence,
        lowest=request.lowest,
        length=request.length,
        crcs=request.crcs,
    )
    if request.data:
        if incoming.size:
            raise BadRequestError(what="a mutation with pushed data and with a payload")
        work.data = request.data
        return work
    if incoming.size != request.length or incoming.size > SMALL_MUTATION_BYTES:
        raise BadRequestError(what=f"a mutation of {request.length} bytes came with {incoming.size}")
    work.piece_bytes = check_crcs(incoming.view, request.crcs, context.geometry.block_bytes, "the mutation's payload")
    work.payload = incoming
    return work


async def _write(context: Context, request: WriteChunk, incoming: Incoming) -> Written:
    if request.close and not request.sync:
        raise BadRequestError(what="close needs sync")
    work = _work(context, WorkKind.WRITE, request, incoming)
    work.offset, work.syncs, work.closes = request.offset, request.sync, request.close
    work.since = request.since
    primary = await _primary(context, request.handle, request.version, request.lease)
    outcome = await primary.submit(work, request.version)
    return Written(version=primary.version, serial=Serial(outcome.serial), length=outcome.length, closed=outcome.closed)


async def _append(context: Context, request: AppendRecord, incoming: Incoming) -> Appended:
    work = _work(context, WorkKind.APPEND, request, incoming)
    chunk = context.chunks.find(request.handle)
    if chunk is not None and _is_full(chunk, request) and chunk.filter.find(request.client, request.sequence) is None:
        # A repeat goes to whoever may tell the first result.
        raise ChunkFullError(chunk=request.handle)
    primary = await _primary(context, request.handle, request.version, request.lease)
    outcome = await primary.submit(work, request.version)
    return Appended(offset=outcome.offset, version=primary.version, serial=Serial(outcome.serial))


async def _append_all(context: Context, request: AppendRecords, incoming: Incoming) -> AppendedAll:
    works = _works(context, request, incoming)
    chunk = context.chunks.find(request.handle)
    todo = works
    if chunk is not None and _is_full(chunk, request):
        todo = [work for work in works if chunk.filter.find(work.client, work.sequence) is not None]
    offsets: dict[int, int] = {}
    if todo:
        primary = await _primary(context, request.handle, request.version, request.lease)
        for work, outcome in zip(todo, await _submit_all(primary, todo, request.version), strict=True):
            if isinstance(outcome, Outcome):
                offsets[work.sequence] = outcome.offset
            elif not isinstance(outcome, ChunkFullError):
                raise outcome
    return AppendedAll(offsets=[offsets.get(work.sequence) for work in works], version=request.version)


async def _submit_all(primary: Primary, works: list[Work], version: ChunkVersion) -> list[Outcome | BaseException]:
    """Order records that came together; return for each what `Primary.submit` returns or raises."""
    if primary.is_full:
        return await gather_settled(*(primary.submit(work, version) for work in works))
    primary.check(version)
    waiting = [primary.admit(work) for work in works]
    found: list[Outcome | BaseException] = []
    try:
        async with asyncio.timeout(DATA_CALL_S):
            for each in waiting:
                try:
                    found.append(await asyncio.shield(each.done) if isinstance(each, Work) else each)
                except CairnError as error:
                    found.append(error)
    except TimeoutError:
        late = MutationFailedError(chunk=primary.chunk.handle, why=f"not confirmed in {DATA_CALL_S:g} s")
        found += [late] * (len(works) - len(found))
    return found


def _works(context: Context, request: AppendRecords, incoming: Incoming) -> list[Work]:
    """Check each record's bytes, and make the work of it. Nothing is copied."""
    works: list[Work] = []
    start = 0
    for record in request.records:
        part = IncomingPart(incoming, start, start + record.length)
        if not 0 < record.length == part.view.nbytes <= SMALL_MUTATION_BYTES:
            raise BadRequestError(what=f"a record of {record.length} bytes at {start} of {incoming.size}")
        work = Work(
            kind=WorkKind.APPEND,
            client=request.client,
            sequence=record.sequence,
            lowest=request.lowest,
            length=record.length,
            crcs=[record.crc],
            payload=part,
        )
        work.piece_bytes = check_crcs(part.view, work.crcs, context.geometry.block_bytes, "the record")
        works.append(work)
        start += record.length
    if start != incoming.size or len({work.sequence for work in works}) != len(works):
        raise BadRequestError(what="records that do not fit their payload, or with one sequence twice")
    return works


def _is_full(chunk: Chunk, request: AppendRecord | AppendRecords) -> bool:
    """Rule 17: opened again it would be found full again, or records go to a chunk behind it."""
    if chunk.primary is None:
        return chunk.full_at == request.version
    return chunk.primary.version == request.version and not chunk.primary.lease.takes_records


async def _truncate(context: Context, request: TruncateChunk) -> Written:
    if request.length > context.geometry.chunk_bytes:
        raise BadRequestError(what=f"a chunk never has {request.length} bytes")
    work = Work(
        kind=WorkKind.TRUNCATE,
        client=request.client,
        sequence=request.sequence,
        lowest=request.lowest,
        since=request.since,
        length=request.length,
    )
    primary = await _primary(context, request.handle, request.version, None)
    outcome = await primary.submit(work, request.version)
    return Written(version=primary.version, serial=Serial(outcome.serial), length=outcome.length)


async def _sync(context: Context, request: SyncChunk) -> Synced:
    primary = await _primary(context, request.handle, request.version, None)
    if request.since < primary.lease.broken_at:
        # Rule 14: what was acked before may be gone.
        raise LostWritesError(chunk=request.handle, since=request.since)
    outcome = await primary.submit(Work(kind=WorkKind.SYNC, closes=request.close), request.version)
    return Synced(version=primary.version, length=outcome.length, closed=outcome.closed)
