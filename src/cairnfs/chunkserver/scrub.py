"""Reads every idle replica through, slowly, so that rot is found while there are other copies. Rule 16; GFS paper, 5.2.

One round of each disk takes `period_s`. The speed is derived: every piece has the moment at which it is due if the
round is to end in time. While clients are at work a piece waits longer, unless the round is late. A damaged replica is
quarantined and reported, as by a read, and the master replaces it.

    <folder>/cairn/scrub   how far the round is, written once a minute: a restart goes on there

Open replicas are left out: what changes is verified by changing it, and an idle one is closed soon.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from cairnfs.chunkserver.applying import quarantine
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.format import ROOT
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import CairnError, ChunkCorruptError
from cairnfs.ids import ChunkHandle, DiskId
from cairnfs.limits import (
    PIECE_BYTES,
    SCRUB_BACKOFF_S,
    SCRUB_BUSY_PER_S,
    SCRUB_BYTES_PER_S_MAX,
    SCRUB_LATE_FRACTION,
    SCRUB_LOOK_S,
    SCRUB_SAVE_S,
)
from cairnfs.units import SECOND_NS

logger = logging.getLogger(__name__)
_NAME = f"{ROOT}/scrub"
_NAME_BYTES_MAX = 4096


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart finds of a round."""

    began_ns: int
    """By the wall clock."""
    after: ChunkHandle
    """Up to this handle, in order, all is done."""


@dataclass(slots=True)
class Round:
    """One look at all replicas of a disk, in order of their handles. Pure."""

    began_s: float
    """When the first piece was due; after a restart, so that what is left fits into what is left of the time."""
    ends_s: float
    began_ns: int
    after: ChunkHandle
    left: deque[tuple[ChunkHandle, int]]
    total_bytes: int = 0
    done_bytes: int = 0
    offset: int = 0
    """In the first of `left`."""
    saved_s: float = field(default=0.0)

    @classmethod
    def begin(
        cls,
        sizes: Iterable[tuple[ChunkHandle, int]],
        now_s: float,
        wall_ns: int,
        period_s: float,
        found: Progress | None,
    ) -> "Round":
        """Go on with the round that was `found`, or begin the next one."""
        age_s = (wall_ns - found.began_ns) / SECOND_NS if found is not None else 0.0
        if found is None or not 0 <= age_s < period_s:
            age_s, found = 0.0, Progress(began_ns=wall_ns, after=ChunkHandle(-1))
        left = deque(sorted(one for one in sizes if one[0] > found.after))
        total = sum(size for _, size in left)
        ends_s = now_s + max(period_s - age_s, total / SCRUB_BYTES_PER_S_MAX)
        return cls(now_s, ends_s, found.began_ns, found.after, left, total, saved_s=now_s)

    def due_s(self) -> float:
        """Return when the next piece is due; with nothing left: when the next round is."""
        if not self.left or not self.total_bytes:
            return self.ends_s
        return self.began_s + (self.ends_s - self.began_s) * self.done_bytes / self.total_bytes

    def is_late(self, now_s: float) -> bool:
        """True if clients have held it up for long."""
        return now_s - self.due_s() > SCRUB_LATE_FRACTION * (self.ends_s - self.began_s)

    def piece_done(self, size: int, *, ends: bool) -> None:
        """Count a piece; `ends`: nothing of its replica is left, or to be read."""
        self.done_bytes += size
        self.offset += size
        if ends:
            handle, length = self.left.popleft()
            self.done_bytes += max(0, length - self.offset)
            self.after, self.offset = handle, 0


