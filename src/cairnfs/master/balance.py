"""Which server should give a chunk to which other. GFS paper, section 4.3. Pure.

"The master rebalances replicas periodically: it examines the current replica distribution and moves replicas for better
disk space and load balancing. Also through this process, the master gradually fills up a new chunkserver."
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cairnfs.ids import ServerId

LOAD_FACTOR = 2.0
LOAD_MIN = 8.0
"""Requests in work beyond twice the mean: less is chance."""


@dataclass(frozen=True, slots=True)
class Use:
    """One live server."""

    server: ServerId
    rack: str
    used: float
    """Fraction of its disks, 0 to 1."""
    load: float
    """Requests in work, over the last heartbeats."""
    has_room: bool


def plan_move(servers: Sequence[Use], *, spread: float) -> tuple[ServerId, list[ServerId]] | None:
    """Return who gives, and who may take, the best first; None: it is even enough.

    `spread`: disks that differ less than this fraction are even.
    """
    takers = sorted((one for one in servers if one.has_room), key=lambda one: (one.used, one.load))
    if not takers or len(servers) < 2:
        return None
    fullest = max(servers, key=lambda one: one.used)
    # Half of it: a move must not make the giver the emptier one.
    good = [one.server for one in takers if fullest.used - one.used > spread / 2]
    if fullest.used - takers[0].used > spread:
        return fullest.server, good
    busiest = max(servers, key=lambda one: one.load)
    mean = sum(one.load for one in servers) / len(servers)
    if busiest.load > LOAD_FACTOR * mean + LOAD_MIN:
        calm = [one for one in takers if one.load < mean and one.used - busiest.used <= spread / 2]
        takes = [one.server for one in sorted(calm, key=lambda one: one.load) if one is not busiest]
        return (busiest.server, takes) if takes else None
    return None


def keeps_apart(places: Sequence[str], source: str, target: str) -> bool:
    """True if a chunk with copies in `places` stands in no fewer after a move from `source` to `target`.

    Places are racks, or machines.
    """
    after = list(places)
    after.remove(source)
    after.append(target)
    return len({*after}) >= len({*places})
