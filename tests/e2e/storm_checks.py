"""What must be true after a storm: nothing acknowledged is lost, all copies are equal, nobody died by himself."""

import json
import re
from collections import Counter
from itertools import pairwise

from tests.e2e.storm_clients import CELLS_FILE, LOG
from tests.e2e.storm_tally import CELLS, cell_number, cell_place

from cairnfs.checksum import crc32c
from cairnfs.cluster.producers import read_notes
from cairnfs.cluster.replicas import look
from cairnfs.cluster.waiting import wait_until
from cairnfs.units import MIB

CLOSE_S = 60.0
PIECE_BYTES = 4 * MIB
COPIES = 3


def healed(fs):
    status = fs.status()
    return not (status.safe_start or status.chunks_missing or status.chunks_one_copy or status.chunks_below_goal)


def check_all(storm, fs):
    check_records(storm, fs)
    check_cells(storm, fs)
    check_names(storm, fs)
    check_copies(storm, fs)
    check_logs(storm)


def check_records(storm, fs):
    """Contract 2: each acknowledged record stands at its offset, and no two share a byte."""
    acked = [one for path in storm.folder.glob("appender*.notes") for one in read_notes(path)]
    acked.sort(key=lambda one: one.offset)
    for before, after in pairwise(acked):
        if before.offset + before.length > after.offset:
            storm.wrong(f"two acknowledged records share bytes: {before}, {after}")
    with fs.open(LOG, "rb") as file:
        for one in acked:
            file.seek(one.offset)
            if crc32c(file.read(one.length)) != one.crc:
                storm.wrong(f"acknowledged record is not there: {one}")
    repeats = Counter(line.rsplit(b" crc ", 1)[0][:40] for line in whole_lines(fs))
    storm.done["records acknowledged and found"] = len(acked)
    storm.done["records that stand twice (allowed: at least once)"] = sum(count > 1 for count in repeats.values())


def whole_lines(fs):
    """Yield the lines of the log whose own checksum fits."""
    rest = b""
    for piece in fs.cat(LOG):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            body, _, crc = line.rpartition(b" crc ")
            if crc == b"%08x" % crc32c(body):
                yield line


def check_cells(storm, fs):
    tally = storm.tally
    with fs.open(CELLS_FILE, "rb", buffering=0) as file:
        for cell in range(CELLS):
            offset, size = cell_place(cell)
            number = cell_number(cell, file.pread(size, offset))
            in_order = number is not None and tally.least(cell) <= number <= tally.started(cell)
            if not in_order and (number is None or not tally.is_loose(cell, number)):
                storm.wrong(f"cell {cell} says {number} after {tally.acked(cell)} of {tally.started(cell)} was acked")
    storm.done["overwrites started"] = sum(map(tally.started, range(CELLS)))


def check_names(storm, fs):
    """Contract 1 and 5: each file that was closed is whole, under the name that it has; each deleted one is gone."""
    there, gone, unsure = {}, {}, {}
    for path in storm.folder.glob("namer*.notes"):
        replay_names(path, there, gone, unsure)
    for path, crc in there.items():
        if path not in unsure and (not fs.exists(path) or crc32c(fs.read_bytes(path)) != crc):
            storm.wrong(f"closed file {path} is not whole")
    for path in gone:
        if path not in there and path not in unsure and fs.exists(path):
            storm.wrong(f"{path} is there, although it was deleted or renamed")
    storm.done["closed files compared"] = len(there)


def replay_names(notes, there, gone, unsure):
    """Apply the noted steps; the last one of a killed client may or may not have happened."""
    begun = None
    for line in notes.read_bytes().split(b"\n")[:-1]:
        when, what, path, crc = json.loads(line)
        if when == "begin":
            begun = what, path
            continue
        begun = None
        if what == "remove":
            del there[path]
            gone[path] = True
        else:
            there[path] = crc
            if what == "rename":
                del there[f"{path}.new"]
                gone[f"{path}.new"] = True
    if begun is not None:
        unsure.update({begun[1]: True, f"{begun[1]}.new": True})


def check_copies(storm, fs):
    """Every chunk has its copies, and they are equal, once nobody writes and the chunks are closed."""
    paths = [LOG, CELLS_FILE]

    def closed():
        return all(chunk.closed for path in paths for chunk in fs.chunk_table(path))

    if not wait_until(closed, CLOSE_S):
        storm.wrong(f"chunks are still open after {CLOSE_S:g} s")
    chunks = [chunk for path in paths for chunk in look(list(fs.chunk_table(path)))]
    for chunk in chunks:
        held = [each.held for each in chunk.replicas if each.known.current]
        states = [(one.length, one.digest) for one in held if one is not None and one.present]
        if len(states) < COPIES or len(set(states)) != 1:
            storm.wrong(f"copies of chunk {chunk.known.handle:016x} are few or differ: {states}")
    storm.done["chunks whose copies were compared"] = len(chunks)


def check_logs(storm):
    """No server met anything that a person is needed for, or that it did not expect."""
    for name in storm.cluster.servers:
        text = storm.cluster.log(name)
        bad = re.search(r"^.*(Traceback| ERROR | CRITICAL ).*$", text, re.MULTILINE)
        if bad is not None:
            storm.wrong(f"log of {name}: {text[bad.start() : bad.start() + 3000]}")
