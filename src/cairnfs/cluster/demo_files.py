"""The demo's files: the standard library, boards that change, a large file; snapshot, overwrite, delete, undelete."""

import hashlib
import os
import random
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cairnfs.cluster.demo_stage import BIG, BOARDS, DEMO, LIBRARY, SNAPSHOT, Stage
from cairnfs.cluster.telling import Bar
from cairnfs.units import KIB, MIB

AT_ONCE = 16
SKIPPED = ("site-packages", "dist-packages", "__pycache__")
BOARD_COUNT = 8
BOARD_BYTES = 100 * KIB
DELETED = f"{LIBRARY}/json"


def store_library(stage: Stage) -> None:
    """Store Python's standard library, and remember the hash of each file."""
    stage.teller.chapter("Store Python's standard library, every file three times")
    top = Path(sysconfig.get_paths()["stdlib"])
    files = list(_library_files(top))
    folders = sorted({str(path.parent) for path in files})
    for folder in folders:
        stage.fs.makedirs(LIBRARY + folder.removeprefix(str(top)), exist_ok=True)
    with stage.teller.bar("library", sum(path.stat().st_size for path in files)) as bar:

        def store(path: Path) -> tuple[str, bytes]:
            data = path.read_bytes()
            target = LIBRARY + str(path).removeprefix(str(top))
            stage.fs.write_bytes(target, data)
            bar.advance(len(data))
            return target, hashlib.sha256(data).digest()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            stage.library.update(pool.map(store, files))
    stage.teller.say(f"{len(stage.library)} files in {len(folders)} folders, from {top}")


def _library_files(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


# ------------------------------------------------------------------ boards


def store_boards(stage: Stage) -> None:
    """Store small files that will change while a server is away, and let the second client cache where they are."""
    stage.teller.chapter("Write eight boards, and let a second client read them: now its cache knows where they are")
    stage.fs.makedirs(BOARDS, exist_ok=True)
    for number in range(BOARD_COUNT):
        path = f"{BOARDS}/{number}"
        stage.boards[path] = _board(number, b"old")
        stage.fs.write_bytes(path, stage.boards[path])
    right = [stage.reader.read_bytes(path) == data for path, data in stage.boards.items()]
    stage.check(f"the second client reads all {len(right)} boards as they were written", all(right))


def overwrite_boards(stage: Stage) -> None:
    """Overwrite every board in place, while one server is away."""
    stage.teller.chapter("Overwrite every board in place while that server is away")
    for number, path in enumerate(stage.boards):
        stage.boards[path] = _board(number, b"new")
        with stage.fs.open(path, "r+b") as file:
            file.write(stage.boards[path])
    stage.teller.say("the second client heard nothing of it: its cache still names the old places")


def _board(number: int, word: bytes) -> bytes:
    line = b"board %d is %s\n" % (number, word)
    return line * (BOARD_BYTES // len(line))


# ------------------------------------------------------------------ the large file


def big_pieces(size: int, *, overwritten: bool) -> Iterator[bytes]:
    """Yield the large file in pieces of 1 MiB, the same each time; `overwritten`: as it is after the snapshot."""
    changed = changed_pieces(size) if overwritten else []
    for number in range(size // MIB):
        yield _piece(number, seed=2 if number in changed else 1)


def changed_pieces(size: int) -> list[int]:
    """Return which pieces are overwritten: the first, two around a chunk's end, and the last."""
    count = size // MIB
    return sorted({0, count // 2 - 1, count // 2, count - 1})


def _piece(number: int, *, seed: int) -> bytes:
    return random.Random(seed * 1_000_003 + number).randbytes(MIB)


def store_big(stage: Stage, bar: Bar) -> None:
    """Write the large file and sync it."""
    with stage.fs.open(BIG, "wb") as file:
        for piece in big_pieces(stage.big_bytes, overwritten=False):
            file.write(piece)
            bar.advance(len(piece))


# ------------------------------------------------------------------ snapshot, overwrite, delete, undelete


def snapshot_overwrite_delete(stage: Stage) -> None:
    """Snapshot all of it while producers append, then change and delete what was there."""
    stage.teller.chapter("Take a snapshot while the producers go on; then overwrite, delete and undelete")
    stage.acked_before_snapshot = stage.producers.acknowledged()
    stage.boards_before = dict(stage.boards)
    stage.fs.snapshot(DEMO, SNAPSHOT)
    stage.teller.say(f"{DEMO} is kept as {SNAPSHOT}: no byte was copied, chunks are shared until they change")
    for number, path in enumerate(stage.boards):
        stage.boards[path] = _board(number, b"newer")[: len(stage.boards[path])]
        with stage.fs.open(path, "wb") as file:
            file.write(stage.boards[path])
    with stage.fs.open(BIG, "r+b") as file:
        for number in changed_pieces(stage.big_bytes):
            file.seek(number * MIB)
            file.write(_piece(number, seed=2))
    stage.teller.say("the boards and four places of the large file are overwritten")
    stage.fs.rmtree(DELETED)
    stage.check(f"{DELETED} is gone after its deletion", not stage.fs.exists(DELETED))
    stage.fs.undelete(DELETED)
    stage.check(f"{DELETED} is back after undelete", stage.fs.exists(f"{DELETED}/__init__.py"))
