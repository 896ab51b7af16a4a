"""Records in appended files: written whole by any number of writers, read each once. GFS paper, sections 2.7.2 and 3.3.

`framing` has the bytes, `positions` what tells repeats; checksums tell padding and damage. A follower waits at the
primary (`following`); what is not a whole record at a proven length never becomes one, because appends are atomic.
"""

import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from cairnfs.client.codecs import Codec, Undecodable, find_codec
from cairnfs.client.core import Core
from cairnfs.client.file import File
from cairnfs.client.framing import Frame, RecordDecoder
from cairnfs.client.modes import parse_mode
from cairnfs.client.positions import Mark, Position, RepeatFilter, parse_position
from cairnfs.errors import BadRequestError, NotFoundError, RecordDecodeError
from cairnfs.ids import InodeId
from cairnfs.limits import PIECE_BYTES
from cairnfs.wire.namespace import StatInode

__all__ = ["Record", "RecordOptions", "RecordReader"]

logger = logging.getLogger(__name__)
_SHOWN_BYTES = 32
"""Of a record, in its repr."""
_SLICE_S = 5.0
"""How long a follower waits before it looks whether the file was deleted."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, given once."""

    offset: int
    """Of its frame in the file."""
    writer: int
    sequence: int
    data: bytes
    value: Any
    """What the codec made of `data`; without a codec the same bytes."""
    _inode: int = field(repr=False, compare=False)
    _end: int = field(repr=False, compare=False)
    _mark: Mark = field(repr=False, compare=False)

    def __repr__(self) -> str:
        start = self.data[:_SHOWN_BYTES]
        more = "..." if len(self.data) > len(start) else ""
        return f"<Record offset={self.offset} bytes={len(self.data)} {bytes(start)!r}{more}>"

    @property
    def position(self) -> str:
        """Where to go on behind it, with `from_position`: ASCII, some 30 bytes and about 16 a writer heard lately."""
        return str(Position(self._inode, self._end, self._mark.heard()))


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How records are read; see `Client.records`."""

    from_offset: int = 0
    from_position: str | None = None
    follow: bool = False
    codec: Codec | str | None = None
    skip_undecodable: bool = False

    def start(self) -> Position | None:
        """Return the position to go on from, if there is one.

        Raises:
            BadRequestError: it is none, or the offset makes no sense.
        """
        if self.from_offset < 0:
            raise BadRequestError(what=f"negative offset {self.from_offset}")
        if self.from_position is None:
            return None
        if self.from_offset:
            raise BadRequestError(what="from_offset and from_position both say where to begin: give one of them")
        return parse_position(self.from_position)


class RecordReader:
    """Gives the records of a file as it is when the iteration begins, or those to come as well."""

    def __init__(self, core: Core, inode: InodeId, path: str, options: RecordOptions) -> None:
        position = options.start()
        if position is not None and position.inode != inode:
            what = f"the position belongs to inode {position.inode}, but {path} is inode {inode}: another file"
            raise BadRequestError(what=f"{what}; begin anew with from_offset")
        self.path = path
        self._core = core
        self._inode = inode
        self._options = options
        self._coding = find_codec(options.codec)
        self._file = File(core, path=path, inode=inode, mode=parse_mode("rb"))
        self._start = options.from_offset if position is None else position.offset
        self._decoder = RecordDecoder(self._start)
        self._repeats = RepeatFilter(None if position is None else position.heard)

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
        async for batch in self.batches():
            for record in batch:
                yield record

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Yield the records in lists, each as soon as it is there; none is empty."""
        place, end = self._start, await self._core.lengths.of_inode(self._inode)
        if end < place and (self._options.from_position is not None or self._options.follow):
            raise self._too_short(place, end)
        while True:  # ends at the present end of the file; a follower ends with its caller, or with the file
            async for frames in self._frames(place, end):
                given: list[Record] = []
                for record in self._new(frames):
                    if isinstance(record, RecordDecodeError):
                        if given:
                            yield given
                        raise record
                    given.append(record)
                if given:
                    yield given
            if not self._options.follow:
                return
            place, end = end, await self._longer(end)

    async def _frames(self, place: int, end: int) -> AsyncIterator[list[Frame]]:
        async for offset, length in self._file.data_ranges(place, end):
            yield self._decoder.jump(offset)
            for at in range(offset, offset + length, PIECE_BYTES):
                part = await self._file.pread(min(PIECE_BYTES, offset + length - at), at)
                yield self._decoder.feed(part)
        yield self._decoder.finish()

    def _new(self, frames: Iterable[Frame]) -> Iterable[Record | RecordDecodeError]:
        for frame in frames:
            if not self._repeats.is_new(frame.writer, frame.sequence):
                continue
            mark = self._repeats.mark()
            try:
                value = self._coding.decode(frame.data)
            except Undecodable as error:
                if not self._options.skip_undecodable:
                    yield self._undecodable(frame, mark, str(error))
                    return
                logger.warning("record left out path=%s offset=%d why=%s", self.path, frame.offset, error)
                continue
            yield Record(
                offset=frame.offset, writer=frame.writer, sequence=frame.sequence, data=frame.data, value=value,
                _inode=self._inode, _end=frame.end, _mark=mark,
            )  # fmt: skip

    def _undecodable(self, frame: Frame, mark: Mark, why: str) -> RecordDecodeError:
        position = str(Position(self._inode, frame.end, mark.heard()))
        return RecordDecodeError(
            path=self.path, offset=frame.offset, codec=self._coding.name, position=position, why=why
        )

    async def _longer(self, end: int) -> int:
        """Wait until the file is longer than `end`; return how long it is.

        Raises:
            NotFoundError: it was deleted, and all of it was given. BadRequestError: it was cut.
        """
        while True:  # ends when the file grows, is cut or deleted, or the caller stops
            try:
                length = await self._core.follower.wait_longer(self._inode, end, wait_s=_SLICE_S)
                if length > end:
                    return length
                if length < end:
                    raise self._too_short(end, length)
                status = await self._core.connection.ask(StatInode(inode=self._inode))
                if status.attributes.links == 0:
                    last = await self._core.lengths.of_status(self._inode, status)
                    if last > end:
                        return last
                    raise NotFoundError(path=self.path)
            except NotFoundError as error:
                raise NotFoundError(path=self.path) from error

    def _too_short(self, place: int, length: int) -> BadRequestError:
        what = f"{self.path} has {length} bytes, and records up to {place} were asked for or given: it was truncated"
        return BadRequestError(what=f"{what}; begin anew with from_offset")
