"""`cairn master dump`, `load`, `check`: metadata as lines of JSON, to another format and back; and are they sound?"""

import asyncio
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from cairnfs.cli.backups import read_facts
from cairnfs.cli.common import document, line, note
from cairnfs.cli.stores import data_option, faults_in, folder_of, opened, store_made_aside, the_store_in
from cairnfs.env import MetaStore
from cairnfs.env.lmdb_file import looking
from cairnfs.errors import FormatError
from cairnfs.meta.dump import LINE_BYTES_MAX, Row, dump, load, parse
from cairnfs.meta.read import counts
from cairnfs.meta.tables import read_identity

_BATCH_ROWS = 10_000
"""Rows of one commit while loading."""
_FAULTS_SHOWN = 3


@click.command("dump")
@data_option
@click.argument("file", type=click.Path(dir_okay=False), default="-")
def dump_metadata(data: str | None, file: str) -> None:
    """Write all metadata to FILE (or stdout), a row a line. The master must not run."""
    folder = folder_of(data)
    the_store_in(folder)

    async def run() -> int:
        async with opened(folder) as store:
            with store.read() as view, _writing(file) as out:
                lines = 0
                for text in dump(view):
                    out.write(text)
                    lines += 1
                return lines

    note(f"cairn: dumped {asyncio.run(run()) - 2} rows")


@click.command("load")
@data_option
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True), default="-")
def load_metadata(data: str | None, file: str) -> None:
    """Make a metadata folder from a dump in FILE (or stdin). Never serve the folder that was dumped afterwards."""
    folder = folder_of(data)

    with store_made_aside(folder) as aside:
        rows = asyncio.run(_load_file(aside, file, folder))
    note(f"cairn: loaded {rows} rows into {folder}")


async def _load_file(aside: Path, file: str, folder: Path) -> int:
    async with opened(aside) as store:
        with click.open_file(file, "rb") as source:
            lines = iter(lambda: source.readline(LINE_BYTES_MAX), b"")
            return await _load(store, parse(lines, file), folder)


async def _load(store: MetaStore, rows: Iterable[Row], folder: Path) -> int:
    count = 0
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
        await store.write(lambda txn, batch=batch: load(txn, batch))  # type: ignore[misc]
        count += len(batch)
    with store.read() as view:
        faults = faults_in(view)
    if faults:
        raise FormatError(where=str(folder), why=f"not sound: {'; '.join(faults[:_FAULTS_SHOWN])}")
    return count


@click.command("check")
@click.argument("where", metavar="FOLDER|BACKUP", required=False, type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def check_metadata(where: str | None, as_json: bool) -> int:
    """Read all metadata of a master that does not run, or a backup, and say every fault.

    Exit code 0: sound. 1: faults.
    """
    place = Path(where) if where else folder_of(None)
    if place.is_dir():
        the_store_in(place)
        faults, rows = asyncio.run(_check_folder(place))
    else:
        read_facts(place)
        with looking(str(place)) as view:
            faults, rows = faults_in(view), counts(view).files
    if as_json:
        document({"where": str(place), "files": rows, "faults": faults})
    else:
        for fault in faults:
            line(fault)
        line(f"{place}: {len(faults)} faults" if faults else f"{place}: sound, {rows} files")
    return 1 if faults else 0


async def _check_folder(folder: Path) -> tuple[list[str], int]:
    async with opened(folder) as store:
        with store.read() as view:
            if read_identity(view) is None:
                raise FormatError(where=str(folder), why="empty: no cluster was made here")
            return faults_in(view), counts(view).files


@contextmanager
def _writing(file: str) -> Iterator[BinaryIO]:
    """Open a file that is there only when it is whole."""
    if file == "-":
        yield sys.stdout.buffer
        return
    part = Path(file + ".part")
    try:
        with part.open("wb") as out:
            yield out
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.rename(file)
