"""The metadata stores of a simulated world: what a crash leaves of a commit, and what fails."""

import random

from cairnfs.env.memory_store import MemoryRecord, MemoryStore
from cairnfs.errors import CairnError
from cairnfs.sim.loop import Incarnation
from cairnfs.sim.network import pinned


class SimRecord(MemoryRecord):
    """A metadata store's durable part, with what is wrong with its disk."""

    def __init__(self, folder: str, chance: random.Random) -> None:
        super().__init__(folder)
        self.chance = chance
        self.sync_s = (0.0002, 0.005)
        self.fails_with: CairnError | None = None
        """The next commit fails so; nothing of it is there."""

    def end_life(self) -> None:
        """Its process is dead. A commit on its way has reached the disk or not; none of it was acknowledged."""
        if self.committing is not None and self.chance.random() < 0.5:
            self.tables.apply(self.committing)
        self.committing = None
        self.opened_by = None


class SimStore(MemoryStore):
    """A metadata store of one life. Commits are synced, so a crash and a power loss are the same to it."""

    def __init__(self, record: SimRecord, life: Incarnation) -> None:
        super().__init__(record, context=pinned(life))
        self._sim = record

    def sync_s(self) -> float:
        return self._sim.chance.uniform(*self._sim.sync_s)

    def fault(self) -> CairnError | None:
        failure, self._sim.fails_with = self._sim.fails_with, None
        return failure
