"""The full report of a new session: what this server holds, told page by page. Rule 5. Used by `report`.

    digests of all buckets ──▶ those that differ    only where the master remembers what this server told it before
    replicas: of buckets that differ, and all that are not settled

See docs/PROTOCOL.md, "Registration with a digest". Digests are made anew each time: half a microsecond a replica, and
nothing that could be out of date (a digest that missed a change would let a lost replica count as held).

Invariants:
    1. What was no part of an equal digest is told, whatever it has become since.
    2. The exclusions of an answer take effect before the next page is sent.
"""

import asyncio
from collections.abc import Iterable

from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.replica import Replica
from cairnfs.chunkserver.secondary import report_of
from cairnfs.ids import ChunkHandle
from cairnfs.limits import DIGEST_PAGE_MAX, META_CALL_S, REPORT_PAUSE_S
from cairnfs.wire.membership import BucketDigest, Registered, ReplicaReport, ReportAnswer, ReportReplicas, Settings
from cairnfs.wire.settled import Row, SettledReplicas, by_bucket, digest_of, pack, row_of


def settled_row(context: Context, replica: Replica) -> Row | None:
    """Return a replica as a row of columns; None if it is not settled."""
    state = replica.state
    if not state.closed or state.incomplete or state.promised > state.version:
        return None
    chunk = context.chunks.find(replica.handle)
    if chunk is not None and chunk.promised > state.version:
        return None
    return row_of(replica.handle, state.version, replica.length)


class Telling:
    """One full report of one session."""

    def __init__(self, context: Context, master: str, registered: Registered) -> None:
        self._context = context
        self._master = master
        self._session = registered.session
        self._settings: Settings = registered.settings
        self._remembers = bool(registered.remembers)
        self._page = 0

    async def run(self) -> None:
        """Tell all that is held at this moment; what changes meanwhile is for the heartbeats.

        Raises:
            CairnError: the master does not answer, or the session is over.
        """
        size = self._settings.report_page
        if self._remembers or len(self._context.store.replicas) > size:
            await self._enter_line()
        handles = sorted(self._context.store.replicas)
        if self._remembers:
            handles = await self._tell_digests(handles)
        pages = [handles[at : at + size] for at in range(0, len(handles), size)] or [[]]
        for number, page in enumerate(pages):
            columns, others = self._tell(page)
            await self._send(last=number == len(pages) - 1, settled=columns, replicas=others)

    async def _enter_line(self) -> None:
        """Send an empty page until the master has time: what was gathered before the wait would be out of date."""
        while (await self._send(last=False)).waits:  # noqa: ASYNC110 - ends with its turn, or with the session
            await asyncio.sleep(REPORT_PAUSE_S)

    # ------------------------------------------------------------------ digests

    async def _tell_digests(self, handles: list[ChunkHandle]) -> list[ChunkHandle]:
        """Send the digests of all buckets; return what must be told in full, ascending."""
        rest: dict[ChunkHandle, None] = {}
        page: dict[int, tuple[int, list[ChunkHandle]]] = {}
        for bucket, some in by_bucket(handles, self._settings.report_bucket):
            rows = self._settled(some)
            # Invariant 1: noted now, since it may be settled by the time that it is told.
            settled = [row[0] for row in rows]
            rest.update(dict.fromkeys(_without(some, settled)))
            if rows:
                page[bucket] = (digest_of(pack(rows)), settled)
            if len(page) == DIGEST_PAGE_MAX:
                rest.update(dict.fromkeys(await self._send_digests(page)))
                page = {}
            else:
                await asyncio.sleep(0)  # a bucket takes as long as a page does, and others wait
        if page:
            rest.update(dict.fromkeys(await self._send_digests(page)))
        return sorted(rest)

    async def _send_digests(self, page: dict[int, tuple[int, list[ChunkHandle]]]) -> list[ChunkHandle]:
        digests = [BucketDigest(bucket=bucket, digest=digest) for bucket, (digest, _) in page.items()]
        answer = await self._send(last=False, digests=digests)
        return [handle for bucket in answer.differing if bucket in page for handle in page[bucket][1]]

    def _settled(self, handles: Iterable[ChunkHandle]) -> list[Row]:
        replicas = self._context.store.replicas
        return [
            row
            for handle in handles
            if (replica := replicas.get(handle)) is not None
            and (row := settled_row(self._context, replica)) is not None
        ]

    # ------------------------------------------------------------------ replicas

    def _tell(self, handles: Iterable[ChunkHandle]) -> tuple[SettledReplicas, list[ReplicaReport]]:
        """Return a page as it stands now; what is gone by now is left out."""
        rows: list[Row] = []
        others: list[ReplicaReport] = []
        for handle in handles:
            replica = self._context.store.replicas.get(handle)
            if replica is None:
                continue
            row = settled_row(self._context, replica)
            if row is not None:
                rows.append(row)
            else:
                others.append(report_of(self._context, replica))
        return pack(rows), others

    async def _send(
        self,
        *,
        last: bool,
        settled: SettledReplicas = SettledReplicas(),  # noqa: B008 - frozen
        replicas: Iterable[ReplicaReport] = (),
        digests: Iterable[BucketDigest] = (),
    ) -> ReportAnswer:
        context = self._context
        request = ReportReplicas(
            session=self._session,
            page=self._page,
            last=last,
            replicas=list(replicas),
            settled=settled,
            digests=list(digests),
        )
        answer = await context.caller.call(self._master, request, timeout_s=META_CALL_S)
        self._page += not answer.waits
        context.exclusions.take(answer.exclusions, context.chunks)
        return answer


def _without(handles: list[ChunkHandle], settled: list[ChunkHandle]) -> list[ChunkHandle]:
    if len(handles) == len(settled):
        return []
    inside = dict.fromkeys(settled)
    return [handle for handle in handles if handle not in inside]
