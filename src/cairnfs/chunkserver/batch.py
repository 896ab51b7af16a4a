"""One batch of mutations on its way from the primary to every member. Rules 2, 7, 10, 11 and 20."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cairnfs.chunkserver.append import check_record, check_write
from cairnfs.chunkserver.applying import (
    Step,
    apply_steps,
    chunk_commit,
    close_replica,
    enter_ranges,
    use_pushed,
)
from cairnfs.chunkserver.push import Pushed, push_to
from cairnfs.chunkserver.standing import SUSPECT_AGAIN_S
from cairnfs.errors import (
    CairnError,
    ChecksumError,
    ConnectionLostError,
    DataMissingError,
    MutationFailedError,
    OrderRefusedError,
)
from cairnfs.ids import NO_VERSION, ChunkVersion, ClientId, DataId, Sequence, Serial
from cairnfs.limits import (
    BATCH_BYTES_MAX,
    BATCH_PUSHED_BYTES_MAX,
    DATA_CALL_S,
    ORDER_BYTES_PER_S,
    ORDER_TIMEOUT_S,
    Geometry,
)
from cairnfs.rpc.payload import Incoming, IncomingPart
from cairnfs.tasks import gather_settled
from cairnfs.wire.common import Durability, Member
from cairnfs.wire.orders import ApplyOrders, FlushOrder, Mutation, MutationKind

if TYPE_CHECKING:
    from cairnfs.chunkserver.context import Context
    from cairnfs.chunkserver.primary import Primary

_ATTEMPTS = 3
"""Of one order to one member: a broken connection or dropped data is not yet a failed member."""
_MUTATIONS_MAX = 512
_NAMES_MAX = 4096
"""Mutations, and names of pushed data, of one order: its head must stay far below HEAD_BYTES_MAX."""

_NOBODY = ClientId(0)
_NO_SEQUENCE = Sequence(0)


class WorkKind(StrEnum):
    """What waits at a primary."""

    WRITE = "write"
    APPEND = "append"
    TRUNCATE = "truncate"
    SYNC = "sync"


_MUTATIONS = {
    WorkKind.WRITE: MutationKind.WRITE,
    WorkKind.APPEND: MutationKind.APPEND,
    WorkKind.TRUNCATE: MutationKind.TRUNCATE,
}
_own_numbers = iter(range(-1, -(2**62), -1))


@dataclass(slots=True, frozen=True)
class Outcome:
    """What the caller of a mutation is told."""

    offset: int
    serial: int
    length: int
    closed: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """One mutation or sync that waits for its turn."""

    kind: WorkKind
    client: ClientId = _NOBODY
    sequence: Sequence = _NO_SEQUENCE
    lowest: Sequence = _NO_SEQUENCE
    since: ChunkVersion = NO_VERSION
    """The oldest version at which an earlier try may have happened, if it must not happen twice."""
    offset: int = 0
    length: int = 0
    data: list[DataId] = field(default_factory=list)
    crcs: list[int] = field(default_factory=list)
    piece_bytes: int = 0
    payload: Incoming | IncomingPart | None = None
    syncs: bool = False
    closes: bool = False
    is_own: bool = False
    is_sent: bool = False
    """A batch has it, and gives its bytes back."""
    done: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    key: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.key = (self.client, self.sequence) if self.kind is not WorkKind.SYNC else (-1, next(_own_numbers))

    @property
    def inline_bytes(self) -> int:
        return 0 if self.data or self.kind is WorkKind.TRUNCATE else self.length

    @property
    def pushed_bytes(self) -> int:
        return self.length if self.data else 0

    def check_fits(self, geometry: Geometry) -> None:
        """Refuse what no chunk may take. Raises as `append` says; nothing happened."""
        match self.kind:
            case WorkKind.APPEND:
                check_record(geometry, self.length)
            case WorkKind.WRITE:
                check_write(geometry, offset=self.offset, length=self.length)
            case WorkKind.TRUNCATE | WorkKind.SYNC:
                pass

    def length_after(self, before: int, offset: int) -> int:
        """Return the chunk's length after it."""
        return self.length if self.kind is WorkKind.TRUNCATE else max(before, offset + self.length)


