"""Values that several message modules share."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from cairnfs.ids import (
    NO_VERSION,
    BootId,
    ChunkHandle,
    ChunkVersion,
    ClientId,
    Epoch,
    InodeId,
    Sequence,
    ServerId,
)
from cairnfs.limits import NAME_BYTES_MAX, PATH_BYTES_MAX, REPLICAS_MAX
from cairnfs.wire.base import U32, U63, Address, LengthInChunk, Part

Path = Annotated[bytes, Meta(min_length=1, max_length=PATH_BYTES_MAX)]
"""Absolute, in the normal form of `paths.parse_path`."""
Name = Annotated[bytes, Meta(max_length=NAME_BYTES_MAX)]
Replicas = Annotated[int, Meta(ge=1, le=REPLICAS_MAX)]
ChunkIndex = Annotated[int, Meta(ge=0, lt=2**40)]
"""Which chunk of a file, from 0."""
FileOffset = Annotated[int, Meta(ge=0, lt=2**62)]


class Kind(StrEnum):
    """What an inode is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"


class Durability(StrEnum):
    """Contract 5: what an append's ack means. Decided by the master, carried by each lease."""

    DISK = "disk"  # flushed on every member
    MEMORY = "memory"  # in the memory of every member, as in the paper


class Once(Part):
    """Makes a mutation happen once: the master keeps the result by (client, sequence). Contract 1."""

    client: ClientId
    sequence: Sequence
    lowest: Sequence
    """The lowest sequence this client still waits for: results below may be forgotten."""


class Member(Part):
    """One server of a chunk's set. Rule 2: with the boot in which it held the version's base."""

    server: ServerId
    boot: BootId
    address: Address


class Lease(Part):
    """The right to order mutations of a chunk, as the master granted it. GFS paper, section 3.1; rules 2 and 3.

    For a new chunk a client carries it to the primary (with its first mutation), which carries it to the other
    members (with its first order); otherwise the master sends it in `Open`.
    """

    handle: ChunkHandle
    version: ChunkVersion
    epoch: Epoch
    members: list[Member]
    primary: ServerId
    base_length: LengthInChunk
    """Rule 6: what begins below overwrites, what begins at or after it extends."""
    broken_at: ChunkVersion = NO_VERSION
    """The version at which continuity was last broken (rule 12); syncs of older acks fail as lost (rule 14)."""
    fence_done: bool = True
    """False: the primary gives an overwrite no serial before the master's `FenceDone` (rule 6)."""
    lease_s: float
    anchor_s: float
    """The primary's own clock at the heartbeat that the grant rests on: the lease is over at anchor_s + lease_s."""
    durability: Durability = Durability.DISK
    is_new: bool = False
    """The chunk was just made: a member without a replica creates an empty one with the first order."""
    takes_records: bool = True
    """Rule 17: False where another chunk follows in the file, which is where record appends go."""


class ChunkPlace(Part):
    """Where one chunk of a file is. What a client caches, for at most 60 s."""

    index: ChunkIndex
    handle: ChunkHandle
    version: ChunkVersion
    """What a reader names: replicas that are behind refuse it (rules 8 and 9)."""
    epoch: Epoch
    members: list[Member]
    """Current replicas that live, in no order of preference."""
    primary: ServerId
    """0 if nobody holds the lease."""
    closed: bool
    length: LengthInChunk
    """Exact if closed; else what the master last heard."""
    lease: Lease | None = None
    """For a new chunk: to be shown to the primary with the first mutation."""
    broken_at: ChunkVersion = NO_VERSION


class Attributes(Part):
    """An inode as `stat` shows it."""

    inode: InodeId
    kind: Kind
    mode: U32
    uid: U32
    gid: U32
    links: U32
    length: FileOffset
    """Bytes of a file (exact unless `Status.tail` is given), entries of a folder, length of a symlink's target."""
    replicas: Replicas
    chunks: U63
    """Number of chunks up to the last one, holes included."""
    mtime_ns: int
    ctime_ns: int
    target: bytes = b""
    xattrs: dict[str, bytes] = {}
