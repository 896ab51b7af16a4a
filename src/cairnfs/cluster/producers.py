"""Producers of the demo and of end-to-end tests: processes that append records to one file and note what was acked.

    python -m cairnfs.cluster.producers --address HOST:PORT --path /log --number 3 --notes FILE --parent PID

Every record says who wrote it, which one it is and what follows, with a CRC: whoever finds it can check it alone. After
each ack the producer notes (offset, length, crc) in its own file. SIGTERM ends it after the append in hand.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cairnfs
from cairnfs.checksum import crc32c
from cairnfs.cluster.parent import die_with

FILLER_MAX = 2000
"""Records of up to about 2 KB, as log lines are."""
NOTE_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One acked record: where it stands and what it is."""

    offset: int
    length: int
    crc: int


class Producers:
    """Starts and ends producer processes; a context manager."""

    def __init__(self, address: str, path: str, folder: Path, *, count: int) -> None:
        self._address, self._path, self._folder, self._count = address, path, folder, count
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Producers":
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(self._count):
            command = [sys.executable, "-m", "cairnfs.cluster.producers", "--address", self._address]
            command += ["--path", self._path, "--number", str(number), "--notes", str(self._notes(number))]
            command += ["--parent", str(os.getpid())]
            with self._log(number).open("ab") as log:
                self._running.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def stop(self, timeout_s: float = 30.0) -> list[str]:
        """Ask them to end after the append in hand; return what went wrong, a line a producer."""
        for process in self._running:
            process.terminate()
        faults = []
        for number, process in enumerate(self._running):
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                faults.append(f"producer {number} still waits for an ack after {timeout_s:g} s")
                continue
            if code != 0:
                words = self._log(number).read_text(errors="replace").strip().splitlines()
                faults.append(f"producer {number} ended with {code}: {words[-1] if words else 'no word'}")
        return faults

    def acknowledged(self) -> list[Acknowledged]:
        """Return what has been acked so far, by all of them."""
        return [each for number in range(self._count) for each in read_notes(self._notes(number))]

    def are_all_at_work(self) -> bool:
        """True once each of them has had an ack: before that one may still be starting, and needs a master to begin."""
        return all(any(True for _ in read_notes(self._notes(number))) for number in range(self._count))

    def _notes(self, number: int) -> Path:
        return self._folder / f"producer{number}.acked"

    def _log(self, number: int) -> Path:
        return self._folder / f"producer{number}.log"


def read_notes(path: Path) -> Iterator[Acknowledged]:
    """Yield the notes of one producer; a last line that is being written is left out."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield Acknowledged(*(int(field) for field in line.split()))


def make_record(number: int, sequence: int, chance: random.Random) -> bytes:
    """Return one record: a line with a CRC of what stands before it."""
    filler = bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz ", k=chance.randrange(FILLER_MAX)))
    body = b"producer %d record %d %s" % (number, sequence, filler)
    return b"%s crc %08x\n" % (body, crc32c(body))


def produce(fs: Any, path: str, number: int, notes: Path) -> None:  # noqa: ANN401 - the client's own type
    """Append until SIGTERM, noting each ack."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    chance = random.Random(number)
    sequence = 0
    with notes.open("ab", buffering=0) as acked, fs.open(path, "ab", buffering=0) as log:
        while not asked:
            record = make_record(number, sequence, chance)
            offset = log.append(record)
            acked.write(b"%d %d %d\n" % (offset, len(record), crc32c(record)))
            sequence += 1


def main() -> None:
    """Run one producer."""
    parser = argparse.ArgumentParser()
    for name in ("--address", "--path", "--notes"):
        parser.add_argument(name, required=True)
    for name in ("--number", "--parent"):
        parser.add_argument(name, type=int, required=True)
    given = parser.parse_args()
    die_with(given.parent)
    # A master that is killed and started again on a busy machine may be away for longer than the usual ten seconds.
    with cairnfs.connect(given.address, meta_timeout_s=60.0) as fs:
        produce(fs, given.path, given.number, Path(given.notes))


if __name__ == "__main__":
    main()
