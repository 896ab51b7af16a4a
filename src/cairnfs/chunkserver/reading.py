"""Reading bytes and lengths. GFS paper, section 2.4; rules 5 to 9 and 16.

    readable here? ── serving lease, else a round of the members ── wait for pending bytes ── one moment of the bytes

Invariants:
    1. No byte is answered that is pending, held back by a fence, or of two moments.
    2. No length is told without a round that began after the question.
"""

import asyncio
from functools import partial

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.applying import chunk_commit, quarantine
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.pending import Watch
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk, Role
from cairnfs.errors import (
    BusyError,
    CairnError,
    ChunkCorruptError,
    ChunkMissingError,
    NotPrimaryError,
    NotReadableError,
    StaleVersionError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, Serial
from cairnfs.limits import (
    BLOCK_BYTES,
    DATA_CALL_S,
    FOLLOWERS_MAX,
    ORDER_BYTES_PER_S,
    ORDER_TIMEOUT_S,
    PENDING_READ_S,
    READ_BYTES_MAX,
)
from cairnfs.rpc.server import Answer
from cairnfs.tasks import gather_settled
from cairnfs.wire.chunk_reads import (
    AskCommitted,
    ChunkData,
    ChunkLength,
    Committed,
    Held,
    HoldVersion,
    Length,
    ReadChunk,
)

_ATTEMPTS = 16
"""A read that meets overwrites of its range again and again gives up after so many."""
_MOMENT_MASK = 2**63 - 1


# ------------------------------------------------------------------ bytes


async def read_chunk(context: Context, request: ReadChunk) -> Answer:
    """Answer a read of this server's replica. See `wire.chunk_reads`."""
    chunk, replica = _find(context, request)
    age_s = await _check_fresh(context, chunk, replica, request)
    for _ in range(_ATTEMPTS):
        chunk, replica = _find(context, request)
        start, end = _span(context, replica, request)
        await _wait_for_pending(context, chunk, start, end)
        # Between two awaits anything may have changed: look again.
        if _find(context, request) != (chunk, replica):
            continue
        start, end = _span(context, replica, request)
        if chunk.ranges.touching(start, end):
            continue
        version = replica.state.version
        watch = chunk.ranges.watch(start, end)
        try:
            answer = await _read_moment(context, replica, request, (start, end), watch)
        finally:
            chunk.ranges.unwatch(watch)
        if answer is not None:
            chunk.served += 1
            context.count("reads")
            data, crcs, exact = answer
            moment = _moment(context, replica, request)
            reply = ChunkData(version=version, start=start, crcs=crcs, exact=exact, age_s=age_s, moment=moment)
            return Answer(reply, [data], None if exact else partial(context.buffers.give, data))
    raise NotReadableError(chunk=request.handle, why="its bytes change all the time")


def _find(context: Context, request: ReadChunk) -> tuple[Chunk, Replica]:
    """Find the replica and refuse what may not be read at all. Rules 4, 5, 8 and 9."""
    handle = request.handle
    replica = context.replica(handle)
    chunk = context.chunks.ensure(handle)
    state = replica.state
    if state.version < request.version:
        raise StaleVersionError(chunk=handle, has=state.version, wanted=request.version)
    barrier = context.exclusions.barrier(handle)
    if request.version < barrier:
        # Rule 9: the reader's map of the file is old.
        raise StaleVersionError(chunk=handle, has=barrier, wanted=request.version)
    if request.stale_ok and not state.incomplete and not chunk.is_changing:
        return chunk, replica
    if context.exclusions.is_excluded(handle, state.version):
        raise NotReadableError(chunk=handle, why="the replica is not current")
    if state.incomplete or chunk.is_changing:
        raise NotReadableError(chunk=handle, why="the replica is being copied")
    is_open_here = chunk.opened == state.version
    if not state.closed and not is_open_here and context.safeguards.restart_leaves_set:
        # Rule 4, and rule 3: reconciled bytes are readable when the version is open.
        raise NotReadableError(chunk=handle, why="the version is not open here")
    return chunk, replica


async def _check_fresh(context: Context, chunk: Chunk, replica: Replica, request: ReadChunk) -> float:
    """Rule 5: the serving lease, or a round of the members; return the age of what is not proven fresh."""
    standing = context.standing
    if not context.safeguards.serving_lease or standing.may_serve(context.now_s(), quiet=not chunk.is_overwritten):
        return 0.0
    if chunk.is_member_of(replica.state.version) and not replica.state.closed:
        try:
            await hold_round(context, chunk)
        except CairnError:
            if not request.stale_ok:
                raise
        else:
            return 0.0
    if request.stale_ok:
        return max(0.0, min(context.now_s() - standing.renewed_at_s, 1e9))
    raise NotReadableError(chunk=request.handle, why="no serving lease: the master has not been heard")


def _span(context: Context, replica: Replica, request: ReadChunk) -> tuple[int, int]:
    """Return what is read: whole blocks from 64 KiB on, else what was asked; cut at the replica's end. Rule 16."""
    start, end = request.offset, min(request.offset + request.length, context.geometry.chunk_bytes)
    if request.length >= BLOCK_BYTES:
        block_bytes = context.geometry.block_bytes
        start -= start % block_bytes
        end = min(-(-end // block_bytes) * block_bytes, context.geometry.chunk_bytes, start + READ_BYTES_MAX)
    return start, max(start, min(end, replica.length))


async def _wait_for_pending(context: Context, chunk: Chunk, start: int, end: int) -> None:
    """Rule 7: bytes that are not committed are asked for at the primary, and waited for at most a second."""
    # As long as a slow disk may need for what is pending: that is no silence yet.
    patience_s = PENDING_READ_S + chunk.ranges.pending_bytes / ORDER_BYTES_PER_S
    deadline_s = context.now_s() + patience_s
    while True:  # ends at the deadline
        if chunk.is_held(start, end) and not chunk.fence_done:
            why = "an adopted overwrite waits for its fence"
        else:
            serial = chunk.ranges.touching(start, end)
            if not serial:
                return
            why = f"mutation {serial} is not committed"
            if chunk.role is Role.MEMBER and await _ask_primary(context, chunk, serial):
                continue
        if not await chunk.changed.wait(deadline_s - context.now_s()):
            if chunk.lease is not None and chunk.role is Role.MEMBER:
                context.suspect(chunk.handle, chunk.lease.version, chunk.lease.primary, why)
            raise NotReadableError(chunk=chunk.handle, why=why)


async def _ask_primary(context: Context, chunk: Chunk, serial: int) -> bool:
    """Ask until when everything is committed; False: the primary did not say."""
    lease = chunk.lease
    assert lease is not None
    primary = chunk.member(lease.primary)
    if primary is None or chunk.promised > lease.version:
        return False
    question = AskCommitted(handle=chunk.handle, version=lease.version, serial=Serial(serial))
    try:
        committed = await context.caller.call(primary.address, question, timeout_s=PENDING_READ_S + ORDER_TIMEOUT_S)
    except CairnError:
        return False
    if chunk.lease is lease and committed.serial >= serial:
        chunk_commit(chunk, min(committed.serial, chunk.serial))
    return not chunk.ranges.touching(0, context.geometry.chunk_bytes) or chunk.ranges.committed >= serial


async def _read_moment(
    context: Context, replica: Replica, request: ReadChunk, span: tuple[int, int], watch: Watch
) -> tuple[memoryview, list[int], bool] | None:
    """Read bytes and checksums of one moment; None: a mutation touched them meanwhile. Rule 8."""
    start, end = span
    exact = request.length < BLOCK_BYTES
    try:
        if exact:
            small = memoryview(await context.store.read_verified(replica, start, end - start)) if end > start else None
            return None if watch.is_dirty else (small or memoryview(b""), [crc32c(small)] if small else [], True)
        data = context.buffers.take(end - start)
        try:
            count, blocks = await context.store.read(replica, start, data)
        except BaseException:
            context.buffers.give(data)
            raise
    except ChunkCorruptError as error:
        if watch.is_dirty:
            return None  # a mutation was in the middle of it: not corrupt
        await quarantine(context, replica, str(error))
        raise
    last_end = blocks[-1][0] * context.geometry.block_bytes + blocks[-1][2] if blocks else end
    # Read anew by the store, the last block may have grown behind the end meanwhile: its checksum covers more.
    if watch.is_dirty or count != end - start or last_end != end:
        context.buffers.give(data)
        return None
    return data, [crc for _, crc, _ in blocks], False


def _moment(context: Context, replica: Replica, request: ReadChunk) -> int:
    """Return what stays the same as long as nothing of `whole` is overwritten here. Contract 4, rule 8.

    Pending bytes are never answered, so parts with equal moments are of the time of the last one.
    """
    if request.whole is None:
        return 0
    start, end = request.whole
    size = context.geometry.block_bytes
    blocks = range(start // size, -(-end // size))
    last = max((replica.rewritten.get(block, 0) for block in blocks), default=0)
    return (context.boot + last) & _MOMENT_MASK


# ------------------------------------------------------------------ rounds and lengths


async def hold_round(context: Context, chunk: Chunk) -> None:
    """Every other member says, after this call began, that it still holds the version. Rules 5 and 7.

    Raises:
        NotReadableError: one does not, or did not answer.
    """
    lease = chunk.lease
    assert lease is not None
    others = chunk.others(context.me)
    context.count("rounds")

    async def ask(address: str) -> Held:
        question = HoldVersion(handle=chunk.handle, version=lease.version)
        return await context.caller.call(address, question, timeout_s=ORDER_TIMEOUT_S)

    results = await gather_settled(*(ask(member.address) for member in others))
    for member, result in zip(others, results, strict=True):
        if isinstance(result, BaseException):
            if not isinstance(result, CairnError):
                raise result
            context.suspect(chunk.handle, lease.version, member.server, str(result))
            raise NotReadableError(chunk=chunk.handle, why=f"a member does not hold the version: {result}")
        if result.boot != member.boot:
            raise NotReadableError(chunk=chunk.handle, why="a member has restarted")
    if not chunk.is_member_of(lease.version):
        raise NotReadableError(chunk=chunk.handle, why="the version is superseded")


class SharedRounds:
    """One round of a chunk serves everybody who asked before it began. Rule 7."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._next: dict[ChunkHandle, asyncio.Future[None]] = {}
        self._running: dict[ChunkHandle, None] = {}

    async def join(self, chunk: Chunk) -> None:
        """Return after a round that began after this call. Raises NotReadableError."""
        waiting = self._next.get(chunk.handle)
        if waiting is None:
            waiting = self._next[chunk.handle] = asyncio.get_running_loop().create_future()
            if chunk.handle not in self._running:
                self._running[chunk.handle] = None
                _ = self._context.nursery.start(self._run(chunk), name=f"rounds {chunk.handle:x}")
        await asyncio.shield(waiting)

    async def _run(self, chunk: Chunk) -> None:
        """Round after round while somebody waits."""
        try:
            while True:  # ends when nobody waits
                waiting = self._next.pop(chunk.handle, None)
                if waiting is None:
                    return
                try:
                    await hold_round(self._context, chunk)
                except CairnError as error:
                    waiting.set_exception(error)
                    waiting.exception()
                except BaseException:
                    waiting.cancel()
                    raise
                else:
                    waiting.set_result(None)
        finally:
            self._running.pop(chunk.handle, None)


async def chunk_length(context: Context, rounds: SharedRounds, request: ChunkLength) -> Length:
    """Tell the committed length, as the primary, after a round. Rule 7. A follower waits until it grows."""
    chunk = _primary_chunk(context, request.handle, request.version)
    if request.wait_s > 0 and chunk.committed_length <= request.longer_than:
        await _wait_longer(context, chunk, request)
        chunk = _primary_chunk(context, request.handle, request.version)
    if context.safeguards.length_by_round:
        await rounds.join(chunk)
        chunk = _primary_chunk(context, request.handle, request.version)
    assert chunk.lease is not None
    return Length(length=chunk.committed_length, version=chunk.lease.version)


async def _wait_longer(context: Context, chunk: Chunk, request: ChunkLength) -> None:
    """Wait until the chunk has grown, the role has ended or the time is over. Costs no disk and no round."""
    if context.followers >= FOLLOWERS_MAX:
        raise BusyError(what=f"{FOLLOWERS_MAX} followers are waiting")
    deadline_s = context.now_s() + min(request.wait_s, DATA_CALL_S)
    context.followers += 1
    try:
        while chunk.committed_length <= request.longer_than:  # ends at the deadline
            if not await chunk.changed.wait(deadline_s - context.now_s()):
                return
            chunk = _primary_chunk(context, request.handle, request.version)
    finally:
        context.followers -= 1


def _primary_chunk(context: Context, handle: ChunkHandle, version: ChunkVersion) -> Chunk:
    chunk = context.chunks.find(handle)
    if chunk is None or chunk.primary is None or chunk.lease is None:
        raise NotPrimaryError(chunk=handle, why="no role here")
    if chunk.lease.version < version:
        raise StaleVersionError(chunk=handle, has=chunk.lease.version, wanted=version)
    if not chunk.is_member_of(chunk.lease.version):
        raise NotReadableError(chunk=handle, why="the version is superseded")
    return chunk


async def ask_committed(context: Context, request: AskCommitted) -> Committed:
    """Tell a member when a serial is committed. Raises NotReadableError after a second."""
    deadline_s = context.now_s() + PENDING_READ_S
    while True:  # ends at the deadline
        chunk = context.chunks.find(request.handle)
        if chunk is None or chunk.primary is None or chunk.lease is None or chunk.lease.version != request.version:
            raise NotPrimaryError(chunk=request.handle, why="no role at that version here")
        if chunk.ranges.committed >= request.serial:
            return Committed(serial=chunk.ranges.committed)
        if not await chunk.changed.wait(deadline_s - context.now_s()):
            raise NotReadableError(chunk=request.handle, why=f"mutation {request.serial} is not committed")


def hold_version(context: Context, request: HoldVersion) -> Held:
    """Say that this server still holds exactly that version, in the boot of the lease."""
    replica = context.replica(request.handle)
    chunk = context.chunks.find(request.handle)
    if chunk is None:
        raise ChunkMissingError(chunk=request.handle)
    if not chunk.is_member_of(request.version) or context.promised(chunk) > request.version:
        raise StaleVersionError(chunk=request.handle, has=replica.state.version, wanted=request.version)
    if context.exclusions.is_excluded(request.handle, request.version):
        raise StaleVersionError(chunk=request.handle, has=replica.state.version, wanted=request.version)
    return Held(boot=context.boot)
