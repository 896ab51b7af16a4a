"""Writes of one open file: pipelined, and kept until they are synced. GFS paper, section 3.1; contracts 3 and 5.

    write(offset, data) ──▶ cut at chunk ends, and nowhere else ──▶ a piece for each chunk; small ones are gathered
    piece ──▶ `sending`: one mutation ──▶ acked ──▶ kept ──▶ `syncing` ──▶ forgotten

Contract 3: the part of one call that falls into one chunk is one mutation, so readers and other writers see all of it
or nothing. Calls of less than 1 MiB that follow one another share a mutation of about that size.

Invariants:
    1. Pieces that overlap are ordered one after the other, as they were written; others side by side.
    2. At most UNSYNCED_BYTES_MAX are kept when a call returns; while one runs that is larger, its present chunk and
       the one before. From a quarter of it on, acked pieces are synced in the background.
    3. Rule 11: a piece keeps its sequence over all retries. Whoever was told that it failed may flush again, and only
       then does it get another one.
"""

from cairnfs.checksum import Buffer
from cairnfs.client.ahead import NextChunk
from cairnfs.client.connection import Connection
from cairnfs.client.locations import Locations
from cairnfs.client.mutating import SPENT, Mutator
from cairnfs.client.pieces import Piece, Pieces, Tail, cut_at_chunk_ends
from cairnfs.client.sending import Sender
from cairnfs.client.syncing import Syncer
from cairnfs.errors import CairnError, ShutdownError, UnsureError
from cairnfs.ids import InodeId
from cairnfs.limits import PIECE_BYTES, UNSYNCED_BYTES_MAX
from cairnfs.wire.common import ChunkPlace

_IN_FLIGHT = 8
"""Pieces pushed and ordered at once: hides the round trips and the members' disks."""
_BACKGROUND_BYTES = UNSYNCED_BYTES_MAX // 4
_PIECES_MAX = 1024
"""Pieces kept: scattered small writes reach it long before UNSYNCED_BYTES_MAX."""


