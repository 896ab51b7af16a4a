"""Raising a version, the chunkserver's part: promise, become equal, seal. GFS paper, section 4.5; rules 3, 4, 6 and 12.

    Promise    nothing below is taken any more; what is held here is frozen and told
    Reconcile  every target becomes equal to the source, flushed, at the new version
    Open       (opening.open_version) or Seal: closed at the new version

It ends for every combination of {absent, empty, short, full, different} replicas. A half-filled replica is incomplete,
durably, and no source; the next raise fills it.
"""

from cairnfs.chunkserver.applying import close_replica, quarantine
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.copying import check_listing, fetch_ahead, list_source, make_equal, take_filter
from cairnfs.chunkserver.repeats import RepeatFilter
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk
from cairnfs.errors import ChunkCorruptError, NoCopyError, OrderRefusedError, StaleVersionError
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, Serial
from cairnfs.limits import PAYLOAD_BYTES_MAX
from cairnfs.wire.base import Done
from cairnfs.wire.master_orders import Blocks, Promise, Promised, Reconcile, Reconciled, Seal


async def promise(context: Context, request: Promise) -> Promised:
    """Freeze the chunk below the version and say what is here. Rule 3."""
    await context.check_epoch(request.epoch)
    chunk = context.chunks.ensure(request.handle)
    _refuse_lower(context, chunk, request.version)
    if chunk.opened == request.version:
        raise StaleVersionError(chunk=request.handle, has=chunk.opened, wanted=request.version)
    # At once, before anything is awaited: what comes from now on is refused, and no ack of ours completes.
    chunk.promised = request.version
    if chunk.primary is not None:
        chunk.primary.end("the version is superseded")
        chunk.primary = None
    chunk.changed.fire()
    async with context.turns.hold(request.handle):
        _refuse_lower(context, chunk, request.version)
        replica = context.store.replicas.get(request.handle)
        if replica is None:
            return _absent(context, is_lost=request.handle in context.store.lost)
        if replica.state.promised < request.version:
            await context.store.set_header(replica, promised=request.version, epoch=request.epoch)
        return _promised(context, chunk, replica)


def _refuse_lower(context: Context, chunk: Chunk, version: ChunkVersion) -> None:
    if context.promised(chunk) > version and context.safeguards.refuse_lower_version:
        raise StaleVersionError(chunk=chunk.handle, has=context.promised(chunk), wanted=version)


def _absent(context: Context, *, is_lost: bool) -> Promised:
    return Promised(
        boot=context.boot,
        present=False,
        version=NO_VERSION,
        serial=Serial(0),
        length=0,
        closed=False,
        incomplete=is_lost,
        unbroken=False,
        plain_writes=False,
        digest=0,
    )


def _promised(context: Context, chunk: Chunk, replica: Replica) -> Promised:
    state = replica.state
    is_held = chunk.opened == state.version
    return Promised(
        boot=context.boot,
        present=True,
        version=state.version,
        serial=Serial(chunk.serial if is_held else 0),
        length=replica.length,
        closed=state.closed,
        incomplete=state.incomplete and context.safeguards.incomplete_is_no_source,
        unbroken=replica.unbroken or state.closed,
        plain_writes=state.plain_writes,
        digest=replica.digest(),
        filter_since=chunk.filter.since,
        overwritten=is_held and chunk.ranges.overwritten,
    )


# ------------------------------------------------------------------ reconcile


async def reconcile(context: Context, request: Reconcile) -> Reconciled:
    """Become the base of the new version. See `wire.master_orders.Reconcile`."""
    await context.check_epoch(request.epoch)
    chunk = context.chunks.ensure(request.handle)
    async with context.turns.hold(request.handle):
        _refuse_lower(context, chunk, request.version)
        chunk.promised = request.version
        replica = context.store.replicas.get(request.handle)
        if replica is not None and _is_done(replica, request):
            return _reconciled(context, replica)
        if replica is None:
            # Rule 9: it may have been a member before, and what it was told of readers then went with its replica.
            context.exclusions.bar(request.handle, request.version)
        if request.source:
            replica = await _follow(context, chunk, replica, request)
        else:
            replica = await _lead(context, chunk, replica, request)
        _begin(context, chunk)
        await _take_version(context, chunk, replica, request)
        context.standing.note_gained(request.handle)
        context.count("reconciled")
        return _reconciled(context, replica)


def _is_done(replica: Replica, request: Reconcile) -> bool:
    return replica.state.version == request.version and not replica.state.incomplete


def _reconciled(context: Context, replica: Replica) -> Reconciled:
    return Reconciled(boot=context.boot, length=replica.length, digest=replica.digest())


def _begin(context: Context, chunk: Chunk) -> None:
    """The old version is over here; what was read as a frozen member is read no more until the new one opens."""
    chunk.keep_held()
    if not context.safeguards.hold_adopted:
        chunk.held = []
    chunk.end("the version is superseded")
    chunk.ranges.begin_version()
    chunk.lease = None
    chunk.fence_done = False
    # Rule 3: adopted bytes are readable only when the new version is open; no watermark guards them until then.
    chunk.opened = NO_VERSION


async def _take_version(context: Context, chunk: Chunk, replica: Replica, request: Reconcile) -> None:
    """Make what is here the base of the version, durably. A closed replica stays closed until the version opens."""
    chunk.previous = request.source_version
    chunk.serial = 0
    await context.store.set_header(
        replica, version=request.version, promised=request.version, epoch=request.epoch, incomplete=False
    )


