"""One piece on its way to every member of its chunk. GFS paper, sections 3.1 and 3.2; rules 10 and 11, contract 3.

    piece ──▶ pushes of 2 MiB along the chain, 4 at a time ──▶ one order that names them all ──▶ ack by every member

Pushes of the next piece follow at once, while earlier pieces are ordered and applied.
"""

import asyncio

from cairnfs.checksum import Buffer
from cairnfs.client.connection import Connection
from cairnfs.client.locations import Known, Locations
from cairnfs.client.mutating import SPENT, Mutator, crcs_of, token_of
from cairnfs.client.pieces import Piece
from cairnfs.errors import CairnError
from cairnfs.ids import DataId, InodeId
from cairnfs.limits import PUSH_BYTES, SMALL_MUTATION_BYTES
from cairnfs.wire.mutations import WriteChunk, Written

_PUSHES_IN_FLIGHT = 4
"""Hides the round trips of the chain."""


def cut_pushes(data: Buffer) -> list[memoryview]:
    """Cut the bytes of a mutation to pushes of 2 MiB; the last is longer rather than there being a short one."""
    view = memoryview(data).cast("B")
    count = max(1, len(view) // PUSH_BYTES)
    ends = [number * PUSH_BYTES for number in range(1, count)] + [len(view)]
    return [view[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


class Sender:
    """Sends the pieces of one open file."""

    def __init__(self, connection: Connection, locations: Locations, mutator: Mutator, inode: InodeId) -> None:
        self._connection = connection
        self._locations = locations
        self._mutator = mutator
        self._inode = inode
        self._window = asyncio.Semaphore(_PUSHES_IN_FLIGHT)
        self._turn = asyncio.Lock()
        """To begin pushes: all of one piece before those of the next, so that it can be ordered soonest."""

    async def send(self, piece: Piece, *, sync: bool = False, close: bool = False) -> tuple[Known, Written]:
        """Have a piece acked by every member, as one mutation under its sequence. Contract 3, rule 11.

        Raises:
            LostWritesError, UnsureError: its sequence is spent. Others: the last error at the deadline.
        """
        is_small = len(piece.data) <= SMALL_MUTATION_BYTES
        crcs = crcs_of(piece.data) if is_small else []
        used: list[Known] = []

        async def attempt(known: Known) -> Written:
            used[:] = [known]
            request = WriteChunk(
                handle=known.place.handle,
                version=known.place.version,
                client=self._connection.client,
                sequence=piece.sequence,
                lowest=self._connection.sequences.lowest,
                offset=piece.start,
                length=len(piece.data),
                data=[] if is_small else await self._push_all(known, piece.data),
                crcs=crcs,
                sync=sync,
                close=close,
                lease=token_of(known),
                since=piece.doubt.since,
            )
            return await self._mutator.order(known, request, (piece.data,) if is_small else (), doubt=piece.doubt)

        try:
            written = await self._mutator.run(self._inode, piece.index, attempt, doubt=piece.doubt)
        except SPENT as error:
            piece.error = error
            raise
        piece.version, piece.serial = written.version, written.serial
        self._connection.sequences.done(piece.sequence)
        self._connection.counters.writes += 1
        if written.closed:
            self._locations.forget(self._inode, piece.index)
        return used[0], written

    async def _push_all(self, known: Known, data: Buffer) -> list[DataId]:
        """Push a piece; return the names of its parts in order. Raises CairnError: the first that failed."""
        jobs: list[asyncio.Task[DataId | CairnError]] = []
        async with self._turn:
            for part in cut_pushes(data):
                await self._window.acquire()
                job = self._connection.nursery.start(self._push(known, part), name="push")
                # Not in the task itself: one that is cancelled before it begins runs none of its code.
                job.add_done_callback(lambda _: self._window.release())
                jobs.append(job)
                if any(other.done() and isinstance(other.result(), CairnError) for other in jobs):
                    break
        names = []
        for job in jobs:
            name = await job
            if isinstance(name, CairnError):
                raise name
            names.append(name)
        return names

    async def _push(self, known: Known, part: memoryview) -> DataId | CairnError:
        try:
            return await self._mutator.push(known, part, crcs_of(part))
        except CairnError as error:
            return error
