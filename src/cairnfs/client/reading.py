"""Byte ranges of a file, from whichever replicas may answer. GFS paper, sections 2.3 and 2.7; rules 5 to 9, 16.

    range ──▶ pieces (never across a chunk end, 2 MiB) ──▶ nearest replica ──▶ the caller's buffer
                                                       └─▶ the next one on any failure; then the master is asked anew

Invariants:
    1. Rule 16: every byte given out was verified here (blocks) or by the server with a checksum for the way.
    2. Rule 7: the end of a file is told only by `lengths.Lengths`, asked after the read began.
    3. Rule 8: one piece is one request at one replica; a piece that fails starts anew elsewhere.
    4. Contract 4: the pieces of one chunk are of one moment, or they are read anew.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import msgspec

from cairnfs.checksum import crc32c, piece_crcs
from cairnfs.client.connection import Connection
from cairnfs.client.lengths import Lengths
from cairnfs.client.locations import Known, Locations
from cairnfs.client.moments import Moments
from cairnfs.client.window import side_by_side
from cairnfs.errors import (
    BusyError,
    CairnError,
    ChecksumError,
    ChunkMissingError,
    NoCopyError,
    NotReadableError,
    PeerError,
    Retry,
)
from cairnfs.ids import InodeId
from cairnfs.limits import BLOCK_BYTES, READ_PIECE_BYTES, Geometry
from cairnfs.rpc.retry import with_retries
from cairnfs.wire.chunk_reads import ChunkData, ReadChunk

logger = logging.getLogger(__name__)

_IN_FLIGHT = 6
"""Pieces of one read under way at once: enough to hide a round trip, few enough for a server's patience."""
_TRY_S = 5.0
"""A replica that is silent for so long is left for the next one; the last gets the whole data deadline."""
_MOMENTS_MAX = 16
"""A large read that meets overwrites of its range again and again gives up after so many tries, as a server does."""
_SLOW_S = 1.0
_PENALTY_S = 10.0
"""A replica that failed, or took longer than _SLOW_S, is tried last for so long."""


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
        self._avoid_until_s: dict[str, float] = {}

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
        holes: dict[int, bool] = {}
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
                await self._read_piece(inode, replace(piece, length=data), view, holes={}, moments=moments, whole=True)
            view[piece.at + data : piece.at + count] = bytes(count - data)
        return wanted

    async def _read_piece(  # noqa: PLR0913 - what a read consists of
        self,
        inode: InodeId,
        piece: Piece,
        view: memoryview,
        *,
        holes: dict[int, bool],
        moments: Moments,
        whole: bool = False,
        ages: list[float] | None = None,
    ) -> int:
        """Read one piece into its part of `view`; return how many bytes a replica had (0 for a hole).

        `whole`: the bytes are known to be committed, so fewer are no answer.
        """
        target = view[piece.at : piece.at + piece.length]

        async def attempt() -> int:
            if piece.index in holes:
                return 0
            known = await self._locations.find(inode, piece.index)
            if known is None:
                holes[piece.index] = True
                return 0
            if 4 * (piece.start + piece.length) >= 3 * self._connection.geometry.chunk_bytes:
                self._locations.ask_next(inode, known)
            try:
                return await self._from_replicas(known, piece, target, moments, whole=whole, ages=ages)
            except CairnError:
                self._locations.forget(inode, piece.index, only=known)
                raise

        return await with_retries(
            attempt,
            random=self._connection.env.random,
            clock=self._connection.env.clock,
            timeout_s=self._connection.config.data_timeout_s,
        )

    async def _from_replicas(
        self,
        known: Known,
        piece: Piece,
        target: memoryview,
        moments: Moments,
        *,
        whole: bool,
        ages: list[float] | None,
    ) -> int:
        handle = known.place.handle
        failed: CairnError = NoCopyError(chunk=handle, why="no live replica is known")
        is_absent = not known.place.closed and not whole
        addresses = self._preferred(known.order)
        for number, address in enumerate(addresses):
            is_last = number == len(addresses) - 1
            patience_s = self._connection.config.data_timeout_s if is_last else _TRY_S
            began_s = self._connection.env.clock.now_s()
            try:
                got = await self._from_one(address, known, piece, target, moments, patience_s=patience_s, ages=ages)
            except CairnError as error:
                if not _next_may_help(error):
                    raise
                self._connection.counters.replicas_failed += 1
                logger.debug("read failed chunk=%016x server=%s error=%s", handle, address, error)
                if not isinstance(error, ChunkMissingError):
                    self._avoid(address)
                    is_absent = False
                failed = error
                continue
            if self._connection.env.clock.now_s() - began_s > _SLOW_S:
                self._avoid(address)
            if got == len(target) or not whole:
                return got
            failed = NotReadableError(chunk=handle, why=f"only {got} of {len(target)} bytes are committed there")
        if is_absent and isinstance(failed, ChunkMissingError):
            return 0  # made and never written: as short as it can be, and the primary is asked how long it is
        if failed.retry is Retry.REFRESH:
            raise failed
        raise NoCopyError(chunk=handle, why=str(failed)) from failed

    def _preferred(self, order: list[str]) -> list[str]:
        now_s = self._connection.env.clock.now_s()
        if not self._avoid_until_s:
            return order
        return sorted(order, key=lambda address: self._avoid_until_s.get(address, 0.0) > now_s)

    def _avoid(self, address: str) -> None:
        now_s = self._connection.env.clock.now_s()
        self._avoid_until_s = {server: until_s for server, until_s in self._avoid_until_s.items() if until_s > now_s}
        self._avoid_until_s[address] = now_s + _PENALTY_S

    async def _from_one(  # noqa: PLR0913 - what a request consists of
        self,
        address: str,
        known: Known,
        piece: Piece,
        target: memoryview,
        moments: Moments,
        *,
        patience_s: float,
        ages: list[float] | None,
    ) -> int:
        """Ask one replica. Whole blocks come straight into the target; else the blocks around it are fetched."""
        block_bytes = self._connection.geometry.block_bytes
        start, end = piece.start, piece.start + len(target)
        if len(target) >= min(BLOCK_BYTES, block_bytes):
            start -= start % block_bytes
            end += -end % block_bytes
        is_direct = end - start == len(target)
        request = ReadChunk(
            handle=known.place.handle,
            version=known.place.version,
            offset=start,
            length=end - start,
            stale_ok=ages is not None,
            whole=moments.whole(piece.index),
        )
        reply, payload = await self._connection.caller.call_for_payload(
            address, request, timeout_s=patience_s, into=target if is_direct else None
        )
        if not _verify(reply, payload, block_bytes):
            self._connection.counters.checksums_failed += 1
            await self._have_verified(address, request, reply, payload)
            raise ChecksumError(what=f"bytes of chunk {known.place.handle:016x} from {address}")
        if not reply.start <= piece.start or (is_direct and reply.start != start):
            raise PeerError(what=f"asked for bytes from {start}, got them from {reply.start}", peer=address)
        if ages is not None:
            ages.append(reply.age_s)
        moments.note(piece.index, address, reply.version, reply.moment)
        skip = piece.start - reply.start
        count = max(0, min(len(target), len(payload) - skip))
        if not is_direct:
            target[:count] = payload[skip : skip + count]
        return count

    async def _have_verified(self, address: str, request: ReadChunk, reply: ChunkData, payload: memoryview) -> None:
        """Rule 16: have the server look itself at the first block that is wrong; a small read makes it do that.

        It finds its replica corrupt, sets it aside and reports it; or the bytes were changed only on the way.
        """
        block_bytes = self._connection.geometry.block_bytes
        pairs = zip_longest(reply.crcs, piece_crcs(payload, block_bytes))
        wrong = next((number for number, (said, found) in enumerate(pairs) if said != found), 0)
        look = msgspec.structs.replace(request, offset=reply.start + wrong * block_bytes, length=1)
        try:
            await self._connection.caller.call_for_payload(address, look, timeout_s=_TRY_S)
        except CairnError as error:
            logger.warning("replica is corrupt chunk=%016x server=%s why=%s", request.handle, address, error)


def _verify(reply: ChunkData, payload: memoryview, block_bytes: int) -> bool:
    if reply.exact:
        return reply.crcs == [crc32c(payload)] or (not payload and reply.crcs in ([], [0]))
    return reply.start % block_bytes == 0 and reply.crcs == piece_crcs(payload, block_bytes)


def _never_still(inode: InodeId) -> CairnError:
    return BusyError(what=f"inode {inode} is overwritten faster than it can be read")


def _next_may_help(error: CairnError) -> bool:
    return error.retry is not Retry.NEVER or isinstance(error, PeerError | BusyError)
