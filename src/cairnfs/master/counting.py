"""Requests that need what is below a folder counted: counted step by step, so that nobody else waits. docs/QUOTAS.md.

    request ──▶ refused: folder X is not counted ──▶ count X in small commits ──▶ the same request again

What is counted stays so, and is kept up to date by every change; a caller that gives up and asks again goes on there.
"""

import asyncio
import logging
from typing import TypeVar

from cairnfs.errors import NotCountedError
from cairnfs.ids import InodeId
from cairnfs.master.reign import Reign
from cairnfs.meta.commands import CountFolders, UncountFolders
from cairnfs.meta.tables import USAGE
from cairnfs.wire.base import Reply, Request

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)

COUNTS_MAX = 1000
"""Steps for one request, each of a few milliseconds: within a caller's patience."""
STEPS_MAX = 50
"""Steps in which no longer counted folders are let go, in one turn."""


class Counting:
    """Carries out Rename, Undelete, Snapshot and SetQuota."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign
        self._after = InodeId(0)

    async def execute(self, request: Request[R]) -> R:
        """Carry out a request.

        Raises:
            NotCountedError: there is too much to count for one call; the next one goes on.
            CairnError: refused; nothing was changed.
        """
        steps = 0
        while True:  # ends: steps are counted
            try:
                return await self._reign.execute(request)
            except NotCountedError as error:
                if steps >= COUNTS_MAX:
                    raise
                steps += await self.count(InodeId(error.folder), COUNTS_MAX - steps)

    async def count(self, folder: InodeId, steps_max: int = COUNTS_MAX) -> int:
        """Count what is below a folder, at most so many steps; return how many were made."""
        folders = 0
        for step in range(1, steps_max + 1):
            counted = await self._reign.execute(CountFolders(top=folder))
            folders += counted.folders
            if not counted.more:
                logger.info("folders counted top=%d folders=%d", folder, folders)
                return step
            await asyncio.sleep(0)
        return steps_max

    async def let_go(self) -> None:
        """Look at some counted folders, and let those go for which no limit holds any more."""
        with self._reign.store.read() as view:
            if not view.count(USAGE):
                return
        for _ in range(STEPS_MAX):
            gone = await self._reign.execute(UncountFolders(after=self._after))
            self._after = gone.last
            if not gone.more:
                return
