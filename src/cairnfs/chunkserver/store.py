"""All replicas on all disks of one chunkserver: the one door to the disks. Used by every other part of the role.

Each method does its work in one hop to a thread of the disk (two where a redo record comes first); what callers see in
memory changes in one step on the loop. Mutations of one replica run one at a time, in the order in which they were
called. A caller that is cancelled does not stop what has begun.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from cairnfs.checksum import Buffer
from cairnfs.chunkserver import flushing, lifecycle, mutate, reads
from cairnfs.chunkserver.checkpoint import Checkpointer
from cairnfs.chunkserver.disks import DataDisk, DiskUsage, Policy
from cairnfs.chunkserver.folders import (
    Folder,
    agree,
    close_all,
    format_folder,
    fresh_content,
    open_folders,
    out_of_use,
    serve_folder,
)
from cairnfs.chunkserver.format import ReplicaState
from cairnfs.chunkserver.records import pack_epoch_record
from cairnfs.chunkserver.relocating import Double, drop_doubles, enter_replicas, leave_replicas
from cairnfs.chunkserver.replica import Replica
from cairnfs.env import Env
from cairnfs.errors import BusyError, CairnError, DiskFailedError, FormatError, WrongClusterError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, DiskId, Epoch, Serial, ServerId, format_handle
from cairnfs.limits import JOURNAL_SEGMENT_BYTES, RESERVE_BYTES_MIN, RESERVE_FRACTION, Geometry
from cairnfs.safeguards import Safeguards
from cairnfs.tasks import Nursery
from cairnfs.units import SECOND_NS

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Store:
    """Made by `Store.open`; ends with `close`."""

    def __init__(
        self, env: Env, *, safeguards: Safeguards, durability: str, reserve: tuple[int, float], segment_bytes: int
    ) -> None:
        self._env, self._safeguards, self._durability = env, safeguards, durability
        self._reserve, self._segment_bytes = reserve, segment_bytes
        self._folders: list[Folder] = []
        self.disks: dict[DiskId, DataDisk] = {}
        self._checkpointers: list[Checkpointer] = []
        self._nursery = Nursery("store")
        self._creating: dict[ChunkHandle, None] = {}
        self._doubles: list[Double] = []
        self._out_of_use: list[DiskUsage] = []
        self.server_id = ServerId(0)
        """Random at the first format, the same on all folders of the server."""
        self.cluster: ClusterId | None = None
        self.geometry: Geometry | None = None
        self.max_epoch = Epoch(0)  # rule 1: durable
        self.replicas: dict[ChunkHandle, Replica] = {}
        self.lost: dict[ChunkHandle, None] = {}
        """What this process had and has no more, and all in the quarantine: if absent, no empty member (rule 3)."""
        self.damaged: list[str] = []
        """What recovery had to put aside, for the log."""
        self.on_disk_failed: Callable[[DiskId, str], None] | None = None

    # ------------------------------------------------------------ start and stop

    @classmethod
    async def open(  # noqa: PLR0913 - how a server is set up
        cls,
        env: Env,
        folders: Sequence[str],
        *,
        cluster: ClusterId | None,
        geometry: Geometry | None,
        safeguards: Safeguards,
        durability: str = "disk",
        reserve_bytes: int = RESERVE_BYTES_MIN,
        reserve_fraction: float = RESERVE_FRACTION,
        segment_bytes: int = JOURNAL_SEGMENT_BYTES,
    ) -> "Store":
        """Lock the folders, check whose they are, replay their journals and load their replicas.

        Cluster None: a fresh folder is left as it is until `adopt`. Rule 26: the larger of `reserve_bytes` and
        `reserve_fraction` of each disk is kept free.

        Raises:
            FolderInUseError: another process serves one of them.
            WrongClusterError, FormatError: one is foreign, of another format, or damaged. None was touched.
            DiskFailedError: none can be read and written. One that cannot, beside others, is in `damaged`.
        """
        assert folders, "a chunkserver needs a data folder"
        store = cls(
            env,
            safeguards=safeguards,
            durability=durability,
            reserve=(reserve_bytes, reserve_fraction),
            segment_bytes=segment_bytes,
        )
        store._folders, broken = await open_folders(env, folders)
        store._put_aside(broken)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close_all, store._folders)
            stack.push_async_callback(store._nursery.stop)
            expected = cluster if safeguards.cluster_identity else None
            server, found, sizes = agree(store._folders, expected, geometry)
            store.server_id = server or ServerId(env.random.getrandbits(63))
            if found is not None and sizes is not None:
                await store._serve(found, sizes)
            stack.pop_all()
        return store

    async def adopt(self, cluster: ClusterId, geometry: Geometry) -> None:
        """Format fresh folders for this cluster, as the master says. Nothing happens if that is done.

        Raises WrongClusterError, FormatError: the folders are of another cluster or geometry. None was touched.
        """
        if self.cluster is not None:
            if self.cluster != cluster and self._safeguards.cluster_identity:
                raise WrongClusterError(what="data folders", expected=cluster, found=self.cluster)
            if self.geometry != geometry:
                raise FormatError(where=self._folders[0].path, why=f"made with {self.geometry}, not {geometry}")
            return
        await self._serve(cluster, geometry)

    async def _serve(self, cluster: ClusterId, geometry: Geometry) -> None:
        self.cluster, self.geometry = cluster, geometry
        policy = Policy(
            geometry=geometry,
            safeguards=self._safeguards,
            clock=self._env.clock,
            durable=self._durability != "memory",
            reserve_bytes=self._reserve[0],
            reserve_fraction=self._reserve[1],
            segment_bytes=self._segment_bytes,
        )
        for folder in self._folders:
            if folder.content is None:
                disk_id = self._env.random.getrandbits(63)
                await format_folder(folder, fresh_content(cluster, self.server_id, disk_id, geometry))
        for folder in self._folders:
            try:
                disk, recovered = await serve_folder(folder, policy, wall_ns=self._env.clock.wall_ns())
            except DiskFailedError as error:
                self._put_aside([error])
                continue
            self._add_disk(disk)
            self.damaged += recovered.damaged
            self.lost.update(dict.fromkeys(recovered.lost))
            self.max_epoch = max(self.max_epoch, recovered.epoch)
        if not any(disk.takes_writes for disk in self.disks.values()):
            # Rule 1: the epoch must be stored, or a deposed master might be believed after a restart.
            why = "; ".join([*self.damaged, "a chunkserver needs one that can be written"])
            raise DiskFailedError(where="every data folder", why=why)
        for disk in self.disks.values():
            disk.journal.epoch = self.max_epoch
        await drop_doubles(self._doubles, self.replicas, self.disks, wall_ns=self._env.clock.wall_ns())

    def _put_aside(self, errors: Sequence[DiskFailedError]) -> None:
        for error in errors:
            logger.error("folder not served folder=%s why=%s", error.where, error.why)
            self.damaged.append(str(error))
        self._out_of_use += map(out_of_use, errors)

    def _add_disk(self, disk: DataDisk) -> None:
        self._doubles += enter_replicas(self.replicas, disk, self.disks)
        disk.on_failed = self._disk_failed
        self.disks[disk.disk_id] = disk
        self._checkpointers.append(checkpointer := Checkpointer(disk))
        _ = self._nursery.start(disk.journal.commit_loop(), name="commit")
        _ = self._nursery.start(checkpointer.loop(), name="checkpoint")

    def _disk_failed(self, disk: DataDisk) -> None:
        """Rule 25: its replicas are lost, as far as this server goes."""
        logger.error("disk failed folder=%s why=%s replicas=%d", disk.folder, disk.failed, len(disk.replicas))
        self.lost.update(dict.fromkeys(leave_replicas(self.replicas, disk)))
        if self.on_disk_failed is not None:
            self.on_disk_failed(disk.disk_id, disk.failed)

    async def close(self) -> None:
        """Bring all to its place, so that the next start has nothing to replay, and give the folders back."""
        for disk, checkpointer in zip(self.disks.values(), self._checkpointers, strict=True):
            if disk.takes_writes:
                try:
                    await disk.journal.seal()
                    await checkpointer.finish()
                except CairnError as error:
                    logger.warning("disk not brought to rest folder=%s why=%s", disk.folder, error)
        await self._nursery.stop()
        for disk in self.disks.values():
            disk.descriptors.close()
        await close_all(self._folders)

    async def _finish(self, job: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled: bytes and checksums must not part."""
        return await self._nursery.finish(job, name="mutation")

    def disk_of(self, replica: Replica) -> DataDisk:
        return self.disks[replica.disk_id]

    # ------------------------------------------------------------ headers

    async def raise_epoch(self, epoch: Epoch) -> None:
        """Rule 1: refuse lower epochs from now on; durable on every healthy disk when it returns."""
        if epoch <= self.max_epoch:
            return
        entries = []
        for disk in self.disks.values():
            disk.journal.epoch = max(disk.journal.epoch, epoch)
            if disk.takes_writes:
                entries.append((disk, disk.journal.submit(pack_epoch_record(epoch))))
        stored = 0
        for disk, entry in entries:
            try:
                await entry.wait()
                stored += 1
            except DiskFailedError:
                logger.warning("epoch not stored folder=%s epoch=%d", disk.folder, epoch)
        if not stored:
            raise DiskFailedError(where="every data folder", why="the epoch could not be stored")
        self.max_epoch = max(self.max_epoch, epoch)

    async def set_header(self, replica: Replica, **changes: object) -> None:
        """Change fields of `ReplicaState`; durable when it returns, and in memory at once after.

        With `version`, `unbroken` becomes True: this process holds the replica since that version began. With
        `closed=True` all bytes are flushed first.
        """
        if changes.get("closed"):
            await self.flush(replica)
        await self._finish(lifecycle.set_header(self.disk_of(replica), replica, changes))

    # ------------------------------------------------------------ replicas come and go

    async def create(
        self, handle: ChunkHandle, *, version: ChunkVersion, epoch: Epoch, incomplete: bool = False
    ) -> Replica:
        """Make an empty replica on the disk with the most free space; durable when it returns.

        Raises:
            BusyError: the chunk is here already, or just being made.
            DiskFullError, DiskFailedError: nothing was made.
        """
        disk = lifecycle.choose_disk(list(self.disks.values()))
        state = lifecycle.new_state(handle, version, epoch, incomplete=incomplete)
        return await self._finish(self._enter(disk, handle, lifecycle.create(disk, state)))

    async def clone_local(
        self, source: Replica, handle: ChunkHandle, *, version: ChunkVersion, epoch: Epoch
    ) -> Replica:
        """Copy a replica on its own disk under another handle; flushed when it returns.

        Raises:
            BusyError, DiskFullError, DiskFailedError: as `create`.
        """
        disk = self.disk_of(source)
        state = lifecycle.new_state(handle, version, epoch)
        return await self._finish(self._enter(disk, handle, lifecycle.clone(disk, source, state)))

    async def _enter(self, disk: DataDisk, handle: ChunkHandle, job: Coroutine[Any, Any, Replica]) -> Replica:
        if handle in self.replicas or handle in self._creating:
            job.close()
            raise BusyError(what=f"chunk {format_handle(handle)} is here already")
        self._creating[handle] = None
        try:
            replica = await job
        finally:
            del self._creating[handle]
        disk.check()
        disk.replicas[handle] = self.replicas[handle] = replica
        return replica

    async def quarantine(self, replica: Replica, why: str) -> None:
        """Rule 16: out of use at once, its files to `cairn/quarantine`; never deleted."""
        logger.warning("replica quarantined chunk=%s why=%s", format_handle(replica.handle), why)
        self.lost[replica.handle] = None
        await self._remove(replica, quarantine=True)

    async def trash(self, replica: Replica) -> None:
        """Rule 22: out of use at once, its files to `cairn/trash`; durable when it returns."""
        await self._remove(replica, quarantine=False)

    async def _remove(self, replica: Replica, *, quarantine: bool) -> None:
        if self.replicas.get(replica.handle) is not replica:
            return
        del self.replicas[replica.handle]
        # Until its files have moved, nobody makes the same chunk anew.
        self._creating[replica.handle] = None
        wall_ns = self._env.clock.wall_ns()
        job = lifecycle.remove(self.disk_of(replica), replica, wall_ns=wall_ns, quarantine=quarantine)
        await self._finish(self._leave(replica.handle, job))

    async def _leave(self, handle: ChunkHandle, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        finally:
            self._creating.pop(handle, None)

    async def empty_trash(self, older_than_s: float) -> int:
        """Unlink what has been in the trash for longer; return how many replicas."""
        before_ns = self._env.clock.wall_ns() - int(older_than_s * SECOND_NS)
        count = 0
        for disk in self.disks.values():
            if disk.takes_writes:
                count += await disk.run(lambda disk=disk: lifecycle.empty_trash(disk.files, before_ns=before_ns))  # type: ignore[misc]
        return count

    def usage(self) -> list[DiskUsage]:
        """Return how each disk stands; last those that could not be served."""
        return [*(disk.usage() for disk in self.disks.values()), *self._out_of_use]

    async def look_at_space(self) -> None:
        """Ask every file system what is free: also what others used or freed, and what was deleted, counts."""
        for disk in [one for one in self.disks.values() if one.takes_writes]:
            await disk.run(lambda disk=disk: disk.check_space(0))  # type: ignore[misc]

    # ------------------------------------------------------------ bytes

    async def apply(
        self,
        replica: Replica,
        offset: int,
        data: Sequence[Buffer],
        crcs: Sequence[int],
        *,
        serial: Serial,
        durable: bool,
    ) -> None:
        """Write `data` at `offset`; zeros fill a hole before it. `crcs`: one per piece, cut at the chunk's blocks.

        The buffers must stay as they are until it returns. Durable: a power loss cannot take it any more.

        Raises:
            ChecksumError: the data does not fit `crcs`. Nothing was stored.
            ChunkCorruptError: old bytes that would stay in a touched block are damaged. Nothing was written.
            DiskFullError: nothing was written. DiskFailedError: unknown; the disk is out of use.
        """
        await self._finish(
            mutate.apply(self.disk_of(replica), replica, offset, data, crcs, serial=serial, durable=durable)
        )

    async def truncate(self, replica: Replica, length: int, *, serial: Serial) -> None:
        """Cut, or extend with zeros; durable when it returns.

        Raises:
            ChunkCorruptError: the block that becomes the last is damaged. Nothing was changed.
        """
        await self._finish(mutate.truncate(self.disk_of(replica), replica, length, serial=serial))

    async def flush(self, replica: Replica) -> None:
        """All that was applied before the call survives a power loss when it returns (not with "memory")."""
        await self._finish(flushing.flush(self.disk_of(replica), replica))

    async def write_blocks(self, replica: Replica, first: int, data: Buffer, crcs: Sequence[int]) -> None:
        """Replace whole blocks of an incomplete replica; a short one becomes its last. Two hops at most; not flushed.

        Raises:
            ChecksumError: nothing was stored.
        """
        await self._finish(mutate.write_blocks(self.disk_of(replica), replica, first, data, crcs))

    async def read(self, replica: Replica, offset: int, buffer: memoryview) -> tuple[int, list[tuple[int, int, int]]]:
        """Fill `buffer`; return how many bytes, and (block, crc, valid length) of each touched block, of one moment.

        The bytes are not verified; a buffer of whole blocks is what a reader can verify.

        Raises:
            ChunkCorruptError: the file is shorter than it must be. NotReadableError: overwritten all the time.
        """
        return await reads.read(self.disk_of(replica), replica, offset, buffer)

    async def verify(self, replica: Replica, block: int) -> bool:
        """True if a block fits its checksum."""
        return await reads.verify(self.disk_of(replica), replica, block)

    async def read_verified(self, replica: Replica, offset: int, length: int) -> memoryview:
        """Return the bytes, at most to the end; each touched block was verified.

        Raises:
            ChunkCorruptError: one does not fit. NotReadableError: as `read`.
        """
        return await reads.read_verified(self.disk_of(replica), replica, offset, length)


__all__ = ["DiskUsage", "Replica", "ReplicaState", "Store"]
