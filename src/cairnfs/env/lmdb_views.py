"""What a reader and a job see of the LMDB store. Used by `lmdb_store` only."""

from collections.abc import Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any

import lmdb

KEY_BYTES_MAX = 500

Tables = dict[str, Any]
"""Name to LMDB's handle; replaced, never changed, once readers know it."""


class _View:
    """Reading, alike in both kinds of transaction."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._transaction: Any = None
        self._changes = 0

    def get(self, table: str, key: bytes) -> bytes | None:
        handle = self.tables.get(table)
        value: bytes | None = None if handle is None else self._transaction.get(key, db=handle)
        return value

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        handle = self.tables.get(table)
        if handle is None or (stop is not None and start >= stop):
            return iter(())
        cursor = self._transaction.cursor(db=handle)
        return self._backwards(cursor, start, stop) if backwards else self._forwards(cursor, start, stop)

    def page(self, table: str, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
        handle = self.tables.get(table)
        if handle is None:
            return []
        cursor = self._transaction.cursor(db=handle)
        # The steps are made in C: a page of rows costs a third of what as many calls of `get` do.
        return list(islice(cursor.iternext(), count)) if cursor.set_range(start) else []

    def _forwards(self, cursor: Any, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        found = cursor.set_range(start) if start else cursor.first()
        while found:
            seen = self._changes
            key, value = cursor.item()
            if stop is not None and key >= stop:
                return
            yield key, value
            # After a change of ours the cursor may stand anywhere: find the place anew.
            found = cursor.next() if seen == self._changes else cursor.set_range(key + b"\0")

    def _backwards(self, cursor: Any, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        found = _step_before(cursor, stop)
        while found:
            seen = self._changes
            key, value = cursor.item()
            if key < start:
                return
            yield key, value
            found = cursor.prev() if seen == self._changes else _step_before(cursor, key)

    def count(self, table: str) -> int:
        handle = self.tables.get(table)
        rows: int = 0 if handle is None else self._transaction.stat(handle)["entries"]
        return rows


def _step_before(cursor: Any, key: bytes | None) -> bool:
    """Move to the last row below `key` (None: to the very last); False if there is none."""
    if key is not None and cursor.set_range(key):
        return bool(cursor.prev())
    return bool(cursor.last())


class ReadView(_View):
    """The last commit, inside a `with` block; also across threads, since LMDB ties the slot to the transaction."""

    def __init__(self, begin: Callable[[], tuple[Tables, Any]]) -> None:
        super().__init__({})
        self._begin = begin

    def __enter__(self) -> "ReadView":
        self.tables, self._transaction = self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transaction.abort()
        self._transaction = None


class WriteView(_View):
    """The writer's transaction, with a list by which one job's changes can be taken back."""

    def __init__(self, environment: Any, transaction: Any, tables: Tables) -> None:
        # A copy: a table made here does not exist if the transaction is aborted.
        super().__init__(dict(tables))
        self._environment = environment
        self._transaction = transaction
        self._undo: list[tuple[Any, bytes, bytes | None]] = []
        self.broken: lmdb.Error | None = None
        """The error after which the whole transaction is lost, even if a job catches it."""

    def begin_job(self) -> None:
        """What follows belongs to the next job."""
        self._undo.clear()

    def undo_job(self) -> None:
        """Take back what the job has changed, last change first."""
        while self._undo:
            handle, key, old = self._undo.pop()
            if old is None:
                self._transaction.delete(key, db=handle)
            else:
                self._transaction.put(key, old, db=handle)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        assert 0 < len(key) <= KEY_BYTES_MAX, (table, key)
        try:
            handle = self._open(table)
            old = self._transaction.replace(key, value, db=handle)
        except lmdb.Error as error:
            self.broken = error
            raise
        self._changes += 1
        self._undo.append((handle, key, old))

    def delete(self, table: str, key: bytes) -> bool:
        handle = self.tables.get(table)
        if handle is None:
            return False
        try:
            old = self._transaction.pop(key, db=handle)
        except lmdb.Error as error:
            self.broken = error
            raise
        if old is None:
            return False
        self._changes += 1
        self._undo.append((handle, key, old))
        return True

    def _open(self, table: str) -> Any:
        handle = self.tables.get(table)
        if handle is None:
            assert not table.startswith("_"), table
            handle = self.tables[table] = self._environment.open_db(table.encode(), txn=self._transaction)
        return handle
