"""The client without await: every method of `filesystem.Client`, one hop to the loop's thread each.

    fs = cairnfs.connect("cairn://127.0.0.1:7400")
    fs.write_bytes("/hello", b"hi")
    with fs.open("/hello") as file:
        print(file.read())

Many threads may use one client. It survives a fork (the child connects anew at its next call) and can be pickled: the
other process connects to the same cluster.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import IO, Any, Literal, TypeVar, overload

from cairnfs.checksum import Buffer
from cairnfs.client.blocking import PROCESS, Ground
from cairnfs.client.blocking_files import AnyFile, RawFile, TextSettings, wrap
from cairnfs.client.blocking_records import BlockingRecordWriter
from cairnfs.client.codecs import Codec
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client as AsyncClient
from cairnfs.client.modes import parse_mode
from cairnfs.client.record_writer import RecordWriter
from cairnfs.client.records import Record, RecordOptions
from cairnfs.client.stats import DirEntry, Space, Stat, Trashed, Usage
from cairnfs.config import ClientConfig
from cairnfs.ids import NO_SERVER
from cairnfs.limits import RECORDS_PENDING_BYTES
from cairnfs.paths import AnyPath
from cairnfs.wire.operating import HeldDeletions
from cairnfs.wire.status import ChunkStatus, ClusterInfo, ClusterStatus, ReplicaInfo

T = TypeVar("T")

_BATCH = 256
"""Items of an iteration fetched in one hop."""


class Client:
    """A blocking client of one cluster."""

    def __init__(self, config: ClientConfig | None = None, ground: Ground = PROCESS) -> None:
        self.config = config or ClientConfig()
        self.ground = ground
        self._inner: AsyncClient | None = None
        self._life = 0

    def __repr__(self) -> str:
        return f"<cairnfs.Client of {', '.join(self.config.master)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.ground is not PROCESS:
            raise TypeError(f"cannot pickle {self!r}: no other process can reach its cluster")
        return Client, (self.config,)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ hops

    def _present(self) -> AsyncClient:
        """Return the asynchronous client of this life. Called on the loop."""
        if self._inner is None or self._life != self.ground.life():
            self._inner, self._life = self.ground.make_client(self.config), self.ground.life()
        return self._inner

    def _run(self, call: Callable[[AsyncClient], Coroutine[Any, Any, T]]) -> T:
        async def job() -> T:
            return await call(self._present())

        return self.ground.run(job())

    def _iterate(self, call: Callable[[AsyncClient], AsyncIterator[T]], batch: int = _BATCH) -> Iterator[T]:
        async def begin() -> AsyncIterator[T]:
            return call(self._present())

        async def more(items: AsyncIterator[T]) -> list[T]:
            found: list[T] = []
            async for item in items:
                found.append(item)
                if len(found) >= batch:
                    break
            return found

        items = self.ground.run(begin())
        while found := self.ground.run(more(items)):  # ends with the iteration
            yield from found

    def reopened(self, file: File, mode: str) -> File:
        """Return the same file for this life: for one that was forked."""

        async def job() -> File:
            client = self._present()
            await client.connect()
            return client.file_of(file.inode, file.name, mode.replace("w", "r+").replace("x", "r+").replace("++", "+"))

        return self.ground.run(job())

    async def reopened_writer(
        self, writer: RecordWriter, codec: Codec | str | None, *, pending_bytes_max: int
    ) -> RecordWriter:
        """Return a new writer to the same file for this life. Called on the loop."""
        client = self._present()
        await client.connect()
        return client.record_writer_of(writer.inode, writer.path, codec, pending_bytes_max=pending_bytes_max)

    def connect(self) -> None:
        """Reach the master now. Raises ConnectError, whose text says how to start a cluster."""
        self._run(lambda fs: fs.connect())

    def close(self) -> None:
        """End all connections; the next call makes new ones. Close files first."""
        inner, self._inner = self._inner, None
        if inner is not None and self._life == self.ground.life():
            self.ground.run(inner.close())

    # ------------------------------------------------------------------ open files

    @overload
    def open(
        self, path: AnyPath, mode: Literal["r", "w", "a", "x", "r+", "w+", "a+", "x+", "rt", "wt", "at"] = "r",
        buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644,
    ) -> IO[str]: ...  # fmt: skip

    @overload
    def open(
        self, path: AnyPath, mode: Literal["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b", "rb+", "wb+", "ab+"],
        buffering: int = -1, encoding: None = None, errors: None = None, newline: None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644,
    ) -> IO[bytes]: ...  # fmt: skip

    @overload
    def open(
        self, path: AnyPath, mode: str,
        buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None,
        *, parents: bool = False, replicas: int | None = None, permissions: int = 0o644,
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
    ) -> Any:
        """Open a file as Python's `open` does; text is UTF-8 unless told otherwise.

        `flush` returns when every replica has acked, `close` when all survives the loss of power; `file.buffer.sync()`
        (or `file.sync()` of a binary one) does so without closing. Contract 5.
        """
        parsed = parse_mode(mode)
        if buffering == 0 and parsed.is_text:
            raise ValueError("can't have unbuffered text I/O")
        file = self._run(
            lambda fs: fs.open(path, parsed.binary, permissions=permissions, parents=parents, replicas=replicas)
        )
        opened: AnyFile = wrap(
            RawFile(self, file, parsed), parsed, buffering=buffering, text=TextSettings(encoding, errors, newline)
        )
        if parsed.appends:
            opened.seek(0, 2)
        return opened

    # ------------------------------------------------------------------ whole files and bytes

    def read_bytes(self, path: AnyPath) -> bytes:
        """Return all bytes of a file, as long as it was at one moment after the call."""
        return self._run(lambda fs: fs.read_bytes(path))

    def write_bytes(self, path: AnyPath, data: Buffer, *, parents: bool = False) -> int:
        """Make or replace the bytes of a file, safe against the loss of power when this returns."""
        return self._run(lambda fs: fs.write_bytes(path, data, parents=parents))

    def read_text(self, path: AnyPath, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._run(lambda fs: fs.read_text(path, encoding, errors))

    def write_text(self, path: AnyPath, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        return self._run(lambda fs: fs.write_text(path, text, encoding, errors))

    def cat(self, path: AnyPath, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a file, to its end or `end`, without what appends left at chunk ends (rule 17)."""
        return self._iterate(lambda fs: fs.cat(path, start, end), batch=1)

    def truncate(self, path: AnyPath, length: int) -> None:
        """Set the length of a file."""
        self._run(lambda fs: fs.truncate(path, length))

    def touch(self, path: AnyPath, *, exist_ok: bool = True) -> None:
        """Make an empty file, or set the time of its last change."""
        self._run(lambda fs: fs.touch(path, exist_ok=exist_ok))

    def copy(self, source: AnyPath, target: AnyPath) -> int:
        """Copy the bytes of a file to a new place; return how many. `snapshot` shares them instead."""
        return self._run(lambda fs: fs.copy(source, target))

    def append(self, path: AnyPath, data: Buffer, *, create: bool = True) -> int:
        """Append one record atomically, at least once; return its offset. Durable when this returns. Contract 2."""
        return self._run(lambda fs: fs.append(path, data, create=create))

    def append_writer(
        self, path: AnyPath, codec: Codec | str | None = None, *, pending_bytes_max: int = RECORDS_PENDING_BYTES
    ) -> BlockingRecordWriter:
        """Return a writer of self-checking records, with a codec for values that are no bytes. Close it, or flush."""
        inner = self._run(lambda fs: fs.append_writer(path, codec, pending_bytes_max=pending_bytes_max))
        return BlockingRecordWriter(self, inner, codec, pending_bytes_max=pending_bytes_max)

    def records(
        self,
        path: AnyPath,
        from_offset: int = 0,
        *,
        from_position: str | None = None,
        follow: bool = False,
        codec: Codec | str | None = None,
        skip_undecodable: bool = False,
    ) -> Iterator[Record]:
        """Yield the records of a file, each once, and with `follow` those to come; see `filesystem.Client.records`."""
        options = RecordOptions(from_offset, from_position, follow, codec, skip_undecodable)
        for batch in self._iterate(lambda fs: fs.record_batches(path, options), batch=1):
            yield from batch

    def du(self, path: AnyPath = "/") -> Usage:
        """Add up what is below `path`."""
        return self._run(lambda fs: fs.du(path))

    # ------------------------------------------------------------------ asking

    def stat(self, path: AnyPath, *, follow: bool = True) -> Stat:
        """Return what is at `path`. The length of a file that is being written comes from its primary (rule 18)."""
        return self._run(lambda fs: fs.stat(path, follow=follow))

    def lstat(self, path: AnyPath) -> Stat:
        """Return what is at `path`, a symlink itself."""
        return self._run(lambda fs: fs.lstat(path))

    def exists(self, path: AnyPath) -> bool:
        return self._run(lambda fs: fs.exists(path))

    def isfile(self, path: AnyPath) -> bool:
        return self._run(lambda fs: fs.isfile(path))

    def isdir(self, path: AnyPath) -> bool:
        return self._run(lambda fs: fs.isdir(path))

    def islink(self, path: AnyPath) -> bool:
        return self._run(lambda fs: fs.islink(path))

    def scandir(self, path: AnyPath = "/") -> Iterator[DirEntry]:
        """Yield the entries of a folder in byte order of their names, asked for page by page."""
        return self._iterate(lambda fs: fs.scandir(path))

    def listdir(self, path: AnyPath = "/") -> list[str]:
        return self._run(lambda fs: fs.listdir(path))

    def walk(self, top: AnyPath = "/") -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield (folder, folders in it, files in it) from `top` down, as `os.walk` does; symlinks are not followed."""
        return self._iterate(lambda fs: fs.walk(top), batch=1)

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that fit: * ? [a-z] within a name, ** for any number of folders; sorted."""
        return self._run(lambda fs: fs.glob(pattern))

    def readlink(self, path: AnyPath) -> str:
        """Return the text of a symlink."""
        return self._run(lambda fs: fs.readlink(path))

    # ------------------------------------------------------------------ changing names

    def mkdir(self, path: AnyPath, mode: int = 493, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder; `parents` and `exist_ok` as pathlib has them."""
        self._run(lambda fs: fs.mkdir(path, mode, parents=parents, exist_ok=exist_ok))

    def makedirs(self, path: AnyPath, mode: int = 493, *, exist_ok: bool = False) -> None:
        """Make a folder and its missing parents."""
        self._run(lambda fs: fs.makedirs(path, mode, exist_ok=exist_ok))

    def rename(self, old: AnyPath, new: AnyPath) -> None:
        """Move; fails if `new` exists."""
        self._run(lambda fs: fs.rename(old, new))

    def replace(self, old: AnyPath, new: AnyPath) -> None:
        """Move and replace `new` atomically, by the rules of POSIX; what was there goes to the trash."""
        self._run(lambda fs: fs.replace(old, new))

    def remove(self, path: AnyPath, *, now: bool = False) -> None:
        """Delete a file or symlink: to the trash, or at once with `now`. Rule 21."""
        self._run(lambda fs: fs.remove(path, now=now))

    def unlink(self, path: AnyPath, *, missing_ok: bool = False) -> None:
        """Delete like `remove`; with `missing_ok` a path that names nothing is no error."""
        self._run(lambda fs: fs.unlink(path, missing_ok=missing_ok))

    def rmdir(self, path: AnyPath) -> None:
        """Delete an empty folder."""
        self._run(lambda fs: fs.rmdir(path))

    def rmtree(self, path: AnyPath, *, now: bool = False, ignore_errors: bool = False) -> None:
        """Delete a folder with all below it, in one step: to the trash, or at once with `now`."""
        self._run(lambda fs: fs.rmtree(path, now=now, ignore_errors=ignore_errors))

    def trash(self) -> Iterator[Trashed]:
        """Yield what can be undeleted, oldest first."""
        return self._iterate(lambda fs: fs.trash())

    def undelete(self, path: AnyPath, *, to: AnyPath | None = None, inode: int = 0) -> Stat:
        """Put the newest deleted thing of that path back, to `to` or its old place. GFS paper, section 4.4."""
        return self._run(lambda fs: fs.undelete(path, to=to, inode=inode))

    def purge(self, path: AnyPath) -> None:
        """Remove from the trash for good what was deleted at or below `path`."""
        self._run(lambda fs: fs.purge(path))

    def symlink(self, target: AnyPath, path: AnyPath) -> None:
        """Make a symlink at `path` that says `target`, as `os.symlink` does."""
        self._run(lambda fs: fs.symlink(target, path))

    def set_replicas(self, path: AnyPath, replicas: int, *, recursive: bool = False) -> None:
        """Set how many copies a file shall have, or a folder's files made later (and all below: `recursive`)."""
        self._run(lambda fs: fs.set_replicas(path, replicas, recursive=recursive))

    def set_attributes(
        self,
        path: AnyPath,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        mtime_ns: int | None = None,
        xattrs: dict[str, bytes] | None = None,
    ) -> Stat:
        """Change what is not None; an xattr with value b"" is removed."""
        return self._run(
            lambda fs: fs.set_attributes(path, mode=mode, uid=uid, gid=gid, mtime_ns=mtime_ns, xattrs=xattrs)
        )

    def chmod(self, path: AnyPath, mode: int) -> None:
        self._run(lambda fs: fs.chmod(path, mode))

    def chown(self, path: AnyPath, uid: int, gid: int) -> None:
        """Change the owner; -1 leaves one as it is, as `os.chown` has it."""
        self._run(lambda fs: fs.chown(path, uid, gid))

    def utime(self, path: AnyPath, mtime_ns: int | None = None) -> None:
        """Set the time of the last change; None: now."""
        self._run(lambda fs: fs.utime(path, mtime_ns))

    def snapshot(self, source: AnyPath, target: AnyPath) -> Stat:
        """Copy a file or folder at once; chunks are shared until one side changes. GFS paper, section 3.4."""
        return self._run(lambda fs: fs.snapshot(source, target))

    # ------------------------------------------------------------------ the cluster

    def info(self) -> ClusterInfo:
        """Return what the cluster is like: id, epoch, chunk and block size, durability."""
        return self._run(lambda fs: fs.info())

    def status(self) -> ClusterStatus:
        """Return how the cluster is: servers, chunks at risk, repairs."""
        return self._run(lambda fs: fs.status())

    def deletions(self) -> list[HeldDeletions]:
        """Return which deletions the brake of rule 22 holds, by server."""
        return self._run(lambda fs: fs.deletions())

    def release_deletions(self, server: int = NO_SERVER) -> int:
        """Let go the deletions held on one server, or on all; return how many."""
        return self._run(lambda fs: fs.release_deletions(server))

    def free(self) -> Space:
        """Add up the disks that are in use."""
        return self._run(lambda fs: fs.free())

    def chunk_table(self, path: AnyPath) -> list[ChunkStatus]:
        """Return everything the master knows about the chunks of a file."""
        return self._run(lambda fs: fs.chunk_table(path))

    def replica_info(self, address: str, handle: int) -> ReplicaInfo:
        """Ask a chunkserver what it holds of a chunk."""
        return self._run(lambda fs: fs.replica_info(address, handle))

    def server_counters(self, address: str) -> dict[str, int]:
        """Return the plain counters of any server."""
        return self._run(lambda fs: fs.server_counters(address))

    def counters(self) -> dict[str, int]:
        """Return what this client did so far in this process."""
        return self._inner.counters() if self._inner is not None and self._life == self.ground.life() else {}
