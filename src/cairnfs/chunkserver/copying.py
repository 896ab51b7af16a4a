"""Making a replica equal to another server's: only blocks that differ cross the network. Rules 12, 13 and 16.

source ◀── ListBlocks ── checksums, length, filter        differing blocks ◀── ReadBlocks ── verified by both
"""

from cairnfs.checksum import Buffer, piece_crcs
from cairnfs.chunkserver.applying import quarantine
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk
from cairnfs.errors import (
    BadRequestError,
    CairnError,
    CallTimeoutError,
    ChecksumError,
    ChunkCorruptError,
    ConnectError,
    ConnectionLostError,
    NoCopyError,
    NotReadableError,
    StaleVersionError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, Serial
from cairnfs.limits import DATA_CALL_S, JOINER_REST_BYTES, META_CALL_S, PAYLOAD_BYTES_MAX
from cairnfs.rpc.server import Answer
from cairnfs.wire.master_orders import BlockData, Blocks, ListBlocks, ReadBlocks

_ATTEMPTS = 3
_PIECE_S = 0.01
"""A paced copy goes in pieces of so much time at its limit: a client's read waits behind one of them on the wire."""


# ------------------------------------------------------------------ the side that copies


async def list_source(context: Context, handle: ChunkHandle, source: str, version: ChunkVersion) -> Blocks:
    """Ask the source what it holds. Raises NoCopyError: it cannot be reached, or has moved on."""
    try:
        return await context.caller.call(source, ListBlocks(handle=handle, version=version), timeout_s=META_CALL_S)
    except ChunkCorruptError:
        raise
    except CairnError as error:
        raise NoCopyError(chunk=handle, why=f"source {source}: {error}") from error


Runs = dict[tuple[int, int], bytes]
"""Bytes of a source by (first block, number of blocks)."""


async def fetch_ahead(
    context: Context, replica: Replica, source: tuple[str, ChunkVersion], blocks: Blocks, *, paced: bool
) -> Runs:
    """Fetch and verify all that differs while the replica is whole; return the first 4 MiB of it.

    A source that is corrupt or gone is noticed before it costs a copy that may be the last good one (rule 23). What is
    more than is kept was seen to be sound, and is fetched again.

    Raises:
        NoCopyError, ChunkCorruptError: of the source. Nothing here has changed.
    """
    kept: Runs = {}
    left_bytes = JOINER_REST_BYTES
    for first, count in _runs(context, replica, blocks, paced=paced):
        request = ReadBlocks(handle=replica.handle, version=source[1], block=first, count=count, paced=paced)
        data = await _fetch(context, replica, source[0], request)
        if len(data) <= left_bytes:
            kept[first, count] = bytes(data)
            left_bytes -= len(data)
    return kept


async def make_equal(
    context: Context, replica: Replica, source: tuple[str, ChunkVersion], blocks: Blocks, *, ahead: Runs, paced: bool
) -> int:
    """Copy what differs, set the length and flush; return how many bytes were copied.

    The replica is incomplete, durably, before the first byte changes, and stays so: the caller ends that. `ahead`: what
    was fetched already.

    Raises:
        NoCopyError: the source is gone. ChunkCorruptError: of the source. The replica stays incomplete.
    """
    assert replica.state.incomplete, replica.state
    copied = 0
    if replica.length > blocks.length:
        await context.store.truncate(replica, blocks.length, serial=Serial(0))
    for first, count in _runs(context, replica, blocks, paced=paced):
        data: Buffer | None = ahead.get((first, count))
        if data is None:
            request = ReadBlocks(handle=replica.handle, version=source[1], block=first, count=count, paced=paced)
            data = await _fetch(context, replica, source[0], request)
        copied += await _write_run(context, replica, data, first=first, count=count)
    await context.store.flush(replica)
    return copied


def check_listing(context: Context, blocks: Blocks) -> None:
    """Refuse a listing that makes no sense."""
    block_bytes = context.geometry.block_bytes
    if blocks.length > context.geometry.chunk_bytes or len(blocks.crcs) != -(-blocks.length // block_bytes):
        raise BadRequestError(what="a listing of blocks that does not fit its length")


def take_filter(chunk: Chunk, blocks: Blocks) -> None:
    """Rule 11: know of every mutation that the source knows of, and of no other."""
    chunk.filter.replace(blocks.filter, since=blocks.filter_since, forgotten=blocks.forgotten)


def differing(replica: Replica, blocks: Blocks, block_bytes: int) -> list[int]:
    """Return the blocks that differ by checksum or by valid length."""
    mine = replica.block_crcs()
    wanted = []
    for block, crc in enumerate(blocks.crcs):
        valid = min(block_bytes, blocks.length - block * block_bytes)
        if block >= len(mine) or mine[block] != (crc, valid):
            wanted.append(block)
    return wanted


def _runs(context: Context, replica: Replica, blocks: Blocks, *, paced: bool) -> list[tuple[int, int]]:
    """Join differing blocks that follow each other, up to a payload; `paced`: up to what the limit lets in at once."""
    block_bytes = context.geometry.block_bytes
    piece_bytes = PAYLOAD_BYTES_MAX
    if paced and context.pace_in.bytes_s:
        piece_bytes = min(piece_bytes, int(context.pace_in.bytes_s * _PIECE_S))
    most = max(1, piece_bytes // block_bytes)
    runs: list[tuple[int, int]] = []
    for block in differing(replica, blocks, block_bytes):
        if runs and block == sum(runs[-1]) and runs[-1][1] < most:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    return runs


async def _write_run(context: Context, replica: Replica, data: Buffer, *, first: int, count: int) -> int:
    found = piece_crcs(data, context.geometry.block_bytes)
    if len(found) != count:
        raise NoCopyError(chunk=replica.handle, why="the source moved during the copy")
    await context.store.write_blocks(replica, first, data, found)
    return len(data)


async def _fetch(context: Context, replica: Replica, source: str, request: ReadBlocks) -> memoryview:
    """Fetch blocks and verify them; what was changed on the way is asked for again."""
    for left in range(_ATTEMPTS - 1, -1, -1):
        if request.paced:
            await context.pace_in.take(request.count * context.geometry.block_bytes)
        try:
            reply, data = await context.caller.call_for_payload(source, request, timeout_s=DATA_CALL_S)
        except (ConnectError, ConnectionLostError, CallTimeoutError, StaleVersionError) as error:
            if left and isinstance(error, ConnectionLostError):
                continue
            raise NoCopyError(chunk=replica.handle, why=f"source {source}: {error}") from error
        if piece_crcs(data, context.geometry.block_bytes) == reply.crcs:
            return data
    raise ChecksumError(what=f"blocks copied from {source}")


# ------------------------------------------------------------------ the side that is copied


def _source(context: Context, handle: ChunkHandle, version: ChunkVersion) -> tuple[Chunk, Replica]:
    """Find the replica at exactly that version; after a reconciliation also at the one before, until it is used."""
    replica = context.replica(handle)
    chunk = context.chunks.ensure(handle)
    state = replica.state
    is_unused = chunk.previous == version and (chunk.opened != state.version or chunk.serial == 0)
    # Closed above it: a raise was given up after its reconciliation. Its number is burnt, and nothing was opened since
    # that could have changed the bytes of the last result.
    is_burnt = state.closed and state.version > version
    if state.version != version and not is_unused and not is_burnt:
        raise StaleVersionError(chunk=handle, has=state.version, wanted=version)
    if (state.incomplete or chunk.is_changing) and context.safeguards.incomplete_is_no_source:
        raise NotReadableError(chunk=handle, why="a half-filled replica is no source")
    return chunk, replica


def list_blocks(context: Context, request: ListBlocks) -> Blocks:
    """Say what this replica holds, of one moment."""
    chunk, replica = _source(context, request.handle, request.version)
    held = list(chunk.held)
    if chunk.lease is not None and chunk.lease.version == request.version:
        held += [span for span in chunk.ranges.overwriting() if span not in held]
    return Blocks(
        version=replica.state.version,
        length=replica.length,
        crcs=[crc for crc, _ in replica.block_crcs()],
        filter=chunk.filter.entries(),
        digest=replica.digest(),
        held=held,
        filter_since=chunk.filter.since,
        forgotten=chunk.filter.forgotten(),
    )


async def read_blocks(context: Context, request: ReadBlocks) -> Answer:
    """Answer with whole blocks, verified here before they are sent; for a repair, within its limit. Rule 16."""
    block_bytes = context.geometry.block_bytes
    start, length = request.block * block_bytes, request.count * block_bytes
    if not 0 < length <= max(PAYLOAD_BYTES_MAX, block_bytes) or start >= context.geometry.chunk_bytes:
        raise BadRequestError(what=f"{request.count} blocks from {request.block}")
    if request.paced:
        await context.pace_out.take(length)
    _, replica = _source(context, request.handle, request.version)
    if start >= replica.length:
        raise BadRequestError(what=f"{request.count} blocks from {request.block}")
    try:
        data = memoryview(await context.store.read_verified(replica, start, length))
    except ChunkCorruptError as error:
        await quarantine(context, replica, str(error))
        raise
    return Answer(BlockData(crcs=piece_crcs(data, block_bytes)), [data])
