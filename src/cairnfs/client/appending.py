"""Record append: the primary picks the offset, the record stands there whole, on every member. GFS paper, section 3.3.

At least once: a retry whose first try was carried out and then lost from sight may repeat a record (contract 2). A
repeated (client, sequence) at the same chunk is filtered by its members; `records` filters the rest.
"""

from collections.abc import Sequence as Ordered
from functools import partial

from cairnfs.checksum import Buffer
from cairnfs.client.connection import Connection
from cairnfs.client.gathering import Gatherer
from cairnfs.client.locations import Known, Locations
from cairnfs.client.mutating import Mutator, crcs_of, token_of
from cairnfs.client.window import side_by_side
from cairnfs.errors import ChunkFullError, RecordTooLargeError
from cairnfs.ids import DataId, InodeId, Sequence
from cairnfs.limits import PAYLOAD_BYTES_MAX, SMALL_MUTATION_BYTES
from cairnfs.wire.mutations import AppendRecord

_FILES_MAX = 10_000
"""Files whose last chunk is remembered; more are asked for again."""
_CHUNKS_TRIED_MAX = 64
"""Chunks that one append may find full before it gives up: others would have to fill 4 GiB meanwhile."""
_PUSHES_IN_FLIGHT = 4
_RECORDS_IN_FLIGHT = 64
"""Small records under way at once: they share orders and flushes of the members (rule 10)."""
_SMALL_AT_ONCE_MAX = 4096
"""Records for which jobs are made at a time."""


class Appender:
    """Record appends of one client."""

    def __init__(self, connection: Connection, locations: Locations, mutator: Mutator) -> None:
        self._connection = connection
        self._locations = locations
        self._mutator = mutator
        self._gatherer = Gatherer(connection, mutator)
        self._last: dict[InodeId, int] = {}

    async def append(self, inode: InodeId, data: Buffer) -> int:
        """Append one record; return the offset in the file where it stands. Durable when this returns (contract 2).

        Raises:
            RecordTooLargeError: larger than a quarter of a chunk; nothing was appended.
        """
        view = memoryview(data).cast("B")
        limit = self._connection.geometry.record_bytes_max
        if len(view) > limit:
            raise RecordTooLargeError(size_bytes=len(view), limit_bytes=limit)
        sequence = self._connection.sequences.take()
        try:
            return await self._at_last_chunk(inode, view, sequence)
        finally:
            self._connection.sequences.done(sequence)

    async def append_all(self, inode: InodeId, records: Ordered[Buffer]) -> list[int]:
        """Append records, each as `append` does, small ones side by side; return their offsets.

        They stand in the order given unless a failure makes some go again: requests of one connection are begun in
        the order of their arrival, and the primary places them in that order up to the first that does not fit; those
        behind it go to the next chunk together. A large one is pushed first, which others would overtake, so it goes
        alone; so does the first in a chunk, which may have to be made.
        """
        offsets: dict[int, int] = {}
        todo = list(range(len(records)))
        goes_alone = True
        while todo:  # each turn appends one at least, or the next one does
            count = next((at for at, one in enumerate(todo) if not self._is_small(records[one])), len(todo))
            if goes_alone or count <= 1 or inode not in self._last:
                offsets[todo[0]] = await self.append(inode, records[todo[0]])
                todo, goes_alone = todo[1:], False
                continue
            some = todo[: min(count, _SMALL_AT_ONCE_MAX)]
            placed = await self._at_chunk(inode, self._last[inode], [records[one] for one in some])
            offsets.update((one, offset) for one, offset in zip(some, placed, strict=True) if offset is not None)
            goes_alone = None in placed
            todo = [one for one in todo if one not in offsets]
        return [offsets[one] for one in range(len(records))]

    async def _at_chunk(self, inode: InodeId, index: int, records: list[Buffer]) -> list[int | None]:
        """Append to this chunk and no other; None for each record that found it full (rule 17)."""
        is_full = False

        async def one(record: Buffer) -> int | None:
            nonlocal is_full
            if is_full:
                return None
            view = memoryview(record).cast("B")
            sequence = self._connection.sequences.take()
            send = partial(self._send, view=view, crcs=crcs_of(view), sequence=sequence)
            try:
                offset = await self._mutator.run(inode, index, send, append=True)
            except ChunkFullError:
                is_full = True
                return None
            finally:
                self._connection.sequences.done(sequence)
            self._connection.counters.appends += 1
            return index * self._connection.geometry.chunk_bytes + offset

        return await side_by_side([partial(one, record) for record in records], width=_RECORDS_IN_FLIGHT)

    @staticmethod
    def _is_small(record: Buffer) -> bool:
        return memoryview(record).nbytes <= SMALL_MUTATION_BYTES

    async def _at_last_chunk(self, inode: InodeId, view: memoryview, sequence: Sequence) -> int:
        crcs = crcs_of(view)
        index = self._last.get(inode)
        if index is None:
            index = await self._find_last(inode)
        for number in range(_CHUNKS_TRIED_MAX):
            is_last_try = number == _CHUNKS_TRIED_MAX - 1
            try:
                send = partial(self._send, view=view, crcs=crcs, sequence=sequence)
                offset = await self._mutator.run(inode, index, send, append=True)
            except ChunkFullError:
                # Rule 17: a full chunk, or one with too few members left, is left behind.
                self._locations.forget(inode, index)
                if is_last_try:
                    raise
                index = max(index + 1, await self._find_last(inode))
                continue
            self._remember(inode, index)
            self._connection.counters.appends += 1
            return index * self._connection.geometry.chunk_bytes + offset
        raise AssertionError("unreachable: the last try raises")

    async def _find_last(self, inode: InodeId) -> int:
        places = await self._locations.ask(inode, self._last.get(inode, 0))
        return max(0, places.chunks - 1)

    def _remember(self, inode: InodeId, index: int) -> None:
        self._last.pop(inode, None)
        self._last[inode] = index
        while len(self._last) > _FILES_MAX:
            del self._last[next(iter(self._last))]

    def forget(self, inode: InodeId) -> None:
        """The file was truncated: its last chunk is asked for again."""
        self._last.pop(inode, None)

    async def _send(self, known: Known, *, view: memoryview, crcs: list[int], sequence: Sequence) -> int:
        if 0 < len(view) <= SMALL_MUTATION_BYTES:
            return await self._gatherer.append(known, view, crcs[0], sequence)
        request = AppendRecord(
            handle=known.place.handle,
            version=known.place.version,
            client=self._connection.client,
            sequence=sequence,
            lowest=self._connection.sequences.lowest,
            length=len(view),
            data=await self._push_all(known, view),
            lease=token_of(known),
        )
        return (await self._mutator.order(known, request)).offset

    async def _push_all(self, known: Known, view: memoryview) -> list[DataId]:
        parts: Ordered[memoryview] = [
            view[at : at + PAYLOAD_BYTES_MAX] for at in range(0, len(view), PAYLOAD_BYTES_MAX)
        ]
        jobs = [partial(self._mutator.push, known, part, crcs_of(part)) for part in parts]
        return await side_by_side(jobs, width=_PUSHES_IN_FLIGHT)
