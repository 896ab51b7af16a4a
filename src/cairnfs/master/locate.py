"""Where chunks are, and who orders them. GFS paper, sections 2.4 and 3.1; rules 2, 3, 7, 9, 19, 20.

FindChunks is a look at the last commit after a proof of leadership. LeaseChunk gives an answer with a primary: the
present lease, or a new chunk, or a copy of a shared one, or a raise. One of them at a time per chunk; who waited looks
again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from cairnfs.errors import (
    BusyError,
    CairnError,
    ChunkFullError,
    ChunkMissingError,
    ExistsError,
    NoCopyError,
    NotFoundError,
    StaleVersionError,
    TooFewCopiesError,
)
from cairnfs.ids import NO_SERVER, ChunkHandle, ChunkVersion, InodeId, ServerId
from cairnfs.limits import DATA_CALL_S, LIST_PAGE_MAX, PROBE_TIMEOUT_S
from cairnfs.master.choosing import Choosing
from cairnfs.master.granting import Granting
from cairnfs.master.leases import Held
from cairnfs.master.membership import Membership
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.meta import read
from cairnfs.meta.commands import AddChunk, CopyChunk, DropEmptyChunk, TakeHandle
from cairnfs.meta.read import FileChunk
from cairnfs.meta.tables import ChunkRow
from cairnfs.tasks import gather_settled
from cairnfs.wire.base import Ping
from cairnfs.wire.common import ChunkPlace
from cairnfs.wire.locations import DropEmptyTail, FindChunks, LeaseChunk, Places
from cairnfs.wire.master_orders import Cloned, CloneLocal
from cairnfs.wire.membership import Exclusion

logger = logging.getLogger(__name__)

LOOKS_MAX = 8
"""Times a LeaseChunk looks anew because the chunk moved on meanwhile."""
SUSPECTS_AT_ONCE = 64
"""Raises after reports of primaries that run at once: a server that dies takes part in thousands of chunks."""
BLAME_S = 10.0
"""A server accused again within this time is left out of the raise though it answers the probe."""


class Locate:
    """Answers `wire.locations`."""

    def __init__(
        self, reign: Reign, granting: Granting, raising: Raising, choosing: Choosing, membership: Membership
    ) -> None:
        self._reign = reign
        self._granting = granting
        self._raising = raising
        self._choosing = choosing
        self.note_closed = membership.note_closed
        self._suspecting = asyncio.Semaphore(SUSPECTS_AT_ONCE)
        self._blamed: dict[ChunkHandle, tuple[ServerId, float]] = {}

    # ------------------------------------------------------------------ readers

    async def find(self, request: FindChunks) -> Places:
        """Answer readers."""
        await self._reign.prove()
        with self._reign.store.read() as view:
            inode = read.inode_row(view, request.inode)
            found = read.find_chunks(view, request.inode, request.index, min(request.count, LIST_PAGE_MAX))
        places = [self._granting.place(one.handle, one.row, one.index) for one in found]
        return Places(places=places, chunks=inode.chunks, length=inode.length)

    # ------------------------------------------------------------------ writers

    async def lease(self, request: LeaseChunk) -> Places:
        """Answer writers with one place that has a primary.

        Raises:
            NoCopyError, TooFewCopiesError, NotFoundError: as `LeaseChunk` says.
        """
        await self._reign.prove()
        limit = asyncio.timeout(DATA_CALL_S)
        try:
            async with limit:
                return await self._lease(request)
        except TimeoutError:
            if limit.expired():
                raise BusyError(what=f"chunk {request.index} of inode {request.inode} is being raised") from None
            raise

    async def _lease(self, request: LeaseChunk) -> Places:
        for _ in range(LOOKS_MAX):
            found = self._look(request.inode, request.index)
            if found is None:
                place = await self._add(request)
            else:
                self._check_appendable(found, request)
                place = self._ready(found, request) or await self._make_ready(found.handle, request)
            if place is not None:
                return self._places(request.inode, place)
        raise NoCopyError(chunk=ChunkHandle(0), why="the chunk changed each time it was looked at")

    def _look(self, inode: InodeId, index: int) -> FileChunk | None:
        with self._reign.store.read() as view:
            found = read.find_chunks(view, inode, index, 1)
        return found[0] if found else None

    def _check_appendable(self, found: FileChunk, request: LeaseChunk) -> None:
        """Rule 17: records are appended to the last chunk only, or one could come to stand before an earlier one.

        Raises:
            ChunkFullError: another chunk follows, and that is where records go.
        """
        if request.append:
            with self._reign.store.read() as view:
                chunks = read.inode_row(view, request.inode).chunks
            if found.index < chunks - 1:
                raise ChunkFullError(chunk=found.handle)

    def _places(self, inode: InodeId, place: ChunkPlace) -> Places:
        with self._reign.store.read() as view:
            row = read.inode_row(view, inode)
        return Places(places=[place], chunks=row.chunks, length=row.length)

    def _ready(self, found: FileChunk, request: LeaseChunk) -> ChunkPlace | None:
        """Return the place if its lease runs, its primary lives and nobody complains."""
        held = self._running(found.handle, found.row)
        if held is None or not held.is_opened or request.failed == found.row.version:
            return None
        return self._granting.place(found.handle, found.row, found.index)

    def _running(self, handle: ChunkHandle, row: ChunkRow) -> Held | None:
        """Return the lease of the record's version if it runs and its primary lives, in the boot it was granted to."""
        reign = self._reign
        held = reign.leases.get(handle, reign.now_s())
        if held is None or row.closed or row.references > 1 or held.version != row.version:
            return None
        session = reign.sessions.of(held.primary)
        if session is None or session.boot != held.boot or not reign.sessions.is_live(held.primary, reign.now_s()):
            return None
        return held

    async def _make_ready(self, handle: ChunkHandle, request: LeaseChunk) -> ChunkPlace | None:
        """Raise, copy or repeat a grant, in turn; None: look again."""
        try:
            async with self._reign.turns.hold(handle):
                found = self._look(request.inode, request.index)
                if found is None or found.handle != handle:
                    return None
                self._check_appendable(found, request)
                if found.row.references > 1:
                    await self._copy(found, request)
                    return None
                ready = self._ready(found, request)
                if ready is not None:
                    return ready
                await self._reign.wait_for(found.row)
                row = await self._grant_again(found, request) or await self._raise(found, request)
                return self._granting.place(handle, row, found.index)
        except (ChunkMissingError, StaleVersionError):
            return None  # purged, shared or raised meanwhile

    async def _grant_again(self, found: FileChunk, request: LeaseChunk) -> ChunkRow | None:
        """Send an open record's lease: nobody has shown its token yet, or this master does not know the lease.

        Idempotent by (version, boot): a primary at work goes on. None: a raise is needed.
        """
        reign, row = self._reign, found.row
        if row.closed or request.suspect != NO_SERVER or reign.is_revoked(found.handle, row):
            return None
        held = reign.leases.get(found.handle, reign.now_s())
        if held is not None and held.is_opened:
            return None
        members = reign.live_current(row, found.handle)
        if len(members) != len(row.members) or all(one.server != row.primary for one in members):
            return None
        return row if await self._granting.open(found.handle, row) else None

    async def _raise(self, found: FileChunk, request: LeaseChunk) -> ChunkRow:
        suspects: list[ServerId] = []
        avoid = NO_SERVER
        if request.failed == found.row.version and found.row.primary != NO_SERVER:
            # It may live and yet be out of reach for this client, so another one gets the role.
            avoid = found.row.primary
            suspects.append(avoid)
        if request.suspect != NO_SERVER:
            suspects.append(request.suspect)
        try:
            return await self._raising.open(found.handle, suspects=suspects, near=request.near, avoid=avoid)
        except TooFewCopiesError as error:
            self._reign.wanted[found.handle] = None  # repair it first
            if request.append:
                raise ChunkFullError(chunk=found.handle) from error  # rule 17: goes on in a new chunk
            raise

    # ------------------------------------------------------------------ reports of primaries

    async def suspect(
        self, handle: ChunkHandle, version: ChunkVersion, *, reporter: ServerId, accused: ServerId
    ) -> None:
        """Rule 20: reporter and accused are both suspect. Probe both once and raise with those who answer."""
        reign = self._reign
        async with self._suspecting, reign.turns.hold(handle):
            row = reign.chunk(handle)
            if row is None or row.closed or row.version != version:
                return  # an older story
            now_s = reign.now_s()
            before = self._blamed.get(handle)
            again = before is not None and before[0] == accused and now_s - before[1] < BLAME_S
            if len(self._blamed) >= LIST_PAGE_MAX:
                self._blamed.clear()
            self._blamed[handle] = (accused, now_s)
            without = [accused] if again else []
            if len(row.members) - len(without) < reign.copies_needed(row.goal):
                without = []
            await self._raising.open(handle, suspects=[accused, reporter], without=without)

    # ------------------------------------------------------------------ new chunks

    async def _add(self, request: LeaseChunk) -> ChunkPlace | None:
        """Add a chunk: handle, version, set and lease in one commit (rule 3). None: somebody else did."""
        if not request.create:
            raise NotFoundError(path=f"inode {request.inode} chunk {request.index}")
        reign = self._reign
        async with reign.turns.hold(("add", request.inode)), self._last_is_closed(request):
            if self._look(request.inode, request.index) is not None:
                return None
            with reign.store.read() as view:
                goal = read.inode_row(view, request.inode).replicas
            placement = self._choosing.placement(goal, near=request.near)
            try:
                reply = await reign.execute(AddChunk(inode=request.inode, index=request.index), placement)
            except ExistsError:
                return None
        return self.new_place(reply.handle, reply.row, request.index)

    @asynccontextmanager
    async def _last_is_closed(self, request: LeaseChunk) -> AsyncIterator[None]:
        """While a chunk is added for a record: the one before it takes no more of them. Rule 17.

        Ours: the paper's primary pads a chunk that is full (section 3.3), which nobody can undo. Here it is closed, and
        might be opened again by a writer that knows only this one.

        Raises:
            NoCopyError: it is open and none of its members answers.
        """
        last = self._look(request.inode, request.index - 1) if request.append and request.index > 0 else None
        if last is None:
            yield
            return
        async with self._reign.turns.hold(last.handle):
            row = self._reign.chunk(last.handle)
            if row is not None and not row.closed:
                await self._close_last(last.handle)
            yield

    async def _close_last(self, handle: ChunkHandle) -> None:
        """Close a chunk; with too few members for that, see to it that nobody can order it any more."""
        try:
            await self._raising.seal(handle)
        except TooFewCopiesError:
            await self._raising.revoke(handle)

    def new_place(self, handle: ChunkHandle, row: ChunkRow, index: int) -> ChunkPlace:
        """Enter the lease of a chunk just made and return its place with the lease as a token for the client."""
        reign = self._reign
        members = self._granting.members(row)
        if reign.leases.get(handle, reign.now_s()) is None:
            reign.leases.grant(
                handle, row.version, primary=row.primary, members=members, now_s=reign.now_s(), is_opened=False
            )
            self._choosing.note_created(members)
        return self._granting.place(handle, row, index, lease=self._granting.lease(handle, row, members))

    def fresh_place(self, place: ChunkPlace) -> ChunkPlace:
        """Add the lease to the place of a chunk that was made a moment ago: nothing need be looked up."""
        reign = self._reign
        reign.leases.grant(
            place.handle,
            place.version,
            primary=place.primary,
            members=place.members,
            now_s=reign.now_s(),
            is_opened=False,
        )
        self._choosing.note_created(place.members)
        return replace(place, lease=self._granting.new_lease(place))

    async def drop_empty_tail(self, request: DropEmptyTail) -> None:
        """Take a chunk back that was made for bytes that did not come; keep it if it is not surely empty.

        Closed by a raise at a new version, it gets no byte unless it is opened again, which the decision would see.
        No reader barrier (rule 9): there is no byte of it that anybody could read.
        """
        await self._reign.prove()
        handle = request.handle
        async with self._reign.turns.hold(handle):
            found = self._look(request.inode, request.index)
            if found is None or found.handle != handle or found.row.references > 1 or found.row.length:
                return
            row = found.row
            try:
                if not row.closed:
                    row = await self._raising.seal(handle)
                await self._reign.execute(
                    DropEmptyChunk(inode=request.inode, index=request.index, handle=handle, version=row.version)
                )
            except (ChunkMissingError, NotFoundError, StaleVersionError):
                return  # it is used, or gone

    # ------------------------------------------------------------------ copy-on-write

    async def _copy(self, found: FileChunk, request: LeaseChunk) -> None:
        """GFS paper, section 3.4: the first writer after a snapshot gets a copy, made where the replicas are.

        Readers that come to the old chunk by way of this file are barred, and overwrites of the new one wait for that
        (rule 9).
        """
        reign, row = self._reign, found.row
        assert row.closed, "only closed chunks are shared"
        sources = await self._who_answer(reign.live_current(row, found.handle))
        need = reign.copies_needed(row.goal)
        if len(sources) < need:
            raise TooFewCopiesError(what=f"chunk {found.handle:016x}", have=len(sources), need=need)
        new = (await reign.execute(TakeHandle())).handle
        version = reign.next_version()
        order = CloneLocal(handle=found.handle, version=row.version, new=new, new_version=version, epoch=reign.epoch)
        async with reign.turns.hold(new):
            answers = await gather_settled(*[reign.order(one.address, order, timeout_s=DATA_CALL_S) for one in sources])
            made = [
                (one.server, answer.boot)
                for one, answer in zip(sources, answers, strict=True)
                if isinstance(answer, Cloned) and answer.length == row.length
            ]
            if len(made) < need:
                raise TooFewCopiesError(what=f"copy of chunk {found.handle:016x}", have=len(made), need=need)
            barrier = reign.next_version()
            command = CopyChunk(
                inode=request.inode,
                index=request.index,
                old=found.handle,
                new=new,
                version=version,
                members=made,
                length=row.length,
                barrier=barrier,
            )
            await reign.execute(command)
            self._raising.remember_closed(new, version, row.length, made)
        reign.exclusions.map_changed(new, found.handle)
        reign.counters.add("chunks_copied_on_write")
        self.bar(found.handle, row, barrier)
        await self._lift(found.handle)

    async def _who_answer(self, sessions: list[Session]) -> list[Session]:
        """Rule 20: ask once, briefly. A copy may take long; nobody waits so long for a server that has just gone."""
        answers = await gather_settled(
            *[self._reign.caller.call(one.address, Ping(), timeout_s=PROBE_TIMEOUT_S) for one in sessions]
        )
        return [
            one
            for one, answer in zip(sessions, answers, strict=True)
            if not isinstance(answer, ConnectionError | TimeoutError)
        ]

    async def _lift(self, handle: ChunkHandle) -> None:
        """Raise a barred chunk above its barrier, closed as it was: its other users then name a version let in."""
        try:
            await self._raising.seal(handle)
        except CairnError as error:
            self._reign.wanted[handle] = None  # the repair loop goes on with it
            logger.info("barred chunk not raised yet chunk=%016x why=%s", handle, error)

    def bar(self, handle: ChunkHandle, row: ChunkRow, barrier: ChunkVersion) -> None:
        """Tell all who hold a chunk to refuse readers with an older version (rule 9).

        Also members that nobody hears just now: they may serve to the end of their serving lease.
        """
        if not self._reign.safeguards.map_barrier:
            return
        exclusion = Exclusion(handle=handle, below=barrier, barrier=True)
        servers = [server for server, _ in row.members] + list(self._reign.inventory.holders(handle))
        self._raising.exclude(list(dict.fromkeys(servers)), exclusion)
