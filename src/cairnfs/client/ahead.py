"""The next chunk of a sequential writer, asked for before its first byte exists. GFS paper, section 2.3; rule 3.

    run of writes passes 3/4 of chunk i ──▶ LeaseChunk(i + 1, create), in the background
                                            ├─▶ bytes come: the writer finds its place in the cache
                                            └─▶ none came: DropEmptyTail when the file is closed

The chunk is really made: what the writer would wait for is the commit that puts it in the file's map, so a question
that makes nothing would hide nothing. The price is a chunk without bytes behind the end of a file that stops in the
last quarter of a chunk. While the file is open that is harmless: an empty chunk adds nothing to the length (rule 18),
reads give nothing for it, and it goes with the file. It must not stay, because a record append of anybody would begin
in it and leave a hole before it (rule 17). So who made it in vain has the master take it away at `close`, and before
an append or a truncation of the same file; the master closes the chunk first and keeps it if it holds a byte.
The chunk that comes with a new file goes the same way if no byte comes. It must not be truncated away: what another
client wrote to it, or a record that was appended, would go with it.
A client that dies in between leaves it: the master closes it when its lease ends, and an append makes that hole.
"""

import logging
from asyncio import Event
from dataclasses import dataclass, field

from cairnfs.client.connection import Connection
from cairnfs.client.locations import Locations
from cairnfs.errors import CairnError
from cairnfs.ids import InodeId
from cairnfs.wire.common import ChunkPlace
from cairnfs.wire.locations import DropEmptyTail

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Asked:
    index: int
    place: ChunkPlace | None = None
    done: Event = field(default_factory=Event)


class NextChunk:
    """Of one open file that is written."""

    def __init__(self, connection: Connection, locations: Locations, inode: InodeId) -> None:
        self._connection = connection
        self._locations = locations
        self._inode = inode
        self._run_start = 0
        """Where the present run of writes that follow one another began."""
        self._end = 0
        self._asked = 0
        """The chunk asked for last; chunk 0 comes with the file."""
        self._unused: dict[int, _Asked] = {}
        """Asked for, and no byte was written to them since."""

    def made(self, place: ChunkPlace) -> None:
        """A chunk was made with its file, in the hope of bytes."""
        made = self._unused[place.index] = _Asked(place.index, place)
        made.done.set()

    def note(self, offset: int, length: int, *, more: bool) -> None:
        """Take notice of a write that lies in one chunk; `more`: the same call goes on behind it."""
        chunk_bytes = self._connection.geometry.chunk_bytes
        if offset != self._end:
            self._run_start = offset
        self._end = offset + length
        index = offset // chunk_bytes
        self._unused.pop(index, None)
        start, following = index * chunk_bytes, index + 1
        is_late = 4 * (self._end - start) >= 3 * chunk_bytes
        is_run = self._run_start <= start + chunk_bytes // 4
        # A run that ends exactly with its chunk has passed 3/4 before, or was one call: most likely the whole file.
        goes_on = more or self._end < start + chunk_bytes
        if is_late and is_run and goes_on and following != self._asked:
            self._asked = following
            asked = self._unused[following] = _Asked(following)
            task = self._connection.nursery.start(self._ask(asked), name="next chunk")
            # Not in the task itself: one that is cancelled before it begins runs none of its code.
            task.add_done_callback(lambda _: asked.done.set())

    async def _ask(self, asked: _Asked) -> None:
        """An error is left to the writer, who asks again if it comes so far."""
        try:
            asked.place = (await self._locations.lease(self._inode, asked.index, create=True)).place
        except CairnError as error:
            logger.debug("next chunk not made inode=%d index=%d error=%s", self._inode, asked.index, error)

    async def leave(self) -> None:
        """Have the chunks taken away that were made here and got no byte. Errors leave an empty chunk behind."""
        self._asked = 0
        for index in sorted(self._unused, reverse=True):  # only the last chunk of a file can go
            asked = self._unused[index]
            await asked.done.wait()
            self._unused.pop(index, None)
            place = asked.place
            # Only a chunk that was just made comes with its lease as a token (rule 3).
            if place is None or place.lease is None:
                continue
            try:
                await self._connection.ask(DropEmptyTail(inode=self._inode, index=index, handle=place.handle))
            except CairnError as error:
                logger.debug("empty chunk stays inode=%d index=%d error=%s", self._inode, index, error)
            self._locations.forget_from(self._inode, index)
