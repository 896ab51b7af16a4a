"""Whether the parts of one read are of one moment. Contract 4: a read is linearizable per chunk, however large it is.

Each part is one request, and so one moment of one replica (rule 8). Parts of the same chunk fit together if the same
server gave them, at the same version, and nothing of the whole range was overwritten between: the server says so with
a number that each overwrite of the range changes.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from cairnfs.ids import ChunkVersion


class _Part(Protocol):
    """A range in one chunk."""

    @property
    def index(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def length(self) -> int: ...


P = TypeVar("P", bound=_Part)


class Moments:
    """Of the parts of one read."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._ranges: dict[int, tuple[int, int]] = {}
        self._parts: dict[int, int] = {}
        self._seen: dict[int, dict[tuple[str, ChunkVersion, int], None]] = {}
        self._favourites: dict[int, str] = {}
        for part in parts:
            start, end = self._ranges.get(part.index, (part.start, part.start))
            self._ranges[part.index] = start, max(end, part.start + part.length)
            self._parts[part.index] = self._parts.get(part.index, 0) + 1

    def whole(self, index: int) -> tuple[int, int] | None:
        """Return the range in a chunk that must be of one moment; None if it is read by one request anyway."""
        return self._ranges[index] if self._parts[index] > 1 else None

    def note(self, index: int, server: str, version: ChunkVersion, moment: int) -> None:
        """An answer came. Not noted: holes, which have no bytes."""
        if self._parts[index] > 1:
            self._seen.setdefault(index, {})[server, version, moment] = None

    def favour(self, index: int, server: str) -> None:
        """The first choice was too slow for a part of this chunk, and this server was not."""
        self._favourites[index] = server

    def with_favourite_first(self, index: int, servers: list[str]) -> list[str]:
        """Return a new list: parts that are read anew had better all go where the quickest answer came from."""
        favourite = self._favourites.get(index)
        return sorted(servers, key=lambda server: server != favourite)

    def torn(self, parts: Sequence[P]) -> list[P]:
        """Return the parts of those chunks whose answers do not fit together, to be read anew; forget the answers."""
        torn = [index for index, seen in self._seen.items() if len(seen) > 1]
        for index in torn:
            del self._seen[index]
        return [part for part in parts if part.index in torn]
