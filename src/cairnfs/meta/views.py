"""What this package needs of a transaction: the same two protocols as in `env`, by structure.

They stand here again because deciding must not know the world (import-linter: decide and apply never reach `env`).
"""

from collections.abc import Iterator
from typing import Protocol


class MetaRead(Protocol):
    """A consistent view of ordered tables of bytes to bytes. Keys are 1 to 500 bytes."""

    def get(self, table: str, key: bytes) -> bytes | None: ...

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < stop in order; backwards: the same range from its end."""

    def page(self, table: str, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return the first `count` rows (key, value) from `start` on, in order: one call for a whole page of rows."""

    def count(self, table: str) -> int:
        """Return how many rows the table has, in constant time."""


class MetaWrite(MetaRead, Protocol):
    """The one open write transaction. It sees its own changes."""

    def put(self, table: str, key: bytes, value: bytes) -> None: ...

    def delete(self, table: str, key: bytes) -> bool:
        """Remove a row; False if there was none."""
