"""Setting a file's length. Rules 6, 9 and 18.

The chunk that the new end cuts is cut at its primary first, then the master drops the chunks beyond and sets the
length, in one commit. Longer than before: the rest is a hole.
"""

from cairnfs.client.appending import Appender
from cairnfs.client.connection import Connection
from cairnfs.client.lengths import Lengths
from cairnfs.client.locations import Known, Locations
from cairnfs.client.mutating import Mutator
from cairnfs.client.sequences import Doubt
from cairnfs.errors import BadRequestError, FencePendingError
from cairnfs.ids import InodeId
from cairnfs.wire.mutations import TruncateChunk, Written
from cairnfs.wire.namespace import Truncate


class Truncator:
    """Truncations of one client."""

    def __init__(
        self, connection: Connection, locations: Locations, lengths: Lengths, mutator: Mutator, appender: Appender
    ) -> None:
        self._connection = connection
        self._locations = locations
        self._lengths = lengths
        self._mutator = mutator
        self._appender = appender

    async def truncate(self, inode: InodeId, length: int) -> None:
        """Set the length, durably. An interrupted call may have cut the last chunk only.

        Raises:
            BadRequestError: negative. IsFolderError, NotFoundError: nothing was changed.
        """
        if length < 0:
            raise BadRequestError(what=f"a file cannot have {length} bytes")
        index, cut = divmod(length, self._connection.geometry.chunk_bytes)
        if cut and await self._lengths.of_chunk(inode, index) > cut:
            await self._cut_chunk(inode, index, cut)
        with self._connection.sequences.once() as once:
            # The master may have to wait for the serving lease of a server that was cut off (rule 9), as overwrites do.
            await self._connection.ask(
                Truncate(inode=inode, length=length, once=once),
                timeout_s=self._connection.config.data_timeout_s,
                extends=(FencePendingError,),
            )
        self._locations.forget_from(inode, index)
        self._appender.forget(inode)

    async def _cut_chunk(self, inode: InodeId, index: int, length: int) -> None:
        sequence, doubt = self._connection.sequences.take(), Doubt()

        async def send(known: Known) -> Written:
            request = TruncateChunk(
                handle=known.place.handle,
                version=known.place.version,
                client=self._connection.client,
                sequence=sequence,
                lowest=self._connection.sequences.lowest,
                length=length,
                since=doubt.since,
            )
            return await self._mutator.order(known, request, doubt=doubt)

        try:
            await self._mutator.run(inode, index, send, create=False, doubt=doubt)
        finally:
            self._connection.sequences.done(sequence)
