"""Taking orders of a primary. GFS paper, section 3.1, step 5; rules 7, 11 and 14.

Invariants:
    1. An order is taken only at exactly the open version, from its primary's boot, in serial order, each serial once.
    2. Nothing of an order is applied before all its bytes are here and verified.
"""

from cairnfs.chunkserver.applying import (
    Step,
    apply_steps,
    chunk_commit,
    close_replica,
    enter_ranges,
    use_pushed,
)
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.opening import open_version
from cairnfs.chunkserver.push import Pushed, check_crcs
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk, Role
from cairnfs.errors import BadRequestError, OrderRefusedError, StaleVersionError
from cairnfs.ids import NO_VERSION, BootId, ChunkHandle, ChunkVersion, Serial, ServerId
from cairnfs.wire.membership import ReplicaReport
from cairnfs.wire.orders import Applied, ApplyOrders, CommitMarks, Flushed, FlushOrder, MutationKind


async def apply_orders(context: Context, request: ApplyOrders, payload: memoryview) -> Applied:
    """Apply a run of serials. See `wire.orders.ApplyOrders`."""
    if not request.mutations:
        raise BadRequestError(what="an order without mutations")
    async with context.turns.hold(request.handle):
        await _open_new(context, request)
        chunk, replica = _check(context, request.handle, request.version, (request.primary, request.boot))
        last = request.first + len(request.mutations) - 1
        if request.first > chunk.serial + 1 and context.safeguards.serial_order:
            raise OrderRefusedError(
                chunk=chunk.handle, why=f"serial {request.first} after {chunk.serial}: some are missing"
            )
        chunk_commit(chunk, min(request.committed, chunk.serial))
        steps = _steps(context, chunk, request, payload)
        if steps:
            await _apply(context, chunk, replica, steps)
        return Applied(boot=context.boot, serial=Serial(max(last, chunk.serial)))


async def _apply(context: Context, chunk: Chunk, replica: Replica, steps: list[Step]) -> None:
    pushed = [each for step in steps for each in step.pushed]
    try:
        enter_ranges(context, chunk, steps, replica.length)
        await apply_steps(context, chunk, replica, steps)
    except BaseException:
        for each in pushed:
            context.pushed.keep(each)  # the next version may want it
        raise
    for each in pushed:
        each.release()


async def _open_new(context: Context, request: ApplyOrders) -> None:
    """The first order of a new chunk carries the lease: the replica is made by it. Rule 3."""
    lease = request.lease
    if lease is None:
        return
    if not lease.is_new or (lease.handle, lease.version, lease.primary) != (
        request.handle,
        request.version,
        request.primary,
    ):
        raise BadRequestError(what="the lease is not that of the order")
    chunk = context.chunks.find(request.handle)
    if chunk is None or chunk.opened < lease.version:
        await open_version(context, lease)


def _check(
    context: Context, handle: ChunkHandle, version: ChunkVersion, primary: tuple[ServerId, BootId]
) -> tuple[Chunk, Replica]:
    """Rule 11: exactly its version, from its primary's boot."""
    chunk = context.chunks.find(handle)
    replica = context.replica(handle)
    if chunk is None:
        raise StaleVersionError(chunk=handle, has=NO_VERSION, wanted=version)
    if context.safeguards.exact_version:
        if context.promised(chunk) > version:
            raise StaleVersionError(chunk=handle, has=context.promised(chunk), wanted=version)
        if not chunk.is_member_of(version):
            raise StaleVersionError(chunk=handle, has=chunk.opened, wanted=version)
        if chunk.lease is None or chunk.lease.primary != primary[0] or chunk.member(primary[0]) is None:
            raise OrderRefusedError(chunk=handle, why="the order is not from the primary")
        if chunk.role is Role.PRIMARY:
            raise OrderRefusedError(chunk=handle, why="the chunk is ordered here")
    expected = chunk.member(primary[0])
    if context.safeguards.grant_bound_to_boot and expected is not None and expected.boot != primary[1]:
        raise OrderRefusedError(chunk=handle, why="the primary has restarted")
    if replica.state.closed:
        raise OrderRefusedError(chunk=handle, why="the chunk is closed here")
    return chunk, replica


