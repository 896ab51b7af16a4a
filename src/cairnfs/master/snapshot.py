"""Snapshots: seal every open chunk of the tree, then share all of them in one record. GFS paper, section 3.4; rule 9.

The paper revokes leases and waits; ours raises each open chunk without a grant and seals it, so that the content of the
snapshot is fixed by a reconciliation and every shared chunk is closed. A chunk that a writer opens meanwhile is refused
by the record itself and sealed again, until the deadline: then nothing was made.
"""

import asyncio
import logging

from cairnfs.errors import CairnError, ChunkOpenError, NoCopyError, NotFoundError
from cairnfs.ids import ChunkHandle
from cairnfs.master.counting import Counting
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.tasks import gather_settled
from cairnfs.wire.namespace import Snapshot, Status

logger = logging.getLogger(__name__)

AT_ONCE = 32
"""Chunks sealed side by side."""


class Snapshots:
    """Answers Snapshot."""

    def __init__(self, reign: Reign, raising: Raising, counting: Counting) -> None:
        self._reign = reign
        self._counting = counting
        self._raising = raising

    async def take(self, request: Snapshot) -> Status:
        """Copy a tree.

        Raises:
            NoCopyError: an open chunk could not be sealed before the deadline. Nothing was made; some are closed.
            ExistsError, NotFoundError, ...: as `Snapshot` says.
        """
        deadline_s = self._reign.now_s() + self._reign.config.snapshot_deadline_s
        while True:  # ends at the deadline
            try:
                return await self._counting.execute(request)
            except ChunkOpenError as error:
                open_chunks = [ChunkHandle(handle) for handle in error.chunks]
            left_s = deadline_s - self._reign.now_s()
            if left_s <= 0:
                raise NoCopyError(chunk=open_chunks[0], why="writers opened it again until the snapshot's deadline")
            try:
                async with asyncio.timeout(left_s):
                    await self._seal_all(open_chunks)
            except TimeoutError:
                raise NoCopyError(chunk=open_chunks[0], why="not sealed before the snapshot's deadline") from None

    async def _seal_all(self, handles: list[ChunkHandle]) -> None:
        for start in range(0, len(handles), AT_ONCE):
            some = handles[start : start + AT_ONCE]
            for result in await gather_settled(*[self.seal(handle) for handle in some]):
                if isinstance(result, BaseException):
                    raise result

    async def seal(self, handle: ChunkHandle) -> None:
        """Close an open chunk as it is; nothing if it is closed or gone. Raises NoCopyError."""
        async with self._reign.turns.hold(handle):
            row = self._reign.chunk(handle)
            if row is None or row.closed:
                return
            try:
                await self._raising.seal(handle)
            except NotFoundError:
                return
            except CairnError as error:
                logger.info("not sealed for a snapshot chunk=%016x why=%s", handle, error)
                raise