@dataclass(slots=True, eq=False)
class Batch:
    """A run of serials from `first`."""

    first: Serial
    length_before: int
    works: list[Work] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    closes: bool = False
    is_confirmed: bool = False
    inline_bytes: int = 0
    pushed_bytes: int = 0

    @property
    def last(self) -> Serial:
        return self.steps[-1].serial

    def has_room(self, work: Work) -> bool:
        """True if one more mutation still fits the limits of an order; the first one always does."""
        if not self.works:
            return True
        is_full = self.closes or len(self.works) >= _MUTATIONS_MAX
        inline, pushed = self.inline_bytes + work.inline_bytes, self.pushed_bytes + work.pushed_bytes
        names = sum(len(other.data) for other in self.works) + len(work.data) if work.data else 0
        is_full = is_full or names > _NAMES_MAX
        return not is_full and inline <= BATCH_BYTES_MAX and pushed <= BATCH_PUSHED_BYTES_MAX

    def silence_s(self) -> float:
        """Return after how long without an answer a member is reported: large mutations keep a disk busy. Rule 20."""
        return ORDER_TIMEOUT_S + self.pushed_bytes / ORDER_BYTES_PER_S

    def add(self, context: "Context", work: Work, *, offset: int, serial: Serial) -> None:
        """Take a mutation with its bytes. Raises DataMissingError, BadRequestError: it was not taken."""
        durable = work.syncs or work.kind is WorkKind.TRUNCATE or work.kind is WorkKind.APPEND
        mutation = Mutation(
            kind=_MUTATIONS[work.kind],
            client=work.client,
            sequence=work.sequence,
            offset=work.length if work.kind is WorkKind.TRUNCATE else offset,
            length=0 if work.kind is WorkKind.TRUNCATE else work.length,
            data=work.data,
            crcs=[] if work.data else work.crcs,
            durable=durable,
        )
        step = Step(serial, mutation, [], work.crcs, work.piece_bytes)
        if work.data:
            use_pushed(step, context.pushed.take(work.data, work.length))
        elif work.payload is not None:
            step.views = [work.payload.view]
        self.works.append(work)
        self.steps.append(step)
        work.is_sent = True
        self.inline_bytes += work.inline_bytes
        self.pushed_bytes += work.pushed_bytes
        self.closes = work.closes

    def answer(self, primary: "Primary") -> None:
        """Tell the callers, once the batch is confirmed by all or has failed."""
        for work, step in zip(self.works, self.steps, strict=True):
            if self.is_confirmed:
                closed = work.closes and primary.state == "ended"
                offset = step.mutation.offset
                primary.finish(work, primary.outcome(offset=offset, serial=step.serial, closed=closed))
            else:
                primary.finish(work, primary.failure())

    def give_back(self, context: "Context") -> None:
        """Nobody reads the bytes any more. Pushed data of a failed mutation stays for the retry."""
        for work, step in zip(self.works, self.steps, strict=True):
            if work.payload is not None:
                work.payload.release()
            for pushed in step.pushed:
                if self.is_confirmed:
                    pushed.release()
                else:
                    context.pushed.keep(pushed)


