"""The journal of one disk: what must survive a power loss before its place is flushed. Rules 15 and 24.

Group commit without timers: while one fdatasync runs, all that arrives waits for the next. A full segment is sealed
and a new one begun; `checkpoint.py` then flushes the places of its records and removes it.

Invariants:
    1. Records become durable in the order of `submit`.
    2. `on_durable` of a record has run before its segment is sealed, so a checkpoint sees its effect.
    3. A segment holds at most `segment_bytes` and one record: replay at start needs so much memory for each.
    4. A segment is removed only when every record with a place of its own has been `placed` and that was flushed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from cairnfs.checksum import Buffer
from cairnfs.chunkserver.format import ROOT
from cairnfs.chunkserver.records import (
    HEAD_BYTES,
    frame,
    pack_epoch_record,
    pack_segment_head,
    segment_name,
)
from cairnfs.env import File, Files
from cairnfs.errors import CairnError, DiskFailedError
from cairnfs.ids import DiskId, Epoch

T = TypeVar("T")

SEGMENTS_MAX = 4
"""With so many on the disk, new mutations wait for a checkpoint: replay at start stays short."""


class RunJob(Protocol):
    """Runs a job on the disk's threads; a failure of the disk is a `DiskFailedError`."""

    def __call__(self, job: Callable[[], T], /) -> Awaitable[T]: ...


