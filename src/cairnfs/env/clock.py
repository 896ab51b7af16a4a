"""The real clocks of this machine. Used by `real.py`."""

import time


class RealClock:
    """CLOCK_BOOTTIME, which goes on while the machine sleeps: a lease must not outlive a closed lid."""

    def now_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        return time.time_ns()
