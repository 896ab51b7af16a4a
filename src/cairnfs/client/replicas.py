"""One piece of a chunk, from whichever of its replicas answers first. GFS paper, section 2.3; rules 5, 8, 16.

    nearest ──▶ good ─────────────────────────────────────────▶ the caller's buffer
        ├─────▶ failed or corrupt: the next one, at once
        └─────▶ slower than most, or silent: the next one as well (`hedging`); the first good answer wins

Invariants:
    1. Rule 16: every byte given out was verified here (blocks) or by the server with a checksum for the way.
    2. Rule 8: an answer is one request at one replica. Nothing of a loser is used: not a byte, not its moment.
    3. At most one request receives into the caller's buffer, and none when the read has returned or raised.
"""

import asyncio
import logging
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from cairnfs.checksum import crc32c, piece_crcs
from cairnfs.client.connection import Connection
from cairnfs.client.hedging import Hedging
from cairnfs.client.locations import Known
from cairnfs.client.moments import Moments
from cairnfs.errors import (
    BusyError,
    CairnError,
    CallTimeoutError,
    ChecksumError,
    ChunkMissingError,
    ConnectError,
    ConnectionLostError,
    NoCopyError,
    NotReadableError,
    PeerError,
    Retry,
)
from cairnfs.limits import BLOCK_BYTES, HEDGE_DELAY_MIN_S
from cairnfs.tasks import Race
from cairnfs.wire.chunk_reads import ChunkData, ReadChunk

logger = logging.getLogger(__name__)

_TRY_S = 5.0
"""A replica that is silent for so long is given up; the last gets the whole data deadline."""
_SLOW_S = 1.0
"""A replica that took longer is asked last for a while."""
_TICK_S = 0.001
"""A timer may ring so much early: clocks and loops round."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read: a range of one chunk, and where it goes."""

    known: Known
    index: int
    """Of the chunk in its file."""
    start: int
    """In the chunk."""
    target: memoryview
    is_whole: bool
    """The bytes are known to be committed, so fewer are no answer."""
    ages: list[float] | None
    """Where the age of the proof goes, if it need not be fresh (contract 4)."""


@dataclass(frozen=True, slots=True)
class _Answer:
    reply: ChunkData
    payload: memoryview
    """Of the range asked for; it may be the target itself."""


@dataclass(slots=True, eq=False)
class _Try:
    """One request at one replica."""

    address: str
    began_s: float
    has_target: bool
    is_hedge: bool


