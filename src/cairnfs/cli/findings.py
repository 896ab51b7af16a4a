"""What is wrong with files, and what would be lost if a server or rack went: from their chunk tables. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cairnfs.wire.status import ChunkStatus, ReplicaStatus


class Kind(StrEnum):
    """What was found, the worst first."""

    LOST = "lost"  # no current copy: these bytes can be read from nobody now
    ONE_COPY = "one copy"  # the next disk that fails may take it along
    DAMAGED = "damaged"  # a copy did not fit its checksums; it is being made again
    TOO_FEW = "too few"  # below the goal
    UNVERIFIED = "not verified"  # its server did not answer
    STALE = "stale"  # a copy that is not current any more; it will be deleted or made again


AT_RISK = (Kind.LOST, Kind.ONE_COPY)
WHAT_TO_DO = {
    Kind.LOST: "start the servers and disks that held it; then `cairn chunks` says who has it; else restore the file",
    Kind.ONE_COPY: "start missing servers; the cluster copies it first of all",
    Kind.DAMAGED: "the cluster makes the copy again from another one; look at that disk",
    Kind.TOO_FEW: "the cluster is copying, if there are servers with room",
    Kind.UNVERIFIED: "see `cairn status` for that server, and run fsck again",
    Kind.STALE: "nothing: it is served to nobody",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    path: str
    chunk: int
    """Index in the file."""
    handle: str
    text: str


@dataclass(slots=True)
class Checkup:
    """Counts what was looked at. `racks`: of each server's address, where they are known."""

    racks: Mapping[str, str] = field(default_factory=dict)
    files: int = 0
    chunks: int = 0
    open_chunks: int = 0
    size_bytes: int = 0
    verified: int = 0
    verified_bytes: int = 0
    left_out: int = 0
    """Replicas that could not be verified: open, changing, or their server did not answer."""
    findings: list[Finding] = field(default_factory=list)
    only_on_server: Counter[str] = field(default_factory=Counter)
    """Chunks all of whose current copies are on one server."""
    only_in_rack: Counter[str] = field(default_factory=Counter)

    def look(self, path: str, chunks: Iterable[ChunkStatus]) -> None:
        """Take the chunks of one file."""
        self.files += 1
        for chunk in chunks:
            self.chunks += 1
            self.open_chunks += not chunk.closed
            self.size_bytes += chunk.length
            current = [one for one in chunk.replicas if one.current and one.live]
            self._count_fate(current)
            self._judge(path, chunk, current)

    def _count_fate(self, current: list[ReplicaStatus]) -> None:
        servers = {one.address for one in current}
        if len(servers) == 1:
            self.only_on_server.update(servers)
        racks = {self.racks.get(address, "") for address in servers}
        if len(racks) == 1 and "" not in racks:
            self.only_in_rack.update(racks)

    def _judge(self, path: str, chunk: ChunkStatus, current: list[ReplicaStatus]) -> None:
        there = len(current)
        if there == 0:
            # An open chunk that nobody wrote has no replica anywhere, and nothing to lose.
            if chunk.length or chunk.closed:
                self.find(Kind.LOST, path, chunk, f"no current copy of {chunk.length} bytes on a live server")
        elif there == 1 < chunk.goal:
            self.find(Kind.ONE_COPY, path, chunk, f"one copy of {chunk.goal}, on {current[0].address}")
        elif there < chunk.goal:
            self.find(Kind.TOO_FEW, path, chunk, f"{there} copies of {chunk.goal}")
        for one in chunk.replicas:
            if one.live and not one.current:
                text = f"{one.address} has version {one.version}, current is {chunk.version}"
                self.find(Kind.STALE, path, chunk, text)

    def find(self, kind: Kind, path: str, chunk: ChunkStatus, text: str) -> None:
        """Enter a finding."""
        self.findings.append(Finding(kind, path, chunk.index, f"{chunk.handle:016x}", text))

    @property
    def exit_code(self) -> int:
        """0: all is well. 1: less than wanted. 2: data is at risk."""
        kinds = {one.kind for one in self.findings}
        if kinds & set(AT_RISK):
            return 2
        return 1 if kinds - {Kind.STALE} else 0