class Scrubber:
    """Scrubs all disks of a server."""

    def __init__(self, context: Context, *, period_s: float) -> None:
        self._context = context
        self._period_s = period_s
        self._rounds: dict[DiskId, Round] = {}
        self._work = 0

    async def run(self) -> None:
        """Scrub until the nursery stops. A period of 0 turns it off."""
        if self._period_s <= 0:
            return
        while True:  # until the nursery stops
            pause_s = await self._step()
            await asyncio.sleep(pause_s)

    async def _step(self) -> float:
        """Do what is due; return how long to wait."""
        context = self._context
        disks = [disk for disk in context.store.disks.values() if not disk.failed]
        for disk in disks:
            found = self._rounds.get(disk.disk_id)
            if found is None or (not found.left and context.now_s() >= found.ends_s):
                await self._begin(disk, is_first=found is None)
        due = min(disks, key=lambda disk: self._rounds[disk.disk_id].due_s(), default=None)
        if due is None:
            return SCRUB_LOOK_S
        current = self._rounds[due.disk_id]
        wait_s = current.due_s() - context.now_s()
        if wait_s > 0:
            return min(wait_s, SCRUB_LOOK_S)
        if self._is_busy() and not current.is_late(context.now_s()):
            context.count("scrub_waits")
            return SCRUB_BACKOFF_S
        await self._piece(due, current)
        return PIECE_BYTES / SCRUB_BYTES_PER_S_MAX

    def _is_busy(self) -> bool:
        """True if clients were at work since the last look."""
        counters = self._context.counters
        before, self._work = self._work, counters.get("reads", 0) + counters.get("mutations_applied", 0)
        return self._work - before > SCRUB_BUSY_PER_S * SCRUB_BACKOFF_S

    async def _begin(self, disk: DataDisk, *, is_first: bool) -> None:
        context = self._context
        if not is_first:
            context.count("scrub_rounds")
        found = await self._read(disk) if is_first else None
        sizes = [(replica.handle, replica.length) for replica in disk.replicas.values()]
        self._rounds[disk.disk_id] = Round.begin(
            sizes,
            now_s=context.now_s(),
            wall_ns=context.env.clock.wall_ns(),
            period_s=self._period_s,
            found=found,
        )

    async def _piece(self, disk: DataDisk, current: Round) -> None:
        handle, _ = current.left[0]
        replica = disk.replicas.get(handle)
        if replica is None or not replica.state.closed or replica.state.incomplete:
            current.piece_done(0, ends=True)
            return
        size = min(PIECE_BYTES, max(0, replica.length - current.offset))
        is_whole = await self._verify(replica, current.offset, size)
        current.piece_done(size, ends=not is_whole or current.offset + size >= replica.length)
        if not current.offset:
            self._context.count("scrub_replicas")
        if self._context.now_s() - current.saved_s >= SCRUB_SAVE_S:
            current.saved_s = self._context.now_s()
            await self._save(disk, current)

    async def _verify(self, replica: Replica, offset: int, size: int) -> bool:
        """Read a piece; False: the rest need not be read."""
        context = self._context
        try:
            found = await self._first_wrong(replica, offset, size)
            if found is not None:
                context.count("scrub_found")
                if context.safeguards.scrub_mends:
                    await quarantine(context, replica, f"scrub: {found}")
                return False
        except CairnError as error:
            logger.debug("scrub leaves a replica out chunk=%016x why=%s", replica.handle, error)  # it is gone, or open
            return False
        context.count("scrub_bytes", size)
        return True

    async def _first_wrong(self, replica: Replica, offset: int, size: int) -> ChunkCorruptError | None:
        try:
            _ = await self._context.store.read_verified(replica, offset, size)
        except ChunkCorruptError as error:
            return error
        return None

    # ------------------------------------------------------------------ where a restart goes on

    async def _read(self, disk: DataDisk) -> Progress | None:
        def job() -> Progress | None:
            if not disk.files.exists(_NAME):
                return None
            file = disk.files.open(_NAME)
            try:
                buffer = memoryview(bytearray(_NAME_BYTES_MAX))
                return msgspec.json.decode(buffer[: file.read_into(0, buffer)], type=Progress)
            finally:
                file.close()

        try:
            return await disk.run_reading(job)
        except (OSError, CairnError, msgspec.MsgspecError) as error:
            logger.info("scrub begins anew folder=%s why=%s", disk.folder, error)
            return None

    async def _save(self, disk: DataDisk, current: Round) -> None:
        """Not flushed: what a loss of power takes is read once more."""
        data = msgspec.json.encode(Progress(began_ns=current.began_ns, after=current.after))

        def job() -> None:
            file = disk.files.open(_NAME, create=True)
            try:
                file.truncate(0)
                file.write(0, [data])
            finally:
                file.close()

        try:
            await disk.run(job, may_be_full=True)
        except CairnError as error:
            logger.info("scrub progress not saved folder=%s why=%s", disk.folder, error)
