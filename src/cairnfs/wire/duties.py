"""What an operator wants of chunkservers: client → master. docs/REPAIR.md.

Drain ──▶ DrainPlan               empty a server or one of its disks: what it would take, begin, give up
Maintain ──▶ MaintenancePlan      a server may be silent for a while: no copies are made because of that
Forget ──▶ Done                   a server will not come back
Tune ──▶ Speeds                   how fast copies and moves may be
"""

from enum import StrEnum

from cairnfs.ids import ChunkHandle, DiskId, ServerId
from cairnfs.wire.base import U63, Address, Done, Part, Reply, Request

WHOLE_SERVER = DiskId(0)


class Action(StrEnum):
    """What to do."""

    PLAN = "plan"
    START = "start"
    CANCEL = "cancel"


class Stuck(Part):
    """A replica that is still needed where it is, and why."""

    handle: ChunkHandle
    path: bytes
    """Of the file; empty if it is deleted, or several files share the chunk."""
    why: str


class DrainPlan(Reply, tag=0x1A8):
    """How far a server, or a disk of it, is from being of no use any more."""

    server: ServerId
    address: Address
    disk: DiskId
    folder: str
    """Of the disk; "" for the whole server."""
    draining: bool
    live: bool
    replicas: U63
    """Current ones there."""
    size_bytes: U63
    left: U63
    """Of these, how many are needed for the goal of their chunk: 0 means that it can be taken away."""
    left_bytes: U63
    alone: U63
    """Of these, how many are the only copy."""
    bytes_s: U63
    """At which speed they go; 0: no limit is set."""
    room_bytes: U63
    """Free elsewhere."""
    stuck: list[Stuck] = []
    """Some of those left, the most urgent first."""
    exact: bool = True
    """False: of a disk nobody knows from here how much of its replicas is needed; counts are what its server says."""


class Drain(Request[DrainPlan], tag=0xA8):
    """Empty a server, or a disk of it. Nothing is deleted from a server; a disk is emptied indeed.

    Errors: NoSuchServerError, BadRequestError (no such disk). Nothing was changed.
    """

    idempotent = True
    server: ServerId
    disk: DiskId = WHOLE_SERVER
    action: Action = Action.PLAN


class MaintenancePlan(Reply, tag=0x1A9):
    """What would be, and is, without the server."""

    server: ServerId
    address: Address
    left_s: float
    """How long maintenance goes on; 0: there is none."""
    replicas: U63
    alone: U63
    """Chunks that could not be read without it."""
    one_left: U63
    """Chunks that would have one copy; they are copied all the same once it is silent."""
    stuck: list[Stuck] = []
    """Some of those without another copy."""


class Maintain(Request[MaintenancePlan], tag=0xA9):
    """A server may be silent for `for_s` seconds from now on; 0 ends that; None only asks.

    Errors: NoSuchServerError; BadRequestError (longer than a week).
    """

    idempotent = True
    server: ServerId
    for_s: float | None = None


class Forget(Request[Done], tag=0xAB):
    """A server will not come back: nobody waits for its report any more, and nothing is counted on it.

    Errors: NoSuchServerError; BadRequestError: it is live, or chunks have no other copy. Nothing was changed.
    """

    idempotent = True
    server: ServerId


class Speeds(Reply, tag=0x1AA):
    """Speeds in bytes a second as they hold now; 0: no limit."""

    repair_bytes_s: U63
    cluster_bytes_s: U63
    balance_bytes_s: U63
    waiting: U63 = 0
    """Chunks that need a copy."""
    running: U63 = 0
    """Copies under way."""


class Tune(Request[Speeds], tag=0xAA):
    """Change speeds while copies run; None: as it is; 0: as the master's settings say.

    Errors: BadRequestError (below 1 MB/s, which no copy would survive).
    """

    idempotent = True
    repair_bytes_s: U63 | None = None
    cluster_bytes_s: U63 | None = None
    balance_bytes_s: U63 | None = None
