"""What to copy next. GFS paper, section 4.3. Pure.

Chunks with one copy left first, then those furthest from their goal, and among them those that block somebody (the
paper: "we boost the priority of any chunk that is blocking client progress"), live files before what is in the trash.
Ours: a chunk with one copy left gets no grace time; copies on servers that are to leave count for readers, and as
sources, but not for the goal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cairnfs.ids import ChunkHandle
from cairnfs.limits import REPLICAS_MAX


class Work(StrEnum):
    """What a chunk needs."""

    COPY = "copy"  # closed, below its goal: clone, then a member more in the record
    REVIVE = "revive"  # open, but its primary is gone or its lease over: raise and seal
    JOIN = "join"  # open and in use, below its goal: clone in the background, then raise with the joiner
    LIFT = "lift"  # a shared chunk below its reader barrier: raise it above, closed as it is


@dataclass(frozen=True, slots=True)
class Health:
    """One chunk as the last look saw it."""

    handle: ChunkHandle
    goal: int
    live: int
    """Current replicas on live servers that stay."""
    closed: bool
    has_lease: bool
    """Open, and its primary lives and may go on."""
    leaving: int = 0
    """Current replicas on live servers that are to leave."""
    unheard: int = 0
    """Members whose servers have gone lately or are in maintenance: they may come back."""
    is_wanted: bool = False
    """Somebody waits for it."""
    below_barrier: bool = False
    restarted: int = 0
    """Members that live but have restarted: a raise brings them back without a copy."""
    is_trash: bool = False
    """Its file is deleted, but may be taken back."""

    @property
    def copies(self) -> int:
        """How many current replicas can be read."""
        return self.live + self.leaving


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing to do."""

    handle: ChunkHandle
    work: Work
    copies: int
    """How many more are needed."""

    @property
    def copies_bytes(self) -> bool:
        """True if it moves a chunk's bytes in the background, and so within the limits of repairs."""
        return self.work in (Work.COPY, Work.JOIN)


def need_of(health: Health) -> Repair | None:
    """Return what a chunk needs; None: nothing, nothing can be done (no copy left), or it may come back by itself."""
    if not health.closed and (health.copies == 0 or not health.has_lease):
        return _need_of_abandoned(health)
    if health.copies == 0:
        return None
    missing = health.goal - health.live
    if missing > 0 and (health.copies == 1 or health.is_wanted or health.unheard < missing):
        return Repair(health.handle, Work.COPY if health.closed else Work.JOIN, missing)
    if health.closed and health.below_barrier:
        return Repair(health.handle, Work.LIFT, 0)
    return None


def _need_of_abandoned(health: Health) -> Repair | None:
    """Of an open chunk that nobody orders."""
    there = health.copies + health.restarted
    if there == 0:
        return None
    if there == 1 and health.unheard:
        return None  # a raise with this one alone would make the others stale, which may be back in a moment
    # With none that lives unbroken: the raise finds out whether one that has restarted will do.
    return Repair(health.handle, Work.REVIVE, max(0, health.goal - health.copies) if health.copies else 0)


def urgency_of(health: Health) -> int:
    """Return the bucket of a chunk in need, from 0 on; lower is sooner."""
    copies = min(health.copies, health.goal, REPLICAS_MAX)
    return copies << 3 | (not health.is_wanted) << 2 | health.is_trash << 1 | health.closed


_BUCKETS = (REPLICAS_MAX + 1) << 3


class Queue:
    """Chunks in need, one bucket for each urgency; within a bucket, who came first goes first."""

    def __init__(self) -> None:
        self._buckets: list[dict[ChunkHandle, None]] = [{} for _ in range(_BUCKETS)]
        self._place: dict[ChunkHandle, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, handle: ChunkHandle) -> bool:
        return handle in self._place

    def put(self, handle: ChunkHandle, urgency: int) -> None:
        """Enter a chunk, or move it to another bucket; in its own it keeps its place."""
        before = self._place.get(handle)
        if before == urgency:
            return
        if before is not None:
            del self._buckets[before][handle]
        self._buckets[urgency][handle] = None
        self._place[handle] = urgency

    def drop(self, handle: ChunkHandle) -> None:
        before = self._place.pop(handle, None)
        if before is not None:
            del self._buckets[before][handle]

    def to_the_end(self, handle: ChunkHandle) -> None:
        """What cannot be done now does not stand in the way of its equals."""
        before = self._place.get(handle)
        if before is not None:
            bucket = self._buckets[before]
            del bucket[handle]
            bucket[handle] = None

    def first(self, count: int) -> list[ChunkHandle]:
        """Return up to `count` chunks, the most urgent first."""
        found: list[ChunkHandle] = []
        for handle in self._in_order():
            if len(found) == count:
                break
            found.append(handle)
        return found

    def _in_order(self) -> Iterator[ChunkHandle]:
        for bucket in self._buckets:
            yield from bucket
