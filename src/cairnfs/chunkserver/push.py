"""Data that was pushed and waits for the mutation that names it. GFS paper, section 3.2; rule 10.

    client ──▶ this server ──▶ next of the chain      bytes are passed on while they arrive, apart from control
                   └─ verified, kept up to 60 s

Invariants:
    1. What is in the buffer fits its checksums.
    2. The buffer holds at most `limit` bytes; the oldest is dropped first. Who uses data has taken it out before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cairnfs.checksum import piece_crcs
from cairnfs.errors import BadRequestError, CairnError, ChecksumError, DataMissingError
from cairnfs.ids import DataId
from cairnfs.limits import BLOCK_BYTES, DATA_CALL_S, PUSH_AGE_S, PUSH_BUFFER_BYTES_MAX
from cairnfs.rpc.payload import Incoming
from cairnfs.tasks import gather_settled
from cairnfs.units import KIB
from cairnfs.wire.base import Done
from cairnfs.wire.mutations import PushData

if TYPE_CHECKING:
    from cairnfs.chunkserver.context import Context

_STRIDE_BYTES = 512 * KIB
"""Bytes that arrive between two looks at them: to wake a task for each block of 64 KiB costs more than to verify it."""


@dataclass(slots=True, eq=False)
class Pushed:
    """Verified bytes. The buffer goes back to the pool with `release`."""

    data: DataId
    incoming: Incoming
    crcs: list[int]
    piece_bytes: int
    at_s: float

    @property
    def view(self) -> memoryview:
        return self.incoming.view

    def release(self) -> None:
        self.incoming.release()


class PushBuffer:
    """By data id, oldest first. Bounded in bytes and in time."""

    def __init__(self, limit_bytes: int = PUSH_BUFFER_BYTES_MAX, age_s: float = PUSH_AGE_S) -> None:
        self._limit_bytes = limit_bytes
        self._age_s = age_s
        self._kept: dict[DataId, Pushed] = {}
        self.held_bytes = 0

    def __contains__(self, data: DataId) -> bool:
        return data in self._kept

    def keep(self, pushed: Pushed) -> None:
        """Keep it; older data makes room. A second copy of the same data is released at once."""
        if pushed.data in self._kept:
            pushed.release()
            return
        self._kept[pushed.data] = pushed
        self.held_bytes += pushed.incoming.size
        while self.held_bytes > self._limit_bytes:
            self._take_one(next(iter(self._kept))).release()

    def drop_old(self, now_s: float) -> None:
        """Drop what no mutation has named for too long."""
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.at_s + self._age_s > now_s:
                return
            self._take_one(oldest.data).release()

    def take(self, wanted: Sequence[DataId], length: int) -> list[Pushed]:
        """Take data out, in order; the caller releases it, or keeps it again if the mutation did not happen.

        Raises:
            DataMissingError: one is not here (any more). None was taken.
            BadRequestError: together they are not `length` bytes. None was taken.
        """
        for data in wanted:
            if data not in self._kept:
                raise DataMissingError(data=data)
        size = sum(self._kept[data].incoming.size for data in wanted)
        if size != length or len(set(wanted)) != len(wanted):
            raise BadRequestError(what=f"pushed data has {size} bytes, but the mutation {length}")
        return [self._take_one(data) for data in wanted]

    def _take_one(self, data: DataId) -> Pushed:
        pushed = self._kept.pop(data)
        self.held_bytes -= pushed.incoming.size
        return pushed


def piece_size(size: int, crcs: list[int], block_bytes: int) -> int:
    """Return how many bytes each checksum covers: the cluster's block, or 64 KiB. Raises BadRequestError."""
    for piece_bytes in (block_bytes, BLOCK_BYTES):
        if len(crcs) == -(-size // piece_bytes):
            return piece_bytes
    raise BadRequestError(what=f"{len(crcs)} checksums for {size} bytes")


def check_crcs(view: memoryview, crcs: list[int], block_bytes: int, what: str) -> int:
    """Verify bytes that came with a request; return how many bytes each checksum covers. Rule 16.

    Raises:
        ChecksumError: bytes were changed on the way. Nothing was stored.
    """
    piece_bytes = piece_size(len(view), crcs, block_bytes)
    if piece_crcs(view, piece_bytes) != crcs:
        raise ChecksumError(what=what)
    return piece_bytes


async def take_push(context: "Context", request: PushData, incoming: Incoming) -> Done:
    """Keep pushed bytes, and pass them on while they arrive. See `wire.mutations.PushData`."""
    if request.size != incoming.size or request.size == 0:
        raise BadRequestError(what=f"push of {request.size} bytes came with {incoming.size}")
    piece_bytes = piece_size(request.size, request.crcs, context.geometry.block_bytes)
    incoming.keep()
    is_kept = False
    try:
        jobs = [_verify(incoming, request.crcs, piece_bytes)]
        if request.chain:
            jobs.append(_pass_on(context, request, incoming))
        mine, *further = await gather_settled(*jobs)
        if isinstance(mine, BaseException):
            raise mine
        context.pushed.drop_old(context.now_s())
        is_kept = True
        context.pushed.keep(Pushed(request.data, incoming, request.crcs, piece_bytes, context.now_s()))
        context.count("pushed_bytes", request.size)
        for failed in further:
            # It names the server that was not reached; what is here stays, so only the rest is pushed again.
            if isinstance(failed, BaseException):
                raise failed
    finally:
        if not is_kept:
            incoming.release()
    return Done()


async def _verify(incoming: Incoming, crcs: list[int], piece_bytes: int) -> None:
    """Verify stride by stride while the rest arrives: the bytes are still in the processor's cache."""
    stride = max(1, _STRIDE_BYTES // piece_bytes)
    for first in range(0, len(crcs), stride):
        start, end = first * piece_bytes, min((first + stride) * piece_bytes, incoming.size)
        await incoming.wait(end)
        if piece_crcs(incoming.view[start:end], piece_bytes) != crcs[first : first + stride]:
            raise ChecksumError(what=f"pushed data at {start}")


async def _pass_on(context: "Context", request: PushData, incoming: Incoming) -> None:
    onwards = PushData(data=request.data, size=request.size, crcs=request.crcs, chain=request.chain[1:])
    await context.caller.call(request.chain[0], onwards, timeout_s=DATA_CALL_S, payload=incoming)


async def push_to(context: "Context", address: str, pushed: Sequence[Pushed]) -> None:
    """Give a member the data of a mutation once more: it had dropped it. Raises CairnError."""
    for each in pushed:
        request = PushData(data=each.data, size=each.incoming.size, crcs=each.crcs, chain=[])
        try:
            await context.caller.call(address, request, timeout_s=DATA_CALL_S, payload=[each.view])
        except CairnError:
            context.count("pushes_again_failed")
            raise
