"""What all parts of a chunkserver share. Made by `server`; nothing here decides."""

from dataclasses import dataclass, field

from cairnfs.chunkserver.exclusions import Exclusions
from cairnfs.chunkserver.pacing import Pace
from cairnfs.chunkserver.push import PushBuffer
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk, Chunks
from cairnfs.chunkserver.standing import Standing
from cairnfs.chunkserver.store import Store
from cairnfs.env import Env
from cairnfs.errors import ChunkMissingError, LowerEpochError
from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, Epoch, ServerId
from cairnfs.limits import Geometry
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.payload import Buffers
from cairnfs.safeguards import Safeguards
from cairnfs.tasks import Nursery, Turns
from cairnfs.wire.membership import SuspectReport


@dataclass(slots=True, eq=False)
class Context:
    """One chunkserver's parts. Mutations of a replica hold `turns` at its handle; everything else looks again."""

    env: Env
    safeguards: Safeguards
    boot: BootId
    caller: Caller
    buffers: Buffers
    store: Store
    nursery: Nursery
    pushed: PushBuffer
    geometry: Geometry
    address: str = ""
    standing: Standing = field(default_factory=Standing)
    exclusions: Exclusions = field(default_factory=Exclusions)
    turns: Turns = field(default_factory=Turns)
    counters: dict[str, int] = field(default_factory=dict)
    followers: int = 0
    """Questions for a length that wait here until it grows."""

    chunks: Chunks = field(init=False)
    pace_in: Pace = field(init=False)
    """What repairs and moves bring."""
    pace_out: Pace = field(init=False)
    """What they read here."""

    def __post_init__(self) -> None:
        self.chunks = Chunks(self.env.clock.now_s)
        self.pace_in, self.pace_out = Pace(self.env.clock), Pace(self.env.clock)

    @property
    def me(self) -> ServerId:
        return self.store.server_id

    def now_s(self) -> float:
        return self.env.clock.now_s()

    def count(self, name: str, by: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + by

    def replica(self, handle: ChunkHandle) -> Replica:
        """Return the replica. Raises ChunkMissingError."""
        replica = self.store.replicas.get(handle)
        if replica is None:
            raise ChunkMissingError(chunk=handle)
        return replica

    def promised(self, chunk: Chunk) -> ChunkVersion:
        """Return the highest version promised or held: nothing below is taken."""
        replica = self.store.replicas.get(chunk.handle)
        return max(chunk.promised, replica.state.promised) if replica is not None else chunk.promised

    async def check_epoch(self, epoch: Epoch) -> None:
        """Rule 1: refuse a deposed master; remember the highest epoch durably. Raises LowerEpochError."""
        seen = self.store.max_epoch
        if epoch < seen and self.safeguards.refuse_lower_epoch:
            raise LowerEpochError(seen=seen, got=epoch)
        if epoch > seen and self.safeguards.durable_epoch:
            await self.store.raise_epoch(epoch)
        else:
            self.store.max_epoch = max(seen, epoch)

    def suspect(self, handle: ChunkHandle, version: ChunkVersion, server: ServerId, why: str) -> None:
        """Rule 20: tell the master at once that a member does not confirm."""
        self.count("suspects_reported")
        report = SuspectReport(handle=handle, version=version, suspect=server, why=why[:200])
        self.standing.suspect(report, now_s=self.now_s())
