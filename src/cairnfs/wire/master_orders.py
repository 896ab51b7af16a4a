"""Orders of the master to a chunkserver, and copies made on its behalf. Rules 1 to 4, 9, 12, 13, 22.

    a raise:   Promise (all targets) → Reconcile (those that differ) → [result logged] → Open (grant) or Seal (close)
    a repair:  closed chunk: Clone → [member in the log]; open chunk: Clone (incomplete) → a raise with the joiner

Each carries the master's epoch; a lower one than the highest seen is refused with LowerEpochError. All are idempotent
by (handle, version).
"""

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, ClientId, Epoch, Sequence, Serial
from cairnfs.wire.base import U32, U63, Address, Done, LengthInChunk, OffsetInChunk, Part, Reply, Request
from cairnfs.wire.common import Lease
from cairnfs.wire.membership import Exclusion


class Promised(Reply, tag=0x170):
    """What this server holds, frozen: it takes no order below the promised version any more."""

    boot: BootId
    present: bool
    """False: no replica here; all else is then 0, but `incomplete`: there was one, and it is lost."""
    version: ChunkVersion
    serial: Serial
    """Highest serial applied at `version`."""
    length: LengthInChunk
    closed: bool
    incomplete: bool
    unbroken: bool
    """Held in memory continuously since `version` began, or closed (rule 4)."""
    plain_writes: bool
    """The version had a plain write (rule 12)."""
    digest: U63
    """Equal digests: equal length and bytes (as far as block checksums tell)."""
    filter_since: ChunkVersion | None = None
    """The version from which on no mutation is missing in the filter (rule 11); None: what was taken is forgotten."""
    overwritten: bool = False
    """An overwrite of `version` was committed, so each of its members keeps to the short serving lease (rule 6)."""


class Promise(Request[Promised], tag=0x70):
    """Store durably: refuse everything below `version`. Also taken without a replica (kept in memory and journal).

    Errors: StaleVersionError (a higher one was promised), LowerEpochError.
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch


class Reconciled(Reply, tag=0x171):
    """This server is equal to the source, flushed."""

    boot: BootId
    length: LengthInChunk
    digest: U63


class Reconcile(Request[Reconciled], tag=0x71):
    """Become equal to `source`: differing blocks, length, filter entries; flush; then the base of `version`. Rule 12.

    Sent to every target, to the source with `source` = "" (it flushes and takes `version`). Incomplete, durably,
    until it is done. Errors: NoCopyError (source not reachable or moved), ChunkCorruptError at the source, or of the
    replica itself with `verify`.
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch
    source: Address = ""
    source_version: ChunkVersion
    length: LengthInChunk
    digest: U63
    verify: bool = False
    """Read every block through first: this replica will stand alone in the record, and makes all others stale."""


class Open(Request[Done], tag=0x72):
    """The result is in the log: the version is open. To every member; the primary gets its role by it. Rule 3.

    Errors: StaleVersionError (not reconciled to it, or promised higher), OrderRefusedError (another boot).
    """

    idempotent = True
    lease: Lease


class Seal(Request[Done], tag=0x73):
    """Close the replica at `version` durably with `length`; end every role. For snapshots, repair and idle chunks."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch
    length: LengthInChunk


class FilterEntry(Part):
    """Rule 11: a mutation that was carried out, for repeated sequences."""

    client: ClientId
    sequence: Sequence
    serial: Serial
    offset: OffsetInChunk
    length: LengthInChunk


class Blocks(Reply, tag=0x174):
    """What a copy must become equal to."""

    version: ChunkVersion
    length: LengthInChunk
    crcs: list[U32]
    """Per block."""
    filter: list[FilterEntry]
    digest: U63
    held: list[tuple[U63, U63]] = []
    """Ranges [start, end) overwritten at the source and not known to be committed: unreadable on every member until
    the fence of the next version is done (rule 6)."""
    filter_since: ChunkVersion | None = None
    """As in `Promised`; the copy's filter is as complete as the source's."""
    forgotten: list[tuple[ClientId, Sequence]] = []
    """The highest sequence of each client that has fallen out of the filter."""


class ListBlocks(Request[Blocks], tag=0x74):
    """Chunkserver → source: checksums of all blocks, for Reconcile and Clone."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion


class BlockData(Reply, tag=0x175):
    """Whole blocks as payload; `crcs` has one checksum each."""

    crcs: list[U32]


class ReadBlocks(Request[BlockData], tag=0x75):
    """Chunkserver → source: whole blocks, verified by both. Needs no serving lease, but the version named."""

    idempotent = True
    bulk = True
    handle: ChunkHandle
    version: ChunkVersion
    block: U32
    count: U32
    paced: bool = False
    """For a repair or a move: the source keeps to its limit (`HeartbeatAnswer.copy_bytes_s`)."""


class Cloned(Reply, tag=0x176):
    """The copy stands, flushed."""

    boot: BootId
    length: LengthInChunk
    digest: U63
    rest: LengthInChunk = 0
    """`joiner` only: bytes in blocks that the source changed during the last pass, for the raise to copy (rule 13)."""


class Clone(Request[Cloned], tag=0x76):
    """Copy a replica from `source`, verified and flushed. Closed chunk: becomes a closed replica of `version`.

    Open chunk (`joiner`): a background copy, marked incomplete, and again what changed meanwhile, until `rest` is at
    most 4 MiB or the writer stays faster for 8 passes; a raise with Reconcile makes it a member (rule 13).
    """

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch
    source: Address
    joiner: bool = False


class CloneLocal(Request[Cloned], tag=0x77):
    """Copy-on-write: copy closed replica `handle` to `new` on the same disk, closed, at `new_version`. Paper, 3.4."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    new: ChunkHandle
    new_version: ChunkVersion
    epoch: Epoch


class Exclude(Request[Done], tag=0x78):
    """Exclusions at once, besides the heartbeat; the answer confirms them. Rules 5, 6, 9."""

    idempotent = True
    epoch: Epoch
    exclusions: list[Exclusion]


class FenceDone(Request[Done], tag=0x79):
    """No replica outside the set can be read any more: overwrites at `version` may get serials. Rule 6."""

    idempotent = True
    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch


class Deleted(Reply, tag=0x17A):
    """What is no longer there."""

    deleted: list[ChunkHandle]
    """Gone, or never there."""


class DeleteReplicas(Request[Deleted], tag=0x7A):
    """Move replicas to the replica trash: each only at exactly the version named. Rule 22."""

    idempotent = True
    epoch: Epoch
    replicas: list[tuple[ChunkHandle, ChunkVersion]]
