"""Making acked pieces safe, chunk by chunk, and writing them again where they were lost. Contract 5; rules 14 and 18.

    acked ──▶ SyncChunk at the primary ──▶ the master learns the length ──▶ forgotten
                    └── lost: continuity was broken since ──▶ written again, in their order ──▶ ...

Invariants:
    1. Rule 14: a sync names the oldest version among its acks; if it is lost the pieces are written again, anew.
    2. One sync of a file runs at a time.
"""

import asyncio
import logging

from cairnfs.client.connection import Connection
from cairnfs.client.locations import Known, Locations
from cairnfs.client.mutating import Mutator
from cairnfs.client.pieces import Piece, Pieces
from cairnfs.client.sending import Sender
from cairnfs.errors import CairnError, LostWritesError
from cairnfs.ids import NO_VERSION, ChunkVersion, InodeId
from cairnfs.wire.mutations import SyncChunk, Synced, Written
from cairnfs.wire.namespace import SetLength

logger = logging.getLogger(__name__)

_REWRITES_MAX = 8
"""Times that lost writes are written again in one sync before the caller hears of it."""


class Syncer:
    """Syncs the pieces of one open file."""

    def __init__(
        self,
        connection: Connection,
        locations: Locations,
        mutator: Mutator,
        inode: InodeId,
        pieces: Pieces,
        sender: Sender,
    ) -> None:
        self._connection = connection
        self._locations = locations
        self._mutator = mutator
        self._inode = inode
        self._pieces = pieces
        self._sender = sender
        self._turn = asyncio.Lock()
        self.is_behind = False
        """A sync runs in the background."""

    def start_behind(self, present: int) -> None:
        """Sync what is acked while more is written, if that does not run already."""
        if not self.is_behind:
            self.is_behind = True
            task = self._connection.nursery.start(self._sync_behind(present), name="sync")
            task.add_done_callback(self._ended_behind)

    async def _sync_behind(self, present: int) -> None:
        """An error is left to the next sync of the caller."""
        try:
            await self.sync_acked(final=False, present=present)
        except CairnError as error:
            logger.debug("background sync failed inode=%d error=%s", self._inode, error)

    def _ended_behind(self, task: asyncio.Task[None]) -> None:
        self.is_behind = False
        self._pieces.change()

    async def sync_acked(self, *, final: bool, present: int | None = None) -> None:
        """Sync the chunks that have acked pieces. `final`: close them too; else only those before chunk `present`."""
        async with self._turn:
            for index in sorted({piece.index for piece in self._pieces.acked()}):
                is_left = present is not None and index < present and not self._is_busy(index)
                await self._sync_chunk(index, close=final or is_left)
        self._pieces.change()

    def _is_busy(self, index: int) -> bool:
        return any(not piece.is_acked for piece in self._pieces.of_chunk(index))

    async def sync_with(self, piece: Piece, *, close: bool) -> None:
        """Rule 10: let the flush ride on the write of `piece`, which is in the books; then its chunk needs no other.

        Raises:
            CairnError: it is not acked, and kept.
        """
        async with self._turn:
            others = [other for other in self._pieces.of_chunk(piece.index) if other is not piece]
            is_whole = all(other.is_acked for other in others)
            piece.is_running = True
            try:
                known, written = await self._sender.send(piece, sync=is_whole, close=close and is_whole)
            finally:
                piece.is_running, piece.is_told = False, True
                self._pieces.change()
            if is_whole and all(other.version == written.version for other in others):
                await self._tell_length(known, written)
                self._pieces.forget([*others, piece])
                self._connection.counters.syncs += 1

    async def _sync_chunk(self, index: int, *, close: bool) -> None:
        lost: LostWritesError | None = None
        for _ in range(_REWRITES_MAX):
            acked = self._pieces.acked(index)
            if not acked:
                return
            try:
                known, synced = await self._send_sync(index, acked, close=close)
            except LostWritesError as error:
                await self._write_again(index, error)
                lost = error
                continue
            self._pieces.forget(acked)
            self._connection.counters.syncs += 1
            if synced.closed:
                self._locations.forget(self._inode, index)
            await self._tell_length(known, synced)
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

    async def _write_again(self, index: int, error: LostWritesError) -> None:
        """Contract 5: continuity was broken since these were acked; write them anew, in their order."""
        # What is on its way may overlap them and was written later: it is acked, and written again, behind them.
        await self._pieces.until(lambda: not any(piece.is_running for piece in self._pieces.of_chunk(index)))
        pieces = self._pieces.acked(index)
        logger.warning("unsynced writes are written again chunk=%016x pieces=%d", error.chunk, len(pieces))
        for piece in pieces:
            piece.version = NO_VERSION
            piece.renew(self._connection.sequences.take())
            piece.is_running = True
        try:
            for piece in pieces:
                self._connection.counters.rewrites += 1
                await self._sender.send(piece)
        finally:
            for piece in pieces:
                piece.is_running = False
            self._pieces.change()

    async def _tell_length(self, known: Known, result: Written | Synced) -> None:
        """Rule 18: the master learns the length of the last sync or close."""
        version: ChunkVersion = result.version
        await self._connection.ask(
            SetLength(
                inode=self._inode,
                index=known.place.index,
                handle=known.place.handle,
                version=version,
                length=result.length,
                closed=result.closed,
                mtime_ns=self._connection.env.clock.wall_ns(),
            )
        )
