"""Copying replicas for repair and copy-on-write; deleting them. GFS paper, sections 3.4, 4.3 and 4.4; rules 13, 22."""

from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.copying import differing, list_source, take_filter
from cairnfs.chunkserver.reconcile import copy_over, forget_replica
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk
from cairnfs.errors import NoCopyError, OrderRefusedError, StaleVersionError
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion
from cairnfs.limits import JOINER_REST_BYTES
from cairnfs.tasks import gather_settled
from cairnfs.wire.master_orders import Clone, Cloned, CloneLocal, Deleted, DeleteReplicas

_PASSES_MAX = 8
"""Of a joiner's copy of an open chunk: a writer that is faster than the copy does not hold it up for ever."""


DELETED_AT_ONCE = 32
"""Replicas moved to the trash side by side; more of them at a time would keep the loop from others."""


async def clone(context: Context, request: Clone) -> Cloned:
    """Copy a replica from another server, verified and flushed. See `wire.master_orders.Clone`."""
    await context.check_epoch(request.epoch)
    chunk = context.chunks.ensure(request.handle)
    async with context.turns.hold(request.handle):
        promised = context.promised(chunk)
        if promised > request.version:
            raise StaleVersionError(chunk=request.handle, has=promised, wanted=request.version)
        replica = context.store.replicas.get(request.handle)
        if replica is not None and replica.state.version == request.version and not replica.state.incomplete:
            if chunk.opened == request.version and not replica.state.closed:
                raise OrderRefusedError(chunk=request.handle, why="this server is a member already")
            if request.joiner or replica.state.closed:
                return _cloned(context, replica)
        chunk.end("to be replaced by a copy")
        chunk.lease = None
        if replica is None:
            replica = await context.store.create(
                request.handle, version=NO_VERSION, epoch=request.epoch, incomplete=True
            )
        rest = await _copy(context, chunk, replica, request)
        context.exclusions.bar(request.handle, request.version)
        if not request.joiner:
            await context.store.set_header(
                replica,
                version=request.version,
                epoch=request.epoch,
                incomplete=False,
                closed=True,
                closed_length=replica.length,
            )
        context.standing.note_gained(request.handle)
        context.count("replicas_cloned")
        return _cloned(context, replica, rest)


async def _copy(context: Context, chunk: Chunk, replica: Replica, request: Clone) -> int:
    """Copy; for an open chunk (rule 13) again what changed meanwhile, until little is left. Return how much is."""
    source = (request.source, request.version)
    blocks = await list_source(context, request.handle, *source)
    rest = 0
    for _ in range(_PASSES_MAX):
        await copy_over(context, chunk, replica, source=source, blocks=blocks, paced=True)
        take_filter(chunk, blocks)
        if not request.joiner:
            if (replica.length, replica.digest()) != (blocks.length, blocks.digest):
                raise NoCopyError(chunk=request.handle, why="the copy differs from its source")
            return 0
        context.count("joiner_passes")
        blocks = await list_source(context, request.handle, *source)
        rest = len(differing(replica, blocks, context.geometry.block_bytes)) * context.geometry.block_bytes
        if rest <= JOINER_REST_BYTES:
            break
    return rest


def _cloned(context: Context, replica: Replica, rest: int = 0) -> Cloned:
    return Cloned(boot=context.boot, length=replica.length, digest=replica.digest(), rest=rest)


async def clone_local(context: Context, request: CloneLocal) -> Cloned:
    """Copy-on-write: a closed replica under a new handle, on the same disk. GFS paper, section 3.4."""
    await context.check_epoch(request.epoch)
    first, second = sorted((request.handle, request.new))
    async with context.turns.hold(first), context.turns.hold(second):
        made = context.store.replicas.get(request.new)
        if made is not None:
            if made.state.version < request.new_version or made.state.incomplete:
                raise StaleVersionError(chunk=request.new, has=made.state.version, wanted=request.new_version)
            return _cloned(context, made)
        source = context.replica(request.handle)
        # Above it: a raise was given up after its reconciliation. Its number is burnt, and a replica still closed
        # has the bytes of the last result: nothing was opened that could have changed them.
        if source.state.version < request.version or source.state.incomplete:
            raise StaleVersionError(chunk=request.handle, has=source.state.version, wanted=request.version)
        if not source.state.closed:
            raise OrderRefusedError(chunk=request.handle, why="only a closed chunk is copied")
        made = await context.store.clone_local(source, request.new, version=request.new_version, epoch=request.epoch)
        await context.store.set_header(made, closed=True, closed_length=made.length)
        _inherit(context, request)
        context.standing.note_gained(request.new)
        context.count("replicas_cloned_locally")
        return _cloned(context, made)


def _inherit(context: Context, request: CloneLocal) -> None:
    """What this server remembers of the original goes for the copy: its bytes come from the same mutations."""
    old, new = context.chunks.ensure(request.handle), context.chunks.ensure(request.new)
    # Rule 11: what was carried out on the old handle is in the copy, so its repeat is answered there.
    new.filter.replace(old.filter.entries(), since=old.filter.since, forgotten=old.filter.forgotten())
    if old.held and not old.fence_done:
        # Rule 6: the copy's fence waits for the original's too. As after a seal, its end is asked for.
        new.held, new.fence_done, new.opened = list(old.held), False, request.new_version
        context.chunks.opened(new)


async def delete_replicas(context: Context, request: DeleteReplicas) -> Deleted:
    """Move replicas to the trash, each only at exactly the version named. Rule 22.

    Many side by side: they share the flushes of the journal and of the folders.
    """
    await context.check_epoch(request.epoch)
    deleted: list[ChunkHandle] = []
    for first in range(0, len(request.replicas), DELETED_AT_ONCE):
        some = request.replicas[first : first + DELETED_AT_ONCE]
        gone = await gather_settled(*[_delete(context, handle, version) for handle, version in some])
        for (handle, _), result in zip(some, gone, strict=True):
            if isinstance(result, BaseException):
                raise result
            if result:
                deleted.append(handle)
    return Deleted(deleted=deleted)


async def _delete(context: Context, handle: ChunkHandle, version: ChunkVersion) -> bool:
    """Return True if the replica is gone, now or before."""
    async with context.turns.hold(handle):
        replica = context.store.replicas.get(handle)
        if replica is not None:
            if replica.state.version != version and context.safeguards.exact_delete:
                return False
            await context.store.trash(replica)
            forget_replica(context, handle)
            context.count("replicas_deleted")
        return True
