"""The lock on a metadata folder, without opening its store. Used by commands that put a store there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cairnfs.env.lmdb_store import take_folder


@contextmanager
def locked_folder(folder: str) -> Iterator[None]:
    """Take the folder for this process.

    Raises:
        FolderInUseError: a master runs there.
        DiskFailedError, DiskFullError: the folder cannot be used.
    """
    descriptor = take_folder(folder)
    try:
        yield
    finally:
        os.close(descriptor)
