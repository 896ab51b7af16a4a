"""Byte ranges of a file, from whichever replicas may answer. GFS paper, sections 2.3 and 2.7; rules 5 to 9, 16.

    range ──▶ pieces (never across a chunk end, 2 MiB) ──▶ one of the replicas (`replicas`) ──▶ the caller's buffer
                                                       └─▶ none gave it: the master is asked anew where they are

Invariants:
    1. Rule 7: the end of a file is told only by `lengths.Lengths`, asked after the read began.
    2. Rule 8: one piece is one request at one replica; a piece that fails starts anew elsewhere.
    3. Contract 4: the pieces of one chunk are of one moment, or they are read anew.
"""

from dataclasses import dataclass, replace
from functools import partial

from cairnfs.client.connection import Connection
from cairnfs.client.lengths import Lengths
from cairnfs.client.locations import Holes, Locations
from cairnfs.client.moments import Moments
from cairnfs.client.replicas import Replicas, Wanted
from cairnfs.client.window import side_by_side
from cairnfs.errors import BusyError, CairnError
from cairnfs.ids import InodeId
from cairnfs.limits import READ_PIECE_BYTES, Geometry
from cairnfs.rpc.retry import with_retries

_IN_FLIGHT = 6
"""Pieces of one read under way at once: enough to hide a round trip, few enough for a server's patience."""
_MOMENTS_MAX = 16
"""A large read that meets overwrites of its range again and again gives up after so many tries, as a server does."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A range inside one chunk."""

    index: int
    start: int
    """In the chunk."""
    length: int
    at: int
    """Where its first byte goes in the caller's buffer."""


def plan_pieces(offset: int, length: int, geometry: Geometry, piece_bytes: int = READ_PIECE_BYTES) -> list[Piece]:
    """Cut a file's range at chunk ends and at multiples of `piece_bytes` inside each chunk."""
    pieces = []
    at = 0
    while at < length:
        index, start = divmod(offset + at, geometry.chunk_bytes)
        count = min(length - at, geometry.chunk_bytes - start, piece_bytes - start % piece_bytes)
        pieces.append(Piece(index=index, start=start, length=count, at=at))
        at += count
    return pieces


class Reader:
    """Reads of one client."""

    def __init__(self, connection: Connection, locations: Locations, lengths: Lengths) -> None:
        self._connection = connection
        self._locations = locations
        self._lengths = lengths
        self._replicas = Replicas(connection)

    async def read_into(
        self, inode: InodeId, offset: int, view: memoryview, *, end: int | None = None, ages: list[float] | None = None
    ) -> int:
        """Fill `view` from byte `offset` of the file; return how many bytes there were before its end.

        Holes are zeros. Fewer than asked for: the end of the file was confirmed after the call (rule 7), or was given
        as `end` by a caller who had it confirmed since its own beginning. With `ages` the bytes need not be proven
        fresh: how old each proof is, in seconds, is added to it (contract 4).

        Raises:
            NoCopyError: no replica could be read within the data deadline. NotFoundError: the inode is gone.
        """
        assert not view.readonly, "a buffer to read into must be writable"
        wanted = len(view) if end is None else max(0, min(len(view), end - offset))
        if wanted == 0:
            return 0
        pieces = plan_pieces(offset, wanted, self._connection.geometry)
        for _ in range(_MOMENTS_MAX):
            moments = Moments(pieces)
            counts = await self._read_pieces(inode, pieces, view, moments, ages=ages)
            short = [(piece, counts[piece]) for piece in pieces if counts[piece] < piece.length]
            got = wanted
            if short:
                got = await self._settle(inode, offset, view[:wanted], short, moments, end=end)
            if ages is not None or not moments.torn(pieces):
                self._connection.counters.reads += 1
                self._connection.counters.bytes_read += got
                return got
        raise _never_still(inode)

    async def _read_pieces(
        self, inode: InodeId, pieces: list[Piece], view: memoryview, moments: Moments, *, ages: list[float] | None
    ) -> dict[Piece, int]:
        """Return how many bytes there were of each piece; those of one chunk are of one moment."""
        holes = Holes()
        counts: dict[Piece, int] = {}
        todo = pieces
        for _ in range(_MOMENTS_MAX):
            jobs = [
                partial(self._read_piece, inode, piece, view, holes=holes, moments=moments, ages=ages) for piece in todo
            ]
            counts.update(zip(todo, await side_by_side(jobs, width=_IN_FLIGHT), strict=True))
            todo = [] if ages is not None else moments.torn(pieces)
            if not todo:
                return counts
        raise _never_still(inode)

    async def _settle(
        self,
        inode: InodeId,
        offset: int,
        view: memoryview,
        short: list[tuple[Piece, int]],
        moments: Moments,
        *,
        end: int | None,
    ) -> int:
        """Decide for each missing range: beyond the end of the file, a hole, or bytes that were not committed yet."""
        length = await self._lengths.of_inode(inode) if end is None else end
        wanted = max(0, min(len(view), length - offset))
        chunk_lengths: dict[int, int] = {}
        for piece, got in short:
            count = min(piece.length, wanted - piece.at)
            if count <= got:
                continue
            if piece.index not in chunk_lengths:
                chunk_lengths[piece.index] = await self._lengths.of_chunk(inode, piece.index)
            data = max(got, min(count, chunk_lengths[piece.index] - piece.start))
            if data > got:  # all of it, not only the rest: a piece is of one moment
                await self._read_piece(
                    inode, replace(piece, length=data), view, holes=Holes(), moments=moments, whole=True
                )
            view[piece.at + data : piece.at + count] = bytes(count - data)
        return wanted

    async def _read_piece(  # noqa: PLR0913 - what a read consists of
        self,
        inode: InodeId,
        piece: Piece,
        view: memoryview,
        *,
        holes: Holes,
        moments: Moments,
        whole: bool = False,
        ages: list[float] | None = None,
    ) -> int:
        """Read one piece into its part of `view`; return how many bytes a replica had (0 for a hole).

        `whole`: the bytes are known to be committed, so fewer are no answer.
        """
        target = view[piece.at : piece.at + piece.length]

        async def attempt() -> int:
            known = None if piece.index in holes else await self._locations.find(inode, piece.index, holes)
            if known is None:
                return 0
            if 4 * (piece.start + piece.length) >= 3 * self._connection.geometry.chunk_bytes:
                self._locations.ask_next(inode, known)
            try:
                return await self._replicas.read(Wanted(known, piece.index, piece.start, target, whole, ages), moments)
            except CairnError:
                self._locations.forget(inode, piece.index, only=known)
                raise

        return await with_retries(
            attempt,
            random=self._connection.env.random,
            clock=self._connection.env.clock,
            timeout_s=self._connection.config.data_timeout_s,
        )


def _never_still(inode: InodeId) -> CairnError:
    return BusyError(what=f"inode {inode} is overwritten faster than it can be read")
