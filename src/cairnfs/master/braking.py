"""The brake on deletions that no purge in the log explains. Rule 22.

A bug, or metadata of another time, makes many replicas look like garbage at once. So of these deletions a server gets
at most 5 % of its replicas or 1,000 in an hour, whichever is more; the rest are held until an operator lets them go.

Invariants:
    1. What was let go is a number: as many as were held when the operator said so. What turns up later is held.
    2. It is in memory only: a master that has just started knows nothing of an operator's word, and holds again.
"""

from collections import deque
from dataclasses import dataclass, field

from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.limits import DELETE_BRAKE_COUNT, DELETE_BRAKE_FRACTION
from cairnfs.units import HOUR_S

_SHOWN_MAX = 20


@dataclass(slots=True)
class HeldBack:
    """What is held on one server, as of the look that runs or the last one."""

    orphans: int = 0
    stale: int = 0
    newer: int = 0
    """Of both: newer than the backup that the metadata came from."""
    handles: list[ChunkHandle] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.orphans + self.stale

    def note(self, handle: ChunkHandle, *, orphan: bool, newer: bool = False) -> None:
        self.newer += newer
        self.orphans += orphan
        self.stale += not orphan
        if len(self.handles) < _SHOWN_MAX:
            self.handles.append(handle)

    def show(self, handle: ChunkHandle) -> None:
        """Newer, but not to be deleted, whatever an operator says: other copies are missing."""
        self.newer += 1
        if len(self.handles) < _SHOWN_MAX:
            self.handles.append(handle)


@dataclass(slots=True)
class _Released:
    left: int
    until_s: float


class Brake:
    """How many unexplained deletions each server may have now, and what is held."""

    def __init__(self) -> None:
        self._recent: dict[ServerId, deque[tuple[float, int]]] = {}
        self._released: dict[ServerId, _Released] = {}
        self.held: dict[ServerId, HeldBack] = {}

    def begin_look(self, server: ServerId) -> None:
        """A look at all replicas of a server begins: what is held is counted anew."""
        self.held.pop(server, None)

    def take(self, server: ServerId, wanted: int, *, replicas: int, now_s: float, all_wait: bool = False) -> int:
        """Return how many of `wanted` deletions may be done now; they count from now on.

        `all_wait`: none but what an operator let go.
        """
        recent = self._recent.setdefault(server, deque())
        while recent and recent[0][0] < now_s - HOUR_S:
            recent.popleft()
        most = max(DELETE_BRAKE_COUNT, int(replicas * DELETE_BRAKE_FRACTION))
        usual = 0 if all_wait else min(wanted, max(0, most - sum(count for _, count in recent)))
        if usual:
            recent.append((now_s, usual))
        beyond = min(wanted - usual, self.released(server, now_s=now_s))
        if beyond:
            self._released[server].left -= beyond
        return usual + beyond

    def released(self, server: ServerId, *, now_s: float) -> int:
        """Return how many more an operator has let go there."""
        said = self._released.get(server)
        if said is not None and (now_s >= said.until_s or not said.left):
            del self._released[server]
            return 0
        return said.left if said is not None else 0

    def release(self, server: ServerId, *, now_s: float) -> int:
        """Let go what is held there now; return how many."""
        held = self.held.get(server)
        if held is None:
            return 0
        self._released[server] = _Released(held.count, now_s + HOUR_S)
        return held.count
