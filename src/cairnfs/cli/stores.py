"""What commands on metadata share: where it is, files that appear whole, and stores that are made aside."""

import os
import shutil
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
import msgspec

from cairnfs.cli.settings import default_data
from cairnfs.env import MetaRead, MetaStore
from cairnfs.env.folder_lock import locked_folder
from cairnfs.env.lmdb_store import FILE
from cairnfs.env.real import real_env
from cairnfs.errors import FormatError
from cairnfs.meta import check
from cairnfs.meta.tables import COUNTERS_KEY, LOG_KEY, META, read_identity

_ASIDE = "meta.new"
"""Folder in a metadata folder: a store that is not whole yet."""

data_option = click.option("--data", metavar="FOLDER", help="folder of the metadata")


def folder_of(data: str | None) -> Path:
    """Return the folder that was named, before or behind the command, or the default one."""
    context = click.get_current_context()
    above = context.parent.params.get("data") if context.parent is not None else None
    return Path(data or above or default_data("master"))


def the_store_in(folder: Path) -> Path:
    """Return the store's file.

    Raises:
        FormatError: there is none.
    """
    file = folder / FILE
    if not file.exists():
        raise FormatError(where=str(folder), why="no metadata here")
    return file


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield the name under which a file is written; at the end it gets its own, synced. After an error nothing is left.

    Raises:
        FileExistsError: `target` is there; it was not touched.
    """
    if target.exists():
        raise FileExistsError(17, "file exists", str(target))
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        yield part
        part.rename(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextmanager
def store_made_aside(folder: Path, *, replaces: Path | None = None) -> Iterator[Path]:
    """Yield a folder to make a store in; at the end its file is that of `folder`. After an error nothing is left.

    `replaces`: the name that the file which is there gets. The folder is locked meanwhile.

    Raises:
        FormatError: metadata are there, and none are to be replaced.
        FolderInUseError: a master runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(str(folder)):
        if (folder / FILE).exists() and replaces is None:
            raise FormatError(where=str(folder), why="metadata are here already")
        aside = folder / _ASIDE
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            yield aside
            if (folder / FILE).exists() and replaces is not None:
                (folder / FILE).rename(replaces)
            # The readers' table of LMDB belongs to the file that was there before.
            (folder / f"{FILE}-lock").unlink(missing_ok=True)
            (aside / FILE).rename(folder / FILE)
            sync_folder(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def faults_in(view: MetaRead) -> list[str]:
    """Return every fault of the tables, also those that keep the others from being looked for."""
    if read_identity(view) is None or view.get(META, COUNTERS_KEY) is None or view.get(META, LOG_KEY) is None:
        return ["its identity, counters or state of the log are missing"]
    try:
        return check.check(view)
    except (msgspec.MsgspecError, struct.error, KeyError, UnicodeDecodeError) as error:
        return [f"a row cannot be read: {error}"]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[MetaStore]:
    """Open the store in a folder, and close it."""
    store = real_env().open_store(str(folder))
    try:
        yield store
    finally:
        await store.close()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
