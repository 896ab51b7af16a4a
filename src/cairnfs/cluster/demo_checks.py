"""The end of the demo: every chunk has all copies again, and every byte is compared."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cairnfs.checksum import crc32c
from cairnfs.cluster.demo_files import AT_ONCE, big_pieces
from cairnfs.cluster.demo_stage import BIG, BOARDS, DEMO, LIBRARY, LOG, SNAPSHOT, Stage
from cairnfs.cluster.producers import Acknowledged
from cairnfs.cluster.replicas import HEADINGS, Chunk, look, rows
from cairnfs.units import MIB
from cairnfs.wire.status import ClusterStatus

HEAL_S = 90.0
COPIES = 3


def wait_for_copies(stage: Stage) -> None:
    """Wait until the master counts enough copies of every chunk."""
    stage.teller.chapter("Wait until every chunk has three copies again")
    took_s = stage.wait("every chunk has its copies", lambda: _healed(stage.fs.status()), HEAL_S)
    status: ClusterStatus = stage.fs.status()
    stage.check(f"all {status.chunks} chunks have three copies, {took_s:.1f} s later", _healed(status))


def _healed(status: ClusterStatus) -> bool:
    return not (status.chunks_missing or status.chunks_one_copy or status.chunks_below_goal or status.safe_start)


def compare_everything(stage: Stage) -> None:
    """Read all of it back and compare."""
    stage.teller.chapter("Compare everything")
    _compare_library(stage)
    for title, path, overwritten in (("large file", BIG, True), ("its snapshot", f"{SNAPSHOT}/big", False)):
        with stage.teller.bar(title, stage.big_bytes) as bar, stage.fs.open(path, "rb") as file:
            differ = 0
            for piece in big_pieces(stage.big_bytes, overwritten=overwritten):
                differ += file.read(MIB) != piece
                bar.advance(MIB)
            differ += file.read(1) != b""
        stage.check(f"{path} is what it should be, byte for byte", differ == 0)
    for path, data in stage.boards.items():
        old = stage.boards_before[path]
        kept = stage.fs.read_bytes(SNAPSHOT + path.removeprefix(DEMO)) == old
        stage.check(f"{path} is new, and old in the snapshot", stage.fs.read_bytes(path) == data and kept)
    _compare_records(stage)
    _compare_replicas(stage)


def _compare_library(stage: Stage) -> None:
    with stage.teller.bar("library", len(stage.library), in_bytes=False) as bar:

        def differs(path: str) -> bool:
            bar.advance(1)
            return hashlib.sha256(stage.fs.read_bytes(path)).digest() != stage.library[path]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            wrong = [path for path, bad in zip(stage.library, pool.map(differs, stage.library), strict=True) if bad]
    stage.check(f"all {len(stage.library)} files below {LIBRARY} have the hash they were stored with", not wrong)


def _compare_records(stage: Stage) -> None:
    acked = stage.producers.acknowledged()
    stage.records = len(acked)
    missing = _missing(stage, LOG, acked)
    stage.check(f"all {len(acked)} acknowledged records of {LOG} stand where the ack said", not missing)
    before = stage.acked_before_snapshot
    missing = _missing(stage, f"{SNAPSHOT}/log", before)
    stage.check(f"all {len(before)} records acknowledged before the snapshot stand in the snapshot", not missing)


def _missing(stage: Stage, path: str, acked: Sequence[Acknowledged]) -> list[Acknowledged]:
    """Return the records whose bytes are not at their offset."""
    data = memoryview(stage.fs.read_bytes(path))
    return [each for each in acked if crc32c(data[each.offset : each.offset + each.length]) != each.crc]


def _compare_replicas(stage: Stage) -> None:
    paths = [LOG, BIG, f"{SNAPSHOT}/log", f"{SNAPSHOT}/big", *stage.boards]
    chunks = [chunk for path in paths for chunk in look(list(stage.fs.chunk_table(path)))]
    fewer = [chunk for chunk in chunks if len(_current(chunk)) < COPIES]
    differ = [chunk for chunk in chunks if len(set(_current(chunk))) != 1]
    stage.check(f"{COPIES} servers hold each of the {len(chunks)} chunks below {DEMO} and {SNAPSHOT}", not fewer)
    stage.check("the checksums of all copies of a chunk are equal", not differ)


def _current(chunk: Chunk) -> list[tuple[int, int]]:
    """Return length and checksum of every copy that counts."""
    return [
        (replica.held.length, replica.held.digest)
        for replica in chunk.replicas
        if replica.known.current and replica.held is not None and replica.held.present
    ]


def show_chunks(stage: Stage) -> None:
    """Print the chunk table of the log and of one board."""
    for path in (LOG, f"{BOARDS}/0"):
        stage.teller.chapter(f"Chunks of {path}")
        stage.teller.table(HEADINGS, rows(look(list(stage.fs.chunk_table(path)))))
