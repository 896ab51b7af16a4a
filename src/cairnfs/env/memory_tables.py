"""Ordered tables in memory and the views of them. Used by `memory_store`, which also the simulator builds on.

committed tables <--commit-- Overlay (one batch: new values and deletions) <-- WriteView (one job after another)
"""

import bisect
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Generic, TypeVar

V = TypeVar("V")
KEY_BYTES_MAX = 500


class Ordered(Generic[V]):
    """A dict with its keys in order. A scan may go on while rows change."""

    def __init__(self) -> None:
        self.rows: dict[bytes, V] = {}
        self.keys: list[bytes] = []

    def put(self, key: bytes, value: V) -> None:
        """Set a row."""
        if key not in self.rows:
            bisect.insort(self.keys, key)
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a row that is there."""
        del self.rows[key]
        del self.keys[bisect.bisect_left(self.keys, key)]

    def at_or_above(self, key: bytes) -> bytes | None:
        """Return the lowest key that is not below `key`."""
        place = bisect.bisect_left(self.keys, key)
        return self.keys[place] if place < len(self.keys) else None

    def below(self, key: bytes | None) -> bytes | None:
        """Return the highest key below `key` (None: the very highest)."""
        place = len(self.keys) if key is None else bisect.bisect_left(self.keys, key)
        return self.keys[place - 1] if place else None

    def copy(self) -> "Ordered[V]":
        """Return one that changes apart from this."""
        other = Ordered[V]()
        other.rows, other.keys = dict(self.rows), list(self.keys)
        return other


class Tables:
    """What is committed. A view that is open keeps what it saw: a commit then copies the tables that it changes."""

    def __init__(self) -> None:
        self.tables: dict[str, Ordered[bytes]] = {}
        self.views = 0
        self.used_bytes = 4096

    def apply(self, overlay: "Overlay") -> None:
        """Commit a batch."""
        if self.views:
            self.tables = {name: rows.copy() if name in overlay.changed else rows for name, rows in self.tables.items()}
        for name, changed in overlay.changed.items():
            rows = self.tables.setdefault(name, Ordered())
            for key in changed.keys:
                value = changed.rows[key]
                if value is not None:
                    rows.put(key, value)
                    self.used_bytes += len(key) + len(value)
                elif key in rows.rows:
                    rows.delete(key)


class Overlay:
    """The changes of one batch; None stands for a deleted row."""

    def __init__(self) -> None:
        self.changed: dict[str, Ordered[bytes | None]] = {}


class ReadView:
    """The last commit, inside a `with` block."""

    def __init__(self, committed: Tables) -> None:
        self._committed = committed
        self._tables = committed.tables

    def __enter__(self) -> "ReadView":
        self._tables = self._committed.tables
        self._committed.views += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._committed.views -= 1

    def get(self, table: str, key: bytes) -> bytes | None:
        rows = self._tables.get(table)
        return None if rows is None else rows.rows.get(key)

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = self._tables.get(table)
        if rows is None:
            return
        first = bisect.bisect_left(rows.keys, start)
        last = len(rows.keys) if stop is None else bisect.bisect_left(rows.keys, stop)
        for place in range(last - 1, first - 1, -1) if backwards else range(first, last):
            key = rows.keys[place]
            yield key, rows.rows[key]

    def page(self, table: str, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
        return list(islice(self.scan(table, start), count))

    def count(self, table: str) -> int:
        rows = self._tables.get(table)
        return 0 if rows is None else len(rows.keys)


class WriteView:
    """A batch over the last commit, with a list by which one job's changes can be taken back."""

    def __init__(self, committed: Tables, overlay: Overlay) -> None:
        self._committed = committed.tables
        self._overlay = overlay
        self._undo: list[tuple[str, bytes, bytes | None]] = []
        self._counts: dict[str, int] = {}

    def begin_job(self) -> None:
        """What follows belongs to the next job."""
        self._undo.clear()

    def undo_job(self) -> None:
        """Take back what the job has changed, last change first."""
        undo, self._undo = self._undo, []
        for table, key, old in reversed(undo):
            self._set(table, key, old)

    def get(self, table: str, key: bytes) -> bytes | None:
        changed = self._overlay.changed.get(table)
        if changed is not None and key in changed.rows:
            return changed.rows[key]
        rows = self._committed.get(table)
        return None if rows is None else rows.rows.get(key)

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        # Each step looks for its place anew, since the job may change what it scans.
        key = self._before(table, stop) if backwards else self._from(table, start)
        while key is not None and key >= start and (stop is None or key < stop):
            value = self.get(table, key)
            if value is not None:
                yield key, value
            key = self._before(table, key) if backwards else self._from(table, key + b"\0")

    def page(self, table: str, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
        return list(islice(self.scan(table, start), count))

    def count(self, table: str) -> int:
        rows = self._committed.get(table)
        return (0 if rows is None else len(rows.keys)) + self._counts.get(table, 0)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        assert 0 < len(key) <= KEY_BYTES_MAX, (table, key)
        assert not table.startswith("_"), table
        self._undo.append((table, key, self.get(table, key)))
        self._set(table, key, bytes(value))

    def delete(self, table: str, key: bytes) -> bool:
        old = self.get(table, key)
        if old is None:
            return False
        self._undo.append((table, key, old))
        self._set(table, key, None)
        return True

    def _set(self, table: str, key: bytes, value: bytes | None) -> None:
        grows = (value is not None) - (self.get(table, key) is not None)
        self._counts[table] = self._counts.get(table, 0) + grows
        changed = self._overlay.changed.get(table)
        if changed is None:
            changed = self._overlay.changed[table] = Ordered()
        changed.put(key, value)

    def _from(self, table: str, key: bytes) -> bytes | None:
        layers = (self._committed.get(table), self._overlay.changed.get(table))
        found = [above for rows in layers if rows is not None and (above := rows.at_or_above(key)) is not None]
        return min(found) if found else None

    def _before(self, table: str, key: bytes | None) -> bytes | None:
        layers = (self._committed.get(table), self._overlay.changed.get(table))
        found = [below for rows in layers if rows is not None and (below := rows.below(key)) is not None]
        return max(found) if found else None
