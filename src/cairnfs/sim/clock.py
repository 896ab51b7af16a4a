"""The clocks of simulated hosts. Used by `world` and, for what timers count, by `loop`.

SimClock    what a role asks: CLOCK_BOOTTIME goes on while the machine sleeps, the wall clock may jump
LoopClock   what timers count: CLOCK_MONOTONIC drifts as the other does, and stands still while the machine sleeps
"""

import random
from typing import Protocol

from cairnfs.units import SECOND_NS

START_MAX = 1 << 26
"""In 1/1024 s: some 18 hours."""
WALL_START_NS = 1_700_000_000 * SECOND_NS


class LoopClock:
    """Time as the loop of one life counts it, in seconds of the world until told otherwise."""

    def __init__(self, now_ns: int) -> None:
        self._base_s = now_ns / SECOND_NS
        self._since_ns = now_ns
        self._rate = 1.0

    def time(self, now_ns: int) -> float:
        """Return what this clock shows at a moment of the world."""
        return self._base_s + max(0, now_ns - self._since_ns) / SECOND_NS * self._rate

    def moment_ns(self, when_s: float, now_ns: int) -> int:
        """Return when in the world this clock will show `when_s`."""
        return max(now_ns, self._since_ns) + round((when_s - self.time(now_ns)) / self._rate * SECOND_NS)

    def set_rate(self, rate: float, now_ns: int) -> None:
        """Go faster or slower from now on, without a jump."""
        self._base_s, self._since_ns, self._rate = self.time(now_ns), max(now_ns, self._since_ns), rate

    def stand_still(self, seconds: float, now_ns: int) -> None:
        """Take so much of the world's time, from now on, for none."""
        self._base_s, self._since_ns = self.time(now_ns), max(now_ns, self._since_ns) + round(seconds * SECOND_NS)


class World(Protocol):
    """Whose time it is: a loop."""

    now_ns: int


class SimClock:
    """A host's clock: `rate` seconds for each second of the world, from when the rate was set."""

    def __init__(self, world: World, starts: random.Random | None = None) -> None:
        """`starts` draws what it shows when the machine is switched on; None: the world's time."""
        self._world = world
        self._starts = starts
        self._since_ns = 0
        self._base_s = 0.0
        self.rate = 1.0
        self.boot()
        self.wall_offset_ns = 0
        """How wrong the operator's clock is; may jump."""

    def now_s(self) -> float:
        return self._base_s + (self._world.now_ns - self._since_ns) / SECOND_NS * self.rate

    def wall_ns(self) -> int:
        return WALL_START_NS + self._world.now_ns + self.wall_offset_ns

    def set_rate(self, rate: float) -> None:
        """Go faster or slower from now on, without a jump."""
        assert rate > 0, rate
        self._base_s, self._since_ns, self.rate = self.now_s(), self._world.now_ns, rate

    def boot(self) -> None:
        """The machine is switched on: its clock has nothing to do with that of others, nor with its own before."""
        if self._starts is not None:
            # In fractions of two, so that differences of times stay exact.
            self._base_s, self._since_ns = self._starts.randrange(START_MAX) / 1024, self._world.now_ns
