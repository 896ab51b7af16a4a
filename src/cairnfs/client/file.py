"""One open file with a position, as Python's files are, with await. Contracts 3 to 5; rule 17.

    async with await client.open("/data/log", "r+b") as file:
        await file.seek(0, 2)
        await file.write(b"more")

`write` returns when the bytes are taken, `flush` when every replica has acked them, `sync` and `close` when they
survive the loss of power. `read` gives zeros for holes; `data` and line iteration leave out what appends left at chunk
ends. One task at a time uses the position; `pread` and `pwrite` need none.
"""

import io
from collections.abc import AsyncIterator, Sequence
from functools import partial
from types import TracebackType

from cairnfs.checksum import Buffer
from cairnfs.client.core import Core
from cairnfs.client.deadlines import timed
from cairnfs.client.filling import filled
from cairnfs.client.modes import Mode
from cairnfs.client.readahead import ReadAhead
from cairnfs.client.writing import Writer
from cairnfs.errors import BadRequestError
from cairnfs.ids import ChunkHandle, InodeId
from cairnfs.limits import PIECE_BYTES
from cairnfs.wire.common import ChunkPlace

_READ_ALL_STEP = 4 * PIECE_BYTES


@timed
class File:
    """An open file of bytes. Made by `Client.open`."""

    limit_s: float | None = None
    """Longest time of each call in seconds; given by a client that has a limit."""

    def __init__(self, core: Core, *, path: str, inode: InodeId, mode: Mode, first: ChunkPlace | None = None) -> None:
        self.name = path
        self.mode = mode.binary
        self.inode = inode
        self._core = core
        self._mode = mode
        self._position = 0
        self._writer: Writer = core.writer(inode)
        self._ahead = ReadAhead(core, inode)
        if first is not None:
            self._writer.made_in_hope(first)
        self._append_at = 0
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"open at={self._position}"
        return f"<cairnfs.File {self.name!r} mode={self.mode!r} {state}>"

    async def __aenter__(self) -> "File":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------ what it is

    @property
    def closed(self) -> bool:
        return self._is_closed

    @property
    def is_dirty(self) -> bool:
        """True while something written is not acked by every replica yet."""
        return not self._writer.is_flushed

    def readable(self) -> bool:
        return self._mode.reads

    def writable(self) -> bool:
        return self._mode.writes

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._position

    async def size(self) -> int:
        """Return the length in bytes, with everything written through this file. Confirmed after the call (rule 7)."""
        self._check_open()
        await self._writer.flush()
        return await self._core.lengths.of_inode(self.inode)

    async def first_chunk(self, length: int | None = None) -> ChunkHandle | None:
        """Return the handle of the first chunk; None while there is none. It changes when the file is written anew.

        `length`: the caller has just read from a file that was so long. If that is one chunk, its place is known.
        """
        self._check_open()
        if length is not None and length <= self._core.connection.geometry.chunk_bytes:
            known = await self._core.locations.find(self.inode, 0)
        else:
            known = (await self._core.locations.ask(self.inode, 0)).known
        return None if known is None else known.place.handle

    async def wait_longer(self, length: int, *, wait_s: float) -> int:
        """Wait until the file is longer than `length`, or was cut shorter, at most `wait_s`; return how long it is.

        For followers (rule 7): they wait where the bytes come, so new ones are seen at once.
        """
        self._check_open()
        await self._writer.flush()
        return await self._core.follower.wait_longer(self.inode, length, wait_s=wait_s)

    # ------------------------------------------------------------------ reading

    async def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes from the position; all to the end if negative. b"" only at the end."""
        if size is None or size < 0:
            return await self._read_all()
        return await filled(size, self.readinto)

    async def _read_all(self) -> bytes:
        self._check_reads()
        await self._writer.flush()
        end = await self._core.lengths.of_inode(self.inode)
        fill = partial(self._core.reader.read_into, self.inode, self._position, end=end)
        data = await filled(max(0, end - self._position), fill)
        self._position += len(data)
        return data

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a writable buffer from the position; return the count, less than its size only at the end."""
        self._check_reads()
        if not self._writer.is_flushed:
            await self._writer.flush()
        view = memoryview(buffer).cast("B")
        got = await self._ahead.read_into(self._position, view)
        self._position += got
        return got

    async def pread_stale(self, size: int, offset: int) -> tuple[bytes, float]:
        """Like `pread`, but not proven fresh; return the bytes and how many seconds old the proof is. Contract 4."""
        self._check_reads()
        ages: list[float] = []
        fill = partial(self._core.reader.read_into, self.inode, offset, ages=ages)
        return await filled(size, fill), max(ages, default=0.0)

    async def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; the position stays. Never from read-ahead (contract 4)."""
        return await filled(size, partial(self.preadinto, offset=offset))

    async def preadinto(self, buffer: bytearray | memoryview, offset: int) -> int:
        """Fill a writable buffer from `offset`; the position stays."""
        self._check_reads()
        if offset < 0:
            raise BadRequestError(what=f"negative offset {offset}")
        if not self._writer.is_flushed:
            await self._writer.flush()
        view = memoryview(buffer).cast("B")
        return await self._core.reader.read_into(self.inode, offset, view)

    async def data_ranges(self, start: int = 0, end: int | None = None) -> AsyncIterator[tuple[int, int]]:
        """Yield (offset, length) of what is not left out by appends at chunk ends, in order. Rule 17.

        Up to the present end of the file, or to `end` of which the caller knows that the file reaches it.
        """
        self._check_reads()
        await self._writer.flush()
        chunk_bytes = self._core.connection.geometry.chunk_bytes
        if end is None:
            end = await self._core.lengths.of_inode(self.inode)
        offset = start
        while offset < end:
            index, inside = divmod(offset, chunk_bytes)
            is_last = (index + 1) * chunk_bytes >= end
            there = end - index * chunk_bytes if is_last else await self._core.lengths.of_chunk(self.inode, index)
            if there > inside:
                yield offset, there - inside
            offset = (index + 1) * chunk_bytes

    async def data(self, start: int = 0, end: int | None = None, *, step: int = _READ_ALL_STEP) -> AsyncIterator[bytes]:
        """Yield the bytes of `data_ranges` in pieces: what `cat` shows. The position stays."""
        async for offset, length in self.data_ranges(start, end):
            for at in range(offset, offset + length, step):
                fill = partial(self._core.reader.read_into, self.inode, at, end=offset + length)
                yield await filled(min(step, offset + length - at), fill)

    async def readline(self) -> bytes:
        """Return the bytes up to and with the next newline; b"" at the end."""
        parts: list[bytes] = []
        step = 256
        while True:  # ends at a newline or the end of the file
            before = self._position
            part = await self.read(step)
            newline = part.find(b"\n")
            if newline >= 0:
                self._position = before + newline + 1
                parts.append(part[: newline + 1])
                break
            parts.append(part)
            if len(part) < step:
                break
            step = min(2 * step, PIECE_BYTES)
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield lines from the position on, without what appends left at chunk ends (rule 17)."""
        rest = b""
        async for part in self.data(self._position, step=PIECE_BYTES):
            lines = (rest + part).split(b"\n")
            rest = lines.pop()
            for line in lines:
                self._position += len(line) + 1
                yield line + b"\n"
        if rest:
            self._position += len(rest)
            yield rest

    # ------------------------------------------------------------------ writing

    async def write(self, data: Buffer) -> int:
        """Take bytes for the position (mode a: for the end); return how many. `flush` says that they are there."""
        self._check_writes()
        size = memoryview(data).nbytes
        if self._mode.appends and self._writer.is_flushed:
            # Once per run of writes: what follows goes behind our own bytes.
            self._position = await self._core.lengths.of_inode(self.inode)
        elif self._mode.appends:
            self._position = self._append_at
        await self._writer.write(self._position, data)
        self._ahead.forget()
        self._position += size
        self._append_at = self._position
        return size

    async def pwrite(self, data: Buffer, offset: int) -> int:
        """Write at `offset` and return when every replica has acked it; the position stays."""
        self._check_writes()
        if offset < 0:
            raise BadRequestError(what=f"negative offset {offset}")
        await self._writer.write(offset, data)
        self._ahead.forget()
        await self._writer.flush()
        return memoryview(data).nbytes

    async def append(self, record: Buffer) -> int:
        """Append a record of at most a quarter of a chunk; return its offset. GFS paper, section 3.3.

        Atomic among any number of writers, at least once, durable when it returns (contract 2).
        """
        return (await self.append_all([record]))[0]

    async def append_all(self, records: Sequence[Buffer]) -> list[int]:
        """Append records, each atomically, many on their way at once; return their offsets in the order given.

        In the file they stand in the order given too, unless a failure makes some go again.
        """
        self._check_writes()
        await self._writer.flush()
        await self._writer.leave_next()  # a record would begin in it, and leave a hole
        self._ahead.forget()
        return await self._core.appender.append_all(self.inode, records)

    async def truncate(self, size: int | None = None) -> int:
        """Set the length to `size`, by default the position; return it. The position stays."""
        self._check_writes()
        length = self._position if size is None else size
        if length < 0:
            raise BadRequestError(what=f"a file cannot have {length} bytes")
        await self._writer.sync()
        await self._writer.leave_next()
        await self._core.truncator.truncate(self.inode, length)
        self._ahead.forget()
        return length

    async def flush(self) -> None:
        """Return when every byte written was acked by every replica: visible to all readers. Contract 5."""
        self._check_open()
        await self._writer.flush()

    async def sync(self) -> None:
        """Return when every byte written survives the loss of power everywhere. Contract 5."""
        self._check_open()
        await self._writer.sync()

    async def close(self) -> None:
        """Sync and end. If it raises, everything unsynced is kept and it may be called again. Contract 5."""
        if self._is_closed:
            return
        await self._writer.sync(close=True)
        self._is_closed = True
        await self._ahead.close()

    def discard(self) -> None:
        """Close at once and forget what is not synced: for a process that was forked, and for tests of crashes."""
        self._is_closed = True
        self._writer.discard()

    # ------------------------------------------------------------------ position

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position, from the start, the position or the end; return it. It may lie beyond the end."""
        self._check_open()
        match whence:
            case 0:
                target = offset
            case 1:
                target = self._position + offset
            case 2:
                target = await self.size() + offset
            case _:
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        return self.seek_to(target)

    def seek_to(self, position: int) -> int:
        """Set the position from the start, without asking anybody."""
        self._check_open()
        if position < 0:
            raise BadRequestError(what=f"negative seek position {position}")
        self._position = position
        return position

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("I/O operation on closed file")

    def _check_reads(self) -> None:
        self._check_open()
        if not self._mode.reads:
            raise io.UnsupportedOperation("not readable")

    def _check_writes(self) -> None:
        self._check_open()
        if not self._mode.writes:
            raise io.UnsupportedOperation("not writable")
