"""What one seed's run is like: sizes, times, and which kinds of faults. Drawn from the seed, printed with each report.

Each run enables only some kinds of faults ("swarm testing"): a run with everything at once hides what a few would show.
"""

import random
from enum import StrEnum

import msgspec

from cairnfs.units import DAY_S, KIB

DURATION_S = 45.0
"""Virtual seconds of load and faults; starting, healing and checking come on top."""
FAULT_GAP_S = 5.0
"""A fault so often, on average. A soak is to have 1,500 of them in three hours."""
OPERATION_GAP_S = 0.4
"""A user's pause between two operations, on average."""


class Mode(StrEnum):
    """What the faults may do."""

    WITHIN = "within"
    """The promises hold: nothing acknowledged is lost, nothing stale is read."""
    CLOCKS = "clocks"
    """Clocks run as they like (contract 6): nothing acknowledged is lost, reads may be stale."""
    BEYOND = "beyond"
    """More copies are destroyed than there may be: whatever is lost must be said to be lost."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """All that distinguishes one run from another, but for chance."""

    mode: Mode = Mode.WITHIN
    duration_s: float = DURATION_S
    chunkservers: int = 4
    racks: int = 1
    disks: int = 1
    """Of each chunkserver."""
    users: int = 3
    replicas: int = 3
    chunk_bytes: int = 64 * KIB
    block_bytes: int = 4 * KIB
    heartbeat_s: float = 1.0
    lease_s: float = 20.0
    serving_lease_s: float = 10.0
    serving_lease_quiet_s: float = 10.0
    repair_grace_s: float = 5.0
    repair_bytes_s: int = 50_000_000
    balance_spread: float = 0.1
    trim_after_s: float = 10.0
    scrub_period_s: float = 14 * DAY_S
    safe_start_s: float = 10.0
    location_cache_s: float = 60.0
    trash_s: float = 3600.0
    fault_gap_s: float = FAULT_GAP_S
    operation_gap_s: float = OPERATION_GAP_S
    faults: tuple[str, ...] = ()
    """The kinds that happen; see `schedule.KINDS`."""


def draw_options(seed: int, kinds: tuple[str, ...], *, mode: Mode = Mode.WITHIN) -> Options:
    """Return what the seed says the run is like. `kinds`: of faults to choose from."""
    chance = random.Random(f"{seed}:options")
    heartbeat_s = chance.choice((0.3, 1.0, 1.0, 2.0))
    serving_lease_s = chance.choice((4.0, 10.0)) if heartbeat_s <= 1 else 10.0
    return Options(
        mode=mode,
        chunkservers=chance.choice((3, 4, 4, 5, 6)),
        racks=chance.choice((1, 1, 2, 3)),
        disks=chance.choice((1, 1, 2)),
        users=chance.choice((1, 2, 3, 3, 4)),
        replicas=chance.choice((3, 3, 3, 2)) if mode is not Mode.BEYOND else chance.choice((1, 2)),
        chunk_bytes=chance.choice((32, 64, 64, 256)) * KIB,
        block_bytes=chance.choice((1, 4, 4)) * KIB,
        heartbeat_s=heartbeat_s,
        lease_s=chance.choice((5.0, 20.0, 20.0, 60.0)),
        serving_lease_s=serving_lease_s,
        serving_lease_quiet_s=serving_lease_s * chance.choice((1, 1, 2)),
        repair_grace_s=chance.choice((2.0, 5.0, 20.0)),
        repair_bytes_s=chance.choice((100_000, 1_000_000, 50_000_000)),
        balance_spread=chance.choice((2e-7, 2e-6, 1.0)),
        trim_after_s=chance.choice((1.0, 10.0, 60.0)),
        scrub_period_s=chance.choice((20.0, 120.0, 14 * DAY_S)),
        safe_start_s=chance.choice((5.0, 10.0, 30.0)),
        location_cache_s=chance.choice((2.0, 60.0, 60.0)),
        trash_s=chance.choice((20.0, 3600.0, 3600.0)),
        operation_gap_s=OPERATION_GAP_S * chance.choice((0.7, 1.0, 1.0, 1.5)),
        faults=tuple(kind for kind in kinds if chance.random() < 0.6),
    )