@dataclass(slots=True, eq=False)
class Segment:
    """One file of the journal."""

    number: int
    unplaced: int = 0
    """Records whose place is still to be written."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class Entry:
    """One record on its way. Any number may wait for it."""

    parts: Sequence[Buffer]
    on_durable: Callable[[], None] | None
    has_place: bool
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    error: CairnError | None = None
    segment: Segment | None = None

    async def wait(self) -> None:
        """Return when the record survives a power loss.

        Raises:
            DiskFailedError: it may or may not be on the disk.
        """
        await self.settled.wait()
        if self.error is not None:
            raise self.error


class Journal:
    """Owned by its `DataDisk`, which runs `commit_loop` as a task."""

    def __init__(self, *, run: RunJob, files: Files, disk_id: DiskId, segment_bytes: int) -> None:
        self._run, self._files, self._disk_id, self._segment_bytes = run, files, disk_id, segment_bytes
        self.epoch = Epoch(0)
        self._queue: list[Entry] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.sealed: list[Segment] = []
        self.on_sealed: Callable[[], None] = lambda: None
        self._current: Segment | None = None
        self._file: File | None = None
        self._chain = 0
        self._position = 0
        self._failure: CairnError | None = None
        self._seal: tuple[Entry, asyncio.Event] | None = None
        """The record with which the segment is to be sealed, and who waits for that."""
        self.commits = 0
        self.sealed_bytes = 0
        """Of the segment that was sealed last."""

    async def begin(self, number: int) -> None:
        """Start the segment `number`. Earlier ones must have been replayed and removed."""
        await self._begin(number)

    async def room(self) -> None:
        """Wait while too many segments are on the disk. Never called with the turn at a replica."""
        await self._room.wait()

    def submit(
        self, parts: Sequence[Buffer], *, on_durable: Callable[[], None] | None = None, has_place: bool = False
    ) -> Entry:
        """Queue a record; its buffers must stay as they are until it is settled.

        `has_place`: the caller writes the place afterwards and then calls `placed`.
        """
        entry = Entry(parts, on_durable, has_place)
        if self._failure is not None:
            entry.error = self._failure
            entry.settled.set()
            return entry
        self._queue.append(entry)
        self._arrived.set()
        return entry

    def placed(self, entry: Entry) -> None:
        """The place of a record has been written (or never will be: its disk has failed)."""
        if entry.has_place and entry.segment is not None:
            entry.has_place = False
            entry.segment.unplaced -= 1
            if not entry.segment.unplaced:
                entry.segment.idle.set()

    def fail(self, error: CairnError) -> None:
        """Settle all that waits with `error`, and everything that comes."""
        self._failure = error
        queue, self._queue = self._queue, []
        self._settle(queue, error)
        self._room.set()
        if self._seal is not None:
            self._seal[1].set()

    async def seal(self) -> None:
        """Wait until all that is queued is durable and its segment is sealed.

        Raises:
            DiskFailedError: it is not.
        """
        entry, sealed = self.submit(pack_epoch_record(self.epoch)), asyncio.Event()
        self._seal = entry, sealed
        await entry.wait()
        await sealed.wait()
        if self._failure is not None:
            raise self._failure

    async def commit_loop(self) -> None:
        """Write and flush batches until cancelled or the disk fails."""
        while self._failure is None:
            await self._arrived.wait()
            self._arrived.clear()
            batch = self._take_batch()
            if not batch:
                continue
            try:
                await self._commit(batch)
            except DiskFailedError as error:
                self._settle(batch, error)
                return
            except asyncio.CancelledError:
                self._settle(batch, DiskFailedError(where=self._files.root, why="closed in mid-commit"))
                raise

    def _take_batch(self) -> list[Entry]:
        """Take what waits, up to the segment's end; the rest is for the next segment."""
        position = self._position
        count = 0
        for entry in self._queue:
            if count and position >= self._segment_bytes:
                self._arrived.set()
                break
            position += sum(len(part) for part in entry.parts)
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _commit(self, batch: list[Entry]) -> None:
        file, chain, position = self._file, self._chain, self._position
        assert file is not None

        def write() -> tuple[int, int]:
            buffers: list[Buffer] = []
            end = chain
            for entry in batch:
                head, end = frame(entry.parts, end)
                buffers.append(head)
                buffers.extend(entry.parts)
            file.write(position, buffers)
            file.sync()
            return end, position + sum(len(buffer) for buffer in buffers)

        self._chain, self._position = await self._run(write)
        self.commits += 1
        # `on_durable` first, so that the checkpoint that `rotate` wakes sees what it does.
        self._settle(batch, None)
        is_asked = self._seal is not None and self._seal[0] in batch
        if self._position >= self._segment_bytes or is_asked:
            await self.rotate()
        if self._seal is not None and is_asked:
            self._seal[1].set()
            self._seal = None

    def _settle(self, batch: list[Entry], error: CairnError | None) -> None:
        for entry in batch:
            if entry.settled.is_set():
                continue
            entry.error = error
            if error is None:
                entry.segment = self._current
                if entry.has_place and entry.segment is not None:
                    entry.segment.unplaced += 1
                    entry.segment.idle.clear()
                if entry.on_durable is not None:
                    entry.on_durable()
            entry.settled.set()

    # ------------------------------------------------------------ segments

    async def rotate(self) -> None:
        """Seal the current segment and begin the next. Only by the commit loop, or when that is stopped."""
        assert self._current is not None
        assert self._file is not None
        sealed, file, self.sealed_bytes = self._current, self._file, self._position
        await self._begin(sealed.number + 1)
        await self._run(file.close)
        self.sealed.append(sealed)
        if len(self.sealed) >= SEGMENTS_MAX - 1:
            self._room.clear()
        self.on_sealed()

    async def _begin(self, number: int) -> None:
        files, name, disk_id = self._files, segment_name(number), self._disk_id
        epoch_record = pack_epoch_record(self.epoch)

        def begin() -> tuple[File, int, int]:
            head = pack_segment_head(number, disk_id)
            record_head, chain = frame(epoch_record, int.from_bytes(head[-4:], "little"))
            file = files.open(name, create=True)
            file.truncate(0)
            buffers: list[Buffer] = [head, record_head, *epoch_record]
            file.write(0, buffers)
            file.sync()
            # The name must be there before any record counts as durable.
            files.sync_folder(ROOT)
            return file, chain, sum(len(buffer) for buffer in buffers)

        self._file, self._chain, self._position = await self._run(begin)
        self._current = Segment(number)
        self._current.idle.set()

    async def remove(self, segments: Sequence[Segment]) -> None:
        """Remove sealed segments whose places are flushed. They must not come back, so the folder is flushed too."""
        files, names = self._files, [segment_name(segment.number) for segment in segments]

        def remove() -> None:
            for name in names:
                files.unlink(name)
            files.sync_folder(ROOT)

        await self._run(remove)
        for segment in segments:
            self.sealed.remove(segment)
        if len(self.sealed) < SEGMENTS_MAX - 1:
            self._room.set()

    async def close(self) -> None:
        """Close the file. The commit loop is stopped."""
        if self._file is not None:
            file, self._file = self._file, None
            await self._run(file.close)


assert HEAD_BYTES == 36
