"""How a replica comes and goes: create, clone, trash, quarantine. Rules 3, 16, 22 and 24."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from cairnfs.chunkserver.checkpoint import place
from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.flushing import check_there
from cairnfs.chunkserver.format import (
    HEADER_SLOT_BYTES,
    QUARANTINE,
    SLOTS_START,
    TRASH,
    ReplicaState,
    data_name,
    pack_header,
    replica_folder,
    sum_name,
)
from cairnfs.chunkserver.records import pack_gone_record
from cairnfs.chunkserver.recovery import Found
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.slots import SlotTable
from cairnfs.env import Files
from cairnfs.errors import ChunkCorruptError, DiskFailedError, DiskFullError
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch, format_handle


def new_state(handle: ChunkHandle, version: ChunkVersion, epoch: Epoch, *, incomplete: bool = False) -> ReplicaState:
    """Return the header of a replica that begins with `version`."""
    return ReplicaState(handle=handle, version=version, promised=version, epoch=epoch, incomplete=incomplete)


SLOW_FACTOR, SLOW_DISK_S = 4.0, 0.1
"""A disk so much slower than another of its server, and slower than that, gets new replicas only if it must."""


def choose_disk(disks: Sequence[DataDisk]) -> DataDisk:
    """Return the disk with the most free space.

    Raises:
        DiskFullError: all have only their reserve left. DiskFailedError: all have failed.
    """
    usable = [disk for disk in disks if disk.takes_writes]
    if not usable:
        why = "; ".join(disk.failed or "read-only" for disk in disks) or "none"
        raise DiskFailedError(where="every data folder", why=why)
    staying = [disk for disk in usable if not disk.is_leaving]
    best = max(staying, key=lambda disk: (not _is_last_choice(disk, staying), disk.room_bytes), default=None)
    if best is None or not best.free_bytes:
        raise DiskFullError(where=best.folder if best is not None else "every data folder is being emptied")
    return best


def _is_last_choice(disk: DataDisk, disks: Sequence[DataDisk]) -> bool:
    """True for a disk that takes much longer than the fastest of its server, or has no room for a whole chunk."""
    known = [one.latency.slow_s for one in disks if one.latency.slow_s > 0]
    is_slow = bool(known) and disk.latency.slow_s > max(SLOW_DISK_S, SLOW_FACTOR * min(known))
    return is_slow or disk.room_bytes < disk.policy.geometry.chunk_bytes


def make_replica(disk: DataDisk, state: ReplicaState) -> Replica:
    """Return an empty replica, not yet on the disk."""
    table = SlotTable(state.handle, disk.policy.geometry.block_bytes)
    return Replica(handle=state.handle, disk_id=disk.disk_id, state=state, table=table, wanted=state, unbroken=True)


def restore_replica(disk: DataDisk, found: Found) -> Replica:
    """Return what recovery found."""
    replica = make_replica(disk, found.state)
    replica.table.load(found.blocks, length=found.length, last_stamp=found.last_stamp)
    replica.header_sequence = replica.state_sequence = found.sequence
    replica.header_slot = 0
    replica.unbroken, replica.folder_flushed = found.unbroken, True
    replica.flushed_length = replica.submitted_length = replica.allocated = found.length
    return replica


async def create(disk: DataDisk, state: ReplicaState) -> Replica:
    """Make the files, and give the header to the journal; durable when it returns."""
    replica = make_replica(disk, state)

    def job() -> None:
        disk.check_space(1)
        make_files(disk.files, state.handle)

    await disk.run(job, may_be_full=True)
    await disk.submit_header(replica, state).wait()
    return replica


def make_files(files: Files, handle: ChunkHandle) -> None:
    """Make both files, empty. A job."""
    files.make_folder(replica_folder(handle))
    for name in (data_name(handle), sum_name(handle)):
        file = files.open(name, create=True)
        file.truncate(0)
        file.close()


async def clone(disk: DataDisk, source: Replica, state: ReplicaState) -> Replica:
    """Copy on the same disk (by reflink where it can); flushed in place, then entered in the journal."""
    replica = make_replica(disk, state)
    async with source.turn:
        check_there(disk, source)
        table, crcs, length = replica.table, list(enumerate(source.table.crcs)), source.length
        stamp = table.next_stamp()
        table.change(crcs, length=length, stamp=stamp)
        states = table.captured(table.dirty)
        table.mark_submitted(states)
        table.mark_flushed(states)
        replica.header_sequence = replica.state_sequence = 1
        slots = table.pairs(0, len(crcs) - 1)
        table.unplaced.clear()
        # Until all is there: who finds a half copy after a crash must not take it for a damaged replica.
        header = pack_header(replace(state, incomplete=True), cluster=disk.cluster, sequence=1)
        with disk.descriptors.lease(source.handle) as opened:

            def job() -> None:
                disk.check_space(length)
                make_files(disk.files, state.handle)
                data, sums = disk.files.open(data_name(state.handle)), disk.files.open(sum_name(state.handle))
                try:
                    sums.write(0, [header.ljust(HEADER_SLOT_BYTES, b"\0")])
                    data.copy_from(opened.data())
                    data.truncate(length)
                    data.sync()
                    sums.write(SLOTS_START, [slots])
                    sums.sync()
                finally:
                    data.close()
                    sums.close()
                folder = replica_folder(state.handle)
                for name in (folder, folder.rpartition("/")[0], "cairn"):
                    disk.files.sync_folder(name)

            await disk.run(job, may_be_full=True)
    replica.header_slot, replica.folder_flushed = 0, True
    replica.flushed_length = replica.submitted_length = replica.allocated = length
    await disk.submit_header(replica, state).wait()
    return replica


async def remove(disk: DataDisk, replica: Replica, *, wall_ns: int, quarantine: bool) -> None:
    """Move a replica to the trash or the quarantine; it is out of `disk.replicas` at once."""
    disk.replicas.pop(replica.handle, None)
    if disk.is_read_only:
        # Its files stay; the next start finds them again, and so does who has them removed.
        replica.gone = True
        disk.descriptors.drop(replica.handle)
        return
    async with replica.flush_turn, replica.turn:
        check_there(disk, replica)
        # What only the journal knows goes along, so that the moved files stand for themselves.
        if replica.last_entry is not None:
            await replica.last_entry.wait()
        with contextlib.suppress(ChunkCorruptError):
            await place(disk, replica)
        replica.gone = True
        disk.unplaced.pop(replica.handle, None)
        disk.descriptors.drop(replica.handle)
        entry = disk.journal.submit(pack_gone_record(replica.handle), has_place=True)
        target = f"{QUARANTINE if quarantine else TRASH}/{wall_ns}-{format_handle(replica.handle)}"
        try:
            await entry.wait()
            await disk.moves.move(replica.handle, target)
            if not quarantine and not disk.policy.safeguards.trash_before_unlink:
                await disk.run(lambda: empty_trash(disk.files, before_ns=wall_ns))
        finally:
            disk.journal.placed(entry)


def empty_trash(files: Files, *, before_ns: int) -> int:
    """Unlink what was moved to the trash before; return how many replicas. A job."""
    count = 0
    for name in files.listing(TRASH):
        stamp = name.partition("-")[0]
        if stamp.isdigit() and int(stamp) <= before_ns:
            files.unlink(f"{TRASH}/{name}")
            count += name.endswith(".sum")
    return count


async def set_header(disk: DataDisk, replica: Replica, changes: dict[str, object]) -> None:
    """Change fields of the header; durable, and seen in memory, when it returns."""
    check_there(disk, replica)
    base = replica.wanted or replica.state
    state = replace(base, **changes)  # type: ignore[arg-type]  # the caller's keywords are checked by `replace`
    if "version" in changes:
        replica.unbroken = True
    await disk.submit_header(replica, state).wait()
    if state.closed and replica.allocated > replica.length:
        await _give_back(disk, replica)


async def _give_back(disk: DataDisk, replica: Replica) -> None:
    """Free what was allocated ahead of a replica that is closed."""
    async with replica.turn:
        check_there(disk, replica)
        length = replica.length
        with disk.descriptors.lease(replica.handle) as opened:
            # A cut to the size that it has frees what lies beyond (ext4, xfs).
            await disk.run(lambda: opened.data().truncate(max(length, opened.data().size())))
        replica.allocated = length
