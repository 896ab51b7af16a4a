"""`CairnFileSystem`: what fsspec asks for whole files, ranges of bytes, and copies. fsspec finds it by `cairn://`.

    cat_file, cat_ranges   each path looked up once, then its ranges side by side, each into one buffer
    pipe_file, put_file    streamed into an `uploads.Upload`, named when whole
    cp_file                a snapshot: no byte moves. GFS paper, section 3.4
    open, open_async       `files`

Inside a transaction all that is written gets its name with the commit, in the order in which it was written; only
`cp_file` does so at once.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fsspec.asyn import sync
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from cairnfs.checksum import Buffer
from cairnfs.client.file import File
from cairnfs.client.filling import filled
from cairnfs.client.window import side_by_side
from cairnfs.errors import BadRequestError, CairnError, IsFolderError
from cairnfs.fsspec.files import CairnFile, CairnStreamedFile, CairnTextFile, Pinned, check_mode
from cairnfs.fsspec.literal import is_literal, literal_copies
from cairnfs.fsspec.names import NamesFileSystem
from cairnfs.fsspec.transfers import Progress, fetch, on_thread, opened, send, stream
from cairnfs.fsspec.uploads import Sink, Upload, begin
from cairnfs.fsspec.urls import path_of
from cairnfs.limits import BLOCK_BYTES
from cairnfs.units import MIB

_RANGES_AT_ONCE = 5
"""Ranges fetched side by side: enough to keep the replicas busy, few enough that their pieces do not wait for long."""
_TRUSTED_BYTES = 4 * MIB
"""A range up to this size is read without asking how long the file is: its buffer costs nothing."""
_scratch: list[bytearray] = []
"""Buffers of this process that no read uses now."""


class CairnFileSystem(NamesFileSystem):
    """A CairnFS cluster as an fsspec filesystem.

    Storage options: `host` and `port`, or `masters` ("host:port,host2:port2" or a list); none: the configured cluster.
    `timeout`: longest wait in seconds of every call. `auto_mkdir`: make missing folders of files that are written
    (default). `use_listings_cache` with `listings_expiry_time` and `max_paths`: keep listings (default: no). Others
    are fields of `cairnfs.config.ClientConfig`, such as `readahead_bytes` or `near`.

    Raises:
        SettingError: an unknown option. BadRequestError: a wrong address. Calls raise Python's own kinds of errors:
        FileNotFoundError, FileExistsError, IsADirectoryError, ConnectionError, TimeoutError and so on.
    """

    # ------------------------------------------------------------------ reading

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        client = await self.client()
        if not start and end is None:
            return await client.read_bytes(path_of(path))
        return await _read_range(await client.open(path_of(path), "rb"), start, end)

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return the bytes of each range; an error in its place with `on_error="return"`.

        Raises:
            The first error, with on_error="raise". NotImplementedError: `max_gap` is given.
        """
        ranges = _ranges(paths, starts, ends, max_gap)
        unique = list(dict.fromkeys(path for path, _, _ in ranges))
        opened = dict(zip(unique, await self._opened(unique, on_error=on_error), strict=True))
        jobs = [partial(_settled, opened[path], start, end) for path, start, end in ranges]
        results = await side_by_side(jobs, width=batch_size or self.batch_size or _RANGES_AT_ONCE)
        if on_error != "return":
            for result in results:
                if isinstance(result, Exception):
                    raise result
        return results

    async def _opened(self, paths: list[str], *, on_error: str) -> list[File | Exception]:
        client = await self.client()

        async def open_one(path: str) -> File | Exception:
            try:
                return await client.open(path, "rb")
            except (CairnError, OSError) as error:
                if on_error != "return":
                    raise
                return error

        return await side_by_side([partial(open_one, path) for path in paths], width=_RANGES_AT_ONCE)

    async def read_pinned(self, pinned: Pinned, path: str, start: int, end: int) -> bytes:
        """Return bytes of a file that was opened, wherever it is now; `end` lies within what was its length.

        Raises: as `read_pinned_into`.
        """

        async def fill(view: memoryview) -> int:
            await self.read_pinned_into(pinned, path, start, view)
            return len(view)

        return await filled(end - start, fill)

    async def read_pinned_into(self, pinned: Pinned, path: str, start: int, view: memoryview) -> None:
        """Fill `view` with bytes of a file that was opened, wherever it is now.

        Raises:
            NotFoundError: it is gone for good. OSError (ESTALE): it was cut short or written anew meanwhile.
        """
        file = (await self.client()).file_of(pinned.inode, path, "rb")
        view = view.cast("B")
        if await file.preadinto(view, start) < len(view):
            raise OSError(errno.ESTALE, "the file was cut short while it was open; open it again", path)
        if await file.first_chunk(pinned.size) != pinned.first_chunk:
            raise OSError(errno.ESTALE, "the file was written anew while it was open; open it again", path)

    # ------------------------------------------------------------------ writing

    async def _pipe_file(self, path: str, value: Buffer, mode: str = "overwrite", **_: Any) -> None:
        upload = await self._upload(path, mode)
        try:
            if memoryview(value).nbytes:
                await upload.write(value)
            await upload.finish()
        except BaseException:
            await upload.discard()
            raise
        await self._name(upload, path)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Progress = DEFAULT_CALLBACK,
        **_: Any,
    ) -> None:
        if await on_thread(partial(os.path.isdir, lpath)):
            await self._makedirs(rpath, exist_ok=True)
            return
        with await opened(lpath, "rb") as source:
            upload = await self._upload(rpath, mode)
            try:
                await send(source, upload, callback)
                await upload.finish()
            except BaseException:
                await upload.discard()
                raise
        await self._name(upload, rpath)

    async def _upload(self, path: str, mode: str) -> Upload:
        if mode not in ("overwrite", "create"):
            raise BadRequestError(what=f"mode {mode!r} of a whole file: expected 'overwrite' or 'create'")
        client = await self.client()
        return await Upload.begin(client, path_of(path), exclusive=mode == "create", parents=self.auto_mkdir)

    async def _name(self, upload: Upload, path: str) -> None:
        """Commit a finished upload, or leave that to the transaction that runs."""
        if self._intrans:
            self.transaction.files.append(_Deferred(self, upload, path))
            return
        await upload.commit()
        self.changed(path)

    # ------------------------------------------------------------------ copying

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source = path_of(path1)
        if (await self._info(source))["type"] == "directory":
            await self._makedirs(path2, exist_ok=True)
            return
        upload = await self._upload(path2, "overwrite")
        try:
            await upload.copy_of(source)
        except BaseException:
            await upload.discard()
            raise
        await upload.commit()
        self.changed(path2)

    async def _copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        on_error: str | None = None,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        if await is_literal(self, path1):
            is_into = path2.endswith("/") or await self._isdir(path2)
            copies = await literal_copies(self, path1, path2, recursive=recursive, maxdepth=maxdepth, is_into=is_into)
            path1, path2 = copies.sources, copies.targets
        await super()._copy(path1, path2, recursive=recursive, on_error=on_error, maxdepth=maxdepth, **kwargs)

    async def _get(
        self, rpath: Any, lpath: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> None:
        if await is_literal(self, rpath):
            target = os.fspath(lpath)
            is_into = target.endswith("/") or await on_thread(partial(os.path.isdir, target))
            copies = await literal_copies(self, rpath, target, recursive=recursive, maxdepth=maxdepth, is_into=is_into)
            rpath, lpath = copies.sources, copies.targets
        await super()._get(rpath, lpath, recursive=recursive, maxdepth=maxdepth, **kwargs)

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Progress = DEFAULT_CALLBACK, outfile: Any = None, **_: Any
    ) -> None:
        path = path_of(rpath)
        try:
            source = await (await self.client()).open(path, "rb")
        except IsFolderError:
            if not isfilelike(lpath):
                os.makedirs(lpath, exist_ok=True)
            return
        async with source:
            target = lpath if isfilelike(lpath) else outfile
            if target is not None:
                await stream(source, target, callback)
            else:
                await fetch(source, os.fspath(lpath), callback)

    # ------------------------------------------------------------------ open files

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        """Return an open file; also one of text is dropped if its `with` block ends by an error."""
        if "b" in mode:
            return super().open(path, mode, **kwargs)
        text = {name: kwargs.pop(name) for name in ("encoding", "errors", "newline") if name in kwargs}
        return CairnTextFile(super().open(path, mode.replace("t", "") + "b", **kwargs), **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | str | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> CairnFile:
        return CairnFile(
            self, path, mode, block_size=block_size, autocommit=autocommit, cache_options=cache_options, **kwargs
        )

    async def open_async(self, path: str, mode: str = "rb", **kwargs: Any) -> CairnStreamedFile:
        """Return a file of bytes whose `read`, `write` and `close` are awaited."""
        if "b" not in mode or kwargs.get("compression"):
            raise ValueError(f"open_async gives plain bytes; asked for mode={mode!r} {kwargs}")
        path = path_of(path)
        if check_mode(mode) != "rb":
            sink, position = await self.begun(path, mode, deferred=False)
            file = CairnStreamedFile(self, path, mode, sink, **kwargs)
            file.loc = position
            return file
        source = await (await self.client()).open(path, "rb")
        return CairnStreamedFile(self, path, mode, source, size=await source.size(), **kwargs)

    async def pinned(self, path: str) -> Pinned:
        """Return what a reader of `path` keeps to.

        Raises:
            NotFoundError, IsFolderError: there is no file to be read.
        """
        file = await (await self.client()).open(path, "rb")
        # In this order: a file that is written anew between the two is met with another first chunk later.
        first_chunk = await file.first_chunk()
        return Pinned(inode=file.inode, first_chunk=first_chunk, size=await file.size())

    async def begun(self, path: str, mode: str, *, deferred: bool) -> tuple[Sink, int]:
        """Open a file for writing; return where the bytes go, and the position at which they begin."""
        sink = await begin(await self.client(), path, mode, deferred=deferred, parents=self.auto_mkdir)
        position = (await self._info(path))["size"] if mode == "ab" and await self._exists(path) else 0
        return sink, position


@dataclass(eq=False)
class _Deferred:
    """A whole file that waits for its transaction; as `CairnFile` for what was written with `open`."""

    fs: CairnFileSystem
    upload: Upload
    path: str

    def commit(self) -> None:
        sync(self.fs.loop, self.upload.commit)
        self.fs.changed(self.path)

    def discard(self) -> None:
        sync(self.fs.loop, self.upload.discard)


def _ranges(paths: Any, starts: Any, ends: Any, max_gap: int | None) -> list[tuple[str, int | None, int | None]]:
    if max_gap is not None:
        raise NotImplementedError("max_gap: ranges are fetched side by side, not joined")
    if not isinstance(paths, list):
        raise TypeError(f"paths of cat_ranges: expected a list, got {type(paths).__name__}")
    starts = starts if isinstance(starts, Iterable) else [starts] * len(paths)
    ends = ends if isinstance(ends, Iterable) else [ends] * len(paths)
    return [(path_of(path), start, end) for path, start, end in zip(paths, starts, ends, strict=True)]


async def _settled(file: File | Exception, start: int | None, end: int | None) -> bytes | Exception:
    if isinstance(file, Exception):
        return file
    try:
        return await _read_range(file, start, end)
    except (CairnError, OSError) as error:
        return error


async def _read_range(file: File, start: int | None, end: int | None) -> bytes:
    """Return what data[start:end] would be of the whole file."""
    first = start or 0
    if first < 0 or end is None or end < 0 or end - first > _TRUSTED_BYTES:
        first, end, _ = slice(start, end).indices(await file.size())
    size = max(0, end - first)
    if BLOCK_BYTES <= size <= _TRUSTED_BYTES and (first % BLOCK_BYTES or size % BLOCK_BYTES):
        return await _read_blocks(file, first, size)
    return await file.pread(size, first)


async def _read_blocks(file: File, first: int, size: int) -> bytes:
    """Read the whole blocks around a range: they are verified where they arrive, in memory that is used again."""
    skip = first % BLOCK_BYTES
    span = skip + size + -(skip + size) % BLOCK_BYTES
    buffer = _scratch.pop() if _scratch else bytearray(_TRUSTED_BYTES + 2 * BLOCK_BYTES)
    with memoryview(buffer)[:span] as view:
        got = await file.preadinto(view, first - skip)
        data = bytes(view[skip : max(skip, min(got, skip + size))])
    if len(_scratch) < _RANGES_AT_ONCE:  # not after an error: something may still arrive in it
        _scratch.append(buffer)
    return data
