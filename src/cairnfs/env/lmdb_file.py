"""A metadata store's file as a file: copied while a master writes to it, and looked at without changing it.

Both are done by a process of their own beside the master (LMDB's readers do not wait for its writer, nor it for them),
so a copy stalls nobody and goes on when the master dies. Used by the command line.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lmdb

from cairnfs.env.lmdb_store import FILE, FORMAT, FORMAT_KEY, FORMAT_TABLE, TABLES_MAX, as_failure, why_not
from cairnfs.env.lmdb_views import ReadView, Tables
from cairnfs.errors import CairnError, FormatError

_LOOK_S = 0.1
"""Between two looks at how far a copy is."""


def copy_store(folder: str, target: str, tell: Callable[[int], None]) -> None:
    """Write the last commit of the store in `folder` to the new file `target`, without free pages; synced.

    A master may run there. `tell` is called now and then with the bytes written so far.

    Raises:
        FormatError: no store of ours.
        FileExistsError: `target` is there; it was not touched.
        DiskFullError, DiskFailedError: `target` may be there in part.
    """
    with _environment(os.path.join(folder, FILE), lock=True) as environment:
        _check_mark(environment, folder)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _copy(environment, descriptor, target, tell)
            os.fsync(descriptor)
        except OSError as error:
            raise as_failure(error, target) from error
        finally:
            os.close(descriptor)


def _copy(environment: Any, descriptor: int, target: str, tell: Callable[[int], None]) -> None:
    failures: list[CairnError] = []

    def work() -> None:
        try:
            environment.copyfd(descriptor, compact=True)
        except (lmdb.Error, OSError) as error:
            failures.append(as_failure(error, target))

    # A daemon: Ctrl-C ends the command at once, and leaves a file with a name that nobody takes for a backup.
    thread = threading.Thread(target=work, name="copy", daemon=True)
    thread.start()
    while thread.is_alive():  # ends: the copy writes on, or fails
        thread.join(_LOOK_S)
        tell(os.fstat(descriptor).st_size)
    if failures:
        raise failures[0]


@contextmanager
def looking(path: str, *, lock: bool = False) -> Iterator[ReadView]:
    """Open a store's file for reading. `lock`: a master may write to it meanwhile.

    Raises:
        FormatError: no store of ours.
    """
    with _environment(path, lock=lock) as environment:
        _check_mark(environment, path)
        with ReadView(lambda: _begin(environment)) as view:
            yield view


@contextmanager
def _environment(path: str, *, lock: bool) -> Iterator[Any]:
    try:
        environment = lmdb.open(
            path, subdir=False, readonly=True, create=False, lock=lock, max_dbs=TABLES_MAX, readahead=False
        )
    except lmdb.Error as error:
        raise FormatError(where=path, why=f"no metadata store of CairnFS, or damaged: {error}") from error
    try:
        yield environment
    finally:
        environment.close()


def _check_mark(environment: Any, where: str) -> None:
    with environment.begin() as transaction:
        names = [bytes(name) for name in transaction.cursor().iternext(keys=True, values=False)]
        if FORMAT_TABLE not in names:
            raise FormatError(where=where, why=why_not(None))
        mark = transaction.get(FORMAT_KEY, db=environment.open_db(FORMAT_TABLE, txn=transaction, create=False))
        if mark != FORMAT:
            raise FormatError(where=where, why=why_not(mark))


def _begin(environment: Any) -> tuple[Tables, Any]:
    """Begin a transaction with its tables: their handles are good inside it only."""
    transaction = environment.begin(write=False)
    names = [bytes(name) for name in transaction.cursor().iternext(keys=True, values=False)]
    tables = {
        name.decode(): environment.open_db(name, txn=transaction, create=False)
        for name in names
        if name != FORMAT_TABLE
    }
    return tables, transaction
