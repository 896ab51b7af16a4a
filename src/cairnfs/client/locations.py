"""A bounded cache of chunk places by (inode, index). GFS paper, section 2.7.1.

Invariants:
    1. A place is used for at most min(client's limit, master's limit) seconds, counted from the question.
    2. A hole is never cached (rule 9): that a chunk is absent is asked anew each time.
    3. It holds at most LOCATIONS_MAX places; the one unused for longest goes first, and those whose time has passed go
       as others come.

A stale place harms nobody: replicas that are behind or excluded refuse, and the reader then forgets the place.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from cairnfs.client.connection import Connection
from cairnfs.env.addresses import split_address
from cairnfs.errors import BadRequestError, CairnError, ChunkFullError, PeerError
from cairnfs.ids import NO_SERVER, NO_VERSION, ChunkVersion, InodeId, ServerId
from cairnfs.limits import LOCATIONS_MAX
from cairnfs.tasks import Turns
from cairnfs.wire.common import ChunkPlace
from cairnfs.wire.locations import FindChunks, LeaseChunk

logger = logging.getLogger(__name__)

_FIND_AHEAD = 8
"""Places asked for at a time: a sequential reader needs the next ones soon. GFS paper, section 2.7.1 does so too."""
_RENEW_AHEAD_S = 15.0
"""A place in use is asked for anew so long before its time has passed: longer than a master needs to restart."""
_RENEW_PAUSE_S = 2.0
"""Between two such questions about the same place, and for each."""


@dataclass(slots=True, eq=False)
class Known:
    """A place with the order in which its replicas are tried."""

    place: ChunkPlace
    order: list[str]
    expires_s: float
    renew_s: float
    """From then on, whoever uses it has the master asked anew."""
    has_next: bool = False
    """The file had more chunks behind this one, and nobody has asked for the next one on its account yet."""

    @property
    def primary_address(self) -> str:
        """Address of the primary; "" if nobody holds the lease."""
        place = self.place
        return next((member.address for member in place.members if member.server == place.primary), "")

    @property
    def takes_mutations(self) -> bool:
        return not self.place.closed and bool(self.primary_address)


class Holes:
    """Chunks that the master has called absent since a read began: it need not ask about them again."""

    def __init__(self) -> None:
        self._indexes: dict[int, None] = {}
        self._end: int | None = None
        """The file had no chunk from this one on."""

    def __contains__(self, index: int) -> bool:
        return index in self._indexes or (self._end is not None and index >= self._end)

    def note(self, indexes: Iterable[int], *, chunks: int) -> None:
        """Those are absent, and so is whatever lies behind the last one of `chunks`."""
        self._indexes.update(dict.fromkeys(indexes))
        self._end = chunks if self._end is None else min(self._end, chunks)


class Answer(NamedTuple):
    """What the master has just said about one chunk."""

    known: Known | None
    """None: a hole."""
    chunks: int
    """Of the file, up to its last one."""


class Accused(NamedTuple):
    """Who did not serve this client, and at which version: rule 20, the master probes and raises."""

    version: ChunkVersion
    server: ServerId


NOBODY = Accused(NO_VERSION, NO_SERVER)


class Locations:
    """The places one client knows."""

    def __init__(self, connection: Connection, *, limit: int = LOCATIONS_MAX) -> None:
        self._connection = connection
        self._limit = limit
        self._known: dict[tuple[InodeId, int], Known] = {}  # least recently used first
        self._turns = Turns()
        self._near_host = _host(connection.config.near)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<Locations of {len(self._known)} chunks>"

    def peek(self, inode: InodeId, index: int) -> Known | None:
        """Return the cached place if its time has not passed."""
        key = (inode, index)
        known = self._known.pop(key, None)
        if known is None or known.expires_s <= self._connection.env.clock.now_s():
            return None
        self._known[key] = known
        return known

    async def find(self, inode: InodeId, index: int, holes: Holes | None = None) -> Known | None:
        """Return where the chunk is, from the cache or the master; None for a hole.

        `holes`, of one read: what the master says of other chunks meanwhile is kept there, and believed.

        Raises:
            NotFoundError: the inode is gone. ConnectError: no master.
        """
        counters = self._connection.counters
        known = self.peek(inode, index)
        if known is None:
            # Pieces of one chunk are read side by side: one question serves them all. A lease that takes long to
            # get has another turn, so that readers do not wait for a writer.
            async with self._turns.hold(("find", inode, index)):
                known = self.peek(inode, index)
                if known is None:
                    if holes is not None and index in holes:
                        return None
                    counters.location_misses += 1
                    return (await self.ask(inode, index, count=_FIND_AHEAD, holes=holes)).known
        counters.location_hits += 1
        self._renew_soon(inode, index, known)
        return known

    def _renew_soon(self, inode: InodeId, index: int, known: Known) -> None:
        """Have the master asked anew, in the background, for a place in use that is about to be too old.

        While the master restarts, readers go on with what they know, and would otherwise stop at some moment of it.
        """
        now_s = self._connection.env.clock.now_s()
        if now_s >= known.renew_s:
            known.renew_s = now_s + _RENEW_PAUSE_S
            _ = self._connection.nursery.start(self._renew(inode, index, known), name="renew place")

    async def _renew(self, inode: InodeId, index: int, known: Known) -> None:
        asked_s = self._connection.env.clock.now_s()
        try:
            request = FindChunks(inode=inode, index=index, count=1)
            places = await self._connection.ask(request, timeout_s=_RENEW_PAUSE_S)
        except CairnError as error:
            logger.debug("place not renewed inode=%d index=%d error=%s", inode, index, error)
            return
        if self._known.get((inode, index)) is not known:
            return  # somebody has learned more meanwhile, or found it wrong
        if not places.places:
            self.forget(inode, index)
            return
        if not places.places[0].members:
            return  # a master that has just started has heard of no server yet: what is known is better
        has_next = known.has_next
        self.remember(inode, places.places[0], asked_s=asked_s).has_next = has_next

    def ask_next(self, inode: InodeId, known: Known) -> None:
        """Have the places behind `known` asked for in the background: a sequential reader is about to need them."""
        index = known.place.index + 1
        if known.has_next and self.peek(inode, index) is None:
            known.has_next = False  # once: a hole is never cached, and would be asked for again and again
            _ = self._connection.nursery.start(self._find_next(inode, index), name="next places")

    async def _find_next(self, inode: InodeId, index: int) -> None:
        """An error is left to the reader, who asks again when it comes so far."""
        try:
            await self.find(inode, index)
        except CairnError as error:
            logger.debug("places not found inode=%d index=%d error=%s", inode, index, error)

    async def ask(self, inode: InodeId, index: int, *, count: int = 1, holes: Holes | None = None) -> Answer:
        """Ask the master, whatever is cached, and remember the answer.

        What it says of chunk `index` must be taken from the answer: the cache may have dropped it by now, and a
        place that is not cached looks like a hole.
        """
        asked_s = self._connection.env.clock.now_s()
        places = await self._connection.ask(FindChunks(inode=inode, index=index, count=count))
        found = {place.index for place in places.places}
        missing = [one for one in range(index, index + count) if one not in found]
        for one in missing:
            self.forget(inode, one)
        if holes is not None:
            holes.note(missing, chunks=places.chunks)
        learned = {place.index: self.remember(inode, place, asked_s=asked_s) for place in places.places}
        for known in learned.values():
            known.has_next = known.place.index + 1 < places.chunks
        return Answer(learned.get(index), places.chunks)

    async def lease(
        self,
        inode: InodeId,
        index: int,
        *,
        create: bool,
        not_this: Known | None = None,
        append: bool = False,
        accused: Accused = NOBODY,
    ) -> Known:
        """Return a place whose primary should take mutations; ask the master if the cache has none but `not_this`.

        Raises:
            TooFewCopiesError, NoCopyError: no set could be made now. NotFoundError: no such chunk, not `create`.
            ChunkFullError: `append`, and records go to another chunk.
        """
        async with self._turns.hold(("lease", inode, index)):
            known = self.peek(inode, index)
            if known is not None and known.takes_mutations and known is not not_this:
                return known
            asked_s = self._connection.env.clock.now_s()
            request = LeaseChunk(
                inode=inode,
                index=index,
                create=create,
                near=self._connection.config.near,
                failed=accused.version,
                suspect=accused.server,
                append=append,
            )
            places = await self._connection.ask(
                request,
                timeout_s=self._connection.config.data_timeout_s,
                # Rule 17: the record goes to another chunk, now.
                final=(ChunkFullError,) if append else (),
            )
            if len(places.places) != 1:
                raise PeerError(what=f"lease answered with {len(places.places)} places", peer="master")
            return self.remember(inode, places.places[0], asked_s=asked_s)

    def remember(self, inode: InodeId, place: ChunkPlace, *, asked_s: float | None = None) -> Known:
        """Cache a place that the master told just now (or at `asked_s`)."""
        connection = self._connection
        since_s = connection.env.clock.now_s() if asked_s is None else asked_s
        limit_s = min(connection.config.location_cache_s, connection.info.location_cache_s)
        known = Known(
            place, self._order(place), since_s + limit_s, since_s + limit_s - min(limit_s / 2, _RENEW_AHEAD_S)
        )
        self._known.pop((inode, place.index), None)
        self._known[(inode, place.index)] = known
        self._sweep()
        return known

    def _sweep(self) -> None:
        """Drop what has been unused for longest while it is too much, and two whose time has passed: more than come."""
        now_s = self._connection.env.clock.now_s()
        for key in list(islice(self._known, 2)):
            if self._known[key].expires_s <= now_s or len(self._known) > self._limit:
                del self._known[key]

    def _order(self, place: ChunkPlace) -> list[str]:
        """Nearest first: the servers of this machine, then the others in an order of chance."""
        addresses = [member.address for member in place.members]
        self._connection.env.random.shuffle(addresses)
        near = self._connection.config.near
        addresses.sort(key=lambda address: (address != near, not self._near_host or _host(address) != self._near_host))
        return addresses

    def forget(self, inode: InodeId, index: int, *, only: Known | None = None) -> None:
        """Drop a place; with `only`, only if it is still that one."""
        known = self._known.get((inode, index))
        if known is not None and (only is None or known is only):
            del self._known[(inode, index)]
            self._connection.counters.location_refreshes += 1

    def forget_from(self, inode: InodeId, index: int = 0) -> None:
        """Drop all places of a file from chunk `index` on: its map has changed."""
        for key in [key for key in self._known if key[0] == inode and key[1] >= index]:
            del self._known[key]


def _host(address: str) -> str:
    try:
        return split_address(address)[0] if address else ""
    except BadRequestError:
        return address
