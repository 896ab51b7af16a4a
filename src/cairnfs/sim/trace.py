"""What happened in a simulation, one line an event, and a hash over all of it: two runs are the same if it is.

Lines hold no address, no `id()` and no set order; names of tasks and numbers of connections belong to the world.
"""

import hashlib
from collections import deque

LINES_KEPT = 2000


class Trace:
    """The running hash of all lines and the last of them."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.events = 0
        self.now_ns = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, host: str, what: str, about: str = "") -> None:
        """Note an event at the present virtual time."""
        line = f"{self.now_ns} {host} {what} {about}\n"
        self.lines.append(line)
        self.events += 1
        self._hash.update(line.encode())

    def digest(self) -> str:
        """Return the hash of every line so far."""
        return self._hash.hexdigest()

    def tail(self, count: int = 50) -> str:
        """Return the last lines, for a person."""
        return "".join(list(self.lines)[-count:])
