"""Bytes of one open file that were written and are not synced yet: what each piece is, and the books of all of them.

    taken ──▶ running ──▶ acked ──▶ synced: forgotten
                 └──▶ failed ──▶ running again, when the caller asks (flush)

Invariants:
    1. The books are in the order in which the bytes were written.
    2. A piece lies in one chunk, and is one mutation (contract 3).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from cairnfs.checksum import Buffer
from cairnfs.client.sequences import Doubt
from cairnfs.errors import CairnError
from cairnfs.ids import NO_VERSION, ChunkVersion, Sequence, Serial


def cut_at_chunk_ends(offset: int, length: int, chunk_bytes: int) -> list[tuple[int, int]]:
    """Return (offset in the file, length) of each part of a range: one for each chunk it touches, and no more."""
    parts = []
    end = offset + length
    while offset < end:
        count = min(end - offset, chunk_bytes - offset % chunk_bytes)
        parts.append((offset, count))
        offset += count
    return parts


class Tail:
    """Small writes that follow one another, gathered to one piece. No call is divided: each stays atomic."""

    def __init__(self, piece_bytes: int) -> None:
        self._piece_bytes = piece_bytes
        self.offset = 0
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def end(self) -> int:
        return self.offset + len(self._data)

    def add(self, offset: int, data: Buffer) -> None:
        """Take bytes; they lie in the chunk of the others, right behind them."""
        assert not self._data or offset == self.end, (offset, self.end)
        if not self._data:
            self.offset = offset
        self._data += data

    def is_full(self, chunk_bytes: int) -> bool:
        """True once a multiple of the piece size in the chunk, or the chunk's end, is reached."""
        start = self.offset % chunk_bytes
        end = start + len(self._data)
        return end >= chunk_bytes or start // self._piece_bytes != end // self._piece_bytes

    def take(self) -> bytearray:
        """Return the bytes and be empty."""
        data, self._data = self._data, bytearray()
        return data


@dataclass(slots=True, eq=False)
class Piece:
    """Bytes of one chunk on their way, or acked and kept."""

    index: int
    start: int
    data: Buffer
    sequence: Sequence
    version: ChunkVersion = NO_VERSION
    """Of the ack; NO_VERSION before it."""
    serial: Serial = field(default=Serial(0))
    is_running: bool = False
    error: CairnError | None = None
    is_told: bool = False
    """The caller has heard of the error."""
    doubt: Doubt = field(default_factory=Doubt)

    @property
    def is_acked(self) -> bool:
        return self.version != NO_VERSION

    def renew(self, sequence: Sequence) -> None:
        """Become a mutation of its own: whatever became of the earlier one, the caller has heard of it. Rule 11."""
        self.sequence, self.doubt = sequence, Doubt()

    def overlaps(self, other: "Piece") -> bool:
        return (
            self.index == other.index
            and self.start < other.start + len(other.data)
            and other.start < self.start + len(self.data)
        )


class Pieces:
    """The books. Whoever changes a piece says so with `change`."""

    def __init__(self) -> None:
        self._all: dict[Piece, None] = {}
        self._changed = asyncio.Event()
        self.kept_bytes = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Piece]:
        """Yield those that are there now, in the order written."""
        return iter(list(self._all))

    def add(self, piece: Piece) -> None:
        self._all[piece] = None
        self.kept_bytes += len(piece.data)

    def forget(self, pieces: Iterable[Piece]) -> None:
        """They are synced, or given up."""
        for piece in pieces:
            if piece in self._all:
                del self._all[piece]
                self.kept_bytes -= len(piece.data)
        self.change()

    def of_chunk(self, index: int) -> list[Piece]:
        return [piece for piece in self._all if piece.index == index]

    def acked(self, index: int | None = None) -> list[Piece]:
        """Return the acked ones, of one chunk or of all."""
        return [piece for piece in self._all if piece.is_acked and index in (None, piece.index)]

    def before(self, piece: Piece) -> list[Piece]:
        """Return those that were written earlier, overlap it and are not acked: they must be ordered first."""
        found = []
        for other in self._all:
            if other is piece:
                break
            if not other.is_acked and other.overlaps(piece):
                found.append(other)
        return found

    @property
    def running(self) -> int:
        """How many are on their way."""
        return sum(piece.is_running for piece in self._all)

    def raise_failed(self) -> None:
        """Raise what the first failed one failed with, if one has: the caller hears that there are some."""
        error: CairnError | None = None
        for piece in self._all:
            if piece.error is not None:
                piece.is_told = True
                error = piece.error if error is None else error
        if error is not None:
            raise error

    def change(self) -> None:
        """Wake whoever waits in `until`."""
        self._changed.set()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Return when `claim` holds; looks at each change."""
        while not claim():
            await self.next_change()

    async def next_change(self) -> None:
        """Return at the next change."""
        self._changed.clear()
        await self._changed.wait()
