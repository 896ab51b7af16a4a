"""How long a file and its chunks are, proven after the question. Rules 7 and 18.

The master knows the length of a file whose last chunk is closed. While it is open its primary tells, after a round in
which every member still held the version. Nobody else is believed: not a replica, not a cached place.
"""

from cairnfs.client.connection import Connection
from cairnfs.client.locations import NOBODY, Accused, Known, Locations
from cairnfs.errors import CairnError, CallTimeoutError, ConnectError, ConnectionLostError, NotPrimaryError
from cairnfs.ids import InodeId
from cairnfs.limits import DATA_CALL_S, ORDER_TIMEOUT_S
from cairnfs.rpc.retry import with_retries
from cairnfs.wire.chunk_reads import ChunkLength
from cairnfs.wire.common import ChunkPlace
from cairnfs.wire.namespace import StatInode, Status

_ASK_S = 5.0
"""A primary that does not tell the length within this time is reported, and the master raises without it."""


class Lengths:
    """Lengths for one client."""

    def __init__(self, connection: Connection, locations: Locations) -> None:
        self._connection = connection
        self._locations = locations

    async def of_inode(self, inode: InodeId) -> int:
        """Return the length of a file in bytes, as it was at one moment after the call.

        Raises:
            NotFoundError: the inode is gone.
        """
        return await self.of_status(inode, await self._connection.ask(StatInode(inode=inode)))

    async def of_status(self, inode: InodeId, status: Status) -> int:
        """Return the length of a file given what the master has just said about it."""
        known = status.attributes.length
        if status.tail is None:
            return known
        return await self.from_tail(inode, known, status.tail)

    async def from_tail(self, inode: InodeId, known: int, tail: ChunkPlace) -> int:
        """Ask the primaries from the last chunk backwards: a chunk that was just added may be empty still."""
        chunk_bytes = self._connection.geometry.chunk_bytes
        self._locations.remember(inode, tail)
        index = tail.index
        length = await self._of_place(inode, index, tail)
        while length == 0 and index > 0 and index * chunk_bytes > known:
            index -= 1
            length = await self.of_chunk(inode, index)
        return max(known, index * chunk_bytes + length) if length else known

    async def of_chunk(self, inode: InodeId, index: int) -> int:
        """Return the length of one chunk; 0 for a hole."""
        known = (await self._locations.ask(inode, index)).known
        return 0 if known is None else await self._of_place(inode, index, known.place)

    async def _of_place(self, inode: InodeId, index: int, place: ChunkPlace) -> int:
        """Return the chunk's length, beginning with a place that the master told just now."""
        if place.closed:
            return place.length
        question = _Question(self, inode, index)
        question.known = self._locations.remember(inode, place)
        return await with_retries(
            question.attempt,
            random=self._connection.env.random,
            clock=self._connection.env.clock,
            timeout_s=min(DATA_CALL_S, self._connection.config.data_timeout_s),
        )

    async def ask_primary(self, known: Known, *, longer_than: int = -1, wait_s: float = 0.0) -> int:
        request = ChunkLength(
            handle=known.place.handle, version=known.place.version, longer_than=longer_than, wait_s=wait_s
        )
        if not known.primary_address:
            raise NotPrimaryError(chunk=known.place.handle, why="nobody holds the lease")
        patience_s = _ASK_S if not wait_s else wait_s + 2 * ORDER_TIMEOUT_S
        reply = await self._connection.caller.call(known.primary_address, request, timeout_s=patience_s)
        return reply.length


class _Question:
    """One question for the length of an open chunk, over primaries that may change meanwhile."""

    def __init__(self, lengths: Lengths, inode: InodeId, index: int) -> None:
        self._lengths = lengths
        self._inode = inode
        self._index = index
        self.known: Known | None = None
        self._is_silent = False
        self._has_failed = False

    async def attempt(self) -> int:
        locations = self._lengths._locations  # noqa: SLF001 - one idea in two classes
        if self._has_failed:
            # The master first: a chunk that was closed meanwhile must not be opened again by a reader.
            before = self.known
            self.known = (await locations.ask(self._inode, self._index)).known
            if self.known is None:
                return 0
            if self.known.place.closed:
                return self.known.place.length
            if before is not None and before.place.version == self.known.place.version:
                self.known = await self._leased(self.known)
        assert self.known is not None
        try:
            return await self._lengths.ask_primary(self.known)
        except CairnError as error:
            self._has_failed = True
            self._is_silent = isinstance(error, ConnectError | ConnectionLostError | CallTimeoutError)
            raise

    async def _leased(self, known: Known) -> Known:
        locations = self._lengths._locations  # noqa: SLF001
        return await locations.lease(
            self._inode,
            self._index,
            create=False,
            not_this=known,
            accused=Accused(known.place.version, known.place.primary) if self._is_silent else NOBODY,
        )
