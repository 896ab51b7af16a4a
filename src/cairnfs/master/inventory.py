"""Who holds what: the master's picture of all replicas, built from reports alone. GFS paper, section 2.6.1.

Locations are never persisted: the chunkservers have the final word. A replica that is here is *there*; whether it is
*current* is said by the record, never by the version it reports (rule 2).
"""

from collections.abc import Iterator
from typing import NamedTuple

from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.wire.membership import ReplicaReport

LOST_MAX = 10_000
"""Losses remembered: only those of the last few heartbeats matter."""


class Held(NamedTuple):
    """A replica as last reported: compact, for there are millions."""

    version: ChunkVersion
    promised: ChunkVersion
    length: int
    closed: bool
    incomplete: bool
    unbroken: bool


class Inventory:
    """Handle → server → replica. Dictionaries only, so that order is the same in every run."""

    def __init__(self) -> None:
        self._holders: dict[ChunkHandle, dict[ServerId, Held]] = {}
        self._of_server: dict[ServerId, dict[ChunkHandle, None]] = {}
        self._lost: dict[tuple[ServerId, ChunkHandle], None] = {}
        """Told to be lost, oldest first: what others say of these later is out of date."""
        self.highest = ChunkHandle(0)
        """Highest handle ever reported: above the next handle of our records, metadata were rolled back."""

    def clear(self, server: ServerId) -> list[ChunkHandle]:
        """Forget all of a server; return the handles it held."""
        handles = list(self._of_server.pop(server, {}))
        for handle in handles:
            self._forget(handle, server)
        return handles

    def put(self, server: ServerId, report: ReplicaReport) -> None:
        held = Held(report.version, report.promised, report.length, report.closed, report.incomplete, report.unbroken)
        self.set(server, report.handle, held)

    def set(self, server: ServerId, handle: ChunkHandle, held: Held) -> None:
        # No dictionary is made that is there already: a restarted master enters millions of replicas here.
        if self._lost:
            self._lost.pop((server, handle), None)
        holders = self._holders.get(handle)
        if holders is None:
            self._holders[handle] = {server: held}
        else:
            holders[server] = held
        handles = self._of_server.get(server)
        if handles is None:
            self._of_server[server] = {handle: None}
        else:
            handles[handle] = None
        self.highest = max(self.highest, handle)

    def infer(self, server: ServerId, handle: ChunkHandle, held: Held) -> None:
        """Enter what another server said of this one's replica, unless this one has told since that it is lost."""
        if (server, handle) not in self._lost:
            self.set(server, handle, held)

    def is_lost(self, server: ServerId, handle: ChunkHandle) -> bool:
        """True if the server has told so, and nothing else since."""
        return (server, handle) in self._lost

    def drop(self, server: ServerId, handle: ChunkHandle) -> None:
        self._lost[server, handle] = None
        if len(self._lost) > LOST_MAX:
            del self._lost[next(iter(self._lost))]
        handles = self._of_server.get(server)
        if handles is not None:
            handles.pop(handle, None)
        self._forget(handle, server)

    def _forget(self, handle: ChunkHandle, server: ServerId) -> None:
        holders = self._holders.get(handle)
        if holders is not None and holders.pop(server, None) is not None and not holders:
            del self._holders[handle]

    def get(self, server: ServerId, handle: ChunkHandle) -> Held | None:
        holders = self._holders.get(handle)
        return None if holders is None else holders.get(server)

    def holders(self, handle: ChunkHandle) -> dict[ServerId, Held]:
        """Return who holds the chunk; do not change it."""
        return self._holders.get(handle) or {}

    def of_server(self, server: ServerId) -> list[ChunkHandle]:
        return list(self._of_server.get(server, {}))

    def count(self, server: ServerId) -> int:
        return len(self._of_server.get(server, ()))

    @property
    def chunks(self) -> int:
        """How many chunks have a replica anywhere."""
        return len(self._holders)

    def handles(self) -> Iterator[ChunkHandle]:
        """Iterate over a copy of all handles held anywhere."""
        return iter(list(self._holders))