class Replicas:
    """Requests of one client to the replicas of chunks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hedging = Hedging(is_on=connection.config.hedge)

    async def read(self, wanted: Wanted, moments: Moments) -> int:
        """Fill the target; return how many bytes the replica had.

        Raises:
            NoCopyError: no replica gave them. Other errors that a fresh place may mend: the last one met.
        """
        return await _Contest(self._connection, self._hedging, wanted, moments).run()


class _Contest:
    """One read: replicas are asked one after the other, or side by side, until one gave a good answer."""

    def __init__(self, connection: Connection, hedging: Hedging, wanted: Wanted, moments: Moments) -> None:
        self._connection = connection
        self._now_s = connection.env.clock.now_s
        self._hedging = hedging
        self._wanted = wanted
        self._moments = moments
        place = wanted.known.place
        self._handle = place.handle
        self._request, self._is_direct = _make_request(wanted, moments, connection.geometry.block_bytes)
        order = hedging.order(wanted.known.order, self._now_s())
        self._waiting = moments.with_favourite_first(wanted.index, order)
        self._tries: dict[asyncio.Task[_Answer], _Try] = {}
        self._failed: CairnError = NoCopyError(chunk=self._handle, why="no live replica is known")
        self._is_absent = not place.closed and not wanted.is_whole
        """All that were asked said that they have no replica."""

    async def run(self) -> int:
        won: tuple[_Try, _Answer] | None = None
        async with Race[_Answer]() as race:
            self._hedging.began()
            while won is None and (self._tries or self._waiting):  # ends: each replica is asked once, and ends
                if not self._tries:
                    self._begin(race, is_hedge=False)
                ended = await race.next_ended(self._patience_s())
                if ended is None:
                    self._perhaps_hedge(race)
                else:
                    won = self._judge(self._tries.pop(ended), ended)
        # Behind the block: the losers have ended, so the target is nobody else's.
        return self._give_up() if won is None else self._give_out(*won)

    # ------------------------------------------------------------------ asking

    def _begin(self, race: Race[_Answer], *, is_hedge: bool) -> None:
        address = self._waiting.pop(0)
        has_target = self._is_direct and not any(one.has_target for one in self._tries.values())
        patience_s = _TRY_S if self._waiting else self._connection.config.data_timeout_s
        now_s = self._now_s()
        self._hedging.asked(address, now_s)
        into = self._wanted.target if has_target else None
        task = race.start(self._ask(address, into, patience_s), name=f"read {address}")
        self._tries[task] = _Try(address, now_s, has_target=has_target, is_hedge=is_hedge)

    async def _ask(self, address: str, into: memoryview | None, patience_s: float) -> _Answer:
        reply, payload = await self._connection.caller.call_for_payload(
            address, self._request, timeout_s=patience_s, into=into
        )
        return _Answer(reply, payload)

    def _patience_s(self) -> float | None:
        """Return how long to wait for an answer before another replica may be asked; None: nobody else may."""
        if not self._waiting or not self._hedging.is_on:
            return None
        latest = self._latest()
        at_s = self._silent_at_s(latest)
        if self._hedging.may_spend:
            at_s = min(at_s, self._slow_at_s(latest))
        return at_s - self._now_s()

    def _perhaps_hedge(self, race: Race[_Answer]) -> None:
        """The time of `_patience_s` has passed: ask the next one as well, unless others have spent the budget."""
        latest, now_s = self._latest(), self._now_s()
        due_s = now_s + _TICK_S
        if self._silent_at_s(latest) <= due_s:
            self._hedging.fell_silent(latest.address, now_s)
            self._connection.caller.distrust(latest.address)
        elif self._hedging.may_spend and self._slow_at_s(latest) <= due_s:
            self._hedging.spend()
        else:
            return
        self._connection.counters.reads_hedged += 1
        self._begin(race, is_hedge=True)

    def _slow_at_s(self, one: _Try) -> float:
        return one.began_s + self._hedging.delay_s(self._request.length)

    def _silent_at_s(self, one: _Try) -> float:
        at_s = self._hedging.silent_at_s(one.address, self._request.length, began_s=one.began_s)
        # Each request gets a chance, also at a server that an earlier one has waited for.
        return max(at_s, one.began_s + HEDGE_DELAY_MIN_S)

    def _latest(self) -> _Try:
        return next(reversed(self._tries.values()))

    # ------------------------------------------------------------------ answers

    def _judge(self, one: _Try, ended: asyncio.Task[_Answer]) -> tuple[_Try, _Answer] | None:
        """Return both if the answer is a good one; else take note of why not."""
        now_s = self._now_s()
        try:
            answer = ended.result()
            self._hedging.heard(one.address, now_s)
            self._hedging.took(self._request.length, now_s - one.began_s)
            self._check(one, answer)
        except CairnError as error:
            if not _next_may_help(error):
                raise
            self._note_failure(one, error)
            return None
        if now_s - one.began_s > _SLOW_S:
            self._hedging.avoid(one.address, now_s)
        return one, answer

    def _check(self, one: _Try, answer: _Answer) -> None:
        """Raise if the answer is none."""
        reply, payload, wanted = answer.reply, answer.payload, self._wanted
        if not _is_verified(reply, payload, self._connection.geometry.block_bytes):
            self._connection.counters.checksums_failed += 1
            look = _first_wrong(self._request, reply, payload, self._connection.geometry.block_bytes)
            # In the background: the reader goes on to the next replica at once.
            _ = self._connection.nursery.start(self._have_verified(one.address, look), name="verify")
            raise ChecksumError(what=f"bytes of chunk {self._handle:016x} from {one.address}")
        if not reply.start <= wanted.start or (self._is_direct and reply.start != wanted.start):
            raise PeerError(what=f"asked for bytes from {wanted.start}, got them from {reply.start}", peer=one.address)
        got = self._count(answer)
        if wanted.is_whole and got < len(wanted.target):
            why = f"only {got} of {len(wanted.target)} bytes are committed there"
            raise NotReadableError(chunk=self._handle, why=why)

    def _note_failure(self, one: _Try, error: CairnError) -> None:
        self._connection.counters.replicas_failed += 1
        logger.debug("read failed chunk=%016x server=%s error=%s", self._handle, one.address, error)
        if not isinstance(error, ConnectError | ConnectionLostError | CallTimeoutError):
            self._hedging.heard(one.address, self._now_s())
        if not isinstance(error, ChunkMissingError):
            self._is_absent = False
            self._hedging.avoid(one.address, self._now_s())
        self._failed = error

    async def _have_verified(self, address: str, look: ReadChunk) -> None:
        """Rule 16: have the server look itself at the first block that is wrong; a small read makes it do that.

        It finds its replica corrupt, sets it aside and reports it; or the bytes were changed only on the way.
        """
        try:
            await self._connection.caller.call_for_payload(address, look, timeout_s=_TRY_S)
        except CairnError as error:
            logger.warning("replica is corrupt chunk=%016x server=%s why=%s", look.handle, address, error)

    # ------------------------------------------------------------------ the end

    def _give_out(self, winner: _Try, answer: _Answer) -> int:
        """Let the target hold the winner's bytes, and its moment be that of the piece; return how many there are."""
        now_s = self._now_s()
        for loser in self._tries.values():
            self._hedging.took(self._request.length, now_s - loser.began_s)
        reply, wanted = answer.reply, self._wanted
        if winner.is_hedge:
            self._connection.counters.hedges_won += 1
            self._moments.favour(wanted.index, winner.address)
        if wanted.ages is not None:
            wanted.ages.append(reply.age_s)
        self._moments.note(wanted.index, winner.address, reply.version, reply.moment)
        count = self._count(answer)
        if not winner.has_target:
            skip = wanted.start - reply.start
            wanted.target[:count] = answer.payload[skip : skip + count]
        return count

    def _give_up(self) -> int:
        """Return 0 for a chunk that was made and never written.

        Raises:
            CairnError: what the last replica failed with, or NoCopyError.
        """
        if self._is_absent and isinstance(self._failed, ChunkMissingError):
            return 0  # as short as it can be, and the primary is asked how long it is
        if self._failed.retry is Retry.REFRESH:
            raise self._failed
        raise NoCopyError(chunk=self._handle, why=str(self._failed)) from self._failed

    def _count(self, answer: _Answer) -> int:
        skip = self._wanted.start - answer.reply.start
        return max(0, min(len(self._wanted.target), len(answer.payload) - skip))


