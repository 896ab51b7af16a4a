"""Belonging to the cluster: chunkserver → master. Rules 2, 4 to 6, 20.

Register ──▶ Registered                  a session; the server learns cluster, geometry and settings
ReportReplicas (pages) ──▶ ReportAnswer  the full inventory; it serves nothing before the last page is answered
Heartbeat, every second ──▶ HeartbeatAnswer

Where the master remembers what a server told last, the first pages have digests instead of replicas, and the answers
say which buckets of handles are to be told: docs/PROTOCOL.md, "Registration with a digest".
"""

from typing import Annotated

from msgspec import Meta

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, DiskId, Epoch, ServerId
from cairnfs.limits import DIGEST_PAGE_MAX, REPORT_BUCKET, REPORT_PAGE_MAX
from cairnfs.wire.base import U63, Address, Done, LengthInChunk, Part, Reply, Request
from cairnfs.wire.common import Durability
from cairnfs.wire.settled import SettledReplicas


class DiskReport(Part):
    """One data folder of a chunkserver."""

    disk: DiskId
    folder: str
    free: U63
    total: U63
    replicas: U63
    failed: str = ""
    """Why it is not used any more; "" while it is well."""
    latency_s: float = 0.0
    """How long its requests took lately: the slowest of ten. 0: too few to say."""
    leaving: bool = False
    """It is being emptied, as the master has said: nothing new goes there."""
    read_only: bool = False
    """It serves what it has, and takes nothing."""


class Settings(Part):
    """What the master decides for every chunkserver."""

    heartbeat_s: float
    serving_lease_s: float
    serving_lease_quiet_s: float
    """For chunks that were never overwritten (rule 5)."""
    lease_s: float
    chunk_bytes: U63
    block_bytes: U63
    durability: Durability
    trash_s: float
    """How long deleted replicas stay in the replica trash."""
    copies_min: int = 2
    report_page: Annotated[int, Meta(ge=1, le=REPORT_PAGE_MAX)] = REPORT_PAGE_MAX
    """Replicas in one page of a report."""
    report_bucket: Annotated[int, Meta(ge=1, le=REPORT_PAGE_MAX)] = REPORT_BUCKET
    """Handles whose settled replicas share one digest."""


class Registered(Reply, tag=0x160):
    """The session stands."""

    session: U63
    epoch: Epoch
    cluster: str
    settings: Settings
    remembers: U63 = 0
    """Replicas that this server told this master before, in so many buckets; 0: digests are of no use."""


class Register(Request[Registered], tag=0x60):
    """Begin a session. An older session of the same server ends.

    Errors: WrongClusterError; ExistsError-like BadRequestError if the same server id lives at another address (a
    cloned disk); NotLeaderError.
    """

    server: ServerId
    boot: BootId
    address: Address
    """As advertised."""
    rack: str = ""
    disks: list[DiskReport]
    epoch_seen: Epoch


class ReplicaReport(Part):
    """One replica as its server knows it."""

    handle: ChunkHandle
    version: ChunkVersion
    promised: ChunkVersion
    length: LengthInChunk
    closed: bool
    incomplete: bool
    unbroken: bool
    """Held in memory continuously since its version began (rule 4)."""


class Exclusion(Part):
    """Told to a server about one chunk. Confirmed when it has taken effect.

    barrier=False: its replica is not current if its version is below `below`: serve no read, end every role (rule 5).
    barrier=True: the file's map changed: refuse readers that name a version below `below` (rule 9).
    """

    handle: ChunkHandle
    below: ChunkVersion
    barrier: bool = False


class BucketDigest(Part):
    """The settled replicas of one bucket of handles, as `settled.digest_of` has them."""

    bucket: U63
    digest: U63


class ReportAnswer(Reply, tag=0x164):
    """The page was compared."""

    exclusions: list[Exclusion] = []
    """For the replicas of this page; they take effect before the next page is sent. Every heartbeat repeats them."""
    differing: list[U63] = []
    """Of the buckets whose digests the page has: those that are to be told."""
    waits: bool = False
    """True: other servers are being compared, and nothing was taken. Send the first page again."""


class ReportReplicas(Request[ReportAnswer], tag=0x64):
    """One page of the full inventory. With `last` answered the session may get serving leases.

    Tag 0x61 was the same without columns and digests: a master that knows only that one must refuse this one, since
    it would take a page of columns for an empty page.
    """

    session: U63
    page: int
    last: bool
    replicas: Annotated[list[ReplicaReport], Meta(max_length=REPORT_PAGE_MAX)]
    """Those that are not settled."""
    settled: SettledReplicas = SettledReplicas()
    digests: Annotated[list[BucketDigest], Meta(max_length=DIGEST_PAGE_MAX)] = []
    """Buckets are told by ascending number, before any replica."""


class ClosedReport(Part):
    """The primary closed a chunk: all members flushed and stored it (rule 4)."""

    handle: ChunkHandle
    version: ChunkVersion
    length: LengthInChunk


class SuspectReport(Part):
    """A member did not answer an order, or refused it (rule 20). Reporter and accused are both suspect (S11)."""

    handle: ChunkHandle
    version: ChunkVersion
    suspect: ServerId
    why: str


class HeartbeatAnswer(Reply, tag=0x162):
    """What the master has for this server."""

    sent_at_s: float
    """Echo: the serving lease counts from it, on the server's own clock (rule 5)."""
    serves: bool
    """True: serving lease of `Settings` from `sent_at_s`. The exclusions below take effect first."""
    exclusions: list[Exclusion]
    exclusions_upto: U63
    """To be confirmed by the next heartbeat."""
    renewed: list[ChunkHandle]
    """Leases extended by lease_s from `sent_at_s`."""
    fences_done: list[ChunkHandle]
    """Of those in `fences_wanted` with the version named there."""
    epoch: Epoch
    copy_bytes_s: U63 = 0
    """What repairs and moves may take in, and what they may read, in a second. 0: as much as they can."""
    leaving_disks: list[DiskId] = []
    """Nothing new goes there, and what is there goes elsewhere: to other disks of the server, or to other servers."""


class Heartbeat(Request[HeartbeatAnswer], tag=0x62):
    """I live. Errors: SessionLostError (register anew), NotLeaderError."""

    session: U63
    boot: BootId
    sent_at_s: float
    disks: list[DiskReport]
    leases: list[tuple[ChunkHandle, ChunkVersion]]
    """Held as primary and used since the last renewal: asks for more time."""
    closed: list[ClosedReport]
    """Since the last answered heartbeat (repeated until answered)."""
    gained: list[ReplicaReport]
    lost: list[ChunkHandle]
    """Quarantined, failed disk, deleted by order."""
    fences_wanted: list[tuple[ChunkHandle, ChunkVersion]]
    exclusions_confirmed: U63
    load: int = 0
    """Requests in work, for placement."""
    leaving: list[ChunkHandle] = []
    """Some of the replicas that have to leave the server, because no other disk of it has room for them."""


class ReportSuspect(Request[Done], tag=0x63):
    """At once, not with the next heartbeat: the master probes and raises (rule 20)."""

    idempotent = True
    session: U63
    report: SuspectReport
