"""The client without await: every method of `filesystem.Client`, one hop to the loop's thread each.

    fs = cairnfs.connect("cairn://127.0.0.1:7400")
    fs.write_bytes("/hello", b"hi")
    with fs.open("/hello") as file:
        print(file.read())

Many threads may use one client. It survives a fork (the child connects anew at its next call) and can be pickled: the
other process connects to the same cluster.
"""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Any, Literal, overload

from cairnfs.checksum import Buffer
from cairnfs.client.blocking_files import AnyFile, RawFile, TextSettings, wrap
from cairnfs.client.blocking_hops import Hops
from cairnfs.client.blocking_names import BlockingNames
from cairnfs.client.blocking_records import BlockingRecordWriter
from cairnfs.client.codecs import Codec
from cairnfs.client.modes import parse_mode
from cairnfs.client.record_writer import RecordWriter
from cairnfs.client.records import Record, RecordOptions
from cairnfs.client.stats import Usage
from cairnfs.client.transfer import finished
from cairnfs.client.transfer_plan import Direction, Order, Sources, Transferred
from cairnfs.limits import RECORDS_PENDING_BYTES
from cairnfs.observe.progress import Tell, shown
from cairnfs.paths import AnyPath


class Client(BlockingNames):
    """A blocking client of one cluster."""

    def __repr__(self) -> str:
        return f"<cairnfs.{type(self).__name__} of {self._state()}>"

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _plain(self) -> type[Hops]:
        return Client

    # ------------------------------------------------------------------ open files

    @overload
    def open(
        self, path: AnyPath, mode: Literal["r", "w", "a", "x", "r+", "w+", "a+", "x+", "rt", "wt", "at"] = "r",
        buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644, timeout: float | None = None,
    ) -> IO[str]: ...  # fmt: skip

    @overload
    def open(
        self, path: AnyPath, mode: Literal["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b", "rb+", "wb+", "ab+"],
        buffering: int = -1, encoding: None = None, errors: None = None, newline: None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644, timeout: float | None = None,
    ) -> IO[bytes]: ...  # fmt: skip

    @overload
    def open(
        self, path: AnyPath, mode: str,
        buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644, timeout: float | None = None,
    ) -> IO[Any]: ...  # fmt: skip

    def open(  # noqa: PLR0913 - as Python's open
        self,
        path: AnyPath,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        parents: bool = False,
        replicas: int | None = None,
        permissions: int = 0o644,
        timeout: float | None = None,
    ) -> Any:
        """Open a file as Python's `open` does; text is UTF-8 unless told otherwise.

        `flush` returns when every replica has acked, `close` when all survives the loss of power; `file.buffer.sync()`
        (or `file.sync()` of a binary one) does so without closing. Contract 5.
        """
        parsed = parse_mode(mode)
        if buffering == 0 and parsed.is_text:
            raise ValueError("can't have unbuffered text I/O")
        file = self._run(
            lambda fs: fs.open(path, parsed.binary, permissions=permissions, parents=parents, replicas=replicas),
            timeout=timeout,
        )
        opened: AnyFile = wrap(
            RawFile(self, file, parsed), parsed, buffering=buffering, text=TextSettings(encoding, errors, newline)
        )
        if parsed.appends:
            opened.seek(0, 2)
        return opened

    # ------------------------------------------------------------------ whole files and bytes

    def read_bytes(self, path: AnyPath, *, timeout: float | None = None) -> bytes:
        """Return all bytes of a file, as long as it was at one moment after the call."""
        return self._run(lambda fs: fs.read_bytes(path), timeout=timeout)

    def write_bytes(self, path: AnyPath, data: Buffer, *, parents: bool = False, timeout: float | None = None) -> int:
        """Make or replace the bytes of a file, safe against the loss of power when this returns."""
        return self._run(lambda fs: fs.write_bytes(path, data, parents=parents), timeout=timeout)

    def read_text(
        self, path: AnyPath, encoding: str = "utf-8", errors: str = "strict", *, timeout: float | None = None
    ) -> str:
        return self._run(lambda fs: fs.read_text(path, encoding, errors), timeout=timeout)

    def write_text(
        self, path: AnyPath, text: str, encoding: str = "utf-8", errors: str = "strict", *, timeout: float | None = None
    ) -> int:
        return self._run(lambda fs: fs.write_text(path, text, encoding, errors), timeout=timeout)

    def cat(
        self, path: AnyPath, start: int = 0, end: int | None = None, *, timeout: float | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes of a file, to its end or `end`, without what appends left at chunk ends (rule 17)."""
        return self._iterate(lambda fs: fs.cat(path, start, end), batch=1, timeout=timeout)

    def truncate(self, path: AnyPath, length: int, *, timeout: float | None = None) -> None:
        """Set the length of a file."""
        self._run(lambda fs: fs.truncate(path, length), timeout=timeout)

    def touch(self, path: AnyPath, *, exist_ok: bool = True, timeout: float | None = None) -> None:
        """Make an empty file, or set the time of its last change."""
        self._run(lambda fs: fs.touch(path, exist_ok=exist_ok), timeout=timeout)

    def copy(self, source: AnyPath, target: AnyPath, *, timeout: float | None = None) -> int:
        """Copy the bytes of a file to a new place; return how many. `snapshot` shares them instead."""
        return self._run(lambda fs: fs.copy(source, target), timeout=timeout)

    def append(self, path: AnyPath, data: Buffer, *, create: bool = True, timeout: float | None = None) -> int:
        """Append one record atomically, at least once; return its offset. Durable when this returns. Contract 2."""
        return self._run(lambda fs: fs.append(path, data, create=create), timeout=timeout)

    def append_writer(
        self,
        path: AnyPath,
        codec: Codec | str | None = None,
        *,
        pending_bytes_max: int = RECORDS_PENDING_BYTES,
        timeout: float | None = None,
    ) -> BlockingRecordWriter:
        """Return a writer of self-checking records, with a codec for values that are no bytes. Close it, or flush.

        `timeout`: of this call and of each call of the writer.
        """
        inner = self._run(
            lambda fs: fs.append_writer(path, codec, pending_bytes_max=pending_bytes_max), timeout=timeout
        )
        return BlockingRecordWriter(self, inner, codec, pending_bytes_max=pending_bytes_max)

    async def reopened_writer(
        self, writer: RecordWriter, codec: Codec | str | None, *, pending_bytes_max: int
    ) -> RecordWriter:
        """Return a new writer to the same file for this life: for one that was forked. Called on the loop."""
        client = self._limited(writer.limit_s)
        await client.connect()
        return client.record_writer_of(writer.inode, writer.path, codec, pending_bytes_max=pending_bytes_max)

    def records(  # noqa: PLR0913 - as the asynchronous one
        self,
        path: AnyPath,
        from_offset: int = 0,
        *,
        from_position: str | None = None,
        follow: bool = False,
        codec: Codec | str | None = None,
        skip_undecodable: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Record]:
        """Yield the records of a file, each once, and with `follow` those to come; see `filesystem.Client.records`."""
        options = RecordOptions(from_offset, from_position, follow, codec, skip_undecodable)
        for batch in self._iterate(lambda fs: fs.record_batches(path, options), batch=1, timeout=timeout):
            yield from batch

    def du(self, path: AnyPath = "/", *, timeout: float | None = None) -> Usage:
        """Add up what is below `path`."""
        return self._run(lambda fs: fs.du(path), timeout=timeout)

    # ------------------------------------------------------------------ trees of files

    def upload(
        self,
        source: Sources,
        target: AnyPath,
        *,
        recursive: bool = False,
        progress: bool | Tell = False,
        timeout: float | None = None,
    ) -> Transferred:
        """Copy files of this machine into the cluster; return what was copied.

        `source`: a path or several. A target that is a folder, or ends with `/`, gets them inside. `recursive`: folders
        too, with all that is in them. `progress`: True for a bar, or a callable of (done_bytes, total_bytes).
        `timeout`: longest time without progress. Each file is seen whole or not at all.

        Raises:
            FileNotFoundError: no such source; nothing was made. IsADirectoryError: a folder, and not `recursive`.
        """
        return self._transfer("upload", Order(source, target, recursive), progress, timeout)

    def download(
        self,
        source: Sources,
        target: AnyPath,
        *,
        recursive: bool = False,
        progress: bool | Tell = False,
        timeout: float | None = None,
    ) -> Transferred:
        """Copy files of the cluster to this machine, as `upload` does the other way."""
        return self._transfer("download", Order(source, target, recursive), progress, timeout)

    def copytree(
        self,
        source: Sources,
        target: AnyPath,
        *,
        recursive: bool = True,
        progress: bool | Tell = False,
        timeout: float | None = None,
    ) -> Transferred:
        """Copy folders (and files) inside the cluster, byte by byte. `snapshot` shares the bytes instead."""
        return self._transfer("copytree", Order(source, target, recursive), progress, timeout)

    def _transfer(
        self, direction: Direction, order: Order, progress: bool | Tell, timeout: float | None
    ) -> Transferred:
        """Copy on the loop, and tell the progress here: a callable may use this client, and does not stop the loop."""
        with shown(progress, direction) as tell:
            taken = self._iterate(lambda fs: fs.transfer(direction, order), batch=1, timeout=timeout)
            with contextlib.closing(taken):
                for step in taken:
                    tell(step.done_bytes, step.total_bytes)
        return finished(step)
