"""Appends records to one file, many in one append. Used by `filesystem`. GFS paper, sections 2.7.2 and 3.3.

    append(value) ──▶ one record append ──▶ offset
    put(value) ──▶ queue ──▶ pump: what gathered while the append before was under way ──▶ one record append

Natural batching: nobody waits for company, so a lone record goes at once, and under load an append carries many. Frames
of one append stand one after the other; each checks itself, so readers need not know. Appends of many tasks go side by
side: their caller waits anyway, and their primary puts them into one order (rule 10).

A record gets its sequence when it is sent first, and keeps it until it is acknowledged or given up: what was put is
sent again when an append fails, so a reader sees each once (contract 2). Invariant: a sequence begins only when all up
to RECORD_WINDOW before it are settled; positions rest on it (`positions`).

`offer` may run on another thread than the loop: it alone changes what was put, and the loop alone what is done.
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
"""So that appends of other tasks find room in the window."""


@dataclass(slots=True)
class _Sent:
    """A record with its sequence."""

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
        self._unsettled: dict[int, None] = {}  # in the order given out, so the first is the lowest
        self._queue: deque[bytes] = deque()
        self._under_way: list[_Sent] = []
        self._again: deque[_Sent] = deque()
        self._put, self._put_bytes = 0, 0
        self._done, self._done_bytes = 0, 0
        self._pump_task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed " if self._is_closed else ""
        return (
            f"<{state}RecordWriter {self.path!r} records={self._sequence + len(self._queue)} pending={self._pending}>"
        )

    async def __aenter__(self) -> "RecordWriter":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        return self._is_closed

    @property
    def is_idle(self) -> bool:
        """True if nobody sends what was put: `start_pump` does."""
        return self._pump_task is None

    @property
    def _pending(self) -> int:
        return self._put - self._done

    # ------------------------------------------------------------------ records

    async def append(self, value: Any) -> int:  # noqa: ANN401 - values are the caller's own
        """Append one record, behind all that were put; return the offset of its frame. Durable when this returns.

        If it raises, the record is given up: it may stand in the file, but is not sent again.

        Raises:
            RecordTooLargeError: the frame is larger than a quarter of a chunk; nothing was appended.
            BadRequestError: the codec cannot encode the value; nothing was appended.
            NotAppendedError: records that were put before are not acknowledged; nothing of this call was appended.
        """
        data = self.encoded(value)
        self._tell_failure()
        await self._flush()
        while not self._in_window():  # ends because what is under way is settled, or given up
            await self._wait()
        self._check_open()
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
        data = self.encoded(value)
        while not self.offer(data):  # ends because the pump makes room, or fails
            await self.room(len(data))
        self.start_pump()

    def encoded(self, value: Any) -> bytes:  # noqa: ANN401
        """Return the bytes of a record. Raises as `put`."""
        self._check_open()
        data = self._coding.encode(value, self.path)
        limit = self._core.connection.geometry.record_bytes_max - HEADER_BYTES
        if len(data) > limit:
            raise RecordTooLargeError(size_bytes=len(data), limit_bytes=limit)
        return data

    def offer(self, data: bytes) -> bool:
        """Take an encoded record if there is room and nothing to be told; False: `room` waits, or tells it.

        The caller starts the pump. Any thread, but one at a time.
        """
        if self._failure is not None or self._is_closed or not self._has_room(len(data)):
            return False
        self._put += 1
        self._put_bytes += len(data) + HEADER_BYTES
        self._queue.append(data)
        return True

    async def room(self, size: int) -> None:
        """Wait until a record of `size` bytes can be put. Raises as `put`."""
        while True:  # ends because the pump makes room, or fails
            self._check_open()
            self._tell_failure()
            if self._has_room(size):
                return
            self.start_pump()
            await self._wait()

    async def flush(self) -> None:
        """Return when everything put before this call is durable; send again what failed before.

        Raises:
            NotAppendedError: some is not. It is kept, and may be flushed again.
        """
        self._failure = None  # whatever it was: this is the next try
        await self._flush()

    async def _flush(self) -> None:
        last = self._put
        while self._done < last:  # ends because the pump settles what was put, or fails
            self.start_pump()
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
        count = self._pending
        if self._pump_task is not None:
            self._pump_task.cancel()
        for record in [*self._under_way, *self._again]:
            self._settle(record)
        self._under_way = []
        self._again.clear()
        self._queue.clear()
        self._done, self._done_bytes = self._put, self._put_bytes
        return count

    # ------------------------------------------------------------------ sequences and room

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("I/O operation on closed record writer")

    def _has_room(self, size: int) -> bool:
        pending = self._put_bytes - self._done_bytes
        return not pending or pending + size + HEADER_BYTES <= self._pending_bytes_max

    def _in_window(self) -> bool:
        lowest = next(iter(self._unsettled), self._sequence + 1)
        return self._sequence + 1 - lowest < RECORD_WINDOW

    def _number(self, data: bytes) -> _Sent:
        self._sequence += 1
        self._unsettled[self._sequence] = None
        return _Sent(self._sequence, encode_record(self.writer, self._sequence, data))

    def _settle(self, record: _Sent) -> None:
        self._unsettled.pop(record.sequence, None)
        self._moved.set()

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    # ------------------------------------------------------------------ the pump

    def start_pump(self) -> None:
        """Have what was put sent. On the loop."""
        if (self._queue or self._again) and self._pump_task is None and self._failure is None:
            self._pump_task = self._core.connection.nursery.start(self._pump(), name="records")
            self._pump_task.add_done_callback(self._pump_ended)

    async def _pump(self) -> None:
        try:
            await self._send_all()
        except CairnError as error:
            self._fail(error)

    async def _send_all(self) -> None:
        while (self._queue or self._again) and self._failure is None:  # ends when all is sent, or an append fails
            self._under_way = self._next_batch()
            if not self._under_way:  # appends of other tasks fill the window
                await self._wait()
                continue
            await self._core.appender.append(self.inode, b"".join(record.frame for record in self._under_way))
            for record in self._under_way:
                self._done += 1
                self._done_bytes += len(record.frame)
                self._settle(record)
            self._under_way = []

    def _next_batch(self) -> list[_Sent]:
        limit = min(_BATCH_BYTES, self._core.connection.geometry.record_bytes_max)
        batch: list[_Sent] = []
        size = 0
        while len(batch) < _BATCH_RECORDS:
            record = self._next(limit - size if batch else None)
            if record is None:
                break
            batch.append(record)
            size += len(record.frame)
        return batch

    def _next(self, limit: int | None) -> _Sent | None:
        """Take the next record of at most `limit` bytes; None: there is none, or its sequence may not begin yet."""
        if self._again:
            return self._again.popleft() if limit is None or len(self._again[0].frame) <= limit else None
        fits = bool(self._queue) and (limit is None or len(self._queue[0]) + HEADER_BYTES <= limit)
        return self._number(self._queue.popleft()) if fits and self._in_window() else None

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        """Tell whoever waits; go on if another thread has put something in the last moment."""
        self._pump_task = None
        error = ShutdownError(what="the client") if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)
        self.start_pump()
        self._moved.set()

    def _fail(self, error: BaseException) -> None:
        """Keep everything for the next flush, and tell the next call."""
        self._again.extendleft(reversed(self._under_way))
        self._under_way = []
        if self._again or self._queue:
            self._failure = error

    def _tell_failure(self) -> None:
        """Raise what is to be told, once."""
        error, self._failure = self._failure, None
        if error is not None:
            raise NotAppendedError(path=self.path, records=self._pending, why=str(error)) from error
