"""Small records that one client appends to one chunk in one turn of its loop go out as one request. Rule 10.

    appends of a turn ──▶ group ──▶ one AppendRecords to the primary ──▶ each gets its offset, or its error

The first of a group sends it for all, one turn later; a lone record goes as AppendRecord. Nobody waits for others to
come: what arrives while a group is under way makes a group of its own.

Invariants:
    1. Records of a group stand in the order in which they joined it, as far as they fit the chunk.
    2. If the first one is cancelled, the others are told so as of a failure that a retry mends: same sequences.
"""

import asyncio
from dataclasses import dataclass, field

from cairnfs.client.connection import Connection
from cairnfs.client.locations import Known
from cairnfs.client.mutating import Mutator, token_of
from cairnfs.errors import BusyError, CairnError, ChunkFullError, PeerError
from cairnfs.ids import ChunkHandle, ChunkVersion, Sequence
from cairnfs.limits import APPENDS_BYTES_MAX, APPENDS_MAX
from cairnfs.wire.mutations import AppendRecord, AppendRecords, RecordHead


@dataclass(slots=True, eq=False)
class _Group:
    heads: list[RecordHead] = field(default_factory=list)
    views: list[memoryview] = field(default_factory=list)
    waiting: list["asyncio.Future[int]"] = field(default_factory=list)
    size: int = 0

    def has_room(self, view: memoryview) -> bool:
        return len(self.heads) < APPENDS_MAX and self.size + len(view) <= APPENDS_BYTES_MAX

    def add(self, view: memoryview, crc: int, sequence: Sequence) -> "asyncio.Future[int]":
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.heads.append(RecordHead(sequence=sequence, length=len(view), crc=crc))
        self.views.append(view)
        self.waiting.append(waiter)
        self.size += len(view)
        return waiter

    def fail(self, error: CairnError) -> None:
        """Tell all but the first, who sends and raises it itself."""
        for waiter in self.waiting[1:]:
            if not waiter.done():
                waiter.set_exception(error)

    def settle(self, handle: ChunkHandle, offsets: list[int | None]) -> None:
        """Tell each its offset."""
        for waiter, offset in zip(self.waiting, offsets, strict=True):
            if waiter.done():
                continue
            if offset is None:
                waiter.set_exception(ChunkFullError(chunk=handle))
            else:
                waiter.set_result(offset)


class Gatherer:
    """The groups of one client that are being gathered."""

    def __init__(self, connection: Connection, mutator: Mutator) -> None:
        self._connection = connection
        self._mutator = mutator
        self._open: dict[tuple[ChunkHandle, ChunkVersion], _Group] = {}

    async def append(self, known: Known, view: memoryview, crc: int, sequence: Sequence) -> int:
        """Append a record of at most 64 KiB; return its offset in the chunk.

        Raises:
            ChunkFullError: it did not fit. CairnError: of the request that carried it; it may have happened.
        """
        key = (known.place.handle, known.place.version)
        group = self._open.get(key)
        if group is not None and group.has_room(view):
            return await group.add(view, crc, sequence)
        group = self._open[key] = _Group()
        mine = group.add(view, crc, sequence)
        try:
            await asyncio.sleep(0)
            self._close(key, group)
            group.settle(known.place.handle, await self._send(known, group))
        except CairnError as error:
            group.fail(error)
            raise
        except asyncio.CancelledError:
            group.fail(BusyError(what="the append that this one went with was given up"))
            raise
        finally:
            self._close(key, group)
        return await mine

    def _close(self, key: tuple[ChunkHandle, ChunkVersion], group: _Group) -> None:
        if self._open.get(key) is group:
            del self._open[key]

    async def _send(self, known: Known, group: _Group) -> list[int | None]:
        connection = self._connection
        place, lowest, lease = known.place, connection.sequences.lowest, token_of(known)
        if len(group.heads) == 1:
            [head] = group.heads
            request = AppendRecord(
                handle=place.handle,
                version=place.version,
                client=connection.client,
                sequence=head.sequence,
                lowest=lowest,
                length=head.length,
                crcs=[head.crc],
                lease=lease,
            )
            return [(await self._mutator.order(known, request, group.views)).offset]
        together = AppendRecords(
            handle=place.handle,
            version=place.version,
            client=connection.client,
            lowest=lowest,
            records=group.heads,
            lease=lease,
        )
        answer = await self._mutator.order(known, together, group.views)
        if len(answer.offsets) != len(group.heads):
            what = f"{len(answer.offsets)} offsets for {len(group.heads)} records"
            raise PeerError(what=what, peer=known.primary_address)
        connection.counters.appends_gathered += len(group.heads)
        return answer.offsets
