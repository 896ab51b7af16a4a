"""What to copy next. GFS paper, section 4.3. Pure.

Chunks furthest from their goal first, and among them those that block somebody (the paper: "we boost the priority of
any chunk that is blocking client progress"). A chunk with one copy left is urgent: no grace time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cairnfs.ids import ChunkHandle


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
    """Current replicas on live servers."""
    closed: bool
    has_lease: bool
    """Open, and its primary lives and may go on."""
    unheard: int = 0
    """Members whose servers have gone lately: they may come back within the grace time."""
    is_wanted: bool = False
    """Somebody waits for it."""
    below_barrier: bool = False
    restarted: int = 0
    """Members that live but have restarted: a raise brings them back without a copy."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing to do."""

    handle: ChunkHandle
    work: Work
    copies: int
    """How many more are needed."""


def plan_repairs(chunks: Sequence[Health], *, places: int) -> list[Repair]:
    """Return up to `places` repairs, the most urgent first; equal ones in the order given."""
    needed = [(health, repair) for health in chunks if (repair := need_of(health)) is not None]
    needed.sort(key=lambda pair: _urgency(pair[0]))
    return [repair for _, repair in needed[: max(0, places)]]


def need_of(health: Health) -> Repair | None:
    """Return what a chunk needs; None: nothing, nothing can be done (no copy left), or it may come back by itself."""
    if not health.closed and (health.live == 0 or not health.has_lease):
        return _need_of_abandoned(health)
    if health.live == 0:
        return None
    missing = health.goal - health.live
    if missing > 0 and (health.live == 1 or health.is_wanted or health.unheard < missing):
        return Repair(health.handle, Work.COPY if health.closed else Work.JOIN, missing)
    if health.closed and health.below_barrier:
        return Repair(health.handle, Work.LIFT, 0)
    return None


def _need_of_abandoned(health: Health) -> Repair | None:
    """Of an open chunk that nobody orders."""
    there = health.live + health.restarted
    if there == 0:
        return None
    if there == 1 and health.unheard:
        return None  # a raise with this one alone would make the others stale, which may be back in a moment
    # With none that lives unbroken: the raise finds out whether one that has restarted will do.
    return Repair(health.handle, Work.REVIVE, max(0, health.goal - health.live) if health.live else 0)


def _urgency(health: Health) -> tuple[int, bool, bool]:
    """Lower is sooner: fewest copies left (at most the goal's worth of them), then whom somebody waits for."""
    return min(health.live, health.goal), not health.is_wanted, health.closed
