"""What was carried out already, so that a repeated mutation gets its first result. Rule 11. Pure; one per replica.

The entries travel with the mutations and belong to the reconciled state: a new primary knows them too.
"""

from collections.abc import Iterable

from cairnfs.errors import UnsureError
from cairnfs.ids import ClientId, Sequence
from cairnfs.limits import FILTER_ENTRIES_MAX
from cairnfs.wire.master_orders import FilterEntry


class RepeatFilter:
    """The last `limit` mutations of one chunk by (client, sequence), oldest forgotten first."""

    def __init__(self, limit: int = FILTER_ENTRIES_MAX) -> None:
        self._limit = limit
        self._entries: dict[tuple[ClientId, Sequence], FilterEntry] = {}
        self._forgotten: dict[ClientId, Sequence] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: FilterEntry) -> None:
        """Remember a mutation that was applied."""
        key = (entry.client, entry.sequence)
        self._entries.pop(key, None)
        self._entries[key] = entry
        while len(self._entries) > self._limit:
            oldest = self._entries.pop(next(iter(self._entries)))
            known = self._forgotten.pop(oldest.client, Sequence(0))
            self._forgotten[oldest.client] = max(known, oldest.sequence)
            if len(self._forgotten) > self._limit:
                del self._forgotten[next(iter(self._forgotten))]

    def find(self, client: ClientId, sequence: Sequence) -> FilterEntry | None:
        """Return the first result of a repeated sequence; None: it is new.

        Raises:
            UnsureError: results of that age were forgotten. It is not carried out (again).
        """
        entry = self._entries.get((client, sequence))
        if entry is None and sequence <= self._forgotten.get(client, Sequence(0)):
            raise UnsureError(what=f"mutation {sequence} of client {client:x}")
        return entry

    def forget_below(self, client: ClientId, lowest: Sequence) -> None:
        """Drop what the client does not wait for any more: it will never repeat it."""
        if len(self._entries) * 2 < self._limit:
            return  # nothing is gained from looking
        for key in [key for key in self._entries if key[0] == client and key[1] < lowest]:
            del self._entries[key]

    def entries(self) -> list[FilterEntry]:
        """Return all of them, oldest first."""
        return list(self._entries.values())

    def replace(self, entries: Iterable[FilterEntry]) -> None:
        """Become the filter of the source of a reconciliation. Rule 12."""
        self._entries.clear()
        for entry in entries:
            self.add(entry)
