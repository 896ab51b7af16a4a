"""One data folder of a chunkserver: its identity, its threads, its journal, its open files, and whether it has failed.

Rule 25: the first write or flush that fails means that the disk has failed. Nothing is retried, because a kernel may
mark pages clean that it could not write; every later call is refused. Rule 26: a reserve is kept free.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cairnfs.chunkserver.descriptors import Descriptors
from cairnfs.chunkserver.format import (
    DISK_NAME,
    ROOT,
    DiskFile,
    ReplicaState,
    decode_disk_file,
    encode_disk_file,
    pack_header,
)
from cairnfs.chunkserver.journal import Entry, Journal
from cairnfs.chunkserver.latency import Latency
from cairnfs.chunkserver.moves import Moves
from cairnfs.chunkserver.records import pack_header_record
from cairnfs.chunkserver.replica import Replica
from cairnfs.env import Clock, Disk, Files
from cairnfs.errors import (
    CairnError,
    DiskFailedError,
    DiskFullError,
    FormatError,
)
from cairnfs.ids import ChunkHandle, ClusterId, DiskId
from cairnfs.limits import RESERVE_BYTES_MIN, RESERVE_FRACTION, Geometry
from cairnfs.safeguards import Safeguards
from cairnfs.units import MIB

T = TypeVar("T")
_FULL = (errno.ENOSPC, errno.EDQUOT)
ASK_AGAIN_BYTES = 64 * MIB
"""The file system is asked for its free space after so much growth, and each time once less than twice that is left."""
DISK_FILE_BYTES_MAX = 64 * 1024


@dataclass(slots=True, frozen=True)
class DiskUsage:
    """How one disk stands."""

    disk_id: DiskId
    folder: str
    free: int
    """Bytes above the reserve."""
    total: int
    replicas: int
    failed: str
    """Why it is not used any more; "" while it is."""
    latency_s: float
    is_leaving: bool
    is_read_only: bool


@dataclass(slots=True, frozen=True)
class Policy:
    """What all disks of a store have in common."""

    geometry: Geometry
    safeguards: Safeguards
    clock: Clock
    durable: bool
    """False: durability "memory", no flush for mutations."""
    reserve_bytes: int = RESERVE_BYTES_MIN
    reserve_fraction: float = RESERVE_FRACTION
    segment_bytes: int = 0


class DataDisk:
    """Owned by the store. Its folder is locked and formatted."""

    def __init__(self, disk: Disk, folder: str, content: DiskFile, policy: Policy) -> None:
        self.folder, self.content, self.policy = folder, content, policy
        self.files: Files = disk.files
        self.disk_id, self.cluster = content.disk_id, ClusterId(content.cluster)
        self.replicas: dict[ChunkHandle, Replica] = {}
        self.unplaced: dict[ChunkHandle, Replica] = {}
        """Replicas whose .sum file lacks something that the journal has."""
        self.flushed_folders: dict[str, None] = {ROOT: None}
        self.descriptors = Descriptors(disk.files)
        self.failed = ""
        self.is_read_only = False
        """It was so at the start: see `read_only`."""
        self.is_leaving = False
        """It is to be emptied: nothing new goes there."""
        self.latency = Latency()
        self.free_bytes, self.total_bytes = 0, 0
        self._unasked_bytes = 0
        self.on_failed: Callable[[DataDisk], None] = lambda _: None
        self.journal = Journal(run=self.run, files=disk.files, disk_id=self.disk_id, segment_bytes=policy.segment_bytes)
        self._disk = disk
        self.moves = Moves(self.run, disk.files)

    @property
    def room_bytes(self) -> int:
        """Free bytes as last asked, less what was written since: so that small files do not all go to one disk."""
        return max(0, self.free_bytes - self._unasked_bytes)

    @property
    def takes_replicas(self) -> bool:
        """True if new replicas may be made here."""
        return not self.failed and not self.is_leaving and not self.is_read_only

    @property
    def takes_writes(self) -> bool:
        """True if something may be stored here."""
        return not self.failed and not self.is_read_only

    @property
    def reserve_bytes(self) -> int:
        """Rule 26: bytes that only deletes and the journal may use."""
        return max(self.policy.reserve_bytes, int(self.total_bytes * self.policy.reserve_fraction))

    async def run(self, job: Callable[[], T], *, may_be_full: bool = False) -> T:
        """Run a job that writes or flushes.

        Raises:
            DiskFailedError: it failed now (rule 25) or before. What it did is unknown.
            DiskFullError: no space, and `may_be_full` says that nothing acknowledged can be hurt by that.
        """
        self.check()
        if self.is_read_only:
            raise self._read_only_error()
        began_s = self.policy.clock.now_s()
        try:
            result = await self._disk.run(job)
            self.latency.note(self.policy.clock.now_s() - began_s)
            return result
        except CairnError:
            raise
        except OSError as error:
            if may_be_full and error.errno in _FULL:
                raise DiskFullError(where=self.folder) from error
            if not self.policy.safeguards.first_error_fails_disk:
                return await self._disk.run(job)
            self.fail(str(error))
            raise DiskFailedError(where=self.folder, why=self.failed) from error

    async def run_reading(self, job: Callable[[], T]) -> T:
        """Run a job that only reads; its `OSError` is the caller's to judge."""
        self.check()
        began_s = self.policy.clock.now_s()
        result = await self._disk.run(job)
        self.latency.note(self.policy.clock.now_s() - began_s)
        return result

    def check(self) -> None:
        """Raise `DiskFailedError` if the disk has failed."""
        if self.failed:
            raise DiskFailedError(where=self.folder, why=self.failed)

    def become_read_only(self) -> None:
        """Refuse from now on to write, which says nothing against what is here."""
        self.is_read_only = True
        free, self.total_bytes = self.files.space()
        self.free_bytes = max(0, free - self.reserve_bytes)
        self.journal.fail(self._read_only_error())

    def _read_only_error(self) -> DiskFailedError:
        return DiskFailedError(where=self.folder, why="the file system is mounted read-only")

    def fail(self, why: str) -> None:
        """Rule 25: trust it no more. Only the first call counts."""
        if self.failed:
            return
        self.failed = why or "unknown error"
        self.journal.fail(DiskFailedError(where=self.folder, why=self.failed))
        self.on_failed(self)

    def check_space(self, growth_bytes: int) -> None:
        """Rule 26, inside a job: refuse to grow into the reserve. Nothing was written."""
        self._unasked_bytes += growth_bytes
        if self._unasked_bytes >= ASK_AGAIN_BYTES or self.free_bytes < 2 * ASK_AGAIN_BYTES or not growth_bytes:
            self._unasked_bytes = 0
            free, self.total_bytes = self.files.space()
            self.free_bytes = max(0, free - self.reserve_bytes)
        if growth_bytes > self.free_bytes:
            raise DiskFullError(where=self.folder)

    def check_room(self, growth_bytes: int) -> None:
        """The same on the loop, by what was free when it was last asked: to refuse before others are troubled."""
        if growth_bytes > self.free_bytes:
            raise DiskFullError(where=self.folder)

    def submit_header(self, replica: Replica, state: ReplicaState) -> Entry:
        """Give a new header to the journal; it is the replica's state once it is durable."""
        replica.header_sequence += 1
        replica.wanted = state
        sequence = replica.header_sequence

        def on_durable() -> None:
            replica.state = state
            replica.state_sequence = sequence
            replica.header_unplaced = True
            self.unplaced[replica.handle] = replica

        record = pack_header_record(state, cluster=self.cluster, sequence=sequence)
        replica.last_entry = self.journal.submit(record, on_durable=on_durable)
        return replica.last_entry

    def header_bytes(self, replica: Replica) -> bytes:
        """Return the header slot's content for the durable state."""
        return pack_header(replica.state, cluster=self.cluster, sequence=replica.state_sequence)

    def usage(self) -> DiskUsage:
        return DiskUsage(
            disk_id=self.disk_id,
            folder=self.folder,
            free=0 if self.failed else self.free_bytes,
            total=self.total_bytes,
            replicas=len(self.replicas),
            failed=self.failed,
            latency_s=self.latency.slow_s,
            is_leaving=self.is_leaving,
            is_read_only=self.is_read_only,
        )

    async def close(self) -> None:
        """Close all files and give the folder back."""
        self.descriptors.close()
        await close_folder(self._disk)


