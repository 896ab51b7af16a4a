"""A file of a simulated disk: the page cache, what is durable, and what a power loss makes of both. Used by `disk`.

    write --> data (page cache), pending --sync--> durable

The kernel writes dirty pages back whenever and in whatever order it likes, a disk sector by sector. So after a power
loss each sector is as some number of the unsynced writes to it left it, whatever became of its neighbours, and the
size is as some number of the changes of size left it (contract 7).
"""

import random
from itertools import pairwise

from cairnfs.env import Buffer
from cairnfs.env.memory_files import MemoryNode

SECTOR_BYTES = 512


class SimNode(MemoryNode):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.durable = bytearray()
        self.reserved_bytes = 0
        """Space up to here is taken, written or not."""
        self._pending: list[tuple[int, bytes | None]] = []
        """(offset, bytes written there) or (new size, None)."""

    def write(self, offset: int, piece: Buffer) -> None:
        kept = bytes(piece)
        super().write(offset, kept)
        self._pending.append((offset, kept))

    def truncate(self, size: int) -> None:
        super().truncate(size)
        self.reserved_bytes = 0
        self._pending.append((size, None))

    def used_bytes(self) -> int:
        """Return how much space it takes."""
        return max(len(self.data), self.reserved_bytes)

    def sync(self) -> None:
        pending, self._pending = self._pending, []
        for offset, piece in pending:
            _apply(self.durable, offset, piece)

    def forget(self) -> None:
        """A sync has failed: what was to be synced counts as clean, and is not durable."""
        self._pending = []

    def lose_power(self, chance: random.Random) -> None:
        """Keep what was durable, and of the rest what chance has written back in time."""
        pending, self._pending = self._pending, []
        last = len(pending)
        fate = chance.choice((0, last, None, None))

        def draw_reached() -> int:
            """How many of the pending changes something has seen: none, all, or whatever chance says of it alone."""
            return fate if fate is not None else chance.choice((0, last, chance.randint(0, last)))

        sizes_reached = draw_reached()
        reached: dict[int, int] = {}
        for number, (offset, piece) in enumerate(pending):
            if piece is None:
                if number < sizes_reached:
                    _apply(self.durable, offset, None)
                continue
            for start, end in _sectors(offset, len(piece)):
                sector = start // SECTOR_BYTES
                if sector not in reached:
                    reached[sector] = draw_reached()
                if number < reached[sector]:
                    _apply(self.durable, start, piece[start - offset : end - offset])
        self.data = bytearray(self.durable)
        self.reserved_bytes = 0

    def flip(self, offset: int, bit: int = 0) -> None:
        """Bit rot: change one bit, durably and without anybody's knowledge."""
        self.data[offset] ^= 1 << bit
        if offset < len(self.durable):
            self.durable[offset] ^= 1 << bit


def _sectors(offset: int, size: int) -> list[tuple[int, int]]:
    """The parts of a piece that lie in one sector each, as (start, end)."""
    end = offset + size
    borders = [offset, *range((offset // SECTOR_BYTES + 1) * SECTOR_BYTES, end, SECTOR_BYTES), end]
    return list(pairwise(borders))


def _apply(data: bytearray, offset: int, piece: bytes | None) -> None:
    if piece is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece
