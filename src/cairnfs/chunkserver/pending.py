"""Ranges that are applied here but not yet everywhere. Rule 7. Pure; one object per open version of a chunk.

    serial      1     2     3     4     5
                committed   |     pending          reads that touch a pending range wait
                            watermark

Invariants:
    1. A range is entered before its first byte is written, on the primary too.
    2. The watermark never goes back within a version; it ends with it.
    3. A read that overlaps a range entered after the read began is told so (its bytes may be of two moments).
"""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Watch:
    """A read under way. `is_dirty`: a mutation touched its range meanwhile, so it must be read anew."""

    start: int
    end: int
    is_dirty: bool = False


@dataclass(slots=True)
class PendingRanges:
    """Intervals by serial, and the watermark below which everything is committed."""

    committed: int = 0
    overwritten: bool = False
    """An overwrite of this version is committed: every member has seen one, and keeps to the short serving lease."""
    _ranges: dict[int, tuple[int, int]] = field(default_factory=dict)
    _overwriting: dict[int, None] = field(default_factory=dict)
    """Serials whose range began below the length of that moment."""
    _watches: list[Watch] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._ranges)

    def add(self, serial: int, start: int, end: int, *, length: int) -> None:
        """Enter the range [start, end) of a mutation, before its first byte is written to a replica of `length`."""
        assert serial > self.committed, (serial, self.committed)
        self._ranges[serial] = (start, end)
        if start < length:
            self._overwriting[serial] = None
        self.touch(start, end)

    def touch(self, start: int, end: int) -> None:
        """Tell the reads under way that bytes of [start, end) change."""
        for watch in self._watches:
            if watch.start < end and start < watch.end:
                watch.is_dirty = True

    def commit(self, serial: int) -> bool:
        """Raise the watermark to `serial`; False if it is there already."""
        if serial <= self.committed:
            return False
        self.committed = serial
        for old in [number for number in self._ranges if number <= serial]:
            del self._ranges[old]
            if old in self._overwriting:
                del self._overwriting[old]
                self.overwritten = True
        return True

    def touching(self, start: int, end: int) -> int:
        """Return the highest pending serial whose range overlaps [start, end); 0 if none does."""
        return max((serial for serial, (a, b) in self._ranges.items() if a < end and start < b), default=0)

    @property
    def pending_bytes(self) -> int:
        """Bytes of all pending ranges."""
        return sum(end - start for start, end in self._ranges.values())

    def overwriting(self) -> list[tuple[int, int]]:
        """Return the pending ranges that overwrite: a member left behind may show what was there before.

        Bytes may have been written and read within the version, so the length of its base does not tell.
        """
        return [self._ranges[serial] for serial in self._overwriting]

    def watch(self, start: int, end: int) -> Watch:
        """Begin to watch the range of a read; give it back with `unwatch`."""
        watch = Watch(start, end)
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """End a watch."""
        self._watches = [other for other in self._watches if other is not watch]

    def begin_version(self) -> None:
        """Forget ranges and watermark of the version before; reads under way must begin anew."""
        self._ranges.clear()
        self._overwriting.clear()
        self.committed = 0
        self.overwritten = False
        for watch in self._watches:
            watch.is_dirty = True
