"""What the processes of a storm know in common: a small file mapped by all, so that nobody asks anybody.

    per cell          started   the highest number whose write has begun (or will next)
                      acked     the highest number that was acked and synced
    per cell, reader  seen      the highest number that this reader has been given
    per client        count     what it has finished

Each number has one writer and is stored at once (eight aligned bytes), so that a reader of the map sees what happened
before. A write that failed, or whose client was killed, may take effect at any later time (contract 3): its number is
listed in `loose`, before the next write of the cell begins.
"""

import mmap
from pathlib import Path

from cairnfs.units import MIB

CELLS = 12
CELLS_PER_CHUNK = 6
CELL_STRIDE = 170_000
SMALL, LARGE = 3_008, 150_016
"""Bytes of a cell: through the journal with the request, and pushed along the chain."""
READERS = 2
CLIENTS_MAX = 512
WORD_BYTES = 16
_STARTED, _ACKED, _SEEN = 0, CELLS, 2 * CELLS
_COUNTS = _SEEN + READERS * CELLS
_NUMBERS = _COUNTS + CLIENTS_MAX


class Tally:
    """The mapped file."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            self.path.write_bytes(bytes(8 * _NUMBERS))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * _NUMBERS)
        self._numbers = memoryview(self._map).cast("Q")
        self._loose = self.path.with_suffix(".loose")

    def started(self, cell):
        return self._numbers[_STARTED + cell]

    def start(self, cell, number):
        self._numbers[_STARTED + cell] = number

    def acked(self, cell):
        return self._numbers[_ACKED + cell]

    def ack(self, cell, number):
        self._numbers[_ACKED + cell] = number

    def least(self, cell):
        """Return the number below which nobody may read any more."""
        seen = (self._numbers[_SEEN + reader * CELLS + cell] for reader in range(READERS))
        return max(self.acked(cell), *seen)

    def see(self, reader, cell, number):
        place = _SEEN + reader * CELLS + cell
        self._numbers[place] = max(number, self._numbers[place])

    def count(self, client):
        self._numbers[_COUNTS + client] += 1

    def counts(self):
        return list(self._numbers[_COUNTS:_NUMBERS])

    def loosen(self, cell, number):
        with self._loose.open("ab", buffering=0) as file:
            file.write(b"%d %d\n" % (cell, number))

    def is_loose(self, cell, number):
        return self._loose.exists() and b"%d %d" % (cell, number) in self._loose.read_bytes().split(b"\n")


def cell_place(cell):
    """Return (offset, size) of a cell; none crosses the end of a chunk."""
    chunk, place = divmod(cell, CELLS_PER_CHUNK)
    return chunk * MIB + place * CELL_STRIDE, LARGE if cell % 2 else SMALL


def cell_bytes(cell, number):
    return (cell.to_bytes(8, "little") + number.to_bytes(8, "little")) * (cell_place(cell)[1] // WORD_BYTES)


def cell_number(cell, data):
    """Return the number that a cell says all over; None for a mixture or another cell's bytes."""
    if len(data) != cell_place(cell)[1]:
        return None
    word = bytes(data[:WORD_BYTES])
    whole = word * (len(data) // WORD_BYTES) == data and int.from_bytes(word[:8], "little") == cell
    return int.from_bytes(word[8:], "little") if whole else None