def _make_request(wanted: Wanted, moments: Moments, block_bytes: int) -> tuple[ReadChunk, bool]:
    """Return what one replica is asked, and whether its answer fits the target: large reads are of whole blocks."""
    length = len(wanted.target)
    start, end = wanted.start, wanted.start + length
    if length >= min(BLOCK_BYTES, block_bytes):
        start -= start % block_bytes
        end += -end % block_bytes
    request = ReadChunk(
        handle=wanted.known.place.handle,
        version=wanted.known.place.version,
        offset=start,
        length=end - start,
        stale_ok=wanted.ages is not None,
        whole=moments.whole(wanted.index),
    )
    return request, end - start == length


def _is_verified(reply: ChunkData, payload: memoryview, block_bytes: int) -> bool:
    if reply.exact:
        return reply.crcs == [crc32c(payload)] or (not payload and reply.crcs in ([], [0]))
    return reply.start % block_bytes == 0 and reply.crcs == piece_crcs(payload, block_bytes)


def _first_wrong(request: ReadChunk, reply: ChunkData, payload: memoryview, block_bytes: int) -> ReadChunk:
    """Return a request for a byte of the first block that is wrong."""
    pairs = zip_longest(reply.crcs, piece_crcs(payload, block_bytes))
    wrong = next((number for number, (said, found) in enumerate(pairs) if said != found), 0)
    return msgspec.structs.replace(request, offset=reply.start + wrong * block_bytes, length=1)


def _next_may_help(error: CairnError) -> bool:
    return error.retry is not Retry.NEVER or isinstance(error, PeerError | BusyError)
