"""Appends records to one file, many in one append. Used by `filesystem`. GFS paper, sections 2.7.2 and 3.3.

    append(value) ──▶ one record append ──▶ offset
    put(value) ──▶ queue ──▶ pump: what gathered while the append before was under way ──▶ one record append

Natural batching: nobody waits for company, so a lone record goes at once, and under load an append carries many. Frames
of one append stand one after the other; each checks itself, so readers need not know. Appends of many tasks go side by
side: their caller waits anyway, and their primary puts them into one order (rule 10).

A sequence is given once and sent until it is acknowledged or given up: records that were put stay in the queue when an
append fails, and go again with their sequences, so a reader sees each once (contract 2). Invariant: a sequence begins
only when all up to RECORD_WINDOW before it are settled; positions rest on it (`positions`).
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from cairnfs.client.codecs import Codec, find_codec
from cairnfs.client.core import Core
from cairnfs.client.deadlines import timed
from cairnfs.client.framing import HEADER_BYTES, encode_record
from cairnfs.errors import BadRequestError, CairnError, NotAppendedError, RecordTooLargeError, ShutdownError
from cairnfs.ids import InodeId
from cairnfs.limits import PIECE_BYTES, RECORD_WINDOW, RECORDS_PENDING_BYTES

_BATCH_BYTES = PIECE_BYTES
"""Of one append: more wins nothing, and what does not fit at a chunk's end leaves a hole as large as itself."""
_BATCH_RECORDS = RECORD_WINDOW // 2
"""So that others can gather while a full batch is under way."""


@dataclass(slots=True)
class _Pending:
    """One record that is not settled yet."""

    sequence: int
    frame: bytes