async def _lead(context: Context, chunk: Chunk, replica: Replica | None, request: Reconcile) -> Replica:
    """As the source, or as an equal of it: flush what is here. An absent replica is an empty one."""
    if replica is None:
        if request.length:
            raise NoCopyError(chunk=request.handle, why="no replica here, and no source named")
        chunk.is_overwritten = False
        # Nothing ever happened to it, unless it is one that was lost.
        chunk.filter = RepeatFilter(since=None if request.handle in context.store.lost else NO_VERSION)
        return await context.store.create(request.handle, version=NO_VERSION, epoch=request.epoch, incomplete=True)
    if replica.length != request.length or replica.digest() != request.digest:
        raise NoCopyError(chunk=request.handle, why="the replica is not what was promised")
    if replica.state.incomplete and request.length and context.safeguards.incomplete_is_no_source:
        raise NoCopyError(chunk=request.handle, why="a half-filled replica is no source")
    if request.verify:
        await _read_through(context, replica)
    if not replica.unbroken and not replica.state.closed:
        # What of it was committed is forgotten with the boot.
        chunk.held = [(0, replica.length)] if replica.length else []
    await context.store.flush(replica)
    return replica


async def _read_through(context: Context, replica: Replica) -> None:
    """Verify every block, since the other replicas are given up for this one. Rules 16 and 23.

    Raises:
        ChunkCorruptError: a block is damaged; the replica is quarantined, and the last result stays.
    """
    try:
        for offset in range(0, replica.length, PAYLOAD_BYTES_MAX):
            _ = await context.store.read_verified(replica, offset, PAYLOAD_BYTES_MAX)
    except ChunkCorruptError as error:
        await quarantine(context, replica, str(error))
        raise


async def _follow(context: Context, chunk: Chunk, replica: Replica | None, request: Reconcile) -> Replica:
    """Become equal to the source; incomplete, durably, while it is not. Rule 12."""
    blocks = await list_source(context, request.handle, request.source, request.source_version)
    _check_unmoved(context, request, blocks)
    if replica is None:
        replica = await context.store.create(request.handle, version=NO_VERSION, epoch=request.epoch, incomplete=True)
        chunk.promised = max(chunk.promised, request.version)
    if (replica.length, replica.digest()) != (request.length, request.digest):
        await copy_over(context, chunk, replica, source=(request.source, request.source_version), blocks=blocks)
    else:
        await context.store.flush(replica)
    if (replica.length, replica.digest()) != (request.length, request.digest):
        raise NoCopyError(chunk=request.handle, why="the copy differs from what was promised")
    take_filter(chunk, blocks)
    chunk.held = list(blocks.held)
    return replica


def _check_unmoved(context: Context, request: Reconcile, blocks: Blocks) -> None:
    check_listing(context, blocks)
    if (blocks.length, blocks.digest) != (request.length, request.digest):
        raise NoCopyError(chunk=request.handle, why="the source is not what it promised")


async def copy_over(
    context: Context,
    chunk: Chunk,
    replica: Replica,
    *,
    source: tuple[str, ChunkVersion],
    blocks: Blocks,
    paced: bool = False,
) -> int:
    """Mark the replica as half filled, durably, and copy what differs into it. Holds the turn.

    `paced`: within the limits of repairs at both ends; not in a raise, which holds up writers.

    Raises:
        NoCopyError, ChunkCorruptError: of the source. A replica that was whole is so still, unless the source failed
            after it had been seen to be sound.
    """
    check_listing(context, blocks)
    ahead = {} if replica.state.incomplete else await fetch_ahead(context, replica, source, blocks, paced=paced)
    chunk.is_changing = chunk.is_overwritten = True
    chunk.ranges.touch(0, context.geometry.chunk_bytes)
    try:
        if not replica.state.incomplete or replica.state.closed:
            await context.store.set_header(replica, incomplete=True, closed=False, closed_length=0)
        copied = await make_equal(context, replica, source, blocks, ahead=ahead, paced=paced)
        context.count("bytes_copied", copied)
        return copied
    finally:
        chunk.is_changing = False


# ------------------------------------------------------------------ seal


async def seal(context: Context, request: Seal) -> Done:
    """Close the replica at the version durably; end every role. For snapshots, repair and idle chunks."""
    await context.check_epoch(request.epoch)
    chunk = context.chunks.ensure(request.handle)
    async with context.turns.hold(request.handle):
        _refuse_lower(context, chunk, request.version)
        replica = context.replica(request.handle)
        state = replica.state
        if state.version != request.version or state.incomplete:
            raise StaleVersionError(chunk=request.handle, has=state.version, wanted=request.version)
        if replica.length != request.length:
            raise OrderRefusedError(chunk=request.handle, why=f"length is {replica.length}, not {request.length}")
        chunk.end("sealed by the master")
        if not state.closed or state.closed_length != request.length:
            await close_replica(context, chunk, replica)
        chunk.opened = request.version
        if chunk.held:
            context.chunks.opened(chunk)  # adopted overwrites stay unreadable until the fence is done
        else:
            chunk.finish_fence()
        return Done()


def forget_replica(context: Context, handle: ChunkHandle) -> None:
    """A replica is gone by order: roles end, and the master hears of it."""
    context.chunks.drop(handle)
    context.exclusions.forget(handle)
    context.standing.note_lost(handle)