class Writer:
    """The writes of one open file. One task at a time calls it; it runs several."""

    def __init__(self, connection: Connection, locations: Locations, mutator: Mutator, inode: InodeId) -> None:
        self._connection = connection
        self._tail = Tail(PIECE_BYTES)
        self._pieces = Pieces()
        self._sender = Sender(connection, locations, mutator, inode)
        self._next = NextChunk(connection, locations, inode)
        self._syncer = Syncer(connection, locations, mutator, inode, self._pieces, self._sender)
        self._is_discarded = False

    @property
    def unsynced_bytes(self) -> int:
        return len(self._tail) + self._pieces.kept_bytes

    @property
    def is_clean(self) -> bool:
        """True if everything written is synced."""
        return not self._tail and not self._pieces

    @property
    def is_flushed(self) -> bool:
        """True if everything written is acked."""
        return not self._tail and all(piece.is_acked for piece in self._pieces)

    def made_in_hope(self, place: ChunkPlace) -> None:
        """The first chunk came with the file; an empty file needs none, so it goes if no byte comes."""
        self._next.made(place)

    # ------------------------------------------------------------------ taking bytes

    async def write(self, offset: int, data: Buffer) -> None:
        """Take bytes for `offset` of the file; returns when they are copied and there is room for more.

        Atomic inside each chunk (contract 3). `data` of type bytes is kept without a copy. Nothing may be acked yet:
        `flush` says so.

        Raises:
            CairnError: an earlier piece failed; everything is kept, and `flush` tries again.
        """
        self._pieces.raise_failed()
        view = memoryview(data).cast("B")
        if self._tail and offset != self._tail.end:
            await self._cut()
        chunk_bytes = self._connection.geometry.chunk_bytes
        for start, count in cut_at_chunk_ends(offset, len(view), chunk_bytes):
            self._next.note(start, count, more=start + count < offset + len(view))
            part = view[start - offset : start - offset + count]
            if count >= PIECE_BYTES or count == chunk_bytes:
                await self._cut()
                await self._start(start, part if isinstance(data, bytes) else bytes(part))
                continue
            self._tail.add(start, part)
            if self._tail.is_full(chunk_bytes):
                await self._cut()

    async def _cut(self) -> None:
        if self._tail:
            offset, data = self._tail.offset, self._tail.take()
            await self._start(offset, data)

    def _piece(self, offset: int, data: Buffer) -> Piece:
        index, start = divmod(offset, self._connection.geometry.chunk_bytes)
        piece = Piece(index=index, start=start, data=data, sequence=self._connection.sequences.take())
        self._pieces.add(piece)
        self._connection.counters.bytes_written += len(data)
        return piece

    async def _start(self, offset: int, data: Buffer) -> None:
        """Send a piece when there is room for it."""
        piece = self._piece(offset, data)
        await self._launch(piece)
        acked = sum(len(other.data) for other in self._pieces.acked())
        if acked >= _BACKGROUND_BYTES or len(self._pieces) > _PIECES_MAX // 2:
            self._syncer.start_behind(piece.index)
        await self._make_room(piece.index)

    async def _make_room(self, present: int) -> None:
        """Contract 5: wait while too much is kept; what is acked is synced meanwhile."""
        tried = False
        while self._is_full:  # ends when nothing moves any more
            if not tried and not self._syncer.is_behind and self._pieces.acked():
                tried = True
                self._syncer.start_behind(present)
            if not self._syncer.is_behind and not self._pieces.running:
                self._pieces.raise_failed()
                await self._syncer.sync_acked(final=False)
                return
            await self._pieces.next_change()

    @property
    def _is_full(self) -> bool:
        return self.unsynced_bytes > UNSYNCED_BYTES_MAX or len(self._pieces) > _PIECES_MAX

    # ------------------------------------------------------------------ sending

    async def _launch(self, piece: Piece) -> None:
        """Send a piece in the background, once it is its turn.

        Raises:
            CairnError: one that must come before it has failed; it is kept.
        """
        await self._pieces.until(lambda: not any(other.is_running for other in self._pieces.before(piece)))
        await self._pieces.until(lambda: self._pieces.running < _IN_FLIGHT)
        if any(other.error is not None for other in self._pieces.before(piece)):
            self._pieces.raise_failed()
        piece.is_running, piece.is_told = True, False
        piece.error = None
        task = self._connection.nursery.start(self._carry_out(piece), name="write")
        # Not in the task itself: one that is cancelled before it begins runs none of its code.
        task.add_done_callback(lambda _: self._ended(piece))

    async def _carry_out(self, piece: Piece) -> None:
        try:
            await self._sender.send(piece)
        except CairnError as error:
            piece.error = error

    def _ended(self, piece: Piece) -> None:
        piece.is_running = False
        if not piece.is_acked and piece.error is None:
            piece.error = ShutdownError(what="the client")
        self._pieces.change()

    # ------------------------------------------------------------------ flush and sync

    async def flush(self) -> None:
        """Return when every byte was acked by every member. Contract 5.

        Raises:
            CairnError: a piece failed; all is kept and the next flush tries again. UnsureError: also if all of it was
            discarded meanwhile.
        """
        await self._cut()
        if any(isinstance(piece.error, SPENT) and not piece.is_told for piece in self._pieces):
            self._pieces.raise_failed()  # it failed in the background
        for piece in self._pieces:
            if piece.is_running or piece.is_acked:
                continue
            if isinstance(piece.error, SPENT):
                # Rule 11: the first sequence is spent. The caller has heard of it and asks again.
                self._connection.sequences.done(piece.sequence)
                piece.renew(self._connection.sequences.take())
            await self._launch(piece)
        await self._pieces.until(lambda: not self._pieces.running)
        self._pieces.raise_failed()
        self._check_kept()

    def _check_kept(self) -> None:
        """Whoever waited while another task discarded the file must not take that for success."""
        if self._is_discarded:
            raise UnsureError(what="what was written to a file that was discarded meanwhile")

    async def sync(self, *, close: bool = False) -> None:
        """Return when every byte survives the loss of power everywhere and the master knows the length. Contract 5.

        `close`: also close the chunks that were written, so that the master alone tells the length (rule 4).

        Raises:
            CairnError: not everything is safe; what is not is kept, and the next sync tries again.
        """
        if self._tail and not self._syncer.is_behind:
            await self._sync_with_last(close=close)
        await self.flush()
        await self._syncer.sync_acked(final=close)
        self._check_kept()
        if close:
            await self.leave_next()

    async def leave_next(self) -> None:
        """Have a chunk taken away that was made for bytes that did not come; see `ahead`."""
        await self._next.leave()

    async def _sync_with_last(self, *, close: bool) -> None:
        """Rule 10: let the flush ride on the last write, if nothing else of its chunk is on the way."""
        offset, data = self._tail.offset, self._tail.take()
        piece = self._piece(offset, data)
        await self._pieces.until(lambda: not any(other.is_running for other in self._pieces.of_chunk(piece.index)))
        if self._pieces.before(piece):
            return  # an earlier one has failed, or was lost: `flush` sends them in order
        await self._syncer.sync_with(piece, close=close)

    def discard(self) -> None:
        """Drop everything that is not synced: the file is gone, or its owner forked."""
        self._is_discarded = True
        _ = self._tail.take()
        for piece in self._pieces:
            self._connection.sequences.done(piece.sequence)
        self._pieces.forget(self._pieces)