@timed
class RecordWriter:
    """Appends records to one file. Many tasks may use it at once."""

    limit_s: float | None = None
    """Longest time of each call in seconds; that of the client which made it."""

    def __init__(
        self,
        core: Core,
        inode: InodeId,
        path: str,
        *,
        codec: Codec | str | None = None,
        pending_bytes_max: int = RECORDS_PENDING_BYTES,
    ) -> None:
        if pending_bytes_max < 1:
            raise BadRequestError(what=f"pending_bytes_max is {pending_bytes_max}, and must be at least 1")
        self.path = path
        self.inode = inode
        self.writer = core.connection.env.random.getrandbits(63)
        self._core = core
        self._coding = find_codec(codec)
        self._pending_bytes_max = pending_bytes_max
        self._sequence = 0
        self._queue: deque[_Pending] = deque()
        self._under_way: list[_Pending] = []
        self._unsettled: dict[int, int] = {}  # sequence: bytes, in the order given out, so the first is the lowest
        self._pending_bytes = 0
        self._pump_task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed " if self._is_closed else ""
        return f"<{state}RecordWriter {self.path!r} records={self._sequence} pending={len(self._unsettled)}>"

    async def __aenter__(self) -> "RecordWriter":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        return self._is_closed

    # ------------------------------------------------------------------ records

    async def append(self, value: Any) -> int:  # noqa: ANN401 - values are the caller's own
        """Append one record, behind all that were put; return the offset of its frame. Durable when this returns.

        If it raises, the record is given up: it may stand in the file, but is not sent again.

        Raises:
            RecordTooLargeError: the frame is larger than a quarter of a chunk; nothing was appended.
            BadRequestError: the codec cannot encode the value; nothing was appended.
            NotAppendedError: records that were put before are not acknowledged; nothing of this call was appended.
        """
        data = self._encoded(value)
        if self._queue or self._under_way:
            await self.flush()
        self._tell_failure()
        await self._await_room(len(data))
        record = self._number(data)
        try:
            return await self._core.appender.append(self.inode, record.frame)
        finally:
            self._settle(record)

    async def put(self, value: Any) -> None:  # noqa: ANN401
        """Take one record, to be appended with others. Waits only while too much is not acknowledged.

        Raises:
            RecordTooLargeError, BadRequestError: as `append`; nothing was taken.
            NotAppendedError: what was put before is not acknowledged; this value was not taken.
        """
        data = self._encoded(value)
        self._tell_failure()
        await self._await_room(len(data))
        self._queue.append(self._number(data))
        self._start_pump()

    async def flush(self) -> None:
        """Return when everything put before this call is durable; send again what failed before.

        Raises:
            NotAppendedError: some is not. It is kept, and may be flushed again.
        """
        self._failure = None  # whatever it was: this is the next try
        last = self._sequence
        while self._lowest() <= last:  # ends because the pump settles what is queued, or fails
            self._start_pump()
            await self._wait()
            self._tell_failure()

    async def close(self) -> None:
        """Flush and end. If it raises, what is not acknowledged is kept and it may be called again."""
        if self._is_closed:
            return
        await self.flush()
        self._is_closed = True

    def discard(self) -> int:
        """End at once and forget what is not acknowledged; return how many records that are. Any may be appended."""
        self._is_closed, self._failure = True, None
        count = len(self._under_way) + len(self._queue)
        if self._pump_task is not None:
            self._pump_task.cancel()
        for record in [*self._under_way, *self._queue]:
            self._settle(record)
        self._queue.clear()
        self._under_way = []
        return count

    # ------------------------------------------------------------------ the queue

    def _encoded(self, value: Any) -> bytes:  # noqa: ANN401
        if self._is_closed:
            raise ValueError("I/O operation on closed record writer")
        data = self._coding.encode(value, self.path)
        limit = self._core.connection.geometry.record_bytes_max - HEADER_BYTES
        if len(data) > limit:
            raise RecordTooLargeError(size_bytes=len(data), limit_bytes=limit)
        return data

    async def _await_room(self, size: int) -> None:
        while not self._has_room(size + HEADER_BYTES):  # ends because what is under way is settled, or fails
            self._start_pump()
            await self._wait()
            self._tell_failure()
            if self._is_closed:
                raise ValueError("the record writer was closed meanwhile; this record was not taken")

    def _has_room(self, size: int) -> bool:
        if not self._unsettled:
            return True
        in_window = self._sequence + 1 - self._lowest() < RECORD_WINDOW
        return in_window and self._pending_bytes + size <= self._pending_bytes_max

    def _lowest(self) -> int:
        """Return the lowest sequence that is not settled; the next one if all are."""
        return next(iter(self._unsettled), self._sequence + 1)

    def _number(self, data: bytes) -> _Pending:
        self._sequence += 1
        record = _Pending(self._sequence, encode_record(self.writer, self._sequence, data))
        self._unsettled[record.sequence] = len(record.frame)
        self._pending_bytes += len(record.frame)
        return record

    def _settle(self, record: _Pending) -> None:
        self._pending_bytes -= self._unsettled.pop(record.sequence, 0)
        self._moved.set()

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    # ------------------------------------------------------------------ the pump

    def _start_pump(self) -> None:
        if self._queue and not self._under_way and self._pump_task is None:
            self._pump_task = self._core.connection.nursery.start(self._pump(), name="records")
            self._pump_task.add_done_callback(self._pump_ended)

    async def _pump(self) -> None:
        try:
            while self._queue and self._failure is None:  # ends when all is sent, or an append fails
                self._under_way = self._next_batch()
                await self._core.appender.append(self.inode, b"".join(record.frame for record in self._under_way))
                for record in self._under_way:
                    self._settle(record)
                self._under_way = []
        except CairnError as error:
            self._fail(error)
        finally:
            self._pump_task = None  # here, so that whoever is woken by the last step may start the next one

    def _next_batch(self) -> list[_Pending]:
        limit = min(_BATCH_BYTES, self._core.connection.geometry.record_bytes_max)
        batch = [self._queue.popleft()]
        size = len(batch[0].frame)
        while self._queue and len(batch) < _BATCH_RECORDS and size + len(self._queue[0].frame) <= limit:
            batch.append(self._queue.popleft())
            size += len(batch[-1].frame)
        return batch

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        """A task that was cancelled may not even have begun; nobody may wait for it any more."""
        error = ShutdownError(what="the client") if task.cancelled() else task.exception()
        if error is not None:
            self._pump_task = None
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Keep everything for the next flush, and tell the next call."""
        self._queue.extendleft(reversed(self._under_way))
        self._under_way = []
        if self._queue:
            self._failure = error
        self._moved.set()

    def _tell_failure(self) -> None:
        """Raise what is to be told, once."""
        error, self._failure = self._failure, None
        if error is not None:
            raise NotAppendedError(path=self.path, records=len(self._queue), why=str(error)) from error
