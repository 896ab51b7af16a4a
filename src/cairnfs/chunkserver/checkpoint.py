"""Brings what the journal holds to its place, so that a sealed segment can be removed. Rule 24.

Order: places of redo records are written → headers and slots are written → all is flushed → the segment is removed.
A crash in between only means that the segment is replayed once more.
"""

import asyncio
import logging

from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.format import HEADER_SLOT_BYTES, PAIR_BYTES, SLOTS_START
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import ChunkCorruptError, DiskFailedError
from cairnfs.ids import format_handle

logger = logging.getLogger(__name__)


class Checkpointer:
    """One per disk; `loop` runs as a task."""

    def __init__(self, disk: DataDisk) -> None:
        self._disk = disk
        self._sealed = asyncio.Event()
        self.done = 0
        self._turn = asyncio.Lock()
        disk.journal.on_sealed = self._sealed.set

    async def loop(self) -> None:
        """Checkpoint whenever a segment was sealed, until cancelled or the disk fails."""
        while not self._disk.failed:
            await self._sealed.wait()
            self._sealed.clear()
            try:
                await self.run()
            except DiskFailedError:
                return

    async def finish(self) -> None:
        """Flush all places once more; after `Journal.seal`. Raises DiskFailedError."""
        await self.run()

    async def run(self) -> None:
        """Flush the places of all sealed segments and remove them.

        Raises:
            DiskFailedError: the segments are still there.
        """
        async with self._turn:
            await self._run()

    async def _run(self) -> None:
        disk = self._disk
        segments = list(disk.journal.sealed)
        if not segments:
            return
        for segment in segments:
            await segment.idle.wait()
        unplaced, disk.unplaced = disk.unplaced, {}
        for replica in unplaced.values():
            async with replica.turn:
                if replica.gone:
                    continue
                try:
                    await place(disk, replica)
                except ChunkCorruptError as error:
                    # Its files went away under us; the next read or scrub reports it.
                    logger.warning("checksums not placed chunk=%s why=%s", format_handle(replica.handle), error)
        await disk.run(disk.files.sync_all)
        await disk.journal.remove(segments)
        self.done += 1


async def place(disk: DataDisk, replica: Replica) -> None:
    """Write header and slots to the .sum file, without a flush. The caller has the replica's turn."""
    table = replica.table
    writes: list[tuple[int, bytes]] = []
    if replica.header_unplaced:
        replica.header_unplaced = False
        replica.header_slot ^= 1
        writes.append((replica.header_slot * HEADER_SLOT_BYTES, disk.header_bytes(replica)))
    for first, last in runs(sorted(table.unplaced)):
        writes.append((SLOTS_START + first * PAIR_BYTES, table.pairs(first, last)))
    table.unplaced.clear()
    if not writes:
        return
    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> None:
            for offset, content in writes:
                opened.sums().write(offset, [content])

        await disk.run(job)


def runs(blocks: list[int]) -> list[tuple[int, int]]:
    """Return (first, last) of each run of numbers without a gap; `blocks` ascend."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        if found and found[-1][1] == block - 1:
            found[-1] = found[-1][0], block
        else:
            found.append((block, block))
    return found
