"""Where new replicas go. GFS paper, section 4.2. Pure: the caller draws the numbers that break ties.

The paper's three wishes: (1) servers with below-average disk use, (2) few recent creations on each, because a creation
is followed by heavy writing, (3) spread over racks. Ours: chunks that are being written count as load; a server on the
writer's machine is preferred as primary (rule 10); only live servers with room are asked at all (rule 26); several
servers of one machine, told by the host of their addresses, hold copies of one chunk only where there is no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cairnfs.ids import BootId, ServerId


class Candidate(NamedTuple):
    """A live server as placement sees it. A tuple, because each create makes one per server."""

    server: ServerId
    boot: BootId
    address: str
    rack: str
    free_bytes: int
    total_bytes: int
    writing: int = 0
    """Leases it holds."""
    recent: int = 0
    """Chunks created there within the last ten seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for."""

    count: int
    chunk_bytes: int
    recent_max: int
    near: str = ""
    """host:port or host of the writer; a server there comes first."""
    avoid_racks: tuple[str, ...] = ()
    """Racks that hold replicas already."""
    avoid_machines: tuple[str, ...] = ()
    """Hosts that do."""


def choose_servers(candidates: Sequence[Candidate], wish: Wish, draws: Sequence[float]) -> list[Candidate]:
    """Return up to `wish.count` servers, the best primary first; fewer if there are not enough with room.

    `draws` has one number in [0, 1) per candidate: equal servers are taken in that order.
    """
    roomy = [(candidate, draw) for candidate, draw in zip(candidates, draws, strict=True) if _has_room(candidate, wish)]
    if not roomy:
        return []
    average = sum(_use(candidate) for candidate, _ in roomy) / len(roomy)
    ranked = sorted(roomy, key=lambda pair: (*_rank(pair[0], average, wish), pair[1]))
    ordered = [candidate for candidate, _ in ranked]
    chosen: list[Candidate] = []
    racks, machines = list(wish.avoid_racks), list(wish.avoid_machines)
    near = next((candidate for candidate in ordered if _is_near(candidate, wish.near)), None)
    if near is not None:
        _take(near, ordered, chosen, racks, machines)
    while len(chosen) < wish.count and ordered:  # ends: each turn takes one away
        # The first of the best: a rack of its own is worth more than a machine of its own, which every rack brings.
        best = min(
            ordered,
            key=lambda one: (bool(one.rack) and one.rack in racks, machine_of(one.address) in machines),
        )
        _take(best, ordered, chosen, racks, machines)
    return chosen


def machine_of(address: str) -> str:
    """Return the host of host:port: servers of one machine fail together."""
    return address.rpartition(":")[0]


def _take(
    candidate: Candidate, ordered: list[Candidate], chosen: list[Candidate], racks: list[str], machines: list[str]
) -> None:
    ordered.remove(candidate)
    chosen.append(candidate)
    machines.append(machine_of(candidate.address))
    if candidate.rack:
        racks.append(candidate.rack)


def _has_room(candidate: Candidate, wish: Wish) -> bool:
    """Every chunk being written may grow to its full size, so it is counted as if it had."""
    return candidate.free_bytes >= wish.chunk_bytes * (1 + candidate.writing)


def _use(candidate: Candidate) -> float:
    return 1.0 - candidate.free_bytes / max(1, candidate.total_bytes)


def _rank(candidate: Candidate, average: float, wish: Wish) -> tuple[bool, bool, int]:
    # A few per cent above the average is still average: without that, the emptiest server would take every chunk.
    return (
        candidate.recent >= wish.recent_max,
        _use(candidate) > average + 0.05,
        candidate.recent + candidate.writing,
    )


def _is_near(candidate: Candidate, near: str) -> bool:
    if not near:
        return False
    return candidate.address == near
