"""What can be wrong with a simulated disk, and how long its jobs take. Asked by `disk` before each operation."""

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Literal

from cairnfs.env.memory_files import os_error

Kind = Literal["read", "write", "sync", "names"]

KINDS: dict[str, Kind] = {
    "read": "read",
    "write": "write",
    "truncate": "write",
    "allocate": "write",
    "sync": "sync",
    "sync_folder": "sync",
    "sync_all": "sync",
    "open": "names",
    "exists": "names",
    "listing": "names",
    "make_folder": "names",
    "rename": "names",
    "unlink": "names",
}
"""Of the operations that can fail."""


_CHANGES = ("make_folder", "rename", "unlink")
"""Of names; a new file is told by its `create`."""


@dataclass
class Failure:
    """Operations of one kind on some files fail."""

    kind: Kind
    files: str
    """A pattern, as `chunks/*.dat`; `*` also stands for slashes."""
    number: int
    is_once: bool


@dataclass
class DiskFaults:
    """What is wrong with a disk; may be changed at any time."""

    fail_reads: bool = False
    fail_writes: bool = False
    fail_syncs: bool = False
    """A failed sync forgets what was to be synced, as Linux does: a later one succeeds and makes nothing durable."""
    failures: list[Failure] = field(default_factory=list)
    """See `fail`."""
    is_read_only: bool = False
    """As after a remount: every change is refused."""
    is_full: bool = False
    full_after_bytes: int | None = None
    """So much more fits, then the disk is full and stays so. A write in which that happens is cut short."""
    misdirect_chance: float = 0.0
    """Of each write: it lands elsewhere, in the same file or another, and nobody is told."""
    misdirect_files: str = "*"
    """Which files it may be meant for, and which it may hit."""
    short_read_chance: float = 0.0
    """Of each read: the file seems to have lost its end, since a read goes on until there is no more."""
    short_read_files: str = "*.dat"
    delay_s: tuple[float, float] = (0.00005, 0.002)
    """How long a job waits; a gray disk has seconds here."""
    spike_chance: float = 0.0
    """Of each job: it waits for `spike_s` besides."""
    spike_s: tuple[float, float] = (0.1, 3.0)
    is_stuck: bool = False
    """No job begins until this is False again."""
    dies_after: int | None = None
    """So many more operations on files, then `on_death` is called in the middle of whatever job it is."""
    on_death: Callable[[], None] | None = None

    def fail(self, kind: Kind, files: str = "*", *, once: bool = False, number: int = errno.EIO) -> None:
        """Let operations of one kind fail on the files of that pattern: the next one, or all from now on."""
        self.failures.append(Failure(kind, files, number, once))

    def mend(self) -> None:
        """Make everything well again; what was lost stays so."""
        whole = DiskFaults()
        for one in fields(self):
            setattr(self, one.name, getattr(whole, one.name))

    def check(self, what: str, name: str) -> None:
        """Raise the OSError of an operation that fails."""
        is_well = not (self.is_full or self.fail_reads or self.fail_writes or self.fail_syncs or self.failures)
        if is_well and not self.is_read_only:
            return
        kind = KINDS.get(what)
        if self.is_read_only and (kind == "write" or what in _CHANGES):
            raise os_error(errno.EROFS, name)
        if self.is_full and kind == "write":
            raise os_error(errno.ENOSPC, name)
        if (
            (self.fail_reads and kind == "read")
            or (self.fail_writes and kind == "write")
            or (self.fail_syncs and kind == "sync")
        ):
            raise os_error(errno.EIO, name)
        for failure in self.failures:
            if failure.kind == kind and fnmatchcase(name, failure.files):
                if failure.is_once:
                    self.failures.remove(failure)
                raise os_error(failure.number, name)

    def draw_delay_s(self, chance: random.Random) -> float:
        """Return how long the next job waits."""
        least_s, most_s = self.delay_s
        delay_s = least_s + (most_s - least_s) * chance.random()
        if self.spike_chance > 0 and chance.random() < self.spike_chance:
            delay_s += chance.uniform(*self.spike_s)
        return delay_s

    def draws_misdirection(self, name: str, chance: random.Random) -> bool:
        """Return True if a write to that file lands elsewhere."""
        return (
            self.misdirect_chance > 0
            and fnmatchcase(name, self.misdirect_files)
            and chance.random() < self.misdirect_chance
        )

    def draw_count(self, name: str, count: int, chance: random.Random) -> int:
        """Return how many of `count` bytes a read gets."""
        is_short = count > 0 and self.short_read_chance > 0 and fnmatchcase(name, self.short_read_files)
        return chance.randrange(count) if is_short and chance.random() < self.short_read_chance else count
