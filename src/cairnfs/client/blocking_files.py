"""Open files for programs without await: `io` classes, so that whatever works with Python's files works with these.

    TextIOWrapper ─▶ BufferedReader | BufferedWriter | BufferedRandom ─▶ RawFile ─▶ (loop thread) client.File

Invariant: bytes that a buffer here and the read-ahead below fetched before they were asked for are at most
READAHEAD_AGE_S old when given out (contract 4): half of it each.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from cairnfs.checksum import Buffer
from cairnfs.client.file import File
from cairnfs.client.modes import Mode
from cairnfs.errors import CairnError
from cairnfs.limits import READAHEAD_AGE_S
from cairnfs.units import KIB, MIB

if TYPE_CHECKING:
    from cairnfs.client.blocking_client import Client

READ_BUFFER_BYTES = 256 * KIB
WRITE_BUFFER_BYTES = 1 * MIB


class RawFile(io.RawIOBase):
    """An unbuffered file of bytes. Reads go straight into the caller's buffer, one hop to the loop for each."""

    def __init__(self, client: "Client", file: File, mode: Mode) -> None:
        super().__init__()
        self._client = client
        self._file = file
        self.ground = client.ground
        self._life = self.ground.life()
        self._mode = mode
        self.name = file.name
        self.mode = mode.binary
        self.filled_s = float("inf")
        """When bytes were last fetched for a buffer above."""

    def __repr__(self) -> str:
        return f"<cairnfs.RawFile {self.name!r} mode={self.mode!r} {_state(self)}>"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _reopen, self.reopening(is_buffered=False, position=self.tell())

    def reopening(self, *, is_buffered: bool, position: int) -> tuple[Any, ...]:
        """Return what another process needs to open the same file at the same place; readers only."""
        if self._mode.writes:
            raise TypeError(f"cannot pickle {self!r}: it may hold bytes that are not written yet")
        return self._client, self.name, is_buffered, position

    def _live(self) -> File:
        """Return the file on this life's loop. After a fork: the same inode, same position, nothing unsynced."""
        self._check_open()
        if self._life != self.ground.life():
            position = self._file.tell()
            self._file = self._client.reopened(self._file, self._mode.binary)
            self._file.seek_to(position)
            self._life = self.ground.life()
        return self._file

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def readable(self) -> bool:
        self._check_open()
        return self._mode.reads

    def writable(self) -> bool:
        self._check_open()
        return self._mode.writes

    def seekable(self) -> bool:
        self._check_open()
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as RawIOBase has it
        self._need(self.readable(), "readable")
        self.filled_s = self.ground.monotonic_s()
        return self.ground.run(self._live().readinto(memoryview(buffer).cast("B")))

    def readall(self) -> bytes:
        self._need(self.readable(), "readable")
        return self.ground.run(self._live().read())

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer, as RawIOBase has it
        self._need(self.writable(), "writable")
        return self.ground.run(self._live().write(data))

    def _need(self, is_allowed: bool, what: str) -> None:
        if not is_allowed:
            raise io.UnsupportedOperation(f"not {what}")

    def seek(self, offset: int, whence: int = 0) -> int:
        file = self._live()
        if whence == 0:
            return file.seek_to(offset)
        if whence == 1:
            return file.seek_to(file.tell() + offset)
        return self.ground.run(file.seek(offset, whence))

    def tell(self) -> int:
        return self._live().tell()

    def truncate(self, size: int | None = None) -> int:
        self._need(self.writable(), "writable")
        return self.ground.run(self._live().truncate(size))

    def flush(self) -> None:
        """Return when every replica has acked what was written. Contract 5."""
        super().flush()
        if not self.closed and self._life == self.ground.life() and self._file.is_dirty:
            self.ground.run(self._file.flush())

    def sync(self) -> None:
        """Return when everything written survives the loss of power everywhere. Contract 5."""
        self.ground.run(self._live().sync())

    def wait_longer(self, length: int, *, wait_s: float) -> int:
        """Wait until the file is longer than `length`, at most `wait_s`; return how long it is. Rule 7."""
        return self.ground.run(self._live().wait_longer(length, wait_s=wait_s))

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; the position stays."""
        return self.ground.run(self._live().pread(size, offset))

    def pwrite(self, data: Buffer, offset: int) -> int:
        """Write at `offset`, acked by every replica on return; the position stays."""
        return self.ground.run(self._live().pwrite(data, offset))

    def append(self, record: Buffer) -> int:
        """Append a record atomically; return its offset. GFS paper, section 3.3."""
        return self.ground.run(self._live().append(record))

    def append_all(self, records: Sequence[Buffer]) -> list[int]:
        """Append records, many at once, each atomically; return their offsets. See `client.file.File`."""
        return self.ground.run(self._live().append_all(records))

    def close(self) -> None:
        """Sync and end. If it raises, everything unsynced is kept and it may be called again. Contract 5."""
        if self.closed:
            return
        if self._life == self.ground.life() and not self._file.closed:
            self.ground.run(self._file.close())
        super().close()

    def __del__(self) -> None:
        # IOBase would close here too, but it prints what goes wrong; a cluster may be gone by now.
        if not self.closed:
            with contextlib.suppress(CairnError, OSError, ValueError, AttributeError):
                self.close()


def _state(file: io.IOBase) -> str:
    """Say what is known without asking anybody: not the position, whose question may wait for another thread."""
    return "closed" if file.closed else "open"


class _Fresh:
    """Drops a reader's buffer once its bytes are too old to be given out. Contract 4."""

    raw: RawFile

    def _drop_old(self: Any) -> None:
        raw = self.raw
        if raw.ground.monotonic_s() - raw.filled_s <= READAHEAD_AGE_S / 2:
            return
        raw.filled_s = float("inf")
        position = self.tell()
        # A seek inside the buffer keeps it; one far outside throws it away.
        super().seek(position + 2 * READ_BUFFER_BYTES)  # type: ignore[misc]
        super().seek(position)  # type: ignore[misc]


