"""THE WORLD, as a few small interfaces that are passed in and never imported by a role.

`Env` holds one of each. Real parts are in `clock`, `sockets`, `files`, `lmdb_store`, `solo`; memory parts in
`memory_*`; both pass tests/conformance. The simulator brings its own. Only this package may touch time, sockets,
files, threads and chance (design: "the world is a few small interfaces").

Rules for all parts:
    1. Everything here runs on one event loop, except jobs, which run on a thread of their disk or store.
    2. A job is a plain synchronous function. One request is one job: bytes, checksums and slots in one hop.
    3. Errors of the operating system leave as `OSError` from `Files`; `CairnError` from everything else.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from cairnfs.ids import Epoch

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview


# ------------------------------------------------------------------ time


class Clock(Protocol):
    """Two clocks. Durations come from `now_s` only; `wall_ns` is for people (mtime) and never compared for safety."""

    def now_s(self) -> float:
        """Return seconds since some start; goes on while the machine sleeps (CLOCK_BOOTTIME)."""

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 as the operator's clock says; it may jump."""


# ------------------------------------------------------------------ network: a byte stream with a sink


class Sink(Protocol):
    """Takes the bytes that a connection receives, straight into buffers of its own."""

    def connected(self, connection: "Connection") -> None:
        """Called once, before any byte."""

    def get_buffer(self, hint: int) -> memoryview:
        """Return a writable buffer of at least one byte for the next bytes."""

    def buffer_updated(self, count: int) -> None:
        """`count` bytes were put at the start of the last buffer. May call `connection.abort()`; must not raise."""

    def disconnected(self, why: str) -> None:
        """Called exactly once, after the last byte: "" if the peer closed in order, else the reason."""


class Connection(Protocol):
    """One end of a TCP stream, or of one in memory."""

    peer: str
    """host:port of the other end, for logs."""

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Queue buffers in order, without joining or copying them.

        They belong to the connection until `flushed` has returned or it is lost. Sending on a lost one does nothing.
        """

    @property
    def unsent_bytes(self) -> int:
        """Bytes that are queued and not yet with the operating system."""

    async def drain(self) -> None:
        """Wait until at most 1 MiB is queued: back-pressure. Returns at once on a lost connection."""

    async def flushed(self) -> None:
        """Wait until all that was queued so far is with the operating system, or the connection is lost."""

    def pause_reading(self) -> None:
        """Take no more bytes from the peer until `resume_reading`. Both may be called repeatedly."""

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close now; the peer sees a reset."""


class Listener(Protocol):
    """Accepts connections at one address."""

    address: str
    """host:port really bound (port 0 was replaced)."""

    async def close(self) -> None:
        """Accept no more. Accepted connections stay."""


class Network(Protocol):
    """Makes byte streams between addresses."""

    async def connect(self, address: str, make_sink: Callable[[], Sink], *, timeout_s: float) -> Connection:
        """Connect to host:port; names are resolved anew each time.

        Raises:
            ConnectError: nobody answered in time. No sink got `connected`.
        """

    async def listen(self, address: str, make_sink: Callable[[], Sink]) -> Listener:
        """Accept connections at host:port, each with a sink of its own.

        Raises:
            AddressInUseError: the port is taken.
            BadRequestError: the address is none of this machine, or malformed.
        """


# ------------------------------------------------------------------ disks


