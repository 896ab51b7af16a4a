"""Writes of one open file: pipelined, and kept until they are synced. GFS paper, section 3.1; contracts 3 and 5.

    write(offset, data) ──▶ gathered to pieces of 1 MiB, cut at chunk ends
    piece ──▶ pushed along the chain while earlier ones are ordered ──▶ acked ──▶ kept ──▶ synced ──▶ forgotten

Invariants:
    1. Pieces that overlap are ordered one after the other, as they were written; others side by side.
    2. At most UNSYNCED_BYTES_MAX are kept; from a quarter of it on, acked pieces are synced in the background.
    3. Rule 14: a sync names the oldest version among its acks; if it is lost the pieces are written again, anew.
    4. Rule 11: a piece keeps its sequence over all retries. Whoever was told that it failed may flush again, and only
       then does it get another one.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from cairnfs.checksum import Buffer
from cairnfs.client.connection import Connection
from cairnfs.client.locations import Known, Locations
from cairnfs.client.mutating import Mutator, crcs_of, token_of
from cairnfs.errors import CairnError, LostWritesError, ShutdownError
from cairnfs.ids import NO_VERSION, ChunkVersion, DataId, InodeId, Sequence, Serial
from cairnfs.limits import PIECE_BYTES, SMALL_MUTATION_BYTES, UNSYNCED_BYTES_MAX
from cairnfs.wire.mutations import SyncChunk, Synced, WriteChunk, Written
from cairnfs.wire.namespace import SetLength

logger = logging.getLogger(__name__)

_IN_FLIGHT = 8
"""Pieces pushed and ordered at once: hides the round trips and the members' disks."""
_BACKGROUND_BYTES = UNSYNCED_BYTES_MAX // 4
_PIECES_MAX = 1024
"""Pieces kept: scattered small writes reach it long before UNSYNCED_BYTES_MAX."""
_REWRITES_MAX = 8
"""Times that lost writes are written again in one sync before the caller hears of it."""


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

    @property
    def is_acked(self) -> bool:
        return self.version != NO_VERSION

    def overlaps(self, other: "Piece") -> bool:
        return (
            self.index == other.index
            and self.start < other.start + len(other.data)
            and other.start < self.start + len(self.data)
        )


