"""What this server is for each chunk: nothing, member or primary. Volatile; what lasts is the store's. Rules 2 to 4.

    none ──Open──▶ member | primary ──Promise──▶ frozen ──Reconcile──▶ none, at the new version ──Open──▶ ...
                          │
                          └──close──▶ none, closed: serves reads whatever the boot

A new boot begins with nothing: rule 4 is kept by forgetting.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cairnfs.chunkserver.pending import PendingRanges
from cairnfs.chunkserver.repeats import RepeatFilter
from cairnfs.errors import BusyError
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, ServerId
from cairnfs.wire.common import Lease, Member

if TYPE_CHECKING:
    from cairnfs.chunkserver.primary import Primary

_ABSENT_MAX = 1_000_000
"""Chunks one server knows of, with a replica or only with a promise. Rule 27: about 64 TiB of full chunks."""
_GONE_S = 300.0
"""What a deleted replica has promised is known for so long: five times a lease of the usual length."""


class Role(StrEnum):
    """What this server may do with a chunk's open version."""

    NONE = "none"
    MEMBER = "member"
    PRIMARY = "primary"


class State(StrEnum):
    """How far the role of a primary has come."""

    OPEN = "open"
    CLOSING = "closing"
    FROZEN = "frozen"
    ENDED = "ended"


