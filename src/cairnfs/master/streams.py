"""How much is being copied now, from and to each server, and in the whole cluster. GFS paper, section 4.3.

"The master limits the numbers of active clone operations both for the cluster and for each chunkserver." Ours: what
counts is bytes, because chunks have from 0 to 64 MiB; the speed itself is kept by the chunkservers (`pacing`).
"""

from dataclasses import dataclass

from cairnfs.env import Clock
from cairnfs.ids import ServerId

COPIES_MAX = 16
"""Copies at once from, and to, one server."""
CHUNKS_AT_ONCE = 2
"""Full chunks at once from, and to, one server: enough that none waits for the other end of one copy."""


@dataclass(slots=True)
class _Load:
    count: int = 0
    size: int = 0


class Streams:
    """Copies under way."""

    def __init__(self, chunk_bytes: int) -> None:
        self._most = CHUNKS_AT_ONCE * chunk_bytes
        self._out: dict[ServerId, _Load] = {}
        self._in: dict[ServerId, _Load] = {}

    def may_give(self, server: ServerId, size: int) -> bool:
        return self._has_place(self._out.get(server), size)

    def may_take(self, server: ServerId, size: int) -> bool:
        return self._has_place(self._in.get(server), size)

    def given_by(self, server: ServerId) -> int:
        """Return how many bytes are being copied from there."""
        load = self._out.get(server)
        return 0 if load is None else load.size

    def taken_by(self, server: ServerId) -> int:
        """Return how many bytes are being copied there."""
        load = self._in.get(server)
        return 0 if load is None else load.size

    def _has_place(self, load: _Load | None, size: int) -> bool:
        return load is None or (load.count < COPIES_MAX and load.size + size <= self._most)

    def begin(self, source: ServerId, target: ServerId, size: int) -> None:
        for loads, server in ((self._out, source), (self._in, target)):
            load = loads.setdefault(server, _Load())
            load.count += 1
            load.size += size

    def end(self, source: ServerId, target: ServerId, size: int) -> None:
        for loads, server in ((self._out, source), (self._in, target)):
            load = loads[server]
            load.count -= 1
            load.size -= size
            if not load.count:
                del loads[server]


class Budget:
    """Bytes that may be begun, at a speed; what was not used for a second is gone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s = float("-inf")

    def is_open(self, bytes_s: int) -> bool:
        """True if the next copy may begin. 0: no limit."""
        return not bytes_s or self._due_s <= self._clock.now_s()

    def spend(self, size: int, bytes_s: int) -> None:
        if bytes_s:
            self._due_s = max(self._due_s, self._clock.now_s() - 1.0) + size / bytes_s