class Writer:
    """The writes of one open file. One task at a time calls it; it runs several."""

    def __init__(self, connection: Connection, locations: Locations, mutator: Mutator, inode: InodeId) -> None:
        self._connection = connection
        self._locations = locations
        self._mutator = mutator
        self._inode = inode
        self._tail = bytearray()
        self._tail_at = 0
        self._pieces: dict[int, Piece] = {}  # not synced yet, by number, in the order written
        self._numbers = 0
        self._changed = asyncio.Event()
        self._syncing = asyncio.Lock()
        self._is_syncing_behind = False
        self.has_written = False

    @property
    def unsynced_bytes(self) -> int:
        return len(self._tail) + sum(len(piece.data) for piece in self._pieces.values())

    @property
    def is_clean(self) -> bool:
        """True if everything written is synced."""
        return not self._tail and not self._pieces

    @property
    def is_flushed(self) -> bool:
        """True if everything written is acked."""
        return not self._tail and all(piece.is_acked for piece in self._pieces.values())

    # ------------------------------------------------------------------ taking bytes

    async def write(self, offset: int, data: Buffer) -> None:
        """Take bytes for `offset` of the file; returns when they are copied and there is room for more.

        `data` of type bytes is kept without a copy. Nothing may be acked yet: `flush` says so.

        Raises:
            CairnError: an earlier piece failed; everything is kept, and `flush` tries again.
        """
        self._raise_failed()
        view = memoryview(data).cast("B")
        is_immutable = isinstance(data, bytes)
        if self._tail and offset != self._tail_at + len(self._tail):
            await self._cut()
        while len(view):
            if not self._tail:
                self._tail_at = offset
            room = self._room(offset)
            count = min(room, len(view))
            if not self._tail and count == room and is_immutable:
                await self._start(offset, view[:count])
            else:
                self._tail += view[:count]
                if count == room:
                    await self._cut()
            view = view[count:]
            offset += count
        self.has_written = True

    def _room(self, offset: int) -> int:
        """Bytes up to where the present piece ends: a multiple of 1 MiB in its chunk, or the chunk's end."""
        chunk_bytes = self._connection.geometry.chunk_bytes
        start = offset % chunk_bytes
        return min(PIECE_BYTES - start % PIECE_BYTES, chunk_bytes - start)

    async def _cut(self) -> None:
        if self._tail:
            data, self._tail = self._tail, bytearray()
            await self._start(self._tail_at, data)

    def _piece(self, offset: int, data: Buffer) -> tuple[int, Piece]:
        index, start = divmod(offset, self._connection.geometry.chunk_bytes)
        self._numbers += 1
        piece = Piece(index=index, start=start, data=data, sequence=self._connection.sequences.take())
        self._pieces[self._numbers] = piece
        return self._numbers, piece

    async def _start(self, offset: int, data: Buffer) -> None:
        """Send a piece when there is room for it."""
        _, piece = self._piece(offset, data)
        self._connection.counters.bytes_written += len(data)
        await self._wait_for_overlaps(piece)
        while sum(other.is_running for other in self._pieces.values()) >= _IN_FLIGHT:
            await self._wait_for_change()
        self._run(piece)
        acked = sum(len(other.data) for other in self._pieces.values() if other.is_acked)
        is_much = acked >= _BACKGROUND_BYTES or len(self._pieces) > _PIECES_MAX // 2
        if is_much and not self._is_syncing_behind:
            self._is_syncing_behind = True
            task = self._connection.nursery.start(self._sync_behind(piece.index), name="sync")
            task.add_done_callback(self._synced_behind)
        while self._is_full and self._is_moving():
            await self._wait_for_change()
        if self._is_full:
            self._raise_failed()
            await self._sync_acked(final=False)

    @property
    def _is_full(self) -> bool:
        return self.unsynced_bytes > UNSYNCED_BYTES_MAX or len(self._pieces) > _PIECES_MAX

    def _is_moving(self) -> bool:
        return self._is_syncing_behind or any(piece.is_running for piece in self._pieces.values())

    async def _wait_for_overlaps(self, piece: Piece) -> None:
        while any(other.is_running and other is not piece and other.overlaps(piece) for other in self._pieces.values()):
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _raise_failed(self) -> None:
        for piece in self._pieces.values():
            if piece.error is not None:
                raise piece.error

    # ------------------------------------------------------------------ sending

    def _run(self, piece: Piece) -> None:
        piece.is_running = True
        piece.error = None
        task = self._connection.nursery.start(self._carry_out(piece), name="write")
        # Not in the task itself: one that is cancelled before it begins runs none of its code.
        task.add_done_callback(lambda _: self._ended(piece))

    async def _carry_out(self, piece: Piece) -> None:
        try:
            await self._write_piece(piece)
        except CairnError as error:
            piece.error = error

    def _ended(self, piece: Piece) -> None:
        piece.is_running = False
        if not piece.is_acked and piece.error is None:
            piece.error = ShutdownError(what="the client")
        self._changed.set()

    async def _write_piece(self, piece: Piece, *, sync: bool = False, close: bool = False) -> tuple[Known, Written]:
        """Have a piece acked by every member, under its sequence."""
        crcs = crcs_of(piece.data)
        is_small = len(piece.data) <= SMALL_MUTATION_BYTES
        used: list[Known] = []

        async def send(known: Known) -> Written:
            used[:] = [known]
            name = DataId(0) if is_small else await self._mutator.push(known, piece.data, crcs)
            request = WriteChunk(
                handle=known.place.handle,
                version=known.place.version,
                client=self._connection.client,
                sequence=piece.sequence,
                lowest=self._connection.sequences.lowest,
                offset=piece.start,
                length=len(piece.data),
                data=[name] if name else [],
                crcs=crcs if is_small else [],
                sync=sync,
                close=close,
                lease=token_of(known),
            )
            return await self._mutator.order(known, request, piece.data if is_small else None)

        written = await self._mutator.run(self._inode, piece.index, send, plain=True)
        piece.version, piece.serial = written.version, written.serial
        self._connection.sequences.done(piece.sequence)
        self._connection.counters.writes += 1
        if written.closed:
            self._locations.forget(self._inode, piece.index)
        return used[0], written

    # ------------------------------------------------------------------ flush and sync

    async def flush(self) -> None:
        """Return when every byte was acked by every member. Contract 5.

        Raises:
            CairnError: a piece failed; all is kept and the next flush tries again.
        """
        await self._cut()
        await self._settle()

    async def _settle(self) -> None:
        self._restart_failed()
        while any(piece.is_running for piece in self._pieces.values()):
            await self._wait_for_change()
        self._raise_failed()

    def _restart_failed(self) -> None:
        for piece in self._pieces.values():
            if piece.is_running or piece.is_acked:
                continue
            if isinstance(piece.error, LostWritesError):
                # Rule 11: the first sequence is spent. The caller has heard of it and asks again.
                self._connection.sequences.done(piece.sequence)
                piece.sequence = self._connection.sequences.take()
            self._run(piece)

    async def sync(self, *, close: bool = False) -> None:
        """Return when every byte survives the loss of power everywhere and the master knows the length. Contract 5.

        `close`: also close the chunks that were written, so that the master alone tells the length (rule 4).

        Raises:
            CairnError: not everything is safe; what is not is kept, and the next sync tries again.
        """
        if self._tail and not self._is_syncing_behind:
            await self._sync_with_last(close=close)
        await self.flush()
        await self._sync_acked(final=close)

    async def _sync_with_last(self, *, close: bool) -> None:
        """Rule 10: let the flush ride on the last write, if nothing else of its chunk is on the way."""
        data, self._tail = self._tail, bytearray()
        number, piece = self._piece(self._tail_at, data)
        self._connection.counters.bytes_written += len(data)
        while any(other.is_running and other.index == piece.index for other in self._pieces.values()):
            await self._wait_for_change()
        async with self._syncing:
            mine = [other for other in self._pieces.values() if other.index == piece.index and other is not piece]
            is_whole = all(other.is_acked for other in mine)
            piece.is_running = True
            try:
                known, written = await self._write_piece(piece, sync=is_whole, close=close and is_whole)
            except LostWritesError as error:
                piece.error = error
                raise
            finally:
                piece.is_running = False
                self._changed.set()
            if is_whole and all(other.version == written.version for other in mine):
                await self._tell_length(known, written.version, written.length, closed=written.closed)
                self._forget(piece.index)
                self._connection.counters.syncs += 1
        assert number <= self._numbers

    async def _sync_behind(self, present: int) -> None:
        """Sync what is acked while more is written; an error is left to the next sync of the caller."""
        try:
            await self._sync_acked(final=False, present=present)
        except CairnError as error:
            logger.debug("background sync failed inode=%d error=%s", self._inode, error)

    def _synced_behind(self, task: asyncio.Task[None]) -> None:
        self._is_syncing_behind = False
        self._changed.set()

    async def _sync_acked(self, *, final: bool, present: int | None = None) -> None:
        """Sync the chunks that have acked pieces. `final`: close them too; else only those before chunk `present`."""
        async with self._syncing:
            for index in sorted({piece.index for piece in self._pieces.values() if piece.is_acked}):
                is_left = present is not None and index < present and not self._is_busy(index)
                await self._sync_chunk(index, close=final or is_left)
        self._changed.set()

    def _is_busy(self, index: int) -> bool:
        return any(piece.index == index and not piece.is_acked for piece in self._pieces.values())

    async def _sync_chunk(self, index: int, *, close: bool) -> None:
        lost: LostWritesError | None = None
        for _ in range(_REWRITES_MAX):
            acked = {number: piece for number, piece in self._pieces.items() if piece.index == index and piece.is_acked}
            if not acked:
                return
            try:
                known, synced = await self._send_sync(index, list(acked.values()), close=close)
            except LostWritesError as error:
                await self._write_again(list(acked.values()), error)
                lost = error
                continue
            for number in acked:
                self._pieces.pop(number, None)
            self._connection.counters.syncs += 1
            if synced.closed:
                self._locations.forget(self._inode, index)
            await self._tell_length(known, synced.version, synced.length, closed=synced.closed)
            return
        assert lost is not None
        raise lost

    async def _send_sync(self, index: int, acked: list[Piece], *, close: bool) -> tuple[Known, Synced]:
        since = min(piece.version for piece in acked)
        used: list[Known] = []

        async def send(known: Known) -> Synced:
            used[:] = [known]
            version = known.place.version
            request = SyncChunk(
                handle=known.place.handle,
                version=version,
                since=since,
                close=close,
                serials=max((piece.serial for piece in acked if piece.version == version), default=0),
            )
            return await self._mutator.order(known, request)

        synced = await self._mutator.run(self._inode, index, send, create=False)
        return used[0], synced

    async def _write_again(self, pieces: list[Piece], error: LostWritesError) -> None:
        """Contract 5: continuity was broken since these were acked; write them anew, in their order."""
        logger.warning("unsynced writes are written again chunk=%016x pieces=%d", error.chunk, len(pieces))
        for piece in pieces:
            piece.version = NO_VERSION
            piece.sequence = self._connection.sequences.take()
        for piece in pieces:
            self._connection.counters.rewrites += 1
            await self._write_piece(piece)

    async def _tell_length(self, known: Known, version: ChunkVersion, length: int, *, closed: bool) -> None:
        """Rule 18: the master learns the length of the last sync or close."""
        await self._connection.ask(
            SetLength(
                inode=self._inode,
                index=known.place.index,
                handle=known.place.handle,
                version=version,
                length=length,
                closed=closed,
                mtime_ns=self._connection.env.clock.wall_ns(),
            )
        )

    def _forget(self, index: int) -> None:
        for number in [number for number, piece in self._pieces.items() if piece.index == index]:
            del self._pieces[number]

    def discard(self) -> None:
        """Drop everything that is not synced: the file is gone, or its owner forked."""
        self._tail = bytearray()
        for piece in self._pieces.values():
            self._connection.sequences.done(piece.sequence)
        self._pieces.clear()