async def send_batch(primary: "Primary", batch: Batch) -> None:
    """Apply here and on every other member; commit when all have answered, else freeze the role."""
    context, chunk = primary.context, primary.chunk
    for work, step in zip(batch.works, batch.steps, strict=True):
        if work.kind is WorkKind.APPEND and not _is_durable(primary):
            step.mutation = _plain(step.mutation)
    order = _order_of(primary, batch)
    payload = [view for step in batch.steps if not step.mutation.data for view in step.views]
    others = chunk.others(context.me)
    try:
        results = await gather_settled(
            _apply_here(primary, batch),
            *(_send(primary, member, order, payload, batch) for member in others),
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            await _fail(primary, failed)
        elif primary.state in ("open", "closing"):
            _confirm(primary, batch)
    finally:
        batch.give_back(context)


def _is_durable(primary: "Primary") -> bool:
    """Contract 5: what an append's ack means is decided by the master and carried by the lease."""
    return primary.lease.durability is Durability.DISK and primary.context.safeguards.flush_before_append_ack


def _plain(mutation: Mutation) -> Mutation:
    fields = {name: getattr(mutation, name) for name in mutation.__struct_fields__}
    return Mutation(**{**fields, "durable": False})


def _order_of(primary: "Primary", batch: Batch) -> ApplyOrders:
    is_first = batch.first == 1 and primary.lease.is_new
    return ApplyOrders(
        handle=primary.chunk.handle,
        version=primary.version,
        primary=primary.context.me,
        boot=primary.context.boot,
        first=batch.first,
        committed=primary.chunk.ranges.committed,
        mutations=[step.mutation for step in batch.steps],
        lease=primary.lease if is_first else None,
    )


async def _apply_here(primary: "Primary", batch: Batch) -> None:
    context, chunk = primary.context, primary.chunk
    async with context.turns.hold(chunk.handle):
        if not chunk.is_member_of(primary.version):
            raise MutationFailedError(chunk=chunk.handle, why="the version is superseded")
        replica = context.replica(chunk.handle)
        enter_ranges(context, chunk, batch.steps, replica.length)
        await apply_steps(context, chunk, replica, batch.steps)


def _confirm(primary: "Primary", batch: Batch) -> None:
    """Every member has it: it is committed. Rules 2 and 7."""
    chunk = primary.chunk
    chunk.committed_length = primary.next_length
    batch.is_confirmed = True
    chunk_commit(chunk, batch.last)


async def _fail(primary: "Primary", failed: list[BaseException]) -> None:
    """Not every member has it: the master raises the version, and that adopts or drops it. Rule 12."""
    for error in failed:
        if not isinstance(error, CairnError | asyncio.CancelledError):
            primary.freeze("internal error")
            raise error
        if isinstance(error, CairnError) and error is failed[0]:
            primary.context.count("batches_failed")
    if failed and isinstance(failed[0], CairnError) and primary.state == "open" and not primary.was_reported:
        primary.suspect(primary.context.me, str(failed[0]))  # our own disk refused it
    primary.freeze("a member did not confirm")
    await primary.superseded()


async def _send(
    primary: "Primary", member: Member, order: ApplyOrders, payload: list[memoryview], batch: Batch
) -> None:
    """Have one member apply the order, whatever happens to the connection meanwhile."""

    async def attempt() -> None:
        applied = await primary.context.caller.call(member.address, order, timeout_s=DATA_CALL_S, payload=payload)
        if applied.boot != member.boot or applied.serial < batch.last:
            raise OrderRefusedError(chunk=order.handle, why="answered by another boot, or for less")

    async def again(error: CairnError) -> None:
        if isinstance(error, DataMissingError):
            pushed: list[Pushed] = [each for step in batch.steps for each in step.pushed]
            await push_to(primary.context, member.address, pushed)

    if primary.context.safeguards.ack_by_all:
        await _reach(primary, member, attempt, again, silence_s=batch.silence_s())
    else:
        with contextlib.suppress(CairnError, TimeoutError):
            async with asyncio.timeout(ORDER_TIMEOUT_S / 2):
                await attempt()


async def send_flush(primary: "Primary", *, close: bool) -> bool:
    """Flush (and close) on every member; False: one did not, and the role is frozen. Rules 4 and 14."""
    context, chunk = primary.context, primary.chunk
    order = FlushOrder(
        handle=chunk.handle,
        version=primary.version,
        primary=context.me,
        boot=context.boot,
        serial=chunk.ranges.committed,
        length=chunk.committed_length,
        close=close,
    )

    async def ask(member: Member) -> None:
        async def attempt() -> None:
            flushed = await context.caller.call(member.address, order, timeout_s=DATA_CALL_S)
            if flushed.boot != member.boot:
                raise OrderRefusedError(chunk=chunk.handle, why="answered by another boot")

        await _reach(primary, member, attempt, None)

    results = await gather_settled(_flush_here(primary), *(ask(member) for member in chunk.others(context.me)))
    failed = [result for result in results if isinstance(result, BaseException)]
    if not failed and close:
        failed = [each for each in await gather_settled(_close_here(primary)) if isinstance(each, BaseException)]
    if failed:
        await _fail(primary, failed)
    return not failed


async def _flush_here(primary: "Primary") -> None:
    context, chunk = primary.context, primary.chunk
    await context.store.flush(context.replica(chunk.handle))
    chunk.has_plain = False  # nothing is applied meanwhile: flushes and batches take turns


async def _close_here(primary: "Primary") -> None:
    """Last of all: as long as a member may not be closed, this one is not either."""
    context, chunk = primary.context, primary.chunk
    async with context.turns.hold(chunk.handle):
        if not chunk.is_member_of(primary.version):
            raise MutationFailedError(chunk=chunk.handle, why="the version is superseded")
        chunk.primary = None  # it ends itself, in order
        await close_replica(context, chunk, context.replica(chunk.handle))


async def _reach(
    primary: "Primary",
    member: Member,
    attempt: Callable[[], Any],
    again: Callable[[CairnError], Any] | None,
    *,
    silence_s: float = ORDER_TIMEOUT_S,
) -> None:
    """Ask a member until it answers; report it when it is silent for so long, or refuses. Rule 20."""
    loop = asyncio.get_running_loop()
    silence = f"no answer to an order for {silence_s:g} s"
    watch = loop.call_later(silence_s, lambda: accuse())  # noqa: PLW0108 - it is made below

    def accuse() -> None:
        nonlocal watch
        primary.suspect(member.server, silence)
        watch = loop.call_later(SUSPECT_AGAIN_S, accuse)

    task = asyncio.current_task()
    assert task is not None
    primary.calls.append(task)
    try:
        for left in range(_ATTEMPTS - 1, -1, -1):
            try:
                await attempt()
                return
            except (DataMissingError, ChecksumError, ConnectionLostError) as error:
                if not left:
                    raise
                if again is not None:
                    await again(error)
    except CairnError as error:
        primary.suspect(member.server, str(error))
        raise
    finally:
        watch.cancel()
        primary.calls = [other for other in primary.calls if other is not task]
