"""Handlers of `wire.namespace`. Thin: paths are checked, places are chosen before, the rest is decided in `meta`.

Answers of what is current rest on a proof of leadership begun after the question (rule 1).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from cairnfs.errors import CairnError, FencePendingError, NotFoundError, TooFewCopiesError
from cairnfs.ids import ChunkHandle, ChunkVersion, InodeId
from cairnfs.limits import META_CALL_S
from cairnfs.master.choosing import Choosing
from cairnfs.master.counting import Counting
from cairnfs.master.granting import Granting
from cairnfs.master.locate import Locate
from cairnfs.master.reign import Reign
from cairnfs.master.snapshot import Snapshots
from cairnfs.meta import read
from cairnfs.meta.decide import Placement
from cairnfs.meta.views import MetaRead
from cairnfs.paths import check_path, parent_and_name
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.units import SECOND_NS
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import (
    Created,
    CreateFile,
    Delete,
    ListFolder,
    Listing,
    ListTrash,
    MakeFolder,
    MakeSymlink,
    Purge,
    Rename,
    SetAttributes,
    SetLength,
    SetReplicas,
    Snapshot,
    Stat,
    StatInode,
    Status,
    TrashListing,
    Truncate,
    Undelete,
)

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)


class Namespace:
    """Answers `wire.namespace`."""

    def __init__(
        self,
        reign: Reign,
        *,
        granting: Granting,
        choosing: Choosing,
        locate: Locate,
        snapshots: Snapshots,
        counting: Counting,
    ) -> None:
        self._reign = reign
        self._granting = granting
        self._choosing = choosing
        self._locate = locate
        self._snapshots = snapshots
        self._counting = counting
        self._cut: dict[InodeId, dict[ChunkHandle, None]] = {}
        """Chunks that a truncation dropped and that may still be read by way of cached places."""

    def serve(self, server: Server) -> None:
        """Register the handlers."""
        server.on(Stat, self.stat, quick=True)
        server.on(StatInode, self.stat_inode, quick=True)
        server.on(ListFolder, self.list_folder)
        server.on(ListTrash, self.list_trash)
        server.on(CreateFile, self.create_file)
        server.on(Truncate, self.truncate)
        server.on(SetLength, self.set_length)
        server.on(Snapshot, self.snapshot)
        server.on(MakeFolder, self._plain("path"))
        server.on(Rename, self.rename)
        server.on(Delete, self._plain("path"))
        server.on(Undelete, self.undelete)
        server.on(Purge, self._plain("path"))
        server.on(MakeSymlink, self._plain("path"))
        server.on(SetReplicas, self._plain("path"))
        server.on(SetAttributes, self._plain("path"))

    def _plain(self, *fields: str) -> Callable[[Peer, Any, Incoming], Awaitable[Any]]:
        """Return a handler that checks the paths in these fields and carries the request out."""

        async def handler(_peer: Peer, request: Request[R], _incoming: Incoming) -> R:
            for name in fields:
                check_path(getattr(request, name))
            return await self._reign.execute(request)

        return handler

    # ------------------------------------------------------------------ looking

    async def stat(self, _peer: Peer, request: Stat, _incoming: Incoming) -> Status:
        check_path(request.path)
        await self._reign.prove()
        with self._reign.store.read() as view:
            found = read.resolve(view, request.path, follow=request.follow)
            return self._status(view, found)

    async def stat_inode(self, _peer: Peer, request: StatInode, _incoming: Incoming) -> Status:
        await self._reign.prove()
        with self._reign.store.read() as view:
            row = read.inode_row(view, request.inode)
            return self._status(view, read.Found(request.inode, row, b""))

    def _status(self, view: Any, found: read.Found) -> Status:  # noqa: ANN401 - a view, by structure
        """Rule 18: while the last chunk is open its primary knows the length, so its place is told."""
        attributes = read.attributes(found.inode, found.row)
        if found.row.kind is not Kind.FILE or not found.row.chunks:
            return Status(attributes=attributes, path=found.path)
        last = read.tail(view, found.inode, found.row)
        if last is None or last.row.closed:
            return Status(attributes=attributes, path=found.path)
        place = self._granting.place(last.handle, last.row, last.index)
        return Status(attributes=attributes, tail=place, path=found.path)

    async def list_folder(self, _peer: Peer, request: ListFolder, _incoming: Incoming) -> Listing:
        check_path(request.path)
        await self._reign.prove()
        with self._reign.store.read() as view:
            return read.listing(view, request.path, after=request.after, limit=request.limit)

    async def list_trash(self, _peer: Peer, request: ListTrash, _incoming: Incoming) -> TrashListing:
        await self._reign.prove()
        with self._reign.store.read() as view:
            return read.trash_listing(
                view,
                after_ns=request.after_ns,
                after_inode=request.after_inode,
                limit=request.limit,
                trash_s=self._reign.config.trash_s,
            )

    # ------------------------------------------------------------------ files

    async def create_file(self, _peer: Peer, request: CreateFile, _incoming: Incoming) -> Created:
        check_path(request.path)
        reign = self._reign
        placement, refusal = self._placement(request) if request.with_chunk else (None, None)
        try:
            created = await reign.execute(request, placement)
        except TooFewCopiesError as error:
            raise refusal or error from error
        first = created.first
        if first is not None and placement is not None and first.version == placement.version:
            created = msgspec.structs.replace(created, first=self._locate.fresh_place(first))
        elif first is not None:
            # A retry gets the first result; its lease is a token only while the version still is.
            row = reign.chunk(first.handle)
            if row is not None and not row.closed and row.version == first.version:
                place = self._locate.new_place(first.handle, row, first.index)
                created = msgspec.structs.replace(created, first=place)
        if not created.created and created.attributes.chunks:
            with reign.store.read() as view:
                row_now = read.inode_row(view, created.attributes.inode)
                status = self._status(view, read.Found(created.attributes.inode, row_now, b""))
            created = msgspec.structs.replace(created, tail=status.tail)
        return created

    def _placement(self, request: CreateFile) -> tuple[Placement | None, TooFewCopiesError | None]:
        """Choose before; if there are too few servers the decision refuses, unless the file is there already."""
        goal = request.replicas
        if goal is None:
            with self._reign.store.read() as view:
                goal = self._folder_goal(view, request.path)
        try:
            return self._choosing.placement(goal, near=request.near), None
        except TooFewCopiesError as error:
            return None, error

    def _folder_goal(self, view: Any, path: bytes) -> int:  # noqa: ANN401 - a view, by structure
        folder, name = parent_and_name(path)
        while name:  # ends: each turn goes up by one
            try:
                return read.resolve(view, folder).row.replicas
            except NotFoundError:
                folder, name = parent_and_name(folder)
            except CairnError:
                break  # the decision says what is wrong with the path
        return self._reign.config.replicas

    async def truncate(self, _peer: Peer, request: Truncate, _incoming: Incoming) -> Status:
        """Rule 9: chunks that the file leaves are barred; the answer waits until nobody can be read behind it."""
        reign = self._reign
        dropped = self._beyond(request)
        barrier = reign.next_version()
        status = await reign.execute(request, barrier=barrier)
        for one in self._barred(dropped, barrier):
            self._locate.bar(one.handle, one.row, barrier)
            reign.wanted[one.handle] = None  # a snapshot may still use it: it is raised above the barrier
            self._cut.setdefault(request.inode, {})[one.handle] = None
        if request.inode in self._cut:
            await self._wait_quiet(list(self._cut[request.inode]))
            self._cut.pop(request.inode, None)
        return status

    def _beyond(self, request: Truncate) -> list[read.FileChunk]:
        with self._reign.store.read() as view:
            first = -(-request.length // self._reign.identity.chunk_bytes)
            row = read.inode_row(view, request.inode)
            if first >= row.chunks:
                return []
            return read.find_chunks(view, request.inode, first, row.chunks - first)

    def _barred(self, dropped: list[read.FileChunk], barrier: ChunkVersion) -> list[read.FileChunk]:
        """Return those that this very request has dropped: one that is repeated drops nothing of what came since."""

        def recorded(view: MetaRead, handle: ChunkHandle) -> ChunkVersion | None:
            row = read.chunk(view, handle) or read.purged(view, handle)
            return row.barrier if row is not None else None

        with self._reign.store.read() as view:
            return [one for one in dropped if recorded(view, one.handle) == barrier]

    async def _wait_quiet(self, handles: list[ChunkHandle]) -> None:
        """Wait until no cached place of these can be read any more: in milliseconds, or the end of a serving lease.

        Raises:
            FencePendingError: not yet. The truncation is done; its retry waits on.
        """
        reign = self._reign
        waiting = handles
        deadline_s = reign.now_s() + META_CALL_S / 2
        pause_s = 0.005
        while waiting := [handle for handle in waiting if not reign.exclusions.is_quiet(handle, reign.now_s())]:
            if reign.now_s() >= deadline_s:
                raise FencePendingError(chunk=waiting[0])
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.2)

    async def set_length(self, _peer: Peer, request: SetLength, _incoming: Incoming) -> Reply:
        done = await self._reign.execute(request)
        if request.closed:
            self._locate.note_closed(request.handle, request.version)
        return done

    async def snapshot(self, _peer: Peer, request: Snapshot, _incoming: Incoming) -> Status:
        check_path(request.source)
        check_path(request.target)
        return await self._snapshots.take(request)

    async def rename(self, _peer: Peer, request: Rename, _incoming: Incoming) -> Status:
        check_path(request.old)
        check_path(request.new)
        return await self._counting.execute(request)

    async def undelete(self, _peer: Peer, request: Undelete, _incoming: Incoming) -> Status:
        check_path(request.path)
        if request.to:
            check_path(request.to)
        return await self._counting.execute(request)


def expires_before_ns(wall_ns: int, trash_s: float) -> int:
    """Return the time before which deleted files have been in the trash for long enough."""
    return wall_ns - int(trash_s * SECOND_NS)
