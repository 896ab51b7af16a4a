"""`cairn master backup` and `cairn master restore`: metadata in a file that says whether it is whole. Rules 22, 23."""

import asyncio
import os
import random
import time
from pathlib import Path

import click

from cairnfs.checksum import crc32c
from cairnfs.cli.common import document, line
from cairnfs.cli.progress import progress
from cairnfs.cli.stores import appearing, data_option, faults_in, folder_of, opened, store_made_aside, the_store_in
from cairnfs.env import MetaWrite
from cairnfs.env.lmdb_file import copy_store, looking
from cairnfs.env.lmdb_store import FILE
from cairnfs.env.solo import read_epoch, set_epoch
from cairnfs.errors import FormatError
from cairnfs.ids import Epoch
from cairnfs.meta import log
from cairnfs.meta.apply import apply
from cairnfs.meta.backup import TAIL_BYTES, Facts, decode_tail, encode_tail, facts_of
from cairnfs.meta.decide import restores
from cairnfs.meta.tables import TABLES
from cairnfs.units import MIB, SECOND_NS, format_size

_PIECE_BYTES = 4 * MIB
_FAULTS_SHOWN = 3


@click.command("backup")
@click.argument("target", type=click.Path(dir_okay=False))
@data_option
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def backup(target: str, data: str | None, as_json: bool) -> None:
    """Copy the metadata of one moment to the new file TARGET, on the master's machine, while it runs or not.

    The copy is made by this process: the master does not wait for it. TARGET appears when all of it is written, synced
    and was read back.
    """
    file = the_store_in(folder_of(data))
    taken_ns = time.time_ns()
    with appearing(Path(target)) as part:
        with progress("backup") as bar:
            told = 0

            def tell(written: int) -> None:
                nonlocal told
                bar.advance(written - told)
                told = written

            bar.expect(file.stat().st_size)
            copy_store(str(file.parent), str(part), tell)
        facts = _seal(part, taken_ns)
    size = Path(target).stat().st_size
    if as_json:
        document({"file": target, "size": size, **_told(facts)})
    else:
        line(f"{target}: {format_size(size)}, {facts.files} files, reign {facts.epoch}, log at {facts.log_index}")


def _seal(part: Path, taken_ns: int) -> Facts:
    """Verify a copy, and write behind it what it is.

    Raises:
        FormatError: the copy is not sound: nor is what was copied, or the disk.
    """
    crc, size = checksum_of(part, part.stat().st_size)
    with looking(str(part)) as view:
        for table in TABLES:
            rows = sum(1 for _ in view.scan(table))
            if rows != view.count(table):
                raise FormatError(where=str(part), why=f"table {table} has {rows} rows, but counts {view.count(table)}")
        if faults := log.verify(view):
            raise FormatError(where=str(part), why=f"not sound: {'; '.join(faults)}")
        facts = facts_of(view, epoch=read_epoch(view), taken_ns=taken_ns, body_bytes=size, body_crc=crc)
    with part.open("ab") as out:
        out.write(encode_tail(facts))
        out.flush()
        os.fsync(out.fileno())
    return facts


def read_facts(file: Path) -> Facts:
    """Return what a backup says of itself, once all its bytes are those that were written.

    Raises:
        FormatError: no backup, cut short, or damaged.
    """
    size = file.stat().st_size
    with file.open("rb") as source:
        source.seek(max(0, size - TAIL_BYTES))
        facts = decode_tail(source.read(), size_bytes=size, where=str(file))
    if checksum_of(file, facts.body_bytes)[0] != facts.body_crc:
        raise FormatError(where=str(file), why="damaged: its bytes are not those that were written")
    return facts


def checksum_of(file: Path, size: int) -> tuple[int, int]:
    """Return the CRC32C of the first `size` bytes, and how many there were."""
    crc = done = 0
    with file.open("rb") as source:
        while piece := source.read(min(_PIECE_BYTES, size - done)):  # ends: with the file
            crc, done = crc32c(piece, crc), done + len(piece)
    return crc, done


@click.command("restore")
@click.argument("source", metavar="BACKUP", type=click.Path(dir_okay=False, exists=True))
@click.argument("folder", required=False)
@click.option("--replace", is_flag=True, help="also if FOLDER holds metadata; its file is kept under another name")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def restore(source: str, folder: str | None, replace: bool, as_json: bool) -> None:
    """Make the metadata in FOLDER from BACKUP, for a cluster that has gone on since.

    The master that is started there deletes nothing until `cairn deletions --accept-restore`: what was written after
    the backup is still on the chunkservers, though no file names it. Numbers leap, so that none is given out twice.
    """
    where = Path(folder) if folder else folder_of(None)
    facts = read_facts(Path(source))
    now_ns = time.time_ns()
    kept = where / f"{FILE}.{now_ns // SECOND_NS}" if replace and (where / FILE).exists() else None

    async def run() -> None:
        with store_made_aside(where, replaces=kept) as aside:
            _copy_body(Path(source), aside / FILE, facts)
            with looking(str(aside / FILE)) as view:
                faults = faults_in(view)
            if faults:
                raise FormatError(where=source, why=f"not sound: {'; '.join(faults[:_FAULTS_SHOWN])}")
            async with opened(aside) as store:
                await store.write(lambda txn: _mark(txn, facts, now_ns))

    asyncio.run(run())
    if as_json:
        document({"folder": str(where), "kept": str(kept or ""), **_told(facts)})
        return
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.taken_ns / SECOND_NS))
    line(f"restored the metadata of {made} into {where}: {facts.files} files, log at {facts.log_index}")
    if kept is not None:
        line(f"the metadata that was there is now {kept}")
    line("the master holds all deletions until `cairn deletions --accept-restore`")


def _copy_body(source: Path, target: Path, facts: Facts) -> None:
    done = crc = 0
    with source.open("rb") as old, target.open("xb") as new:
        while piece := old.read(min(_PIECE_BYTES, facts.body_bytes - done)):  # ends: with the file
            new.write(piece)
            crc, done = crc32c(piece, crc), done + len(piece)
        new.flush()
        os.fsync(new.fileno())
    if (done, crc) != (facts.body_bytes, facts.body_crc):
        raise FormatError(where=str(source), why="it changed while it was read")


def _mark(txn: MetaWrite, facts: Facts, now_ns: int) -> None:
    """Rule 22: the store itself says where it came from, before any master can open it."""
    drawn = random.SystemRandom().getrandbits(restores.LEAP_BITS)
    record = restores.restored(txn, read_epoch(txn), taken_ns=facts.taken_ns, now_ns=now_ns, drawn=drawn)
    apply(txn, record)
    log.append(txn, [record], epoch=record.epoch, now_ns=now_ns)
    set_epoch(txn, Epoch(record.epoch))


def _told(facts: Facts) -> dict[str, object]:
    return {
        "cluster": facts.cluster,
        "taken_ns": facts.taken_ns,
        "epoch": facts.epoch,
        "max_version": str(facts.max_version),
        "next_handle": facts.next_handle,
        "log_index": facts.log_index,
        "files": facts.files,
        "chunks": facts.chunks,
    }
