"""Writers of records without await. Used by `blocking_client`."""

import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from cairnfs.client.codecs import Codec
from cairnfs.client.record_writer import RecordWriter

if TYPE_CHECKING:
    from cairnfs.client.blocking_client import Client

T = TypeVar("T")


class BlockingRecordWriter:
    """`RecordWriter` without await; many threads may use it.

    A forked child goes on with a writer of its own: two processes with the same sequences would hide each other's
    records from readers. What was put before the fork is the parent's to flush.
    """

    def __init__(
        self, client: "Client", inner: RecordWriter, codec: Codec | str | None, *, pending_bytes_max: int
    ) -> None:
        self._client = client
        self._inner = inner
        self._codec = codec
        self._pending_bytes_max = pending_bytes_max
        self._life = client.ground.life()
        self._turn = threading.Lock()
        self.path = inner.path
        client.ground.close_at_exit(self)

    def __repr__(self) -> str:
        return repr(self._inner)

    def __enter__(self) -> "BlockingRecordWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _live(self) -> RecordWriter:
        """Return the writer of this life."""
        if self._life != self._client.ground.life():
            job = self._client.reopened_writer(self._inner, self._codec, pending_bytes_max=self._pending_bytes_max)
            self._inner = self._client.ground.run(job)
            self._turn = threading.Lock()
            self._life = self._client.ground.life()
            self._client.ground.close_at_exit(self)
        return self._inner

    def _run(self, call: Callable[[RecordWriter], Coroutine[Any, Any, T]]) -> T:
        return self._client.ground.run(call(self._live()))

    @property
    def closed(self) -> bool:
        return self._inner.closed

    def append(self, value: Any) -> int:  # noqa: ANN401 - values are the caller's own
        """Append one record; return the offset of its frame. Durable when this returns."""
        return self._run(lambda writer: writer.append(value))

    def put(self, value: Any) -> None:  # noqa: ANN401
        """Take one record, to be appended with others; it is durable after `flush` or `close`.

        No hop to the loop's thread unless there is no room: the pump finds what lies in its queue.
        """
        writer = self._live()
        data = writer.encoded(value)
        with self._turn:
            while not writer.offer(data):  # ends because the pump makes room, or fails
                self._run(lambda writer: writer.room(len(data)))
        if writer.is_idle:
            self._client.ground.post(writer.start_pump)

    def flush(self) -> None:
        """Return when everything put is durable. Raises NotAppendedError: some is not; it may be called again."""
        self._run(lambda writer: writer.flush())

    def close(self) -> None:
        """Flush and end. If it raises, what is not acknowledged is kept and it may be called again."""
        self._run(lambda writer: writer.close())

    def discard(self) -> int:
        """End at once and forget what is not acknowledged; return how many records that are."""

        async def now(writer: RecordWriter) -> int:
            return writer.discard()

        return self._run(now)
