"""Who holds what: the master's picture of all replicas, built from reports alone. GFS paper, section 2.6.1.

Locations are never persisted: the chunkservers have the final word. A replica that is here is *there*; whether it is
*current* is said by the record, never by the version it reports (rule 2).

When a session ends, its server holds nothing any more as far as anybody here asks; but what was settled is put aside,
as packed columns by bucket of handles, until the next report of that server. If it then names the same digest, it has
told the same replicas (rule 5; docs/PROTOCOL.md, "Registration with a digest"). Nothing else may be concluded from what
lies aside: it is no replica, only an earlier sentence.
"""

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch, ServerId
from cairnfs.limits import REPORT_BUCKET
from cairnfs.wire.membership import ReplicaReport
from cairnfs.wire.settled import Columns, SettledReplicas, pack

LOST_MAX = 10_000
"""Losses remembered: only those of the last few heartbeats matter."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """A replica as last reported: compact, and nothing for the garbage collector to walk, for there are millions."""

    told: tuple[int, int]
    """Its version; as plain numbers, since the collector forgets those but walks every `ChunkVersion` for ever."""
    bound: tuple[int, int]
    """What it has promised, in the same way."""
    length: int
    closed: bool
    incomplete: bool
    unbroken: bool
    is_twin: bool = False
    """True if it is as `put_settled` makes it: it may stand for every replica of the same version and length."""

    @property
    def version(self) -> ChunkVersion:
        return ChunkVersion(Epoch(self.told[0]), self.told[1])

    @property
    def promised(self) -> ChunkVersion:
        return ChunkVersion(Epoch(self.bound[0]), self.bound[1])

    @property
    def is_settled(self) -> bool:
        """See `wire.settled`."""
        return self.closed and not self.incomplete and self.bound <= self.told


class Inventory:
    """Handle → server → replica. Dictionaries only, so that order is the same in every run."""

    def __init__(self, *, bucket: int = REPORT_BUCKET) -> None:
        self._bucket = bucket
        self._holders: dict[int, dict[ChunkHandle, dict[ServerId, Held]]] = {}
        """By bucket: one dictionary of millions would stop the loop whenever it grows."""
        self._chunks = 0
        self._of_server: dict[ServerId, dict[int, dict[ChunkHandle, None]]] = {}
        """Server → bucket → handles."""
        self._aside: dict[ServerId, dict[int, SettledReplicas]] = {}
        self._lost: dict[tuple[ServerId, ChunkHandle], None] = {}
        """Told to be lost, oldest first: what others say of these later is out of date."""
        self.highest = ChunkHandle(0)
        """Highest handle ever reported: above the next handle of our records, metadata were rolled back."""

    # ------------------------------------------------------------------ changes

    def put(self, server: ServerId, report: ReplicaReport) -> None:
        held = Held(report.version, report.promised, report.length, report.closed, report.incomplete, report.unbroken)
        self.set(server, report.handle, held)

    def set(self, server: ServerId, handle: ChunkHandle, held: Held) -> None:
        # No dictionary is made that is there already: a restarted master enters millions of replicas here.
        if self._lost:
            self._lost.pop((server, handle), None)
        bucket = handle // self._bucket
        chunks = self._chunks_of(bucket)
        holders = chunks.get(handle)
        if holders is None:
            chunks[handle] = {server: held}
            self._chunks += 1
        else:
            holders[server] = held
        self._handles(server, bucket)[handle] = None
        self.highest = max(self.highest, handle)

    def _handles(self, server: ServerId, bucket: int) -> dict[ChunkHandle, None]:
        buckets = self._of_server.get(server)
        if buckets is None:
            buckets = self._of_server[server] = {}
        handles = buckets.get(bucket)
        if handles is None:
            handles = buckets[bucket] = {}
        return handles

    def _chunks_of(self, bucket: int) -> dict[ChunkHandle, dict[ServerId, Held]]:
        chunks = self._holders.get(bucket)
        if chunks is None:
            chunks = self._holders[bucket] = {}
        return chunks

    def put_settled(self, server: ServerId, columns: Columns) -> None:
        """Enter settled replicas, ascending by handle; one that is known at a higher version already stays as it is."""
        handles = columns.handles
        if self._lost:
            for handle in handles:
                self._lost.pop((server, handle), None)
        at = 0
        while at < len(handles):  # ends: each turn takes one bucket
            bucket = handles[at] // self._bucket
            end = bisect_left(handles, (bucket + 1) * self._bucket, at)
            some = Columns(handles[at:end], columns.versions[at:end], columns.lengths[at:end])
            self._put_settled(server, self._chunks_of(bucket), some)
            self._handles(server, bucket).update(dict.fromkeys(some.handles))
            self.highest = max(self.highest, handles[end - 1])
            at = end

    def _put_settled(self, server: ServerId, chunks: dict[ChunkHandle, dict[ServerId, Held]], columns: Columns) -> None:
        """Enter those of one bucket. No call where none is needed: there are millions."""
        before = len(chunks)
        for handle, version, length in columns.rows():
            holders = chunks.get(handle)
            if holders is None:
                chunks[handle] = {server: Held(version, version, length, True, False, True, True)}
                continue
            # The copies of a chunk are alike: one object serves for all of them.
            held = next(iter(holders.values()))
            if held.told != version or held.length != length or not held.is_twin:
                held = Held(version, version, length, True, False, True, True)
            known = holders.get(server)
            if known is None or known.told <= version:
                holders[server] = held
        self._chunks += len(chunks) - before

    def infer(self, server: ServerId, handle: ChunkHandle, held: Held) -> None:
        """Enter what another server said of this one's replica, unless this one has told since that it is lost."""
        if (server, handle) not in self._lost:
            self.set(server, handle, held)

    def drop(self, server: ServerId, handle: ChunkHandle) -> None:
        self._lost[server, handle] = None
        if len(self._lost) > LOST_MAX:
            del self._lost[next(iter(self._lost))]
        buckets = self._of_server.get(server, {})
        handles = buckets.get(handle // self._bucket)
        if handles is not None and handles.pop(handle, 0) is None and not handles:
            del buckets[handle // self._bucket]
        self._forget(handle, server)

    def _forget(self, handle: ChunkHandle, server: ServerId) -> Held | None:
        bucket = handle // self._bucket
        chunks = self._holders.get(bucket, {})
        holders = chunks.get(handle)
        if holders is None:
            return None
        held = holders.pop(server, None)
        if not holders:
            del chunks[handle]
            self._chunks -= 1
            if not chunks:
                del self._holders[bucket]
        return held

    # ------------------------------------------------------------------ sessions begin and end

    def clear(self, server: ServerId) -> None:
        """Forget all that a server holds; what lies aside stays."""
        for handles in self._of_server.pop(server, {}).values():
            for handle in handles:
                self._forget(handle, server)

    def put_aside(self, server: ServerId) -> bool:
        """Take one bucket of a server whose session is over out of here and put it aside; False if there is none."""
        buckets = self._of_server.get(server)
        if not buckets:
            self._of_server.pop(server, None)
            return False
        bucket, handles = buckets.popitem()
        rows = [
            (handle, *held.told, held.length)
            for handle in sorted(handles)
            if (held := self._forget(handle, server)) is not None and held.is_settled
        ]
        if rows:
            self._aside.setdefault(server, {})[bucket] = pack(rows)
        return True

    def remembered(self, server: ServerId) -> int:
        """Return how many replicas of a server lie aside."""
        return sum(len(settled) for settled in self._aside.get(server, {}).values())

    def take_remembered(self, server: ServerId, bucket: int) -> SettledReplicas | None:
        """Return what lies aside of a bucket, which then does no longer."""
        return self._aside.get(server, {}).pop(bucket, None)

    def forget_remembered(self, server: ServerId) -> None:
        self._aside.pop(server, None)

    def forget_lost(self, handles: Iterable[ChunkHandle]) -> None:
        """Nothing is ever said again of these chunks: who lost them does not matter any more."""
        if self._lost:
            for handle in handles:
                for server in self._of_server:
                    self._lost.pop((server, handle), None)

    # ------------------------------------------------------------------ questions

    def is_lost(self, server: ServerId, handle: ChunkHandle) -> bool:
        """True if the server has told so, and nothing else since."""
        return (server, handle) in self._lost

    def get(self, server: ServerId, handle: ChunkHandle) -> Held | None:
        return self.holders(handle).get(server)

    def holders(self, handle: ChunkHandle) -> dict[ServerId, Held]:
        """Return who holds the chunk; do not change it."""
        chunks = self._holders.get(handle // self._bucket)
        return {} if chunks is None else chunks.get(handle) or {}

    def of_server(self, server: ServerId) -> list[ChunkHandle]:
        """Return the handles that a server holds, bucket by bucket."""
        return [handle for handles in self._of_server.get(server, {}).values() for handle in handles]

    def count(self, server: ServerId) -> int:
        return sum(map(len, self._of_server.get(server, {}).values()))

    @property
    def chunks(self) -> int:
        """How many chunks have a replica anywhere."""
        return self._chunks
