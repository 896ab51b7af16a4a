"""The speed of repairs and moves through one chunkserver: each end of a copy keeps to its own limit. GFS paper, 4.3.

Ours: a limit in bytes a second for what comes in and one for what goes out, told by the master with each heartbeat, so
that an operator can change it while copies run. Raises are not paced: writers wait for them.
"""

import asyncio

from cairnfs.env import Clock

BURST_S = 0.1
"""What was not used for so long may be used at once."""


class Pace:
    """A limit for one direction. Only touched on the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s = float("-inf")
        self.bytes_s = 0
        """0: no limit."""

    async def take(self, size: int) -> None:
        """Wait until `size` bytes more are within the limit; who came first goes first."""
        if not self.bytes_s:
            return
        now_s = self._clock.now_s()
        due_s = max(self._due_s, now_s - BURST_S)
        self._due_s = due_s + size / self.bytes_s
        if due_s > now_s:
            await asyncio.sleep(due_s - now_s)