# ------------------------------------------------------------------ the folder before it is a DataDisk


async def close_folder(disk: Disk) -> None:
    """Give a locked folder back."""
    disk.files.unlock()
    await disk.close()


def read_disk_file(files: Files) -> DiskFile | None:
    """Return the content of DISK, None for a folder that was never formatted. A job.

    Raises:
        FormatError: another format, damaged, or a folder with data but without DISK. Nothing was touched.
    """
    where = f"{files.root}/{DISK_NAME}"
    if not files.exists(DISK_NAME):
        others = [name for name in files.listing(ROOT) if name != "DISK.new"]
        if others:
            raise FormatError(where=where, why=f"missing, but {ROOT}/{others[0]} exists; not formatted anew")
        return None
    file = files.open(DISK_NAME)
    try:
        buffer = bytearray(DISK_FILE_BYTES_MAX)
        count = file.read_into(0, memoryview(buffer))
    finally:
        file.close()
    return decode_disk_file(bytes(buffer[:count]), where=where)


def write_disk_file(files: Files, content: DiskFile) -> None:
    """Format a folder: nothing of it is there after a crash, or all. A job."""
    files.make_folder(ROOT)
    file = files.open(f"{DISK_NAME}.new", create=True)
    try:
        file.truncate(0)
        file.write(0, [encode_disk_file(content)])
        file.sync()
    finally:
        file.close()
    files.rename(f"{DISK_NAME}.new", DISK_NAME)
    files.sync_folder(ROOT)
    files.sync_folder("")
