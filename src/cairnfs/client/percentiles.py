"""How long the latest requests took, at most, but for a few: an exact percentile of a ring of samples. Pure.

The last 128 are kept sorted, so that to add one is a search and a move of a few bytes, and to ask costs nothing. A
sketch of all samples ever (t-digest, HDR) would need less memory for more samples, but what matters here is now.
"""

from bisect import bisect_left, insort
from collections import deque
from math import ceil

SAMPLES_MAX = 128
"""Enough for six beyond the 95th percentile, few enough to forget a bad minute within a hundred requests."""


class RecentPercentile:
    """Of the last `samples_max` values."""

    def __init__(self, samples_max: int = SAMPLES_MAX) -> None:
        assert samples_max > 0, samples_max
        self._samples_max = samples_max
        self._in_turn: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: float) -> None:
        """Take a sample; the oldest goes if there are too many."""
        if len(self._in_turn) == self._samples_max:
            del self._sorted[bisect_left(self._sorted, self._in_turn.popleft())]
        self._in_turn.append(value)
        insort(self._sorted, value)

    def at(self, share: float) -> float:
        """Return the smallest sample that at least `share` (above 0, at most 1) of all do not exceed; at least one."""
        assert 0 < share <= 1, share
        return self._sorted[ceil(share * len(self._sorted)) - 1]
