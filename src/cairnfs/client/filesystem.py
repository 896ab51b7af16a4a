"""The client of a cluster: names, files, records and pictures of the cluster, with await. GFS paper, section 2.3.

    client = await cairnfs.aio.connect("cairn://127.0.0.1:7400")
    await client.write_bytes("/hello", b"hi")
    async with await client.open("/hello", "rb") as file:
        print(await file.read())

Every call ends: metadata after `meta_timeout_s`, data after `data_timeout_s` without progress. Nothing is cached but
chunk places; a path is looked up anew by each call.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType

from cairnfs.checksum import Buffer
from cairnfs.client.admin import Admin
from cairnfs.client.codecs import Codec, find_codec
from cairnfs.client.core import Core
from cairnfs.client.deadlines import each_within, timed
from cairnfs.client.file import File
from cairnfs.client.filling import filled
from cairnfs.client.modes import Mode, parse_mode
from cairnfs.client.record_writer import RecordWriter
from cairnfs.client.records import Record, RecordOptions, RecordReader
from cairnfs.client.stats import Usage
from cairnfs.client.textfile import TextFile
from cairnfs.client.transfer import finished, steps, way_of
from cairnfs.client.transfer_plan import Direction, Order, Sources, Step, Transferred
from cairnfs.config import ClientConfig
from cairnfs.env import Env
from cairnfs.errors import IsFolderError
from cairnfs.ids import InodeId
from cairnfs.limits import PIECE_BYTES, RECORDS_PENDING_BYTES
from cairnfs.observe.progress import Tell, shown
from cairnfs.paths import AnyPath, join, parse_path, show
from cairnfs.wire.common import ChunkPlace, Kind
from cairnfs.wire.namespace import Created, CreateFile, IfExists, Status

_COPY_STEP = 8 * PIECE_BYTES


@timed
class Client(Admin):
    """One client of one cluster. Many tasks may use it at once; an open file belongs to one."""

    def __init__(self, env: Env, config: ClientConfig | None = None, *, uid: int = 0, gid: int = 0) -> None:
        self.config = config or ClientConfig()
        super().__init__(Core(env, self.config), uid=uid, gid=gid)

    def __repr__(self) -> str:
        limit = "" if self.limit_s is None else f" ({self.limit_s:g} s a call)"
        return f"<cairnfs.aio.{type(self).__name__} of {', '.join(self.config.master)}{limit}>"

    async def __aenter__(self) -> "Client":
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Reach the master now rather than with the first call.

        Raises:
            ConnectError: nobody answers; the text says how to start a cluster.
        """
        await self._core.connection.ready()

    async def close(self) -> None:
        """End all connections. Files that are still open lose what they have not synced: close them first."""
        await self._core.connection.close()

    # ------------------------------------------------------------------ open files

    async def open(
        self,
        path: AnyPath,
        mode: str = "rb",
        *,
        permissions: int = 0o644,
        parents: bool = False,
        replicas: int | None = None,
    ) -> File:
        """Open a file of bytes: r w x a, each with + as wanted. `open_text` gives one of str.

        `parents`: make missing folders. `replicas`: copies of a file that is made now; None: as its folder says.

        Raises:
            FileNotFoundError, FileExistsError, IsADirectoryError: as Python's open. ValueError: no such mode.
        """
        parsed = parse_mode(mode)
        if not parsed.creates:
            status = await self._file_status(path)
            return self._file(path, parsed, status.attributes.inode)
        created = await self._create(
            path, parsed, permissions=permissions, parents=parents, replicas=replicas, with_chunk=not parsed.appends
        )
        if parsed.truncates and not created.created:
            await self._core.truncator.truncate(created.attributes.inode, 0)
        return self._file(path, parsed, created.attributes.inode, first=created.first)

    async def open_text(
        self,
        path: AnyPath,
        mode: str = "r",
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        newline: str | None = None,
    ) -> TextFile:
        """Open a file of str; `newline` as Python's open has it."""
        return TextFile(await self.open(path, mode.replace("t", "")), encoding=encoding, errors=errors, newline=newline)

    def _file(self, path: AnyPath, mode: Mode, inode: InodeId, *, first: ChunkPlace | None = None) -> File:
        file = File(self._core, path=show(parse_path(path)), inode=inode, mode=mode, first=first)
        file.limit_s = self.limit_s
        return file

    def file_of(self, inode: int, path: str, mode: str) -> File:
        """Open a file by its inode, without asking anybody: for a process that was forked."""
        return self._file(path, parse_mode(mode), InodeId(inode))

    async def _file_status(self, path: AnyPath) -> Status:
        status = await self._status(path)
        if status.attributes.kind is Kind.FOLDER:
            raise IsFolderError(path=show(parse_path(path)))
        return status

    async def _create(
        self,
        path: AnyPath,
        mode: Mode,
        *,
        permissions: int = 0o644,
        parents: bool = False,
        replicas: int | None = None,
        with_chunk: bool,
    ) -> Created:
        await self._core.connection.ready()
        with self._once() as once:
            created = await self._ask(
                CreateFile(
                    path=parse_path(path),
                    mode=permissions,
                    uid=self._uid,
                    gid=self._gid,
                    if_exists=IfExists.FAIL if mode.exclusive else IfExists.OPEN,
                    parents=parents,
                    replicas=replicas,
                    with_chunk=with_chunk,
                    near=self.config.near,
                    once=once,
                )
            )
        if created.first is not None:
            self._core.locations.remember(created.attributes.inode, created.first)
        return created

    # ------------------------------------------------------------------ whole files

    async def read_bytes(self, path: AnyPath) -> bytes:
        """Return all bytes of a file, as long as it was at one moment after the call."""
        status = await self._file_status(path)
        inode = status.attributes.inode
        end = await self._core.lengths.of_status(inode, status)
        return await filled(end, partial(self._core.reader.read_into, inode, 0, end=end))

    async def write_bytes(self, path: AnyPath, data: Buffer, *, parents: bool = False) -> int:
        """Make or replace the bytes of a file, safe against the loss of power when this returns.

        A new file of one piece costs three messages: create with its first chunk, write and sync and close, length.
        """
        size = memoryview(data).nbytes
        mode = parse_mode("wb")
        created = await self._create(path, mode, parents=parents, with_chunk=size > 0)
        if not created.created:
            await self._core.truncator.truncate(created.attributes.inode, 0)
        file = self._file(path, mode, created.attributes.inode)
        await file.write(data)
        await file.close()
        return size

    async def read_text(self, path: AnyPath, encoding: str = "utf-8", errors: str = "strict") -> str:
        return (await self.read_bytes(path)).decode(encoding, errors)

    async def write_text(self, path: AnyPath, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        await self.write_bytes(path, text.encode(encoding, errors))
        return len(text)

    async def cat(self, path: AnyPath, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of a file, to its end or `end`, without what appends left at chunk ends (rule 17)."""
        async with await self.open(path, "rb") as file:
            async for part in file.data(start, end):
                yield part

    async def truncate(self, path: AnyPath, length: int) -> None:
        """Set the length of a file."""
        status = await self._file_status(path)
        await self._core.truncator.truncate(status.attributes.inode, length)

    async def touch(self, path: AnyPath, *, exist_ok: bool = True) -> None:
        """Make an empty file, or set the time of its last change."""
        mode = parse_mode("ab" if exist_ok else "xb")
        if not (await self._create(path, mode, with_chunk=False)).created:
            await self.utime(path)

    async def copy(self, source: AnyPath, target: AnyPath) -> int:
        """Copy the bytes of a file to a new place; return how many. `snapshot` shares them instead."""
        async with await self.open(source, "rb") as reading:
            writing = await self.open(target, "wb")
            try:
                done = 0
                buffer = bytearray(PIECE_BYTES)
                while got := await reading.readinto(buffer):  # ends with the file
                    await writing.write(bytes(memoryview(buffer)[:got]))
                    if got == len(buffer) == PIECE_BYTES:
                        buffer = bytearray(_COPY_STEP)  # not for a small file: so many zeros take milliseconds
                    done += got
                await writing.close()
            except BaseException:
                writing.discard()  # not `close`: whoever gave up shall not wait for bytes that may never arrive
                raise
        return done

    # ------------------------------------------------------------------ trees of files

    async def upload(
        self, source: Sources, target: AnyPath, *, recursive: bool = False, progress: bool | Tell = False
    ) -> Transferred:
        """Copy files of this machine into the cluster; return what was copied.

        `source`: a path or several. A target that is a folder, or ends with `/`, gets them inside. `recursive`: folders
        too, with all that is in them. `progress`: True for a bar, or a callable of (done_bytes, total_bytes).
        Each file is seen whole or not at all. A limit (`with_timeout`) is on the time without progress.

        Raises:
            FileNotFoundError: no such source; nothing was made. IsADirectoryError: a folder, and not `recursive`.
        """
        return await self._transfer("upload", source, target, recursive=recursive, progress=progress)

    async def download(
        self, source: Sources, target: AnyPath, *, recursive: bool = False, progress: bool | Tell = False
    ) -> Transferred:
        """Copy files of the cluster to this machine, as `upload` does the other way."""
        return await self._transfer("download", source, target, recursive=recursive, progress=progress)

    async def copytree(
        self, source: Sources, target: AnyPath, *, recursive: bool = True, progress: bool | Tell = False
    ) -> Transferred:
        """Copy folders (and files) inside the cluster, byte by byte. `snapshot` shares the bytes instead."""
        return await self._transfer("copytree", source, target, recursive=recursive, progress=progress)

    async def _transfer(
        self, direction: Direction, source: Sources, target: AnyPath, *, recursive: bool, progress: bool | Tell
    ) -> Transferred:
        with shown(progress, direction) as tell:
            async with aclosing(self.transfer(direction, Order(source, target, recursive))) as taken:
                async for step in taken:
                    tell(step.done_bytes, step.total_bytes)
        return finished(step)

    def transfer(self, direction: Direction, order: Order) -> AsyncGenerator[Step, None]:
        """Return the steps of a copy: for whoever shows its progress elsewhere than on this loop."""
        tagged = replace(order, tag=self._core.connection.env.random.getrandbits(32))
        taken = steps(way_of(direction, self.with_timeout(None), tagged))
        if self.limit_s is None:
            return taken
        return each_within(self.limit_s, taken, call=direction, what=str(order.target))

    # ------------------------------------------------------------------ appending and records

    async def append(self, path: AnyPath, data: Buffer, *, create: bool = True) -> int:
        """Append one record atomically, at least once; return its offset. Durable when this returns. Contract 2."""
        return await self._core.appender.append(await self._appendable(path, create=create), data)

    async def _appendable(self, path: AnyPath, *, create: bool) -> InodeId:
        if not create:
            return (await self._file_status(path)).attributes.inode
        created = await self._create(path, parse_mode("ab"), with_chunk=False)
        return created.attributes.inode

    async def append_writer(
        self, path: AnyPath, codec: Codec | str | None = None, *, pending_bytes_max: int = RECORDS_PENDING_BYTES
    ) -> RecordWriter:
        """Return a writer of self-checking records to a file, which is made if it is missing.

        `codec`: how values become bytes: None (they are bytes), "jsonl", "msgpack" or an object, see `codecs`.
        `pending_bytes_max`: what may be unacknowledged before `put` waits.
        """
        find_codec(codec)  # before a file is made for it
        inode = await self._appendable(path, create=True)
        return self.record_writer_of(inode, show(parse_path(path)), codec, pending_bytes_max=pending_bytes_max)

    def record_writer_of(
        self, inode: int, path: str, codec: Codec | str | None, *, pending_bytes_max: int
    ) -> RecordWriter:
        """Return a writer to a file by its inode, without asking anybody: for a process that was forked."""
        writer = RecordWriter(self._core, InodeId(inode), path, codec=codec, pending_bytes_max=pending_bytes_max)
        writer.limit_s = self.limit_s
        return writer

    async def records(
        self,
        path: AnyPath,
        from_offset: int = 0,
        *,
        from_position: str | None = None,
        follow: bool = False,
        codec: Codec | str | None = None,
        skip_undecodable: bool = False,
    ) -> AsyncIterator[Record]:
        """Yield the records of a file, each once, without padding, holes and damage.

        `from_position`: behind the record whose `position` that was; what was given up to there is not given again
        (docs/CONSISTENCY.md, "Positions of records"). `follow`: then wait for new ones, until the caller stops; it is
        the file that is followed, also when it is renamed.

        Raises:
            NotFoundError: no such file, or it was deleted while it was followed: after all of it was given, some
                seconds late. With its folder, only when the trash is purged.
            BadRequestError: the position is none, or of another file, or the file was truncated below it.
            RecordDecodeError: the codec cannot decode a record; `skip_undecodable` leaves it out, with a warning.
        """
        options = RecordOptions(from_offset, from_position, follow, codec, skip_undecodable)
        async for batch in self._record_batches(path, options):
            for record in batch:
                yield record

    async def record_batches(self, path: AnyPath, options: RecordOptions) -> AsyncIterator[list[Record]]:
        """Yield the same in lists, each as soon as it is there: for those to whom a step is dear."""
        async for batch in self._record_batches(path, options):
            yield batch

    async def _record_batches(self, path: AnyPath, options: RecordOptions) -> AsyncIterator[list[Record]]:
        inode = (await self._file_status(path)).attributes.inode
        async for batch in RecordReader(self._core, inode, show(parse_path(path)), options).batches():
            yield batch

    # ------------------------------------------------------------------ sums

    async def du(self, path: AnyPath = "/") -> Usage:
        """Add up what is below `path`."""
        top = await self._status(path)
        if top.attributes.kind is not Kind.FOLDER:
            size = top.attributes.length
            return Usage(files=1, folders=0, size_bytes=size, stored_bytes=size * top.attributes.replicas)
        files, folders, size, stored = 0, 1, 0, 0
        waiting = [parse_path(path)]
        while waiting:  # ends because every folder is listed once
            folder = waiting.pop()
            async for entry in self.scandir(folder):
                if entry.is_dir():
                    folders += 1
                    waiting.append(join(folder, parse_path("/" + entry.name)[1:]))
                else:
                    files += 1
                    size += entry.stat.size
                    stored += entry.stat.size * entry.stat.replicas
        return Usage(files=files, folders=folders, size_bytes=size, stored_bytes=stored)
