"""Flush of a replica: its file, then the states of its blocks by way of the journal. Rules 14, 24 and 25.

A flush covers what was applied before it began. Extensions may go on meanwhile; an overwrite of what it covers gets a
redo record, as if the flush were done (`Replica.flushing_length`).
"""

from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.format import ROOT, Slot, replica_folder
from cairnfs.chunkserver.records import pack_slots_record
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import ChunkMissingError

States = list[tuple[int, Slot]]


def check_there(disk: DataDisk, replica: Replica) -> None:
    """Raise `DiskFailedError` or `ChunkMissingError` if the replica went away while its turn was awaited."""
    disk.check()
    if replica.gone:
        raise ChunkMissingError(chunk=replica.handle)


async def flush(disk: DataDisk, replica: Replica) -> None:
    """See `Store.flush`."""
    if not disk.policy.durable:
        return
    await disk.journal.room()
    async with replica.flush_turn:
        # The turn: a mutation in mid-hop would leave bytes on the disk that no captured state fits.
        async with replica.turn:
            check_there(disk, replica)
            states, length = capture(replica)
        await flush_captured(disk, replica, states, length)


def capture(replica: Replica) -> tuple[States, int]:
    """Return what is to be flushed. The caller has both turns; with `flush_turn` kept it can only grow."""
    replica.flushing_length = replica.table.length
    return replica.table.captured(replica.table.dirty), replica.table.length


async def flush_captured(disk: DataDisk, replica: Replica, states: States, length: int) -> None:
    """Flush the file, then give the captured states to the journal and wait for them."""
    table = replica.table
    entry = replica.last_entry
    if states:
        await _flush_file(disk, replica)

        def on_durable() -> None:
            table.mark_flushed(states)
            replica.flushed_length = max(replica.flushed_length, min(length, table.length))
            disk.unplaced[replica.handle] = replica

        entry = disk.journal.submit(pack_slots_record(replica.handle, states), on_durable=on_durable)
        table.mark_submitted(states)
        replica.submitted_length = max(replica.submitted_length, length)
        replica.last_entry = entry
    replica.flushing_length = 0
    if entry is not None:
        await entry.wait()


async def _flush_file(disk: DataDisk, replica: Replica) -> None:
    folder = replica_folder(replica.handle)
    parent = folder.rpartition("/")[0]
    # The names must survive as well, or replay would make an empty file in place of the flushed one.
    folders = [] if replica.folder_flushed else [folder]
    folders += [name for name in (parent, ROOT) if not replica.folder_flushed and parent not in disk.flushed_folders]
    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> None:
            opened.data().sync()
            for name in folders:
                disk.files.sync_folder(name)

        await disk.run(job)
    replica.folder_flushed = True
    disk.flushed_folders[parent] = None
