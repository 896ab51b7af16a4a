"""A read-only picture of the cluster: client → master or chunkserver; for the command line and the web page."""

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, Epoch, ServerId
from cairnfs.tables import html_table
from cairnfs.units import format_size
from cairnfs.wire.base import U63, Address, LengthInChunk, Part, Reply, Request
from cairnfs.wire.common import ChunkIndex, Durability, Path
from cairnfs.wire.membership import DiskReport


class ClusterInfo(Reply, tag=0x180):
    """What a client must know before anything else."""

    cluster: str
    epoch: Epoch
    chunk_bytes: U63
    block_bytes: U63
    durability: Durability
    replicas: int
    location_cache_s: float = 60.0


class GetClusterInfo(Request[ClusterInfo], tag=0x80):
    """First question of a client."""

    idempotent = True


class ServerStatus(Part):
    """One chunkserver as the master sees it."""

    server: ServerId
    address: Address
    rack: str
    state: str
    """live, suspect, dead."""
    boot: BootId
    disks: list[DiskReport]
    replicas: U63
    primaries: U63
    heard_s: float
    """Seconds since the last heartbeat."""
    draining: bool = False
    maintenance_s: float = 0.0
    """How much longer its silence is expected."""
    slow_s: float = 0.0
    """For how long it has been much slower than its peers."""


class ClusterStatus(Reply, tag=0x181):
    """The cluster as the master sees it."""

    cluster: str
    epoch: Epoch
    uptime_s: float
    servers: list[ServerStatus]
    files: U63
    folders: U63
    chunks: U63
    open_chunks: U63
    """Chunks with a lease."""
    chunks_missing: U63
    """No current replica known: data at risk."""
    chunks_one_copy: U63
    """Fewer copies than the goal, and only one: at risk."""
    chunks_below_goal: U63
    chunks_above_goal: U63
    repairs_running: U63
    garbage: U63
    """Replicas waiting to be deleted."""
    trash_entries: U63
    log_index: U63
    metadata_bytes: U63
    durability: Durability
    safe_start: bool
    """True: just started, still waiting for reports: no deletion, no repair."""
    missing_handles: list[ChunkHandle] = []
    """Some of them, for messages."""
    warnings: list[str] = []
    servers_reported: U63 = 0
    """Of `servers`, how many have told all that they hold since the master started."""
    repairs_waiting: U63 = 0
    """Chunks that need a copy and wait for their turn."""
    moves_running: U63 = 0
    chunks_reported: U63 = 0
    """Chunks of which a replica was reported since then (also of chunks that no file uses)."""

    def _repr_html_(self) -> str:
        rows = [
            (server.address, server.state, server.rack, server.replicas,
             format_size(sum(disk.free for disk in server.disks)))
            for server in self.servers
        ]  # fmt: skip
        at_risk = self.chunks_missing + self.chunks_one_copy
        title = f"{self.files} files, {self.chunks} chunks: {at_risk} at risk, {self.chunks_below_goal} below goal"
        return html_table(("chunkserver", "state", "rack", "replicas", "free"), rows, title=title)


class GetStatus(Request[ClusterStatus], tag=0x81):
    """How is the cluster?"""

    idempotent = True


class ReplicaStatus(Part):
    """One replica of a chunk as the master sees it."""

    server: ServerId
    address: Address
    version: ChunkVersion
    """As last reported; `current` is what counts."""
    current: bool
    live: bool
    boot: BootId


class ChunkStatus(Part):
    """One chunk and its replicas."""

    index: ChunkIndex
    handle: ChunkHandle
    version: ChunkVersion
    closed: bool
    length: LengthInChunk
    goal: int
    references: int
    primary: ServerId
    lease_left_s: float
    replicas: list[ReplicaStatus]


class ChunkTable(Reply, tag=0x182):
    """A page of the chunks of one file."""

    chunks: list[ChunkStatus]
    more: bool


class GetChunkTable(Request[ChunkTable], tag=0x82):
    """`cairn chunks PATH`: everything about the chunks of a file from chunk `index`."""

    idempotent = True
    path: Path
    index: ChunkIndex = 0
    limit: int = 500


class ReplicaInfo(Reply, tag=0x183):
    """One replica as its own server sees it."""

    present: bool
    version: ChunkVersion
    promised: ChunkVersion
    length: LengthInChunk
    closed: bool
    incomplete: bool
    unbroken: bool
    digest: U63
    is_primary: bool
    serial: U63
    committed: U63
    lease_left_s: float
    served: U63 = 0
    """Reads answered from this replica since the server started: shows who served a client."""


class GetReplicaInfo(Request[ReplicaInfo], tag=0x83):
    """Asked of a chunkserver: what do you hold of this chunk?"""

    idempotent = True
    handle: ChunkHandle


class Counters(Reply, tag=0x184):
    """Counts since the server started, by name."""

    counters: dict[str, int]


class GetCounters(Request[Counters], tag=0x84):
    """Plain counters of any server (observe.Counters)."""

    idempotent = True


class Verified(Reply, tag=0x185):
    """What a chunkserver found when it read a replica through."""

    version: ChunkVersion
    length: LengthInChunk
    why: str = ""
    """Why it is not known to be whole: no such replica, open, changed meanwhile. Empty: it was read to its end."""
    damaged: bool = False
    """A block did not fit its checksum or could not be read; the replica was quarantined, and will be made again."""


class VerifyReplica(Request[Verified], tag=0x85):
    """`cairn fsck --deep`, asked of a chunkserver: read your closed replica through. Rule 16."""

    idempotent = True
    handle: ChunkHandle
