"""The files that `open` and `open_async` return.

    reading   blocks ──▶ fsspec's caches ──▶ the caller        always of the inode that was opened
    writing   the caller ──▶ a block ──▶ `uploads.Sink`        named when it is closed, or by its transaction

Both know the process they were opened in: a forked child may go on reading, but what its parent writes is the parent's.
"""

import io
import os
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AbstractAsyncStreamedFile, running_async, sync
from fsspec.spec import AbstractBufferedFile

from cairnfs.checksum import Buffer
from cairnfs.client.file import File
from cairnfs.errors import BadRequestError
from cairnfs.fsspec.attributes import Info
from cairnfs.fsspec.clients import close_at_exit
from cairnfs.fsspec.uploads import Sink
from cairnfs.ids import ChunkHandle, InodeId
from cairnfs.units import MIB

if TYPE_CHECKING:
    from cairnfs.fsspec.filesystem import CairnFileSystem

MODES = ("rb", "wb", "xb", "ab")
BLOCK_BYTES = 8 * MIB
"""Read or written at a time: a few pieces of the client, side by side."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """The file that a reader keeps to, as it was when it was opened."""

    inode: InodeId
    first_chunk: ChunkHandle | None
    """Another one later: it was cut to nothing and written anew."""
    size: int

    def details(self, path: str) -> Info:
        """Return what fsspec wants to know of an open file."""
        return {"name": path, "size": self.size, "type": "file", "ino": self.inode, "first_chunk": self.first_chunk}


def check_mode(mode: str) -> str:
    """Return a mode that files can be opened in.

    Raises:
        BadRequestError: no other one.
    """
    if mode not in MODES:
        raise BadRequestError(what=f"mode {mode!r} of open: expected one of {', '.join(MODES)}, or r w x a for text")
    return mode


class CairnFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file for blocking code. Made by `CairnFileSystem.open`."""

    DEFAULT_BLOCK_SIZE = BLOCK_BYTES

    def __init__(
        self,
        fs: "CairnFileSystem",
        path: str,
        mode: str = "rb",
        *,
        block_size: int | str | None = None,
        autocommit: bool = True,
        **kwargs: Any,
    ) -> None:
        self.closed = True  # until everything went well: nothing is to be closed before
        self._process = os.getpid()
        self._sink: Sink | None = None
        check_mode(mode)
        if mode == "rb":
            kwargs.pop("size", None)  # who opens a file does not know it better than the cluster
            self._pinned: Pinned = kwargs.pop("pinned", None) or sync(fs.loop, fs.pinned, path)
            self._details = self._pinned.details(path)
            super().__init__(fs, path, mode, block_size or "default", autocommit, size=self._pinned.size, **kwargs)
            self.kwargs["pinned"] = self._pinned  # so that one that was pickled goes on with the same
            return
        sink, position = sync(fs.loop, fs.begun, path, mode, deferred=not autocommit)
        super().__init__(fs, path, mode, block_size or "default", autocommit, **kwargs)
        self._sink, self.loc = sink, position
        close_at_exit(self)

    def __hash__(self) -> int:
        """Files that are read are the same if their facts are; a file that is written has none yet."""
        return int(super().__hash__()) if self.mode == "rb" else id(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.mode != "rb":
            self.discard()
        self.close()

    def __del__(self) -> None:
        if self.closed:
            return
        if sys.is_finalizing() or running_async() or not self._is_ours:
            self.closed = True  # nobody may wait here
        else:
            self.close()

    @property
    def _is_ours(self) -> bool:
        return self._process == os.getpid()

    # ------------------------------------------------------------------ reading

    def read(self, length: int | None = -1) -> bytes:
        """Return up to `length` bytes, all to the end if negative or None. Large pieces go past the cache.

        Ours: fsspec's caches copy what they keep, which for pieces of this size costs as much as fetching them.
        """
        length = -1 if length is None else length
        if not self._is_past_cache(length):
            data: bytes = super().read(length)
            return data
        data = self._fetch_range(self.loc, self.loc + length if length >= 0 else self.size)
        self.loc += len(data)
        return data

    def read_buffer(self, length: int) -> Buffer:
        """Return up to `length` bytes in a buffer of pyarrow, which alone asks for it by this name.

        Its pool uses memory again. Bytes would be fresh pages, which cost the kernel as much as all the rest.
        """
        if not self._is_past_cache(length):
            return self.read(length)
        import pyarrow  # noqa: PLC0415 - it is the caller

        found: Buffer = pyarrow.allocate_buffer(min(length, self.size - self.loc))
        view = memoryview(found)
        sync(self.fs.loop, self.fs.read_pinned_into, self._pinned, self.path, self.loc, view)
        self.loc += len(view)
        return found

    def _is_past_cache(self, length: int) -> bool:
        if self.mode != "rb" or self.closed:
            return False
        left = max(0, int(self.size) - int(self.loc))
        return min(length if length >= 0 else left, left) >= int(self.blocksize)

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if start >= end:
            return b""
        data: bytes = sync(self.fs.loop, self.fs.read_pinned, self._pinned, self.path, start, end)
        return data

    # ------------------------------------------------------------------ writing

    def _initiate_upload(self) -> None:
        """Do nothing: `open` has looked at the target, and the first bytes make the file."""

    def _upload_chunk(self, final: bool = False) -> bool:
        """Send what was gathered; `final`: have it safe, and named unless a transaction does that."""
        if not self._is_ours:
            raise BadRequestError(what=f"{self.path} was opened for writing by another process: open it in this one")
        assert self._sink is not None
        try:
            sync(self.fs.loop, _put, self._sink, self.buffer.getvalue(), final=final, named=final and self.autocommit)
        except BaseException:
            self.closed = True
            sync(self.fs.loop, self._sink.discard)
            raise
        return True

    def flush(self, force: bool = False) -> None:
        """Send full blocks. A file that is appended to: send everything, and return when readers see it."""
        if self.mode != "ab" or force or self.closed or self.buffer.tell() >= self.blocksize:
            super().flush(force)
            return
        self._upload_chunk()
        self.buffer: io.BytesIO = io.BytesIO()
        assert self._sink is not None
        sync(self.fs.loop, self._sink.flush)

    def close(self) -> None:
        """Finish a file that was written: it has its name when this returns, unless a transaction gives it."""
        if not self._is_ours:
            self.closed = True
        super().close()

    def commit(self) -> None:
        """Give the file its name: a transaction ends well."""
        self.close()
        if self._sink is not None:
            sync(self.fs.loop, self._sink.commit)
            self.fs.changed(self.path)

    def discard(self) -> None:
        """Drop what was written: a transaction ends badly, or a `with` block."""
        self.closed = True
        if self._sink is not None and self._is_ours:
            sync(self.fs.loop, self._sink.discard)


async def _put(sink: Sink, data: bytes, *, final: bool, named: bool) -> None:
    if data:
        await sink.write(data)
    if final:
        await sink.finish()
    if named:
        await sink.commit()


class CairnTextFile(io.TextIOWrapper):
    """Text over a file for blocking code."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and isinstance(self.buffer, CairnFile) and self.buffer.mode != "rb":
            self.buffer.discard()
        self.close()


class CairnStreamedFile(AbstractAsyncStreamedFile):  # type: ignore[misc]
    """A file for code that awaits, without a cache. Made by `CairnFileSystem.open_async`."""

    DEFAULT_BLOCK_SIZE = BLOCK_BYTES

    def __init__(self, fs: "CairnFileSystem", path: str, mode: str, source: File | Sink, **kwargs: Any) -> None:
        if isinstance(source, File):
            self._source = source
            super().__init__(fs, path, mode, cache_type="none", **kwargs)
        else:
            self._sink = source
            super().__init__(fs, path, mode, **kwargs)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.mode != "rb":
            await self.discard()
        await self.close()

    def __del__(self) -> None:
        """Do nothing: only `close` can wait."""

    async def _fetch_range(self, start: int, end: int) -> bytes:
        self._source.seek_to(start)
        return await self._source.read(max(0, min(end, self.size) - start))

    async def _initiate_upload(self) -> None:
        """Do nothing: `open_async` has looked at the target, and the first bytes make the file."""

    async def _upload_chunk(self, final: bool = False) -> bool:
        try:
            await _put(self._sink, self.buffer.getvalue(), final=final, named=final)
        except BaseException:
            await self.discard()
            raise
        return True

    async def close(self) -> None:
        """Finish a file that was written: it has its name when this returns."""
        if not self.closed and self.mode == "rb":
            await self._source.close()
        await super().close()

    async def discard(self) -> None:
        """Drop what was written: a `with` block ends badly."""
        self.closed = True
        await self._sink.discard()
