"""How long the requests of a disk take: what tells a dying disk from its peers before it fails."""

from collections import deque

SAMPLES = 64
ENOUGH = 10


class Latency:
    """The last few requests, waiting included."""

    def __init__(self) -> None:
        self._taken_s: deque[float] = deque(maxlen=SAMPLES)

    def note(self, seconds: float) -> None:
        self._taken_s.append(seconds)

    @property
    def slow_s(self) -> float:
        """The slowest of ten: nine of ten were faster. 0: too few to say."""
        if len(self._taken_s) < ENOUGH:
            return 0.0
        return sorted(self._taken_s)[len(self._taken_s) * 9 // 10]
