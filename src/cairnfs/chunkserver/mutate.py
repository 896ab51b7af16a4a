"""Changes of a replica's bytes: apply, truncate, flush. Rules 15, 16, 24 and 26.

    small and durable   place, then bytes and slots to the journal: one flush for all that wait
    plain               place and slots, no flush
    large and durable   place, then the file and its slots are flushed
    overwrite of        journal first (redo record), then the place, whatever `durable` says
    flushed bytes

Invariants:
    1. A block's flushed state always fits the bytes on the disk, or a journal record that makes it fit.
    2. A record with a block's state depends only on bytes that are flushed, in the record, or in one before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cairnfs.checksum import Buffer, crc32c
from cairnfs.chunkserver.blocks import Effect, Piece, cut_pieces, plan_effect, verify_pieces, zero_buffers
from cairnfs.chunkserver.descriptors import OpenReplica
from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.flushing import States, capture, check_there, flush, flush_captured
from cairnfs.chunkserver.format import PAIR_BYTES, SLOTS_START, Slot
from cairnfs.chunkserver.journal import Entry
from cairnfs.chunkserver.records import pack_cut_record, pack_write_record
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.slots import SlotTable, pack_pairs
from cairnfs.errors import ChunkCorruptError
from cairnfs.ids import Serial
from cairnfs.limits import ALLOCATE_AHEAD_BYTES_MAX, ALLOCATE_START_BYTES, SMALL_MUTATION_BYTES


@dataclass(slots=True)
class _Change:
    """One mutation on its way."""

    disk: DataDisk
    replica: Replica
    offset: int
    data: Sequence[Buffer]
    size: int
    crcs: Sequence[int]
    pieces: list[Piece]
    stamp: int = 0

    @property
    def table(self) -> SlotTable:
        return self.replica.table

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def growth(self) -> int:
        """Bytes that are written: those of a hole included."""
        return self.end - min(self.table.length, self.offset)

    @property
    def new_length(self) -> int:
        return max(self.table.length, self.end)

    @property
    def blocks(self) -> range:
        """All blocks whose state changes, those of a hole included."""
        size = self.table.block_bytes
        return range(min(self.table.length, self.offset) // size, -(-self.end // size))

    def states(self, effect: Effect) -> States:
        """Return the new state of each block."""
        block_bytes, length, stamp = self.table.block_bytes, self.new_length, self.stamp
        last = (length - 1) // block_bytes  # only this one may be short
        return [
            (block, Slot(crc, block_bytes if block < last else length - block * block_bytes, stamp))
            for block, crc in enumerate(effect.crcs, effect.first)
        ]

    def plan(self, opened: OpenReplica) -> Effect:
        """Verify and compute, in a job. Nothing was written."""
        verify_pieces(self.pieces, self.crcs, self.table)
        self.disk.check_space(self.new_length - self.table.length)
        return plan_effect(
            self.table,
            self.offset,
            self.pieces,
            self.crcs,
            read=opened.read_old,
            verify=self.disk.policy.safeguards.verify_before_merge,
        )

    def place(self, opened: OpenReplica) -> None:
        """Write the bytes to their place, in a job."""
        hole = max(0, self.offset - self.table.length)
        file = opened.data()
        allocated = self.replica.allocated
        if self.new_length >= ALLOCATE_START_BYTES and self.new_length > allocated:
            ahead = min(self.new_length, ALLOCATE_AHEAD_BYTES_MAX)
            target = min(self.disk.policy.geometry.chunk_bytes, self.new_length + ahead)
            file.allocate(allocated, target - allocated)
            self.replica.allocated = target
        file.write(self.offset - hole, [*zero_buffers(hole), *self.data] if hole else self.data)

    def finish(self, effect: Effect, serial: Serial) -> None:
        """Take the new state over, on the loop."""
        changed = list(enumerate(effect.crcs, effect.first))
        self.table.change(changed, length=self.new_length, stamp=self.stamp)
        self.replica.sequence += 1
        self.replica.serial = serial


async def apply(  # noqa: PLR0913 - as `Store.apply`
    disk: DataDisk,
    replica: Replica,
    offset: int,
    data: Sequence[Buffer],
    crcs: Sequence[int],
    *,
    serial: Serial,
    durable: bool,
) -> None:
    """See `Store.apply`."""
    size = sum(len(memoryview(buffer).cast("B")) for buffer in data)
    assert 0 <= offset <= offset + size <= disk.policy.geometry.chunk_bytes, (offset, size)
    await disk.journal.room()
    header: Entry | None = None
    record: Entry | None = None
    async with replica.turn:
        check_there(disk, replica)
        assert not replica.state.closed, replica.state
        if not durable or not disk.policy.durable:
            header = _note_plain_write(disk, replica)
        change = _Change(disk, replica, offset, data, size, crcs, cut_pieces(data, offset, replica.table.block_bytes))
        if _touches_flushed(change) and disk.policy.durable and disk.policy.safeguards.redo_before_overwrite:
            await _apply_with_redo(change, serial)
        elif durable and disk.policy.durable and change.growth <= SMALL_MUTATION_BYTES and not replica.table.dirty:
            record = await _apply_small(change, serial)
        else:
            await apply_in_place(change, serial)
    if header is not None:
        await header.wait()
    if record is not None:
        await record.wait()
    elif durable:
        await flush(disk, replica)


def _touches_flushed(change: _Change) -> bool:
    """Rule 15: it overwrites bytes that recovery may have to find as they are.

    The lengths are not enough: a redo record makes the whole of a dirty block safe, also behind them.
    """
    replica = change.replica
    if not change.size:
        return False
    covered = max(replica.submitted_length, replica.flushing_length)
    return change.offset < covered or change.table.keeps(change.offset, change.end)


def _note_plain_write(disk: DataDisk, replica: Replica) -> Entry | None:
    # Rule 12: the header must say so before the first plain write of a version is acknowledged.
    state = replica.wanted or replica.state
    if state.plain_writes:
        return None
    return disk.submit_header(replica, replace(state, plain_writes=True))


async def apply_in_place(change: _Change, serial: Serial) -> None:
    """Write bytes and slots to their place without a flush: one hop."""
    disk, replica, table = change.disk, change.replica, change.table
    overwrites = change.offset < table.length
    change.stamp = table.next_stamp()
    blocks = change.blocks
    kept = table.kept(blocks)
    first = blocks.start
    if table.unplaced:
        for block in blocks:
            table.unplaced.pop(block, None)
    if overwrites:
        replica.begin_rewrite(blocks)

    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> Effect:
            effect = change.plan(opened)
            change.place(opened)
            states = [slot for _, slot in change.states(effect)]
            if states:
                pairs = pack_pairs(replica.handle, first, kept, states)
                opened.sums().write(SLOTS_START + first * PAIR_BYTES, [pairs])
            return effect

        written = False
        try:
            effect = await disk.run(job, may_be_full=not overwrites)
            written = True
        finally:
            if not written:
                replica.rewriting = range(0)
                table.unplaced.update(dict.fromkeys(blocks))
                disk.unplaced[replica.handle] = replica
    if overwrites:
        replica.end_rewrite(blocks)
    change.finish(effect, serial)


async def _apply_small(change: _Change, serial: Serial) -> Entry:
    """Write the bytes to their place and give them to the journal. Everything before is there already."""
    disk, replica, table = change.disk, change.replica, change.table
    overwrites = change.offset < table.length
    change.stamp = table.next_stamp()
    assert not overwrites or not disk.policy.safeguards.redo_before_overwrite, (change.offset, table.length)

    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> Effect:
            effect = change.plan(opened)
            change.place(opened)
            return effect

        effect = await disk.run(job, may_be_full=not overwrites)
    hole = max(0, change.offset - table.length)
    states = change.states(effect)
    change.finish(effect, serial)
    data = [*zero_buffers(hole), *change.data]
    return _submit_write(change, change.offset - hole, data, states)


async def _apply_with_redo(change: _Change, serial: Serial) -> None:
    """Rule 15: flush the new bytes in the journal before the old ones are touched."""
    disk, replica, table = change.disk, change.replica, change.table
    change.stamp = table.next_stamp()
    blocks = change.blocks
    with disk.descriptors.lease(replica.handle) as opened:
        effect = await disk.run(lambda: change.plan(opened))
        states = change.states(effect)
        # A block with unflushed bytes goes to the journal whole: its state must not depend on them.
        before = effect.before if blocks[0] in table.dirty else b""
        after = effect.after if blocks[-1] in table.dirty else b""
        record = pack_write_record(
            replica.handle, change.offset - len(before), [before, *change.data, after], stamp=change.stamp, slots=states
        )
        entry = disk.journal.submit(record, has_place=True)
        try:
            await entry.wait()
            replica.begin_rewrite(blocks)
            await disk.run(lambda: change.place(opened))
            replica.end_rewrite(blocks)
        finally:
            # On the failed path the disk has failed, and no segment of it is ever removed.
            disk.journal.placed(entry)
    change.finish(effect, serial)
    table.mark_submitted(states)
    table.mark_flushed(states)
    if not table.dirty:
        replica.submitted_length = replica.flushed_length = table.length
    disk.unplaced[replica.handle] = replica


def _submit_write(change: _Change, offset: int, data: Sequence[Buffer], states: States) -> Entry:
    disk, replica, table = change.disk, change.replica, change.table
    length = table.length

    def on_durable() -> None:
        table.mark_flushed(states)
        replica.flushed_length = max(replica.flushed_length, min(length, table.length))
        disk.unplaced[replica.handle] = replica

    record = pack_write_record(replica.handle, offset, data, stamp=change.stamp, slots=states)
    entry = disk.journal.submit(record, on_durable=on_durable)
    table.mark_submitted(states)
    replica.submitted_length = length
    replica.last_entry = entry
    return entry


# ------------------------------------------------------------------ truncate


async def truncate(disk: DataDisk, replica: Replica, length: int, *, serial: Serial) -> None:
    """See `Store.truncate`."""
    await disk.journal.room()
    async with replica.flush_turn, replica.turn:
        check_there(disk, replica)
        grows = length > replica.length
        if length < replica.length:
            if disk.policy.durable:
                # What stays must not depend on bytes that are not flushed.
                await flush_captured(disk, replica, *capture(replica))
            await _cut(disk, replica, length)
        replica.serial = serial
    if grows:
        await apply(disk, replica, length, [], [], serial=serial, durable=True)


async def _cut(disk: DataDisk, replica: Replica, length: int) -> None:
    table = replica.table
    block, rest = divmod(length, table.block_bytes)
    stamp = table.next_stamp()
    crc = await _prefix_crc(disk, replica, block, rest) if rest else 0
    record = pack_cut_record(replica.handle, length, stamp=stamp, crc=crc)
    entry = disk.journal.submit(record, has_place=True)
    blocks = range(block, len(table.crcs))
    with disk.descriptors.lease(replica.handle) as opened:
        try:
            await entry.wait()
            replica.begin_rewrite(blocks)
            await disk.run(lambda: opened.data().truncate(length))
            replica.end_rewrite(blocks)
        finally:
            disk.journal.placed(entry)
    table.cut(length, crc, stamp=stamp)
    replica.sequence += 1
    replica.allocated = 0
    replica.submitted_length = min(replica.submitted_length, length)
    replica.flushed_length = min(replica.flushed_length, length)
    disk.unplaced[replica.handle] = replica


async def _prefix_crc(disk: DataDisk, replica: Replica, block: int, rest: int) -> int:
    """Return the checksum of the first `rest` bytes of a block, after all of it was verified. Rule 16."""
    table = replica.table
    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> int:
            kept = memoryview(bytearray(table.valid_length(block)))
            count = opened.read_old(block * table.block_bytes, kept)
            if count < len(kept) or crc32c(kept) != table.crcs[block]:
                raise ChunkCorruptError(chunk=replica.handle, block=block)
            return crc32c(kept[:rest])

        return await disk.run(job)


# ------------------------------------------------------------------ whole blocks


async def write_blocks(disk: DataDisk, replica: Replica, first: int, data: Buffer, crcs: Sequence[int]) -> None:
    """See `Store.write_blocks`."""
    block_bytes = replica.table.block_bytes
    offset, size = first * block_bytes, len(data)
    assert 0 < size <= len(crcs) * block_bytes, (size, len(crcs))
    short = size % block_bytes
    if short and replica.length > offset + size:
        await truncate(disk, replica, min(replica.length, offset + size - short), serial=replica.serial)
    # What extends goes apart from what overwrites: only the latter has failed the disk if there is no space.
    old = min(size, max(0, -(-replica.length // block_bytes) - first) * block_bytes)
    for start, end in ((0, old), (old, size)):
        if start < end:
            part, their_crcs = memoryview(data)[start:end], crcs[start // block_bytes : -(-end // block_bytes)]
            await _write_blocks_in_place(disk, replica, offset + start, part, their_crcs)


async def _write_blocks_in_place(
    disk: DataDisk, replica: Replica, offset: int, data: memoryview, crcs: Sequence[int]
) -> None:
    await disk.journal.room()
    async with replica.turn:
        check_there(disk, replica)
        assert replica.state.incomplete, replica.state
        pieces = cut_pieces([data], offset, replica.table.block_bytes)
        # No redo: an incomplete replica is no source, so nothing that counts is lost with its old bytes.
        await apply_in_place(_Change(disk, replica, offset, [data], len(data), crcs, pieces), replica.serial)
