"""What happened in a simulation, one row an event, and a hash over all of it: two runs are the same if it is.

Rows hold no address, no `id()` and no set order; names of tasks and numbers of connections belong to the world. They
are kept as they come and hashed many at a time, since a run has a thousand in a simulated second.
"""

import hashlib
from collections import deque

import msgspec

BATCH_ROWS = 1000
BATCHES_KEPT = 2

_encode = msgspec.msgpack.Encoder().encode
_Row = tuple[int, str, str, str | int, str | int]


class Trace:
    """The running hash of all rows and the last of them."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._rows: list[_Row] = []
        self._kept: deque[list[_Row]] = deque(maxlen=BATCHES_KEPT)
        self._hashed = 0
        self._hash = hashlib.blake2b(digest_size=16)

    @property
    def events(self) -> int:
        """How many there were."""
        return self._hashed + len(self._rows)

    def add(self, host: str, what: str, about: str | int = "", more: str | int = "") -> None:
        """Note an event at the present virtual time."""
        self._rows.append((self.now_ns, host, what, about, more))

    def hash_full_batches(self) -> None:
        """Hash what has come. The loop asks for it whenever time passes, so that not every event has to."""
        while len(self._rows) >= BATCH_ROWS:
            batch, self._rows = self._rows[:BATCH_ROWS], self._rows[BATCH_ROWS:]
            self._hash.update(_encode(batch))
            self._hashed += BATCH_ROWS
            self._kept.append(batch)

    def digest(self) -> str:
        """Return the hash of every row so far."""
        self.hash_full_batches()
        whole = self._hash.copy()
        whole.update(_encode(self._rows))
        return whole.hexdigest()

    def tail(self, count: int = 50) -> str:
        """Return the last rows as lines, for a person."""
        rows = [row for batch in (*self._kept, self._rows) for row in batch]
        return "".join(f"{' '.join(str(part) for part in row).rstrip()}\n" for row in rows[-count:])
