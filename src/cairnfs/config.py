"""What an operator may change: one struct of settings per role, each with its default, unit and reason.

Where values come from (flag > CAIRN_* > --config > ./cairn.toml > ~/.config/cairn > /etc/cairn) is `settings.py`'s
work in the command line; roles get a finished struct. Numbers of the protocol that nobody may change are in `limits`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from cairnfs.limits import (
    BLOCK_BYTES,
    CHUNK_BYTES,
    REPLICAS_DEFAULT,
    REPORT_BUCKET,
    REPORT_PAGE_MAX,
    RESERVE_BYTES_MIN,
    RESERVE_FRACTION,
    SCRUB_PERIOD_S,
)
from cairnfs.units import DAY_S, HOUR_S


class MasterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the master; those that chunkservers need travel to them with `Registered`."""

    listen: tuple[str, ...] = ("127.0.0.1:7400",)
    """Addresses to bind; port 0 is any free one. Rule 28: loopback until told otherwise."""
    advertise: str = ""
    """host:port for others; "" is the first one bound."""
    data: str = ""
    """Folder of the metadata; "" is the default place."""
    replicas: int = REPLICAS_DEFAULT
    """Copies of a file whose folder says nothing else."""
    durability: str = "disk"
    """What an append's ack means: "disk" (flushed on every member) or "memory" (as in the paper). Contract 5."""
    lease_s: float = 60.0
    """GFS paper, section 3.1. Longer: fewer closings of idle chunks."""
    serving_lease_s: float = 10.0
    """How long a chunkserver serves reads without hearing the master."""
    serving_lease_quiet_s: float = 60.0
    """The same for chunks that were never overwritten."""
    heartbeat_s: float = 1.0
    suspect_s: float = 3.0
    """Not heard for so long: no new chunks there."""
    dead_s: float = 10.0
    """Not heard for so long: its replicas count as lost after the repair grace."""
    repair_grace_s: float = 60.0
    """Wait so long before copying what a dead server held (0 with one copy left)."""
    repairs_max: int = 32
    """Repairs that run at once in the whole cluster; 0: none, and no moves."""
    repair_bytes_s: int = 50_000_000
    """What each server takes in, and what it gives, in a second for repairs and moves. `cairn tune` changes it."""
    cluster_bytes_s: int = 0
    """The same for the whole cluster; 0: no limit but that of each server."""
    balance_bytes_s: int = 20_000_000
    """Of that, for moves that only even out, in the whole cluster."""
    balance_spread: float = 0.1
    """Disks as unequally full as this fraction are not worth a move. 1: no balance."""
    trim_after_s: float = 600.0
    """A copy more than the goal is borne for so long: a server that flaps costs no copy."""
    slow_after_s: float = 30.0
    """A server much slower than its peers for so long gets no new chunks and no primary duty."""
    evacuate_after_s: float = 3600.0
    """And after so long its chunks are copied away, as if it were drained."""
    trash_s: float = 3 * DAY_S
    """How long deleted files can be undeleted. GFS paper, section 4.4."""
    replica_trash_s: float = HOUR_S
    """How long deleted replicas stay on their disk."""
    safe_start_s: float = 60.0
    """Longest wait for reports after a start before repair and garbage collection begin. Rule 22."""
    location_cache_s: float = 60.0
    """How long clients may keep chunk places."""
    recent_creations_max: int = 20
    """Chunks created on one server within ten seconds before it counts as busy. GFS paper, section 4.2."""
    snapshot_deadline_s: float = 30.0
    report_page: Annotated[int, Meta(ge=1, le=REPORT_PAGE_MAX)] = REPORT_PAGE_MAX
    """Replicas in one page of a chunkserver's report: what the master compares before it turns to others."""
    report_bucket: Annotated[int, Meta(ge=1, le=REPORT_PAGE_MAX)] = REPORT_BUCKET
    """Handles whose replicas share a digest, by which a chunkserver that comes back need not tell them again."""


class ChunkserverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a chunkserver."""

    listen: tuple[str, ...] = ("127.0.0.1:7410",)
    advertise: str = ""
    master: tuple[str, ...] = ("127.0.0.1:7400",)
    """Addresses of the masters; the first that leads is used."""
    data: tuple[str, ...] = ()
    """One folder per disk."""
    rack: str = ""
    reserve_bytes: int = RESERVE_BYTES_MIN
    """Rule 26: the larger of this and `reserve_fraction` of the disk is never used."""
    reserve_fraction: float = RESERVE_FRACTION
    scrub_period_s: float = SCRUB_PERIOD_S
    """Every idle replica is read through once in so long; 0: never."""


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a client."""

    master: tuple[str, ...] = ("127.0.0.1:7400",)
    meta_timeout_s: float = 10.0
    data_timeout_s: float = 60.0
    """Longest wait without progress."""
    location_cache_s: float = 60.0
    """The master's own limit holds if it is lower."""
    readahead_bytes: int = 8 * 1024 * 1024
    """0 turns read-ahead off (contract 4)."""
    hedge: bool = True
    """A read that takes longer than most asks a second replica as well."""
    near: str = ""
    """host:port of a chunkserver on this machine, preferred for placement and reads."""


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `cairn init` decides once and for all."""

    chunk_bytes: int = CHUNK_BYTES
    block_bytes: int = BLOCK_BYTES
    copies_min: int = 2
    """Rule 19; 1 if the cluster is made with fewer servers than copies."""
