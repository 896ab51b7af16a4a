"""Ordering the mutations of one chunk. GFS paper, section 3.1; rules 2, 6, 7, 10, 11, 14, 17 and 20.

    submit ──▶ queue ──▶ batch: serials, pending ranges ──┬─▶ own replica
                                                          └─▶ ApplyOrders to all others ──▶ all answered: ack

    open ──a member fails──▶ frozen ──Promise──▶ ended            open ──idle, full, asked──▶ closing ──▶ ended

Invariants:
    1. An ack needs every member of the set; the primary never shrinks it. Rule 2.
    2. One batch is out at a time; what comes meanwhile goes out together as the next one. Rule 10.
    3. Serials have no gaps, and nothing gets one after the role has frozen.
    4. The buffers of a batch are given back when nobody reads them any more, whatever became of the callers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cairnfs.chunkserver.append import choose_offset
from cairnfs.chunkserver.batch import Batch, Outcome, Work, WorkKind, send_batch, send_flush
from cairnfs.chunkserver.roles import Chunk, State
from cairnfs.chunkserver.standing import SUSPECT_AGAIN_S
from cairnfs.errors import (
    BusyError,
    CairnError,
    ChunkFullError,
    FencePendingError,
    MutationFailedError,
    NotPrimaryError,
    StaleVersionError,
)
from cairnfs.ids import ChunkVersion, Serial, ServerId
from cairnfs.limits import CHUNK_QUEUE_MAX, DATA_CALL_S, FENCE_ANSWER_S, MARKS_TICK_S, META_CALL_S
from cairnfs.wire.common import Lease
from cairnfs.wire.membership import ClosedReport

if TYPE_CHECKING:
    from cairnfs.chunkserver.context import Context


class Primary:
    """The role of this server for one version of one chunk."""

    def __init__(self, context: "Context", chunk: Chunk, lease: Lease) -> None:
        self.context = context
        self.chunk = chunk
        self.lease = lease
        self.state = State.OPEN
        self.is_full = False  # a record did not fit: the chunk is being closed, or closed (rule 17)
        self.expires_s = 0.0
        self.is_used = True
        """Since the last renewal: asks for more time."""
        self.used_s = context.now_s()
        self.next_serial = 1
        self.next_length = chunk.committed_length
        self.calls: list[asyncio.Task[object]] = []
        """Orders on their way, to be broken off when the version is superseded."""
        self.marks_told = 0
        self._queue: deque[Work] = deque()
        self._waiting: dict[tuple[int, int], Work] = {}
        self._runner: asyncio.Task[None] | None = None
        self._suspected: list[ServerId] = []
        self.renew(lease.anchor_s, lease.lease_s)
        self.is_used = True

    # ---- the lease

    def renew(self, anchor_s: float, lease_s: float) -> None:
        """Count the lease from this server's own clock at the heartbeat that the grant rests on. Rule 2."""
        self.expires_s = max(self.expires_s, anchor_s + lease_s)
        self.is_used = False

    def asks_for_time(self) -> bool:
        """True if it was used since the last renewal. Rule 2: an unused lease is left to end."""
        is_open = self.state is State.OPEN and self.context.now_s() < self.expires_s
        return is_open and (self.is_used or bool(self._waiting))

    @property
    def version(self) -> ChunkVersion:
        return self.lease.version

    @property
    def was_reported(self) -> bool:
        """True if the master was told of a member already."""
        return bool(self._suspected)

    @property
    def is_open(self) -> bool:
        """True until it is frozen or over."""
        return self.state in (State.OPEN, State.CLOSING)

    @property
    def load(self) -> int:
        return len(self._waiting)

    def check(self, version: ChunkVersion) -> None:
        """Refuse what this server may not order (any more).

        Raises:
            StaleVersionError: the caller knows another version. Rule 11.
            NotPrimaryError: the role is frozen, closing or over, or the lease's time has passed. Nothing happened.
        """
        if version != self.version:
            raise StaleVersionError(chunk=self.chunk.handle, has=self.version, wanted=version)
        if self.state is not State.OPEN or self.chunk.promised > version:
            raise NotPrimaryError(chunk=self.chunk.handle, why=f"the role is {self.state}")
        if self.context.now_s() >= self.expires_s:
            self.close_soon()
            raise NotPrimaryError(chunk=self.chunk.handle, why="the lease is over")

    # ---- mutations

    async def submit(self, work: Work, version: ChunkVersion) -> Outcome:
        """Order one mutation and return its result when every member has it.

        Raises:
            MutationFailedError: some may have it; the next version adopts or drops it. Rule 12.
            UnsureError: an earlier try may have happened, and nobody here knows. Rule 11.
            CairnError: as `wire.mutations` says. Nothing happened.
        """
        if self.is_full and work.kind is WorkKind.APPEND and version == self.version and self.is_open:
            return await self._wait_until_closed(work)
        self.check(version)
        work.check_fits(self.context.geometry)
        first = self._find_repeat(work)
        if self._overwrites(work) if first is None else self._is_held(work):
            # Rule 6 holds for the ack of what was adopted as well: until then an older replica may be read.
            await self._wait_for_fence(version)
            first = self._find_repeat(work)
        if first is not None:
            return await self._wait(first) if isinstance(first, Work) else first
        self._enqueue(work)
        return await self._wait(work)

    def admit(self, work: Work) -> Work | Outcome | CairnError:
        """Queue an append, or return what it repeats, or why it is refused."""
        try:
            work.check_fits(self.context.geometry)
            first = self._find_repeat(work)
            if first is None:
                self._enqueue(work)
            return first or work
        except CairnError as error:
            return error

    async def _wait_until_closed(self, work: Work) -> Outcome:
        """Rule 17: a record that comes while a full chunk is closed goes on behind those before it."""
        if self._find_repeat(work) is not None or len(self._waiting) >= CHUNK_QUEUE_MAX:
            raise NotPrimaryError(chunk=self.chunk.handle, why="the role is closing")
        self._keep(work)
        return await self._wait(work)

    def _keep(self, work: Work) -> None:
        if work.payload is not None:
            work.payload.keep()
        self._waiting[work.key] = work

    def _enqueue(self, work: Work) -> None:
        if len(self._waiting) >= CHUNK_QUEUE_MAX and not work.is_own:
            raise BusyError(what=f"{CHUNK_QUEUE_MAX} mutations of the chunk are waiting")
        self._keep(work)
        self._queue.append(work)
        self.is_used = True
        self.used_s = self.context.now_s()
        if self._runner is None:
            self._runner = self.context.nursery.start(self._run(), name=f"primary {self.chunk.handle:x}")

    async def _wait(self, work: Work) -> Outcome:
        """Wait for the result; the mutation goes on if the caller gives up."""
        try:
            async with asyncio.timeout(DATA_CALL_S):
                return await asyncio.shield(work.done)
        except TimeoutError:
            raise MutationFailedError(chunk=self.chunk.handle, why=f"not confirmed in {DATA_CALL_S:g} s") from None

    def _find_repeat(self, work: Work) -> Outcome | Work | None:
        """Rule 11: a repeated (client, sequence) gets the first result."""
        if work.kind is WorkKind.SYNC or not self.context.safeguards.filter_repeats:
            return None
        under_way = self._waiting.get(work.key)
        if under_way is not None:
            return under_way
        entry = self.chunk.filter.find(work.client, work.sequence, since=work.since)
        if entry is None:
            self.chunk.filter.forget_below(work.client, work.lowest)
            return None
        self.context.count("mutations_repeated")
        return Outcome(offset=entry.offset, serial=entry.serial, length=self.chunk.committed_length)

    def _overwrites(self, work: Work) -> bool:
        """Rule 6: begins below the length with which the version opened, or cuts."""
        if work.kind is WorkKind.TRUNCATE:
            return True
        return work.kind is WorkKind.WRITE and work.offset < self.lease.base_length

    def _is_held(self, work: Work) -> bool:
        """True if the mutation was adopted from an earlier version and waits for the fence of this one. Rule 6."""
        end = work.offset + work.length if work.kind is WorkKind.WRITE else self.context.geometry.chunk_bytes
        return work.kind is not WorkKind.APPEND and self.chunk.is_held(work.offset, end)

    async def _wait_for_fence(self, version: ChunkVersion) -> None:
        """Rule 6: an overwrite gets no serial before no server outside the set can be read any more."""
        if not self.context.safeguards.fence_before_overwrite:
            return
        deadline_s = self.context.now_s() + FENCE_ANSWER_S
        while not self.chunk.fence_done:  # ends at the deadline
            if not await self.chunk.changed.wait(deadline_s - self.context.now_s()):
                raise FencePendingError(chunk=self.chunk.handle)
            self.check(version)

    # ---- the loop

    async def _run(self) -> None:
        """Send batch after batch while there is something to send; ends with the queue."""
        try:
            while self._queue and self.state is State.OPEN:
                if self._queue[0].kind is WorkKind.SYNC:
                    await self._flush(self._take_syncs())
                    continue
                batch = self._take_batch()
                if batch is None:
                    continue
                await send_batch(self, batch)
                if batch.closes and self.state is State.OPEN:
                    await self._close()
                batch.answer(self)
        except BaseException:
            self.freeze("internal error")
            for work in list(self._waiting.values()):
                self.finish(work, self.failure())
            raise
        finally:
            self._runner = None
            if self.state is not State.OPEN:
                self._refuse_queued()
            elif self._queue:
                self._runner = self.context.nursery.start(self._run(), name=f"primary {self.chunk.handle:x}")

    def _take_syncs(self) -> list[Work]:
        """Take the syncs at the head; one that closes is the last."""
        taken: list[Work] = []
        while self._queue and self._queue[0].kind is WorkKind.SYNC and not (taken and taken[-1].closes):
            taken.append(self._queue.popleft())
        return taken

    def _take_batch(self) -> Batch | None:
        """Take what waits, up to the limits, and give it serials. None: what was at the head has been answered."""
        batch = Batch(Serial(self.next_serial), self.next_length)
        while self._queue:
            work = self._queue[0]
            if work.kind is WorkKind.SYNC or not batch.has_room(work):
                break
            offset = self._place(work)
            if offset is None:
                if not batch.works:
                    self._close_full()
                    return None
                break
            self._queue.popleft()
            try:
                self._check_room(work, offset)
                batch.add(self.context, work, offset=offset, serial=Serial(self.next_serial))
            except CairnError as error:
                self.finish(work, error)
                continue
            self.next_serial += 1
            self.next_length = work.length_after(self.next_length, offset)
        return batch if batch.works else None

    def _check_room(self, work: Work, offset: int) -> None:
        """Rule 26: refuse here what our own disk would: once it has a serial, a refusal costs a raise."""
        growth = work.length_after(self.next_length, offset) - self.next_length
        if growth > 0:
            store = self.context.store
            store.disk_of(self.context.replica(self.chunk.handle)).check_room(growth)

    def _place(self, work: Work) -> int | None:
        if work.kind is not WorkKind.APPEND:
            return work.offset
        return choose_offset(self.context.geometry, data_length=self.next_length, record_length=work.length)

    def _close_full(self) -> None:
        """Rule 17: the record at the head does not fit, so the chunk is closed at its data length."""
        work = self._queue.popleft()
        self.is_full = True
        self.state = State.CLOSING
        _ = self.context.nursery.start(self._close_for(work), name=f"close full {self.chunk.handle:x}")

    async def _close_for(self, work: Work) -> None:
        await self._close()
        self.chunk.full_at = self.version
        self.finish(work, ChunkFullError(chunk=self.chunk.handle))
        for other in [one for one in self._waiting.values() if one.kind is WorkKind.APPEND]:
            self.finish(other, ChunkFullError(chunk=self.chunk.handle))

    async def _flush(self, works: Sequence[Work]) -> None:
        """Make all that was acked survive power loss on every member. Rule 14."""
        closes = any(work.closes for work in works)
        if closes:
            await self._close()
        else:
            await send_flush(self, close=False)
        for work in works:
            if self._is_closed if closes else self.state is State.OPEN:
                self.finish(work, self.outcome(closed=closes))
            else:
                self.finish(work, self.failure())

    # ---- the end

    @property
    def _is_closed(self) -> bool:
        replica = self.context.store.replicas.get(self.chunk.handle)
        return replica is not None and replica.state.closed and replica.state.version == self.version

    def close_soon(self) -> None:
        """Close when what is under way is done: idle, drained or out of time. Rule 4."""
        if self.state is State.OPEN and not any(work.closes for work in self._queue):
            self._enqueue(Work(kind=WorkKind.SYNC, closes=True, is_own=True))

    async def _close(self) -> None:
        """Have all members flush and store `closed`; then give up the role. Rule 4."""
        if self.state not in (State.OPEN, State.CLOSING):
            return
        self.state = State.CLOSING
        length = self.chunk.committed_length
        if not await send_flush(self, close=True):
            return
        self.state = State.ENDED
        report = ClosedReport(handle=self.chunk.handle, version=self.version, length=length)
        self.context.standing.note_closed(report)
        self.chunk.primary = None
        self.chunk.end("closed")

    def freeze(self, why: str) -> None:
        """A member did not confirm: nothing more gets a serial until the master has raised the version. Rule 20."""
        if self.state in (State.OPEN, State.CLOSING):
            self.state = State.FROZEN
            self._refuse_queued()
            self.chunk.changed.fire()
            self.context.count("roles_frozen")

    def end(self, why: str) -> None:
        """The version is superseded, excluded or closed: callers that wait are told, orders under way broken off."""
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        self._refuse_queued()
        for work in list(self._waiting.values()):
            self.finish(work, MutationFailedError(chunk=self.chunk.handle, why=why))
        calls, self.calls = self.calls, []
        for call in calls:
            call.cancel()

    async def superseded(self) -> None:
        """Wait for the end of a frozen role, at most META_CALL_S; no wait is tiny: the loop's clock may be faster."""
        deadline_s = self.context.now_s() + META_CALL_S
        while self.state is State.FROZEN:  # ends at the deadline
            left_s = deadline_s - self.context.now_s()
            if left_s <= 0:
                return
            if not await self.chunk.changed.wait(min(max(left_s, MARKS_TICK_S), SUSPECT_AGAIN_S)):
                for server in self._suspected:
                    self.suspect(server, "still not superseded")

    def _refuse_queued(self) -> None:
        """What has no serial has not happened."""
        queued, self._queue = self._queue, deque()
        for work in queued:
            if self.is_full and self.state is State.CLOSING and work.kind is WorkKind.APPEND:
                continue  # told when the chunk is closed, in their order
            self.finish(work, NotPrimaryError(chunk=self.chunk.handle, why=f"the role is {self.state}"))

    # ---- for batches

    def suspect(self, server: ServerId, why: str) -> None:
        """Report a silent or refusing member."""
        if server not in self._suspected:
            self._suspected.append(server)
        self.context.suspect(self.chunk.handle, self.version, server, why)

    def outcome(self, *, offset: int = 0, serial: int = 0, closed: bool = False) -> Outcome:
        return Outcome(offset=offset, serial=serial, length=self.chunk.committed_length, closed=closed)

    def failure(self) -> CairnError:
        return MutationFailedError(chunk=self.chunk.handle, why="a member did not confirm; the master was told")

    def finish(self, work: Work, result: Outcome | CairnError) -> None:
        """Tell the callers of a mutation. Its bytes are given back by the batch, or here if it never was in one."""
        self._waiting.pop(work.key, None)
        if not work.is_sent and work.payload is not None:
            work.payload.release()
        if work.done.done():
            return
        if isinstance(result, CairnError):
            work.done.set_exception(result)
            work.done.exception()  # a caller that gave up never looks
        else:
            work.done.set_result(result)
