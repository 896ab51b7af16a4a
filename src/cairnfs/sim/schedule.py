"""When which fault befalls whom: drawn from the seed before anything runs. Pure; `faults` carries it out.

Each fault has its own moment and its own end, and needs no other: any part of a schedule is a schedule, so a failing
one can be shrunk. Within the promises: bits rot and disks lie on one host only, so that a good copy is left.

    at 12.4 s  #7 crash      primary        for 6.1 s
    at 14.0 s  #8 one-way    cs1 -> master  for 9.7 s
"""

import random

import msgspec

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.options import Options

ROTTEN = "cs0"
"""The host whose disk may lie, so that at most one copy of each chunk is damaged."""
PRIMARY, SECONDARY = "primary", "secondary"
"""Whoever it is at that moment, of an open chunk."""
LONGEST_S = 20.0

SERVER_KINDS = (
    "crash",
    "power",
    "crash in a job",
    "pause",
    "full disk",
    "broken disk",
    "slow disk",
    "stuck disk",
    "disk error",
    "short reads",
    "suspend",
    "rot",
    "misdirected writes",
    "read-only disk",
)
MASTER_KINDS = ("master crash", "master power", "master pause", "master disk")
NETWORK_KINDS = ("cut", "one-way", "isolate", "halves", "resets", "stall", "slow link", "slow network", "deaf")
MANY_KINDS = ("two crashes", "secondary and master", "everybody")
USER_KINDS = ("user crash", "user cut")
OPERATOR_KINDS = ("drain", "disk drain", "maintenance", "speeds")
CLOCK_KINDS = ("drift", "wall clock")
KINDS = (*SERVER_KINDS, *MASTER_KINDS, *NETWORK_KINDS, *MANY_KINDS, *USER_KINDS, *OPERATOR_KINDS, *CLOCK_KINDS)
BEYOND_KINDS = (*KINDS, "lost disk", "rot anywhere")


LYING = ("rot", "misdirected writes")
LOSING = ("full disk", "broken disk", "disk error", "read-only disk")
"""A server whose disk has failed has lost its replicas, until it starts again; those that could not be read, for good.
Where a disk lies as well it is the same one, or more copies would be gone than may be."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a schedule. `host` and `other` are names of hosts, or who plays that part at that moment."""

    number: int
    at_s: float
    kind: str
    host: str
    other: str = ""
    for_s: float = 0.0
    dice: int = 0
    """Decides whatever else there is to decide, when it happens."""

    def __str__(self) -> str:
        whom = f"{self.host} -> {self.other}" if self.other else self.host
        return f"at {self.at_s:7.3f} s  #{self.number:<3} {self.kind:<20} {whom:<18} for {self.for_s:.1f} s"


def draw_schedule(options: Options, chance: random.Random, *, users: list[str]) -> list[Fault]:
    """Return the faults of a run, in order of time."""
    if not options.faults:
        return []
    servers = [f"cs{number}" for number in range(options.chunkservers)]
    faults: list[Fault] = []
    at_s = chance.expovariate(1 / options.fault_gap_s)
    while at_s < options.duration_s:  # ends: each step has a length
        kind = chance.choice(options.faults)
        host, other = _draw_hosts(kind, chance, servers, users, options)
        faults.append(
            Fault(
                number=len(faults),
                at_s=round(at_s, 3),
                kind=kind,
                host=host,
                other=other,
                for_s=round(min(LONGEST_S, 0.2 + chance.expovariate(1 / 6.0)), 3),
                dice=chance.getrandbits(32),
            )
        )
        at_s += chance.expovariate(1 / options.fault_gap_s)
    return faults


def _draw_hosts(
    kind: str, chance: random.Random, servers: list[str], users: list[str], options: Options
) -> tuple[str, str]:
    server = chance.choice((PRIMARY, SECONDARY, *servers))
    if kind in ("cut", "one-way", "stall"):
        one, other = chance.sample((MASTER, PRIMARY, SECONDARY, *servers), 2)
        return one, other
    if kind in MASTER_KINDS:
        server = MASTER
    elif kind in LYING or (kind in LOSING and any(one in options.faults for one in LYING)):
        server = ROTTEN
    elif kind in USER_KINDS:
        server = chance.choice(users)
    elif kind in CLOCK_KINDS:
        server = chance.choice((MASTER, *servers))
    elif kind in ("everybody", "halves", "resets", "slow network"):
        server = "all"
    return server, ""
