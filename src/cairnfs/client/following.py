"""Waiting for a file to grow. Rule 7: a follower (`tail -f`) waits at the primary.

    longer than L? ──▶ length, proven ──▶ no ──▶ the chunk in which L lies is open: wait at its primary (ChunkLength)
        ▲                                        else: ask again after a pause: nobody can write without the master
        └──────────────────────────────────────────────┘

A waiter costs one question per _SLICE_S: no disk, and no round of the members while nothing changes. Slices are short
because chunks may be added behind an open one (a sparse write, a set that became too small), which only the master
knows; whenever that is likely, because a later chunk is there already, they are shorter still. What ends a wait early
(the chunk closes, is raised, its primary dies) leads back to the proven length, and that finds the new primary.
"""

import asyncio

from cairnfs.client.connection import Connection
from cairnfs.client.lengths import Lengths
from cairnfs.client.locations import Locations
from cairnfs.errors import CairnError
from cairnfs.ids import InodeId
from cairnfs.limits import FOLLOWED_AT_ONCE

_SLICE_S = 5.0
_SHORT_SLICE_S = 0.5
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 1.0


class Follower:
    """Waits of one client."""

    def __init__(self, connection: Connection, locations: Locations, lengths: Lengths) -> None:
        self._connection = connection
        self._locations = locations
        self._lengths = lengths
        self._waiting = asyncio.Semaphore(FOLLOWED_AT_ONCE)

    async def wait_longer(self, inode: InodeId, length: int, *, wait_s: float) -> int:
        """Return the file's length as soon as it is longer than `length`, or shorter; else after `wait_s`.

        It is a length that the file had after the call; while it grows it may be longer already.

        Raises:
            NotFoundError: the inode is gone.
        """
        clock = self._connection.env.clock
        deadline_s = clock.now_s() + wait_s
        pause_s = _PAUSE_MIN_S
        while True:  # ends at the deadline
            now = await self._lengths.of_inode(inode)
            left_s = deadline_s - clock.now_s()
            if now != length or left_s <= 0:
                return now
            found = await self._at_primary(inode, length, wait_s=left_s)
            if found is None:
                await asyncio.sleep(min(pause_s, max(0.0, deadline_s - clock.now_s())))
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
            elif found > length:
                return found
            else:
                pause_s = _PAUSE_MIN_S

    async def _at_primary(self, inode: InodeId, length: int, *, wait_s: float) -> int | None:
        """Wait a slice at the primary; return how far the file goes at least. None: there was nothing to wait at."""
        chunk_bytes = self._connection.geometry.chunk_bytes
        index, inside = divmod(length, chunk_bytes)
        try:
            answer = await self._locations.ask(inode, index)
            known = answer.known
            if known is None or not known.takes_mutations:
                return None
            slice_s = _SLICE_S if answer.chunks == index + 1 else _SHORT_SLICE_S
            async with self._waiting:
                there = await self._lengths.ask_primary(known, longer_than=inside, wait_s=min(wait_s, slice_s))
        except CairnError:
            return None
        return index * chunk_bytes + there