def _steps(context: Context, chunk: Chunk, request: ApplyOrders, payload: memoryview) -> list[Step]:
    """Return what is still to be applied, with its bytes verified; pushed data is taken last."""
    steps: list[Step] = []
    start = 0
    for serial, mutation in enumerate(request.mutations, request.first):
        is_truncation = mutation.kind is MutationKind.TRUNCATE
        if not is_truncation and mutation.offset + mutation.length > context.geometry.chunk_bytes:
            raise BadRequestError(what="a mutation beyond the end of the chunk")
        step = Step(Serial(serial), mutation, [], [], context.geometry.block_bytes)
        if not is_truncation and not mutation.data:
            view = payload[start : start + mutation.length]
            start += mutation.length
            if len(view) != mutation.length:
                raise BadRequestError(what="an order with fewer bytes than its mutations")
            if serial > chunk.serial:
                step.piece_bytes = check_crcs(view, mutation.crcs, step.piece_bytes, f"order {serial}")
                step.views, step.crcs = [view], mutation.crcs
        if serial > chunk.serial:
            steps.append(step)
    _take_pushed(context, steps)
    return steps


def _take_pushed(context: Context, steps: list[Step]) -> None:
    taken: list[Pushed] = []
    try:
        for step in steps:
            if step.mutation.data:
                pushed = context.pushed.take(step.mutation.data, step.mutation.length)
                taken.extend(pushed)
                use_pushed(step, pushed)
    except BaseException:
        for each in taken:
            context.pushed.keep(each)
        raise


async def flush_order(context: Context, request: FlushOrder) -> Flushed:
    """Flush everything up to a serial; with `close` also store that the chunk is closed. Rules 4 and 14."""
    async with context.turns.hold(request.handle):
        replica = context.replica(request.handle)
        if _is_closed_alike(replica, request):
            return Flushed(boot=context.boot, serial=Serial(request.serial), length=replica.length)
        chunk, replica = _check(context, request.handle, request.version, (request.primary, request.boot))
        if request.serial > chunk.serial:
            raise OrderRefusedError(chunk=chunk.handle, why=f"serial {request.serial} is not here yet")
        if request.close and request.length != replica.length:
            raise OrderRefusedError(chunk=chunk.handle, why=f"length is {replica.length}, not {request.length}")
        await context.store.flush(replica)
        chunk.has_plain = False
        chunk_commit(chunk, request.serial)
        if request.close:
            await close_replica(context, chunk, replica)
        return Flushed(boot=context.boot, serial=Serial(chunk.serial), length=replica.length)


def _is_closed_alike(replica: Replica, request: FlushOrder) -> bool:
    """True if this close was carried out before: the order was sent again."""
    state = replica.state
    return request.close and state.closed and state.version == request.version and replica.length == request.length


def commit_marks(context: Context, request: CommitMarks) -> None:
    """Take the last watermarks of an idle primary. Rule 7."""
    for mark in request.marks:
        chunk = context.chunks.find(mark.handle)
        if chunk is None or not chunk.is_member_of(mark.version) or chunk.lease is None:
            continue
        member = chunk.member(request.primary)
        if chunk.lease.primary == request.primary and member is not None and member.boot == request.boot:
            chunk_commit(chunk, min(mark.serial, chunk.serial))


def report_of(context: Context, replica: Replica) -> ReplicaReport:
    """Return what the master is told of a replica. Rule 4: unbroken only if held since its version began, or closed."""
    state = replica.state
    chunk = context.chunks.find(replica.handle)
    return ReplicaReport(
        handle=replica.handle,
        version=state.version,
        promised=max(state.promised, chunk.promised) if chunk is not None else state.promised,
        length=replica.length,
        closed=state.closed,
        incomplete=state.incomplete,
        unbroken=replica.unbroken or state.closed,
    )
