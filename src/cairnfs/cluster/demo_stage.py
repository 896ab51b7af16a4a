"""What the parts of the demo share: the cluster, its clients, and what must be true at the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cairnfs.cluster.processes import ProcessCluster
from cairnfs.cluster.producers import Acknowledged, Producers
from cairnfs.cluster.telling import Teller
from cairnfs.cluster.waiting import wait_until
from cairnfs.wire.status import ChunkStatus

FileSystem = Any
"""The blocking client."""
PRODUCERS = 8
LIBRARY = "/library"
DEMO = "/demo"
LOG = "/demo/log"
BIG = "/demo/big"
BOARDS = "/demo/boards"
SNAPSHOT = "/snapshot"
POLL_S = 0.1


@dataclass(slots=True)
class Stage:
    """One run of the demo."""

    teller: Teller
    cluster: ProcessCluster
    fs: FileSystem
    reader: FileSystem
    """Another client, whose cache is kept warm on purpose."""
    producers: Producers
    big_bytes: int
    faults: list[str] = field(default_factory=list)
    library: dict[str, bytes] = field(default_factory=dict)
    """Path → SHA-256 of what was stored there."""
    boards: dict[str, bytes] = field(default_factory=dict)
    """Path → what must be read there now."""
    boards_before: dict[str, bytes] = field(default_factory=dict)
    """Path → what the snapshot must show."""
    acked_before_snapshot: list[Acknowledged] = field(default_factory=list)
    records: int = 0

    def check(self, claim: str, holds: bool) -> bool:
        """Say that a claim holds, or note that it does not."""
        if holds:
            self.teller.say(f"ok: {claim}")
        else:
            self.faults.append(claim)
            self.teller.say(f"WRONG, this does not hold: {claim}")
        return holds

    def wait(self, what: str, happened: Callable[[], bool], timeout_s: float) -> float:
        """Wait until something has happened; return how long it took. Too long is a fault."""
        began_s = time.monotonic()
        if not wait_until(happened, timeout_s, poll_s=POLL_S):
            self.check(f"{what} within {timeout_s:g} s", False)
        return time.monotonic() - began_s

    def tail_chunk(self) -> ChunkStatus:
        """Return what the master knows of the chunk that is appended to."""
        chunks: list[ChunkStatus] = list(self.fs.chunk_table(LOG))
        return chunks[-1]

    def name_of(self, chunk: ChunkStatus, server: int) -> str:
        """Return which process a server of a chunk is; "nobody" for none."""
        address = next((each.address for each in chunk.replicas if each.server == server), "")
        return self.cluster.named(address) if address else "nobody"
