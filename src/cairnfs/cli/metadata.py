"""`cairn master dump` and `cairn master load`: metadata as lines of JSON, to another format and back."""

import asyncio
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from cairnfs.cli.common import note
from cairnfs.cli.settings import default_data
from cairnfs.env import MetaStore
from cairnfs.env.real import real_env
from cairnfs.errors import FormatError
from cairnfs.meta import check
from cairnfs.meta.dump import Row, dump, is_empty, load, parse

_BATCH_ROWS = 10_000
"""Rows of one commit while loading."""
_FAULTS_SHOWN = 3

_data = click.option("--data", metavar="FOLDER", help="folder of the metadata")


@click.command("dump")
@_data
@click.argument("file", type=click.Path(dir_okay=False), default="-")
def dump_metadata(data: str | None, file: str) -> None:
    """Write all metadata to FILE (or stdout), a row a line. The master must not run."""
    folder = _folder(data)
    if not (folder / "meta.lmdb").exists():
        raise FormatError(where=str(folder), why="no metadata here")

    async def run() -> int:
        store = real_env().open_store(str(folder))
        try:
            with store.read() as view, _writing(file) as out:
                lines = 0
                for line in dump(view):
                    out.write(line)
                    lines += 1
                return lines
        finally:
            await store.close()

    note(f"cairn: dumped {asyncio.run(run()) - 2} rows")


@click.command("load")
@_data
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True), default="-")
def load_metadata(data: str | None, file: str) -> None:
    """Make a metadata folder from a dump in FILE (or stdin). Never serve the folder that was dumped afterwards."""
    folder = _folder(data)
    folder.mkdir(parents=True, exist_ok=True)

    async def run() -> int:
        store = real_env().open_store(str(folder))
        try:
            with store.read() as view:
                if not is_empty(view):
                    raise FormatError(where=str(folder), why="metadata are here already; load into an empty folder")
            with click.open_file(file, "rb") as lines:
                return await _load(store, parse(lines, file), folder)
        finally:
            await store.close()

    note(f"cairn: loaded {asyncio.run(run())} rows into {folder}")


async def _load(store: MetaStore, rows: Iterable[Row], folder: Path) -> int:
    identity: list[Row] = []
    count = 0
    others = _without_identity(rows, identity)
    while batch := list(itertools.islice(others, _BATCH_ROWS)):
        await store.write(lambda txn, batch=batch: load(txn, batch))  # type: ignore[misc]
        count += len(batch)
    with store.read() as view:
        faults = check.check(view)
    if faults:
        raise FormatError(where=str(folder), why=f"not sound: {'; '.join(faults[:_FAULTS_SHOWN])}")
    # Only what has been read to the end, with its checksum, and is sound becomes a cluster.
    await store.write(lambda txn: load(txn, identity))
    return count + len(identity)


def _without_identity(rows: Iterable[Row], identity: list[Row]) -> Iterator[Row]:
    for row in rows:
        if row.is_identity:
            identity.append(row)
        else:
            yield row


@contextmanager
def _writing(file: str) -> Iterator[BinaryIO]:
    """Open a file that is there only when it is whole."""
    if file == "-":
        yield sys.stdout.buffer
        return
    part = Path(file + ".part")
    with part.open("wb") as out:
        yield out
    part.rename(file)


def _folder(data: str | None) -> Path:
    context = click.get_current_context()
    above = context.parent.params.get("data") if context.parent is not None else None
    return Path(data or above or default_data("master"))
