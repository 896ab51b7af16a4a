"""Carrying out a run of serials on this replica: the same on the primary and on the secondaries. Rules 7, 11 and 16.

    pending range entered ──▶ bytes applied (and flushed where durable) ──▶ serial and filter entry taken over

Neighbouring bytes of one order go to the disk as one mutation: waiting appends cost one flush together (rule 10).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cairnfs.checksum import block_spans, crc32c
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.push import Pushed
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.roles import Chunk
from cairnfs.errors import ChunkCorruptError, MutationFailedError
from cairnfs.ids import ChunkVersion, Serial
from cairnfs.limits import BATCH_BYTES_MAX
from cairnfs.wire.master_orders import FilterEntry
from cairnfs.wire.orders import Mutation, MutationKind

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Step:
    """One serial's work with its verified bytes."""

    serial: Serial
    mutation: Mutation
    views: list[memoryview]
    crcs: list[int]
    """Of each `piece_bytes` of the bytes."""
    piece_bytes: int
    pushed: list[Pushed] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.mutation.offset + self.mutation.length

    def span(self, length: int) -> tuple[int, int]:
        """Return the range that changes in a replica of `length` bytes, a hole before it included."""
        if self.mutation.kind is MutationKind.TRUNCATE:
            return min(self.mutation.offset, length), max(self.mutation.offset, length)
        return min(self.mutation.offset, length), self.end


def block_crcs(offset: int, views: Sequence[memoryview], block_bytes: int) -> list[int]:
    """Return the CRC32C of each part of the bytes that falls into one block of a chunk."""
    crcs: list[int] = []
    index, used = 0, 0
    for _, _, count in block_spans(offset, sum(len(view) for view in views), block_bytes):
        crc, rest = 0, count
        while rest:
            part = views[index][used : used + rest]
            crc = crc32c(part, crc)
            rest -= len(part)
            used += len(part)
            if used == len(views[index]):
                index, used = index + 1, 0
        crcs.append(crc)
    return crcs


def enter_ranges(context: Context, chunk: Chunk, steps: Sequence[Step], length: int) -> None:
    """Rule 7: each range is pending before its first byte is written. `length`: of the replica before the steps."""
    assert chunk.lease is not None
    for step in steps:
        start, end = step.span(length)
        if context.safeguards.pending_ranges:
            chunk.ranges.add(step.serial, start, end, length=length)
        if start < length:
            chunk.is_overwritten = True
        length = step.mutation.offset if step.mutation.kind is MutationKind.TRUNCATE else max(length, end)


async def apply_steps(context: Context, chunk: Chunk, replica: Replica, steps: Sequence[Step]) -> None:
    """Apply the steps in order; the caller has the chunk's turn and has entered the ranges.

    Raises:
        MutationFailedError: a higher version was promised meanwhile. Steps up to `chunk.serial` are applied.
        DiskFullError, DiskFailedError, ChunkCorruptError, ChecksumError: likewise.
    """
    assert chunk.lease is not None
    version = chunk.lease.version
    for group in _groups(steps):
        _check_unpromised(context, chunk, version)
        # Rule 11, once more before the bytes: without gaps, each once.
        assert not context.safeguards.serial_order or group[0].serial == chunk.serial + 1, (group[0], chunk.serial)
        try:
            await _apply_group(context, chunk, replica, group)
        except ChunkCorruptError as error:
            await quarantine(context, replica, str(error))
            raise
        for step in group:
            chunk.filter.add(_entry(step))
        chunk.serial = group[-1].serial
    context.count("mutations_applied", len(steps))


async def quarantine(context: Context, replica: Replica, why: str) -> None:
    """Rule 16: a corrupt replica is never a source; it is set aside and reported, and the master replaces it."""
    context.count("replicas_quarantined")
    chunk = context.chunks.find(replica.handle)
    if chunk is not None:
        if chunk.lease is not None and not replica.state.closed:
            context.suspect(chunk.handle, chunk.lease.version, context.me, why)
        chunk.end(why)
    await context.store.quarantine(replica, why)
    context.standing.note_lost(replica.handle)


def _check_unpromised(context: Context, chunk: Chunk, version: ChunkVersion) -> None:
    if context.promised(chunk) > version:
        raise MutationFailedError(chunk=chunk.handle, why="a higher version was promised")


async def _apply_group(context: Context, chunk: Chunk, replica: Replica, group: list[Step]) -> None:
    first = group[0].mutation
    last = group[-1]
    if first.kind is MutationKind.TRUNCATE:
        await context.store.truncate(replica, first.offset, serial=last.serial)
        await context.store.flush(replica)
        chunk.has_plain = False
        return
    views = [view for step in group for view in step.views]
    block_bytes = context.geometry.block_bytes
    if _are_blocks(group, block_bytes):
        crcs = [crc for step in group for crc in step.crcs]
    else:
        crcs = block_crcs(first.offset, views, block_bytes)
    # A synced write flushes all that was applied before it too (rule 10); an append promises only its own bytes.
    flushes_all = first.durable and first.kind is MutationKind.WRITE and chunk.has_plain
    durable = first.durable and not flushes_all
    await context.store.apply(replica, first.offset, views, crcs, serial=last.serial, durable=durable)
    if flushes_all:
        await context.store.flush(replica)
        chunk.has_plain = False
    elif not durable:
        chunk.has_plain = True


def _are_blocks(group: Sequence[Step], block_bytes: int) -> bool:
    """True if the checksums that came along are those of the chunk's blocks: nothing is computed twice."""
    return all(step.piece_bytes == block_bytes and step.mutation.offset % block_bytes == 0 for step in group)


def _groups(steps: Sequence[Step]) -> list[list[Step]]:
    """Join steps that continue each other and want the same of the disk."""
    groups: list[list[Step]] = []
    size = 0
    for step in steps:
        if groups and _continues(groups[-1][-1], step) and size + step.mutation.length <= BATCH_BYTES_MAX:
            groups[-1].append(step)
            size += step.mutation.length
        else:
            groups.append([step])
            size = step.mutation.length
    return groups


def _continues(before: Step, step: Step) -> bool:
    a, b = before.mutation, step.mutation
    return a.kind is b.kind is not MutationKind.TRUNCATE and a.durable == b.durable and before.end == b.offset


def _entry(step: Step) -> FilterEntry:
    mutation = step.mutation
    return FilterEntry(
        client=mutation.client,
        sequence=mutation.sequence,
        serial=step.serial,
        offset=mutation.offset,
        length=mutation.length,
    )


def use_pushed(step: Step, pushed: Sequence[Pushed]) -> None:
    """Give a step the pushed data that it names."""
    step.pushed = list(pushed)
    step.views = [each.view for each in pushed]
    step.crcs = [crc for each in pushed for crc in each.crcs]
    sizes = {each.piece_bytes for each in pushed}
    is_even = len(sizes) == 1 and all(each.incoming.size % each.piece_bytes == 0 for each in pushed[:-1])
    step.piece_bytes = pushed[0].piece_bytes if is_even else 0


def chunk_commit(chunk: Chunk, serial: int) -> None:
    """Raise the watermark, and wake readers that wait for it."""
    if chunk.ranges.commit(serial):
        chunk.changed.fire()


async def close_replica(context: Context, chunk: Chunk, replica: Replica) -> None:
    """Store `closed` durably and end the role: from now on it serves whatever the boot. Rule 4. Holds the turn."""
    await context.store.set_header(replica, closed=True, closed_length=replica.length, incomplete=False)
    chunk.end("closed")
    chunk.ranges.begin_version()
    context.count("chunks_closed")
