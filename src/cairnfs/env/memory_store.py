"""A metadata store in memory, with the group commit of the real one. `sim/disk.py` builds on it.

write(job) --> queue --> next turn: every job that waits, gate --> (time of a sync) --> commit, results
"""

import asyncio
import contextvars
import copy
from collections.abc import Callable
from typing import TypeVar

from cairnfs.env import MetaWrite, Outcome
from cairnfs.env.handover import Job
from cairnfs.env.memory_tables import Overlay, ReadView, Tables, WriteView
from cairnfs.errors import BusyError, CairnError, FolderInUseError, NotLeaderError, ShutdownError
from cairnfs.limits import META_MAP_BYTES

T = TypeVar("T")

WAITING_JOBS_MAX = 16_384
"""Rule 27."""


class MemoryRecord:
    """What is durable in a folder: its tables, and who has them open. Outlives the stores that use it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.tables = Tables()
        self.opened_by: MemoryStore | None = None
        self.committing: Overlay | None = None
        """The batch whose commit has begun and not ended: after a crash just then it may be there or not."""


class MemoryStore:
    """As `lmdb_store`, on the loop of its caller. A simulation overrides the hooks below."""

    def __init__(self, record: MemoryRecord, *, context: contextvars.Context | None = None) -> None:
        """`context`: what the writer's callbacks run in; None: that of whoever calls."""
        if record.opened_by is not None:
            raise FolderInUseError(where=record.folder)
        record.opened_by = self
        self.gate: Callable[[], Outcome] | None = None
        self._record = record
        self._context = context
        self._failure: CairnError | None = None
        self._waiting: list[Job] = []
        self._commit_is_due = False
        self._idle = asyncio.Event()

    # ---- hooks

    def sync_s(self) -> float:
        """Return how long the next commit takes; 0: no turn of the loop passes in it."""
        return 0.0

    def fault(self) -> CairnError | None:
        """Return why the next commit fails, if it does."""
        return None

    # ---- MetaStore

    @property
    def healthy(self) -> bool:
        return self._failure is None

    def read(self) -> ReadView:
        return ReadView(self._record.tables)

    async def write(self, job: Callable[[MetaWrite], T]) -> T:
        if self._failure is not None:
            # A copy: an error that is raised again and again keeps every traceback.
            raise copy.copy(self._failure)
        if len(self._waiting) >= WAITING_JOBS_MAX:
            raise BusyError(what=f"{len(self._waiting)} metadata changes wait for the disk")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Job(job, future))
        self._commit_soon()
        return await future

    def size(self) -> tuple[int, int]:
        return self._record.tables.used_bytes, META_MAP_BYTES

    async def close(self) -> None:
        if self._failure is None:
            self._failure = ShutdownError(what="the metadata store")
        while self._commit_is_due:
            self._idle.clear()
            await self._idle.wait()
        if self._record.opened_by is self:
            self._record.opened_by = None

    # ---- the writer

    def _commit_soon(self) -> None:
        if not self._commit_is_due:
            self._commit_is_due = True
            asyncio.get_running_loop().call_soon(self._begin_commit, context=self._context)

    def _begin_commit(self) -> None:
        jobs, self._waiting = self._waiting, []
        overlay = Overlay()
        failure = self._lasting_failure() or self._run_jobs(jobs, WriteView(self._record.tables, overlay))
        if failure is not None:
            self._end_commit(jobs, failure)
            return
        self._record.committing = overlay
        delay_s = self.sync_s()
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self._finish_commit, jobs, overlay, context=self._context)
        else:
            self._finish_commit(jobs, overlay)

    def _finish_commit(self, jobs: list[Job], overlay: Overlay) -> None:
        failure = self.fault()
        if failure is None:
            self._record.tables.apply(overlay)
        self._record.committing = None
        self._end_commit(jobs, failure)

    def _end_commit(self, jobs: list[Job], failure: CairnError | None) -> None:
        if failure is not None:
            self._failure = failure
        for job in jobs:
            if failure is not None:
                job.result, job.error = None, copy.copy(failure)
            job.settle()
        self._commit_is_due = False
        self._idle.set()
        if self._waiting:
            self._commit_soon()

    def _lasting_failure(self) -> CairnError | None:
        """Why nothing is written any more; closing is none, for what waits then."""
        return None if isinstance(self._failure, ShutdownError) else self._failure

    def _run_jobs(self, jobs: list[Job], view: WriteView) -> CairnError | None:
        for job in jobs:
            view.begin_job()
            job.run(view)
            if job.error is not None:
                view.undo_job()
        if self.gate is None:
            return None
        question = Job(self.gate)
        question.run()
        return None if question.result is Outcome.COMMITTED else NotLeaderError()
