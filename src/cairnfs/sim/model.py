"""What a reader may see: the contract (docs/CONSISTENCY.md) as pure data and checks. Knows no cluster and no clock.

`Register` is one cell that is always written whole, every time with a number that was never used before, so that each
read names the write that it saw. Linearizable (contract 4) means: to every operation belongs one moment between its
call and its return, and a read shows the write with the last moment before its own.

    call ───── write 7 ───── return        the writes and reads that show 7 form a zone:
         call ── read: 7 ── return         from the first return among them to the last call

If the first return comes before the last call, 7 was the cell's value all the time between ("forward" zone); two such
spans may not overlap. Else the operations overlap and 7 may have its moments anywhere between the last call and the
first return ("backward" zone), which must not lie within another's forward zone. For registers with unique values the
two conditions are enough (Gibbons and Korach, 1997).
"""

import itertools
import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Written:
    """One write: called, and returned or never known to have."""

    value: int
    writer: str
    called_s: float
    returned_s: float = math.inf
    """Infinite while it is under way, and for ever if its caller got an error or died: it may happen any time, once."""
    synced_s: float = math.inf
    """When a sync that covers it returned. Contract 5: until then a power loss may take it."""

    @property
    def is_acked(self) -> bool:
        return self.returned_s < math.inf


@dataclass(slots=True)
class Seen:
    """One read that returned."""

    value: int
    called_s: float
    returned_s: float


class ViolationError(AssertionError):
    """A promise was not kept; the text says which, where, and what was seen."""


@dataclass(slots=True)
class Register:
    """The history of one cell. `name` is for messages."""

    name: str
    writes: dict[int, Written] = field(default_factory=dict)
    reads: list[Seen] = field(default_factory=list)
    may_be_stale: bool = False
    """Contract 6: with broken clocks reads need not be fresh; bytes must still be some write's."""

    def begin(self, value: int, now_s: float, *, writer: str = "") -> Written:
        """A write is called."""
        assert value not in self.writes, value
        write = self.writes[value] = Written(value, writer, now_s)
        return write

    def note_read(self, value: int, called_s: float, now_s: float) -> None:
        """A read has returned. Raises ViolationError if nobody wrote that; `check` finds the rest."""
        if value not in self.writes:
            raise ViolationError(f"{self.name}: shows {value}, which nobody wrote")
        self.reads.append(Seen(value, called_s, now_s))

    def overtaken(self, value: int, called_s: float) -> Written | None:
        """Return an acked write that lies wholly between the write of `value` and a read called then: it was missed."""
        mine = self.writes[value]
        for write in reversed(self.writes.values()):
            if mine.returned_s < write.called_s and write.returned_s < called_s:
                return write
        return None

    def check(self, *, is_broken: bool = False) -> None:
        """Check the whole history. `is_broken`: continuity of the chunk broke, so unsynced writes may have vanished.

        Raises:
            ViolationError: the history is not one of a cell as promised.
        """
        if self.may_be_stale:
            return
        if is_broken:
            self._check_synced()
            return
        for read in self.reads:
            if read.returned_s < self.writes[read.value].called_s:
                raise ViolationError(f"{self.name}: {read.value} was shown before anybody wrote it")
        zones = self._zones()
        forward = sorted(zone for zone in zones if zone[0] < zone[1])
        for one, following in itertools.pairwise(forward):
            if following[0] < one[1]:
                raise ViolationError(
                    f"{self.name}: {one[2]} was current from {one[0]:.3f} to {one[1]:.3f} s, "
                    f"and {following[2]} from {following[0]:.3f} to {following[1]:.3f} s"
                )
        for high, low, value in (zone for zone in zones if zone[0] >= zone[1]):
            for start, end, other in forward:
                if start < low and high < end:
                    raise ViolationError(
                        f"{self.name}: {value} was written or shown between {low:.3f} and {high:.3f} s, "
                        f"while {other} was current"
                    )

    def _zones(self) -> list[tuple[float, float, int]]:
        """Return (first return, last call, value) of each value that was acked or shown."""
        first = {value: write.returned_s for value, write in self.writes.items()}
        last = {value: write.called_s for value, write in self.writes.items()}
        shown: set[int] = set()
        for read in self.reads:
            shown.add(read.value)
            first[read.value] = min(first[read.value], read.returned_s)
            last[read.value] = max(last[read.value], read.called_s)
        return [
            (first[value], last[value], value)
            for value, write in self.writes.items()
            if write.is_acked or value in shown
        ]

    def _check_synced(self) -> None:
        """Of a chunk whose continuity broke: nothing older than a write that was synced before is shown."""
        for read in self.reads:
            mine = self.writes[read.value]
            for write in self.writes.values():
                # Another client's lost write is written again until its own sync has returned.
                ended_s = mine.returned_s if mine.writer == write.writer else mine.synced_s
                if ended_s < write.called_s and write.synced_s < read.called_s:
                    raise ViolationError(
                        f"{self.name}: shows {read.value} at {read.called_s:.3f} s, "
                        f"but {write.value} was synced at {write.synced_s:.3f} s"
                    )


@dataclass(slots=True)
class Appended:
    """One record that was to be appended."""

    data: bytes
    called_s: float
    returned_s: float = math.inf
    offset: int = -1

    @property
    def is_acked(self) -> bool:
        return self.offset >= 0


@dataclass(slots=True)
class Journal:
    """The records of one file that many append to. Contract 2."""

    name: str
    records: list[Appended] = field(default_factory=list)

    def begin(self, data: bytes, now_s: float) -> Appended:
        record = Appended(data, now_s)
        self.records.append(record)
        return record

    def check(self, found: dict[int, bytes]) -> None:
        """Compare with what the file holds: offset → record, each as often as it stands there.

        Raises:
            ViolationError: an acked record is not where its ack said, was invented, or stands before an earlier one.
        """
        known = {record.data for record in self.records}
        for offset, data in found.items():
            if data not in known:
                raise ViolationError(f"{self.name}: a record at {offset} that nobody appended: {data[:24]!r}")
        acked = sorted((record for record in self.records if record.is_acked), key=lambda record: record.offset)
        for record in acked:
            if found.get(record.offset) != record.data:
                raise ViolationError(
                    f"{self.name}: the acknowledged record {record.data[:24]!r} is not at {record.offset}"
                )
        earliest_s = math.inf
        for record in reversed(acked):
            if record.called_s > earliest_s:
                raise ViolationError(
                    f"{self.name}: {record.data[:24]!r} was called after one behind it was acknowledged"
                )
            earliest_s = min(earliest_s, record.returned_s)


def compare(data: bytes, wanted: bytes, where: str) -> None:
    """Raise ViolationError unless the bytes are those that were wanted."""
    if data == wanted:
        return
    if len(data) != len(wanted):
        raise ViolationError(f"{where}: {len(data)} bytes, not {len(wanted)}")
    differs = [place for place in range(len(data)) if data[place] != wanted[place]]
    raise ViolationError(
        f"{where}: other bytes at {len(differs)} places from {differs[0]} to {differs[-1]} of {len(data)}"
    )
