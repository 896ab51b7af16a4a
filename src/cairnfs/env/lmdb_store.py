"""The real metadata store: LMDB, one writer thread, group commit. Used by `real.py`.

    write(job) --> [queue] --> writer thread: begin, every job that waits, gate, commit (synced) --> one hop back
    read()     --> the caller's thread, the last commit, no lock and no wait

The LMDB file is the checkpoint: it is copy-on-write with two root pages, so that a crash at any moment leaves the last
commit. sync is on, writemap off (a stray pointer cannot reach the pages), the map sparse and never resized.

Invariants:
    1. After a failed commit, or one that the gate refused, nothing is written until the store is opened anew.
    2. A table's handle is known to readers only after the commit that made it, and to all who see that commit.
    3. A job that raises leaves no change: what it did is undone before the next job runs.
"""

import asyncio
import contextlib
import copy
import errno
import fcntl
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import lmdb

from cairnfs.env import MetaWrite, Outcome
from cairnfs.env.handover import Handover, Job
from cairnfs.env.lmdb_views import ReadView, Tables, WriteView
from cairnfs.errors import (
    BusyError,
    CairnError,
    DiskFailedError,
    DiskFullError,
    FolderInUseError,
    FormatError,
    NotLeaderError,
    ShutdownError,
)
from cairnfs.limits import META_MAP_BYTES

logger = logging.getLogger(__name__)
T = TypeVar("T")

FILE = "meta.lmdb"
LOCK_FILE = "meta.lock"
FORMAT = b"cairnfs-meta\x00\x01"
"""Our mark and, in its last byte, the number of the format."""
FORMAT_TABLE = b"_format"
FORMAT_KEY = b"format"
TABLES_MAX = 64
SPARE_READS = 8
"""Finished read transactions kept for the next reader: renewing one costs a tenth of a new one."""
BATCH_JOBS_MAX = 1024
"""Jobs of one commit, so that the first does not wait for ever."""
WAITING_JOBS_MAX = 16_384
"""Rule 27."""

Gate = Callable[[], Outcome]