class Signal:
    """Something changed: everybody who waits looks again."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self, timeout_s: float) -> bool:
        """Return True after the next `fire`, False after `timeout_s`."""
        if timeout_s <= 0:
            return False
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            self._waiters = [other for other in self._waiters if other is not waiter]
            return False
        return True

    def fire(self) -> None:
        """Wake everybody who waits now."""
        waiting, self._waiters = self._waiters, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


@dataclass(slots=True, eq=False)
class Chunk:
    """Volatile state of one chunk on this server."""

    handle: ChunkHandle
    role: Role = Role.NONE
    lease: Lease | None = None
    """Of the version that is open here; kept while it is frozen by a promise."""
    promised: ChunkVersion = NO_VERSION
    """Nothing below is taken any more. Without a replica it is only kept here: a restart makes the grant void anyway
    (it names the boot)."""
    opened: ChunkVersion = NO_VERSION
    """The last version opened in this boot."""
    previous: ChunkVersion = NO_VERSION
    """Data version before the last reconciliation: copies of it may still be asked for until the version is used."""
    serial: int = 0
    """Highest serial applied at the open version."""
    ranges: PendingRanges = field(default_factory=PendingRanges)
    held: list[tuple[int, int]] = field(default_factory=list)
    """Adopted overwrites: unreadable until the fence is done. Rule 6."""
    filter: RepeatFilter = field(default_factory=RepeatFilter)
    has_plain: bool = False
    """Applied bytes that no flush has covered yet."""
    is_changing: bool = False
    """A reconciliation or copy writes into the replica."""
    is_overwritten: bool = True
    """Bytes may have been overwritten since it was made: it gets the short serving lease. Rule 5."""
    fence_done: bool = True
    committed_length: int = 0
    full_at: ChunkVersion = NO_VERSION
    """The version that was closed here because a record did not fit. Rule 17."""
    primary: "Primary | None" = None
    served: int = 0
    changed: Signal = field(default_factory=Signal)
    """Fires at each commit, at the end of a role, and when a fence is done."""

    def is_member_of(self, version: ChunkVersion) -> bool:
        """True if this server takes part in exactly this open version, and has promised nothing higher. Rule 2."""
        return (
            self.role is not Role.NONE
            and self.lease is not None
            and self.lease.version == version
            and self.promised <= version
        )

    def others(self, me: ServerId) -> list[Member]:
        """Return the other members of the open version."""
        return [member for member in self.lease.members if member.server != me] if self.lease is not None else []

    def member(self, server: ServerId) -> Member | None:
        """Return that server's entry in the open version's set."""
        if self.lease is None:
            return None
        return next((member for member in self.lease.members if member.server == server), None)

    def begin(self, lease: Lease, role: Role, length: int) -> None:
        """Open a version: serials begin anew, and what a reconciliation left is base. Rule 3."""
        self.lease, self.role, self.opened = lease, role, lease.version
        self.promised = max(self.promised, lease.version)
        self.filter.begin(lease.version)
        self.serial = 0
        self.ranges.begin_version()
        self.committed_length = length
        self.fence_done = lease.fence_done
        if lease.fence_done:
            self.held = []
        self.changed.fire()

    def keep_held(self) -> None:
        """Before a version ends: its uncommitted overwrites stay unreadable until the next fence is done. Rule 6."""
        if self.lease is not None:
            for span in self.ranges.overwriting():
                if span not in self.held:
                    self.held.append(span)

    def end(self, why: str) -> None:
        """End every role here; callers that wait are told."""
        if self.primary is not None:
            self.primary.end(why)
            self.primary = None
        self.role = Role.NONE
        self.changed.fire()

    def finish_fence(self) -> None:
        """Rule 6: no server outside the set can be read any more."""
        self.fence_done = True
        self.held = []
        self.changed.fire()

    def is_held(self, start: int, end: int) -> bool:
        """True if [start, end) touches an adopted overwrite whose fence is not done."""
        return any(a < end and start < b for a, b in self.held)


class Gone(NamedTuple):
    """What is still to be known of a chunk whose replica was deleted. Rule 3."""

    promised: ChunkVersion
    opened: ChunkVersion
    """So that a lease shown late makes no empty replica in its place."""
    until_s: float


class Chunks:
    """All chunks that this server has something to say about, in order of first mention.

    Of a deleted replica a `Gone` is kept, a tenth of a `Chunk`, until every lease that could still name it is over: a
    primary counts leases and this by the same clock, so whatever that clock does, it refuses the lease first. Orders to
    others find no replica here. A restart forgets all of it at once, and ends all grants.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._chunks: dict[ChunkHandle, Chunk] = {}
        self._gone: dict[ChunkHandle, Gone] = {}
        """Deleted first, first."""
        self._primaries: dict[ChunkHandle, Chunk] = {}
        self._fenced: dict[ChunkHandle, Chunk] = {}

    def __len__(self) -> int:
        """Return how many chunks are known, with a replica or without."""
        return len(self._chunks) + len(self._gone)

    def find(self, handle: ChunkHandle) -> Chunk | None:
        """Return what is known; None: nothing."""
        chunk = self._chunks.get(handle)
        if chunk is None and handle in self._gone:
            gone = self._gone.pop(handle)
            chunk = self._chunks[handle] = Chunk(handle, promised=gone.promised, opened=gone.opened)
        return chunk

    def ensure(self, handle: ChunkHandle) -> Chunk:
        """Return what is known, beginning with nothing. Raises BusyError at the limit."""
        chunk = self.find(handle)
        if chunk is None:
            if len(self) >= _ABSENT_MAX:
                raise BusyError(what="this chunkserver knows as many chunks as it may")
            chunk = self._chunks[handle] = Chunk(handle)
        return chunk

    def drop(self, handle: ChunkHandle) -> None:
        """Forget a chunk whose replica was deleted; its promise stays for a while."""
        chunk = self.find(handle)
        if chunk is None:
            return
        chunk.end("replica deleted")
        del self._chunks[handle]
        now_s = self._now_s()
        lease_s = chunk.lease.lease_s if chunk.lease is not None else 0.0
        self._gone[handle] = Gone(chunk.promised, chunk.opened, now_s + max(_GONE_S, 5 * lease_s))
        for old in list(islice(self._gone, 2)):  # two for each that comes
            if self._gone[old].until_s <= now_s:
                del self._gone[old]

    def opened(self, chunk: Chunk) -> None:
        """Note a chunk whose version was opened: what heartbeats and ticks look at is found without a search."""
        if chunk.primary is not None:
            self._primaries[chunk.handle] = chunk
        if not chunk.fence_done:
            self._fenced[chunk.handle] = chunk

    def primaries(self) -> list["Primary"]:
        """Return the roles as primary held now."""
        for handle in [handle for handle, chunk in self._primaries.items() if chunk.primary is None]:
            del self._primaries[handle]
        return [chunk.primary for chunk in self._primaries.values() if chunk.primary is not None]

    def fenced(self) -> list[Chunk]:
        """Return the chunks whose fence is not done."""
        for handle in [handle for handle, chunk in self._fenced.items() if chunk.fence_done]:
            del self._fenced[handle]
        return list(self._fenced.values())

    def all(self) -> list[Chunk]:
        """Return every chunk known."""
        return list(self._chunks.values())
