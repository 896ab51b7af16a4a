"""What was carried out already, so that a repeated mutation gets its first result. Rule 11. Pure; one per replica.

The entries travel with the mutations and belong to the reconciled state: a new primary knows them too. They are kept in
memory only, so each filter says since which version it is complete; what may have happened before that is refused.

    created ── complete since ever, or its first version        copied ── as complete as the one it was copied from
    restarted ── complete since nothing ──a version opens──▶ since that version
"""

from collections.abc import Iterable
from collections.abc import Sequence as Ordered

from cairnfs.errors import UnsureError
from cairnfs.ids import NO_VERSION, ChunkVersion, ClientId, Sequence
from cairnfs.limits import FILTER_ENTRIES_MAX
from cairnfs.wire.master_orders import FilterEntry


class RepeatFilter:
    """The last `limit` mutations of one chunk by (client, sequence), oldest forgotten first."""

    def __init__(self, limit: int = FILTER_ENTRIES_MAX, *, since: ChunkVersion | None = None) -> None:
        self._limit = limit
        self._entries: dict[tuple[ClientId, Sequence], FilterEntry] = {}
        self._forgotten: dict[ClientId, Sequence] = {}
        self.since = since
        """Each mutation that this replica took at that version or later is here, or forgotten. None: not even the last
        version's are. Versions are ordered across all chunks, so it holds for a copy under another handle too."""

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, version: ChunkVersion) -> None:
        """A version opens here: from now on nothing is missed."""
        if self.since is None:
            self.since = version

    def add(self, entry: FilterEntry) -> None:
        """Remember a mutation that was applied."""
        key = (entry.client, entry.sequence)
        self._entries.pop(key, None)
        self._entries[key] = entry
        while len(self._entries) > self._limit:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._forget(oldest.client, oldest.sequence)

    def _forget(self, client: ClientId, sequence: Sequence) -> None:
        known = self._forgotten.pop(client, Sequence(0))
        self._forgotten[client] = max(known, sequence)
        if len(self._forgotten) > self._limit:
            del self._forgotten[next(iter(self._forgotten))]

    def find(self, client: ClientId, sequence: Sequence, *, since: ChunkVersion = NO_VERSION) -> FilterEntry | None:
        """Return the first result of a repeated sequence; None: it is new.

        `since`: the oldest version at which it may have happened; NO_VERSION: it surely did not, or may happen twice.

        Raises:
            UnsureError: results of that age are not known (any more). It is not carried out (again).
        """
        entry = self._entries.get((client, sequence))
        if entry is None and (self._is_before(since) or sequence <= self._forgotten.get(client, Sequence(0))):
            raise UnsureError(what=f"mutation {sequence} of client {client:x}")
        return entry

    def _is_before(self, since: ChunkVersion) -> bool:
        return since != NO_VERSION and (self.since is None or since < self.since)

    def forget_below(self, client: ClientId, lowest: Sequence) -> None:
        """Drop what the client does not wait for any more: it will never repeat it."""
        if len(self._entries) * 2 < self._limit:
            return  # nothing is gained from looking
        for key in [key for key in self._entries if key[0] == client and key[1] < lowest]:
            del self._entries[key]

    def entries(self) -> list[FilterEntry]:
        """Return all of them, oldest first."""
        return list(self._entries.values())

    def forgotten(self) -> list[tuple[ClientId, Sequence]]:
        """Return the highest sequence of each client that has fallen out."""
        return list(self._forgotten.items())

    def replace(
        self,
        entries: Iterable[FilterEntry],
        *,
        since: ChunkVersion | None,
        forgotten: Ordered[tuple[ClientId, Sequence]],
    ) -> None:
        """Become the filter of the source of a reconciliation or copy. Rule 12."""
        self._entries.clear()
        self._forgotten.clear()
        self.since = since
        for client, sequence in forgotten:
            self._forget(client, sequence)
        for entry in entries:
            self.add(entry)
