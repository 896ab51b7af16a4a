"""Emptying a disk: its replicas move to other disks of the server, or leave the server if none has room. Rules 23, 26.

    copy, verified and flushed, incomplete until it is whole → header: closed → takes the old one's place → old to trash

A crash in between leaves both: the whole one with the highest version counts at the next start, the other goes to the
trash. Only closed replicas move; an open one is named to the master, which makes its chunk do without.
"""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cairnfs.checksum import piece_crcs
from cairnfs.chunkserver import flushing, lifecycle, mutate
from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import CairnError, ChunkCorruptError, NoCopyError
from cairnfs.ids import ChunkHandle, DiskId
from cairnfs.limits import LEAVING_MAX, PIECE_BYTES

if TYPE_CHECKING:
    from cairnfs.chunkserver.context import Context

logger = logging.getLogger(__name__)

LOOK_S = 1.0
Double = tuple[DataDisk, Replica]


def enter_replicas(replicas: dict[ChunkHandle, Replica], disk: DataDisk, disks: dict[DiskId, DataDisk]) -> list[Double]:
    """Enter what a disk has at the start; return what is there twice and does not count."""
    doubles: list[Double] = []
    for handle, replica in disk.replicas.items():
        other = replicas.get(handle)
        if other is not None and _rank(other) >= _rank(replica):
            doubles.append((disk, replica))
            continue
        if other is not None:
            doubles.append((disks[other.disk_id], other))
        replicas[handle] = replica
    return doubles


def leave_replicas(replicas: dict[ChunkHandle, Replica], disk: DataDisk) -> list[ChunkHandle]:
    """Take out what was on a disk that has failed; return it."""
    handles = list(disk.replicas)
    for handle, replica in disk.replicas.items():
        replica.gone = True
        if replicas.get(handle) is replica:
            del replicas[handle]
    disk.replicas.clear()
    return handles


def _rank(replica: Replica) -> tuple[object, ...]:
    state = replica.state
    return not state.incomplete, state.version, state.promised, state.closed


async def drop_doubles(
    doubles: list[Double], replicas: dict[ChunkHandle, Replica], disks: dict[DiskId, DataDisk], *, wall_ns: int
) -> None:
    """Move what is there twice to the trash. What it has promised (rule 3) goes for the one that stays."""
    for disk, replica in doubles:
        logger.info("second replica to the trash folder=%s chunk=%016x", disk.folder, replica.handle)
        stays = replicas[replica.handle]
        try:
            if replica.state.promised > stays.state.promised:
                await lifecycle.set_header(disks[stays.disk_id], stays, {"promised": replica.state.promised})
            await lifecycle.remove(disk, replica, wall_ns=wall_ns, quarantine=False)
        except CairnError as error:
            logger.warning("second replica stays folder=%s chunk=%016x why=%s", disk.folder, replica.handle, error)


async def relocate(context: "Context", replica: Replica, target: DataDisk) -> None:
    """Move a closed replica to another disk of the server. The caller holds the turn at its handle.

    Raises:
        DiskFullError, DiskFailedError: of the target. ChunkCorruptError: of the replica. It is where it was.
    """
    store = context.store
    source = store.disk_of(replica)
    wall_ns = context.env.clock.wall_ns()
    made = await lifecycle.create(target, replace(replica.state, incomplete=True, closed=False, closed_length=0))
    try:
        await _fill(context, replica, target, made)
        if store.replicas.get(replica.handle) is not replica:
            raise NoCopyError(chunk=replica.handle, why="it went away meanwhile")
        whole = replica.state
        changes: dict[str, object] = {
            "incomplete": False,
            "closed": True,
            "closed_length": whole.closed_length,
            "promised": whole.promised,
        }
        await lifecycle.set_header(target, made, changes)
    except CairnError:
        await lifecycle.remove(target, made, wall_ns=wall_ns, quarantine=False)
        raise
    store.replicas[made.handle] = target.replicas[made.handle] = made
    await lifecycle.remove(source, replica, wall_ns=wall_ns, quarantine=False)
    context.count("replicas_relocated")


async def _fill(context: "Context", replica: Replica, target: DataDisk, made: Replica) -> None:
    block_bytes = context.geometry.block_bytes
    for offset in range(0, replica.length, PIECE_BYTES):
        size = min(PIECE_BYTES, replica.length - offset)
        await context.pace_in.take(size)
        data = await context.store.read_verified(replica, offset, size)
        await mutate.write_blocks(target, made, offset // block_bytes, data, piece_crcs(data, block_bytes))
    await flushing.flush(target, made)
    if (made.length, made.digest()) != (replica.length, replica.digest()):
        raise NoCopyError(chunk=replica.handle, why="the copy differs from what is here")


class Evacuator:
    """Empties the disks that the master names, for as long as it names them."""

    def __init__(self, context: "Context") -> None:
        self._context = context

    async def run(self) -> None:
        """Look once a second until the nursery stops."""
        while True:  # until the nursery stops
            await asyncio.sleep(LOOK_S)
            leaving: dict[ChunkHandle, None] = {}
            for disk in list(self._context.store.disks.values()):
                if disk.is_leaving and not disk.failed:
                    await self._empty(disk, leaving)
            self._context.standing.leaving = leaving

    async def _empty(self, disk: DataDisk, leaving: dict[ChunkHandle, None]) -> None:
        for replica in list(disk.replicas.values()):
            if not disk.is_leaving:
                return
            if len(leaving) < LEAVING_MAX and not await self._has_moved(replica):
                leaving[replica.handle] = None

    async def _has_moved(self, replica: Replica) -> bool:
        """Move a replica within the server; False: it has to leave it, or cannot move now."""
        context = self._context
        async with context.turns.hold(replica.handle):
            if context.store.replicas.get(replica.handle) is not replica:
                return True
            state = replica.state
            target = self._target(replica)
            if target is None or not state.closed or state.incomplete:
                return False
            try:
                await relocate(context, replica, target)
            except ChunkCorruptError:
                return True  # the read has put it away, and the master replaces it
            except CairnError as error:
                logger.warning("replica not moved chunk=%016x to=%s why=%s", replica.handle, target.folder, error)
                return False
        return True

    def _target(self, replica: Replica) -> DataDisk | None:
        disks = [one for one in self._context.store.disks.values() if one.takes_replicas and one.free_bytes]
        best = max(disks, key=lambda one: one.room_bytes, default=None)
        return best if best is not None and best.room_bytes > replica.length else None
