"""A version opens on this server: it becomes member or primary of it. Rules 2 to 4."""

from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.primary import Primary
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk, Role
from cairnfs.errors import BadRequestError, OrderRefusedError, StaleVersionError
from cairnfs.ids import NO_VERSION
from cairnfs.wire.common import Lease


async def open_version(context: Context, lease: Lease) -> Chunk:
    """Take part in the version that the lease names. Idempotent; the caller has the chunk's turn.

    Raises:
        OrderRefusedError: the lease is for another boot of this server, or this server is not in the set.
        StaleVersionError: the replica is not at that version, or a higher one was promised. Nothing changed.
        LowerEpochError: of a deposed master.
    """
    await context.check_epoch(lease.epoch)
    _check_boot(context, lease)
    chunk = context.chunks.ensure(lease.handle)
    if chunk.opened == lease.version:
        _repeat(context, chunk, lease)
        return chunk
    if context.promised(chunk) > lease.version:
        raise StaleVersionError(chunk=lease.handle, has=context.promised(chunk), wanted=lease.version)
    replica = await _base(context, chunk, lease)
    if replica.state.closed or replica.state.plain_writes:
        # Durable before the first mutation: what is read after a restart must not claim to be closed.
        await context.store.set_header(replica, closed=False, closed_length=0, plain_writes=False)
    if context.promised(chunk) > lease.version:
        raise StaleVersionError(chunk=lease.handle, has=context.promised(chunk), wanted=lease.version)
    chunk.end("a new version opens")
    is_primary = lease.primary == context.me
    chunk.begin(lease, Role.PRIMARY if is_primary else Role.MEMBER, replica.length)
    chunk.has_plain = False
    replica.unbroken = True
    if is_primary:
        chunk.primary = Primary(context, chunk, lease)
    context.chunks.opened(chunk)
    context.count("versions_opened")
    return chunk


def _check_boot(context: Context, lease: Lease) -> None:
    """Rule 2: a grant is bound to the boot; for another boot it is no grant."""
    mine = next((member for member in lease.members if member.server == context.me), None)
    if mine is None:
        raise OrderRefusedError(chunk=lease.handle, why="this server is not in the set")
    if mine.boot != context.boot and context.safeguards.grant_bound_to_boot:
        raise OrderRefusedError(chunk=lease.handle, why="the grant is for another boot of this server")
    if lease.base_length > context.geometry.chunk_bytes:
        raise BadRequestError(what=f"a chunk never has {lease.base_length} bytes")


def _repeat(context: Context, chunk: Chunk, lease: Lease) -> None:
    """The master repeats a grant until it is confirmed; the newest time and fence count."""
    if chunk.primary is not None:
        chunk.primary.renew(lease.anchor_s, lease.lease_s)
    if lease.fence_done and not chunk.fence_done:
        chunk.finish_fence()


async def _base(context: Context, chunk: Chunk, lease: Lease) -> Replica:
    """Return the replica that the version starts from; a new chunk's is made now."""
    replica = context.store.replicas.get(lease.handle)
    if replica is None and lease.is_new:
        if context.exclusions.is_excluded(lease.handle, lease.version):
            raise StaleVersionError(chunk=lease.handle, has=NO_VERSION, wanted=lease.version)
        replica = await context.store.create(lease.handle, version=lease.version, epoch=lease.epoch)
        chunk.is_overwritten = False
        context.standing.note_gained(lease.handle)
    has = replica.state.version if replica is not None else NO_VERSION
    if replica is None or has != lease.version or replica.state.incomplete:
        raise StaleVersionError(chunk=lease.handle, has=has, wanted=lease.version)
    if not replica.unbroken and not replica.state.closed and context.safeguards.restart_leaves_set:
        # Rule 4: after a restart only a raise brings an open replica back.
        raise OrderRefusedError(chunk=lease.handle, why="this server has restarted since")
    return replica
