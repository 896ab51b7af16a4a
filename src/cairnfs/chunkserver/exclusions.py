"""Where this server's replicas may not be read any more, as the master said. Rules 5, 6 and 9.

    exclusion   the replica is below version `below`: not current. It serves no read and its role has ended
    barrier     the file's map changed: readers that name a version below `below` are refused

Kept in memory: a restart ends the session, and a new session serves nothing before the master has sent them again.
"""

from dataclasses import dataclass, field

from cairnfs.chunkserver.roles import Chunks
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion
from cairnfs.wire.membership import Exclusion


@dataclass(slots=True)
class Exclusions:
    """By chunk, the highest version told."""

    _below: dict[ChunkHandle, ChunkVersion] = field(default_factory=dict)
    _barriers: dict[ChunkHandle, ChunkVersion] = field(default_factory=dict)

    def take(self, exclusions: list[Exclusion], chunks: Chunks) -> None:
        """Let them take effect: when this returns no read that begins later is answered against them."""
        for exclusion in exclusions:
            told = self._barriers if exclusion.barrier else self._below
            told[exclusion.handle] = max(told.get(exclusion.handle, NO_VERSION), exclusion.below)
            chunk = chunks.find(exclusion.handle)
            if chunk is None or chunk.lease is None or exclusion.barrier:
                continue
            if chunk.lease.version < exclusion.below:
                chunk.end("excluded by the master")

    def is_excluded(self, handle: ChunkHandle, version: ChunkVersion) -> bool:
        """Rule 5: a replica of that version is not current."""
        return version < self._below.get(handle, NO_VERSION)

    def barrier(self, handle: ChunkHandle) -> ChunkVersion:
        """Rule 9: the lowest version that a reader may name."""
        return self._barriers.get(handle, NO_VERSION)

    def bar(self, handle: ChunkHandle, below: ChunkVersion) -> None:
        """Refuse readers below the version at which a copy was made here.

        Barriers are told to those who hold the chunk then. Who gets a copy later may have been a member before, so a
        reader of that time comes here; the master knows of nothing to tell.
        """
        self._barriers[handle] = max(below, self.barrier(handle))

    def forget(self, handle: ChunkHandle) -> None:
        """The replica was deleted; a copy made here later bars its readers anew."""
        self._below.pop(handle, None)
        self._barriers.pop(handle, None)