class File(Protocol):
    """An open file. Plain synchronous calls, for jobs. Any failure is an `OSError`."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return how many bytes there were before the end of the file."""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Write all of it, one after the other from `offset`; a file that is too short grows, with zeros between."""

    def sync(self) -> None:
        """fdatasync: bytes and size written so far survive a power loss. A failure is final: never retried."""

    def size(self) -> int: ...

    def truncate(self, size: int) -> None: ...

    def allocate(self, offset: int, length: int) -> None:
        """Reserve space without changing the size; does nothing where the file system cannot."""

    def copy_from(self, source: "File") -> None:
        """Become a copy of `source` (same disk): by reflink, else copy_file_range, else bytes."""

    def close(self) -> None: ...


class Files(Protocol):
    """The folder of one disk. Names are relative, with `/`; ours, never a peer's. Symlinks are not followed."""

    root: str
    """Where it is, for messages to people."""

    def open(self, name: str, *, create: bool = False) -> File:
        """Open for reading and writing. `create`: make it if missing. Raises FileNotFoundError."""

    def exists(self, name: str) -> bool: ...

    def listing(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; [] if it does not exist."""

    def make_folder(self, name: str) -> None:
        """Make a folder and its parents; nothing if it is there."""

    def rename(self, old: str, new: str) -> None:
        """Replace `new` atomically."""

    def unlink(self, name: str) -> None:
        """Remove a file; nothing if it is gone."""

    def sync_folder(self, name: str) -> None:
        """Make creates, renames and unlinks in that folder survive a power loss."""

    def sync_all(self) -> None:
        """Flush everything of this disk's file system (syncfs)."""

    def space(self) -> tuple[int, int]:
        """Return (free bytes for us, total bytes)."""

    def is_read_only(self) -> bool:
        """True if the file system is mounted so: nothing can be written, what is there can be read."""

    def lock(self) -> bool:
        """Take the folder for this process (flock, until it ends or `unlock`); False if another has it."""

    def unlock(self) -> None: ...


class Disk(Protocol):
    """A disk: its files, and threads to use them from without stopping the loop."""

    files: Files

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` on one of the disk's threads and return its result or raise its error.

        A bounded queue: the caller waits when it is full. Jobs of one disk run in any order and side by side. A
        caller that is cancelled does not stop a job that has begun.
        """

    async def close(self) -> None: ...


# ------------------------------------------------------------------ metadata store (ordered tables, LMDB-like)


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


class MetaStore(Protocol):
    """Tables are made on first use. One process at a time."""

    def read(self) -> AbstractContextManager[MetaRead]:
        """A view of the last commit, for a short while and without waiting: never across an await."""

    async def write(self, job: Callable[[MetaWrite], T]) -> T:
        """Run `job` in the writer's transaction and return its result once it is durable.

        Group commit without timers: while one commit runs, all that arrives waits for the next one. A job that raises
        must not have changed anything; its caller gets the error and the others of the batch are committed.

        Raises:
            DiskFullError, DiskFailedError: the commit failed. Nothing of the batch is durable, and every later write
                fails the same way until the store is opened anew.
        """

    @property
    def healthy(self) -> bool:
        """True until a commit has failed or the store was closed."""

    def size(self) -> tuple[int, int]:
        """Return (bytes used, bytes of the map)."""

    async def close(self) -> None: ...


# ------------------------------------------------------------------ who is master


class Outcome(StrEnum):
    """What became of records given to the coordinator."""

    COMMITTED = "committed"
    LOST = "lost"  # another leads: nothing was written
    UNKNOWN = "unknown"  # abort the transaction and step down


class Coordinator(Protocol):
    """Leader election with fencing and the replicated log. Solo: a durable counter; later etcd."""

    async def campaign(self) -> Epoch:
        """Wait until this master leads; return its epoch, higher than every earlier one."""

    async def prove(self) -> bool:
        """True if this master led at some moment after the call began. Rule 1."""

    def append(self, records: Sequence[bytes], epoch: Epoch) -> Outcome:
        """Called in the writer's thread before a commit. Solo: always COMMITTED."""


# ------------------------------------------------------------------ all of it


@dataclass(frozen=True, slots=True)
class Env:
    """What a role needs of the world."""

    clock: Clock
    network: Network
    random: random.Random
    """Seeded from the system in production, from the seed in a simulation. For ids: `random.getrandbits(63)`."""
    open_disk: Callable[[str], Disk]
    """Folder → its disk. The folder must exist."""
    open_store: Callable[[str], MetaStore]
    """Folder → the metadata store in it. Raises FolderInUseError, FormatError."""
    open_coordinator: Callable[[MetaStore], Coordinator]