class BufferedReader(_Fresh, io.BufferedReader):
    """Python's buffered reader, with a limit on the age of its bytes."""

    raw: RawFile

    def __repr__(self) -> str:
        return f"<cairnfs.BufferedReader {self.raw.name!r} mode={self.raw.mode!r} {_state(self)}>"

    def read(self, size: int | None = -1, /) -> bytes:
        self._drop_old()
        return super().read(-1 if size is None else size)

    def read1(self, size: int = -1, /) -> bytes:
        self._drop_old()
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        self._drop_old()
        return super().readinto(buffer)

    def readinto1(self, buffer: Any, /) -> int:  # noqa: ANN401
        self._drop_old()
        return super().readinto1(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        self._drop_old()
        return super().readline(-1 if size is None else size)

    def peek(self, size: int = 0, /) -> bytes:
        self._drop_old()
        return super().peek(size)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _reopen, self.raw.reopening(is_buffered=True, position=self.tell())

    def sync(self) -> None:
        """A reader has nothing to sync."""


class _Flushing:
    """Passes a flush on: Python's own writers stop at the raw file. Contract 5: flush means acked by all replicas."""

    raw: RawFile

    def flush(self: Any) -> None:
        super().flush()  # type: ignore[misc]
        self.raw.flush()

    def sync(self: Any) -> None:
        """Return when everything written survives the loss of power everywhere. Contract 5."""
        super().flush()  # type: ignore[misc]
        self.raw.sync()


class BufferedWriter(_Flushing, io.BufferedWriter):
    """Python's buffered writer; `flush` is acked by every replica, `sync` is durable."""

    raw: RawFile

    def __repr__(self) -> str:
        return f"<cairnfs.BufferedWriter {self.raw.name!r} mode={self.raw.mode!r} {_state(self)}>"


class BufferedRandom(_Fresh, _Flushing, io.BufferedRandom):
    """Python's buffered reader and writer in one."""

    raw: RawFile

    def __repr__(self) -> str:
        return f"<cairnfs.BufferedRandom {self.raw.name!r} mode={self.raw.mode!r} {_state(self)}>"

    def read(self, size: int | None = -1, /) -> bytes:
        self._drop_old()
        return super().read(-1 if size is None else size)

    def readline(self, size: int | None = -1, /) -> bytes:
        self._drop_old()
        return super().readline(-1 if size is None else size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        self._drop_old()
        return super().readinto(buffer)


AnyFile = RawFile | BufferedReader | BufferedWriter | BufferedRandom | io.TextIOWrapper


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Of a text file, as Python's open has them."""

    encoding: str | None = None
    errors: str | None = None
    newline: str | None = None


def wrap(raw: RawFile, mode: Mode, *, buffering: int = -1, text: TextSettings | None = None) -> AnyFile:
    """Put Python's layers on a raw file, as `open` does for that mode and buffering.

    Raises:
        ValueError: text without a buffer, or text settings for a binary file.
    """
    if not mode.is_text and text is not None and text != TextSettings():
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0:
        if mode.is_text:
            raise ValueError("can't have unbuffered text I/O")
        raw.ground.close_at_exit(raw)
        return raw
    buffered = _buffered(raw, mode, buffering)
    if not mode.is_text:
        raw.ground.close_at_exit(buffered)
        return buffered
    text = text or TextSettings()
    # UTF-8 rather than the locale: a file of a cluster is read on other machines.
    wrapped = io.TextIOWrapper(
        buffered, text.encoding or "utf-8", text.errors, text.newline, line_buffering=buffering == 1
    )
    wrapped.mode = mode.text  # type: ignore[misc]
    raw.ground.close_at_exit(wrapped)
    return wrapped


def _buffered(raw: RawFile, mode: Mode, buffering: int) -> BufferedReader | BufferedWriter | BufferedRandom:
    if mode.reads and mode.writes:
        return BufferedRandom(raw, buffering if buffering > 1 else READ_BUFFER_BYTES)
    if mode.writes:
        return BufferedWriter(raw, buffering if buffering > 1 else WRITE_BUFFER_BYTES)
    return BufferedReader(raw, min(buffering, READ_BUFFER_BYTES) if buffering > 1 else READ_BUFFER_BYTES)


def _reopen(client: "Client", path: str, is_buffered: bool, position: int) -> IO[bytes]:
    file = client.open(path, "rb", buffering=-1 if is_buffered else 0)
    file.seek(position)
    return file