class LmdbStore:
    """See the module. Opening takes the folder for this process."""

    def __init__(self, folder: str, *, map_bytes: int = META_MAP_BYTES, gate: Gate | None = None) -> None:
        """Open or make the store in `folder`.

        `gate` is asked in the writer's thread before each commit (HA: it puts the records into the replicated log).

        Raises:
            FolderInUseError: another process, or another store of this one, has it open. Nothing was touched.
            FormatError: the file is not ours, newer, or damaged. It was not touched.
            DiskFailedError, DiskFullError: the folder cannot be used.
        """
        self.gate = gate
        self._folder = folder
        self._failure: CairnError | None = None
        self._lock_fd = take_folder(folder)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(os.close, self._lock_fd)
            self._lmdb = _open_lmdb(os.path.join(folder, FILE), map_bytes)
            self._tables: Tables = _open_tables(self._lmdb, folder)
            cleanup.pop_all()
        self._makes_tables = False
        self._making = threading.Lock()  # held while `_makes_tables`
        self._waiting = 0
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._handover = Handover(self._leave_queue)
        self._writer = threading.Thread(target=self._write_batches, name=f"writer {folder}", daemon=True)
        self._writer.start()

    # -------------------------------------------------------------- on the loop

    @property
    def healthy(self) -> bool:
        return self._failure is None

    def read(self) -> ReadView:
        return ReadView(self._begin_read)

    def _begin_read(self) -> tuple[Tables, Any]:
        """Begin a transaction and return it with the tables that are in it, neither more nor fewer."""
        while True:  # ends: tables are made a few times in the life of a store
            # Invariant 2: the tables are taken before the transaction, so each of them is in it.
            tables = self._tables
            transaction = self._lmdb.begin(write=False)
            if tables is self._tables and not self._makes_tables:
                return tables, transaction
            # A commit that made tables came between: its rows would be seen, and its tables not.
            transaction.abort()
            with self._making:
                pass

    async def write(self, job: Callable[[MetaWrite], T]) -> T:
        if self._failure is not None:
            # A copy: an error that is raised again and again keeps every traceback.
            raise copy.copy(self._failure)
        if self._waiting >= WAITING_JOBS_MAX:
            raise BusyError(what=f"{self._waiting} metadata changes wait for the disk")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        self._queue.put(Job(job, future))
        return await future

    def _leave_queue(self, count: int) -> None:
        self._waiting -= count

    def size(self) -> tuple[int, int]:
        facts = self._lmdb.info()
        return (facts["last_pgno"] + 1) * self._lmdb.stat()["psize"], facts["map_size"]

    async def close(self) -> None:
        """Commit what waits, end the writer, give the folder back."""
        if self._lock_fd < 0:
            return
        if self._failure is None:
            self._failure = ShutdownError(what="the metadata store")
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._writer.join)
        self._lmdb.close()
        os.close(self._lock_fd)
        self._lock_fd = -1

    # -------------------------------------------------------------- in the writer's thread

    def _write_batches(self) -> None:
        ends = False
        fatal: CairnError | None = None
        while not ends:
            jobs, ends = self._take_batch()
            if fatal is None:
                fatal = self._write_batch(jobs)
                if fatal is not None:
                    logger.error("metadata store failed folder=%s why=%s", self._folder, fatal)
                    self._failure = fatal
            else:
                _fail(jobs, fatal)
            self._handover.give(jobs)
            # Finished jobs hold their results; do not keep them while waiting for the next.
            jobs = []

    def _take_batch(self) -> tuple[list[Job], bool]:
        """Wait for one job, then take all that wait behind it; True if the store is closing."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == BATCH_JOBS_MAX:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _write_batch(self, jobs: list[Job]) -> CairnError | None:
        """Run the jobs in one transaction and commit; return why the store is now unusable, if it is."""
        if not jobs:
            return None
        fatal: CairnError | None = None
        try:
            transaction = self._lmdb.begin(write=True)
            view = WriteView(self._lmdb, transaction, self._tables)
            try:
                fatal = self._run_jobs(jobs, view) or self._ask_gate()
                if fatal is None:
                    self._commit(transaction, view.tables)
            finally:
                transaction.abort()
        except (lmdb.Error, OSError, MemoryError) as error:
            fatal = as_failure(error, self._folder)
        if fatal is not None:
            _fail(jobs, fatal)
        return fatal

    def _commit(self, transaction: Any, tables: Tables) -> None:
        if len(tables) == len(self._tables):
            transaction.commit()
            return
        with self._making:
            self._makes_tables = True
            try:
                transaction.commit()
                self._tables = tables  # invariant 2
            finally:
                self._makes_tables = False

    def _run_jobs(self, jobs: list[Job], view: WriteView) -> CairnError | None:
        for job in jobs:
            view.begin_job()
            job.run(view)
            if view.broken is not None:
                return as_failure(view.broken, self._folder)
            if job.error is not None:
                # Invariant 3.
                view.undo_job()
        return None

    def _ask_gate(self) -> CairnError | None:
        if self.gate is None:
            return None
        question = Job(self.gate)
        question.run()
        if question.error is not None:
            # Whatever went wrong, the records may or may not be in the log: the same as UNKNOWN.
            logger.error("coordinator failed folder=%s", self._folder, exc_info=question.error)
        return None if question.result is Outcome.COMMITTED else NotLeaderError()


def _fail(jobs: list[Job], failure: CairnError) -> None:
    for job in jobs:
        job.result, job.error = None, copy.copy(failure)


def as_failure(error: BaseException, folder: str) -> CairnError:
    number = error.errno if isinstance(error, OSError) else None
    # py-lmdb gives ENOSPC a class of its own, and every other number of the system only as text.
    if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or number == errno.ENOSPC:
        return DiskFullError(where=folder)
    return DiskFailedError(where=folder, why=str(error))


def take_folder(folder: str) -> int:
    try:
        descriptor = os.open(
            os.path.join(folder, LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise as_failure(error, folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FolderInUseError(where=folder) from error
    return descriptor


def _open_lmdb(path: str, map_bytes: int) -> Any:
    is_new = not os.path.exists(path)
    try:
        environment = lmdb.open(
            path,
            subdir=False,
            map_size=map_bytes,
            max_dbs=TABLES_MAX,
            max_spare_txns=SPARE_READS,
            mode=0o600,
            readahead=False,
            sync=True,
            metasync=True,
            writemap=False,
        )
    except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError, lmdb.IncompatibleError) as error:
        raise FormatError(where=path, why=f"not a metadata store of CairnFS, or damaged: {error}") from error
    except lmdb.Error as error:
        raise as_failure(error, path) from error
    if is_new:
        # The name of the file must survive a power loss, too.
        descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return environment


def _open_tables(environment: Any, folder: str) -> Tables:
    """Check the mark (writing it into an empty store) and open every table that there is."""
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(environment.close)
        try:
            with environment.begin(write=True) as transaction:
                names = [bytes(name) for name in transaction.cursor().iternext(keys=True, values=False)]
                if names and FORMAT_TABLE not in names:
                    raise FormatError(where=folder, why="an LMDB file, but not of CairnFS")
                marks = environment.open_db(FORMAT_TABLE, txn=transaction)
                mark = transaction.get(FORMAT_KEY, db=marks)
                if mark is None and not names:
                    transaction.put(FORMAT_KEY, FORMAT, db=marks)
                elif mark != FORMAT:
                    raise FormatError(where=folder, why=why_not(mark))
                tables = {
                    name.decode(): environment.open_db(name, txn=transaction) for name in names if name != FORMAT_TABLE
                }
        except lmdb.Error as error:
            raise as_failure(error, folder) from error
        cleanup.pop_all()
    return tables


def why_not(mark: bytes | None) -> str:
    if mark is None or mark[:-1] != FORMAT[:-1]:
        return "an LMDB file, but not of CairnFS"
    return (
        f"format {mark[-1]}, but this version of CairnFS has {FORMAT[-1]}; "
        "convert it with `cairn master dump` (that version) and `cairn master load` (this one)"
    )
