"""Records in appended files: written whole by any number of writers, read each once. GFS paper, sections 2.7.2 and 3.3.

`framing` has the bytes. The writer's id and sequence tell repeats; checksums tell padding and damage.
"""

from collections.abc import AsyncIterator

from cairnfs.checksum import Buffer
from cairnfs.client.core import Core
from cairnfs.client.file import File
from cairnfs.client.framing import HEADER_BYTES, Record, RecordDecoder, RepeatFilter, encode_record
from cairnfs.client.modes import parse_mode
from cairnfs.errors import RecordTooLargeError
from cairnfs.ids import InodeId
from cairnfs.limits import PIECE_BYTES

__all__ = ["Record", "RecordReader", "RecordWriter"]


class RecordWriter:
    """Appends records to one file. Many tasks may append at once."""

    def __init__(self, core: Core, inode: InodeId, path: str) -> None:
        self.path = path
        self._core = core
        self._inode = inode
        self.writer = core.connection.env.random.getrandbits(63)
        self._sequence = 0

    def __repr__(self) -> str:
        return f"<RecordWriter {self.path!r} records={self._sequence}>"

    async def append(self, data: Buffer) -> int:
        """Append one record; return the offset of its frame. Durable when this returns.

        Raises:
            RecordTooLargeError: the frame is larger than a quarter of a chunk; nothing was appended.
        """
        limit = self._core.connection.geometry.record_bytes_max
        if len(data) + HEADER_BYTES > limit:
            raise RecordTooLargeError(size_bytes=len(data), limit_bytes=limit - HEADER_BYTES)
        self._sequence += 1
        return await self._core.appender.append(self._inode, encode_record(self.writer, self._sequence, data))


class RecordReader:
    """Iterates over the records of a file as it is at the start of the iteration."""

    def __init__(self, core: Core, inode: InodeId, path: str, *, start: int = 0) -> None:
        self.path = path
        self._file = File(core, path=path, inode=inode, mode=parse_mode("rb"))
        self._start = start
        self._decoder = RecordDecoder(start)
        self._repeats = RepeatFilter()

    def __repr__(self) -> str:
        return f"<RecordReader {self.path!r} skipped={self.skipped_bytes} repeats={self.repeats}>"

    @property
    def skipped_bytes(self) -> int:
        """Padding, holes and damage so far."""
        return self._decoder.skipped_bytes

    @property
    def repeats(self) -> int:
        """Records left out so far because they had been given before."""
        return self._repeats.repeats

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for offset, length in self._file.data_ranges(self._start):
            for record in self._decoder.jump(offset):
                if self._repeats.is_new(record):
                    yield record
            for at in range(offset, offset + length, PIECE_BYTES):
                part = await self._file.pread(min(PIECE_BYTES, offset + length - at), at)
                for record in self._decoder.feed(part):
                    if self._repeats.is_new(record):
                        yield record
        for record in self._decoder.finish():
            if self._repeats.is_new(record):
                yield record
