"""The client processes of a storm: they work until SIGTERM, note what was acknowledged, and check what they read.

    python -m tests.e2e.storm_clients KIND NUMBER ADDRESS FOLDER PARENT

Whatever is wrong ends the process with a traceback and exit code 1, which the storm reports. Errors of the cluster are
wrong, too: within the promises every call ends well within its deadline. Only a plain write may fail after every member
of its chunk has restarted (contract 5); it is then written again with the next number.
"""

import json
import random
import signal
import sys
from pathlib import Path

from tests.e2e.storm_tally import CELLS, Tally, cell_bytes, cell_number, cell_place

import cairnfs
from cairnfs.checksum import crc32c
from cairnfs.cluster.parent import die_with
from cairnfs.cluster.producers import make_record, read_notes
from cairnfs.cluster.waiting import wait_until
from cairnfs.errors import LostWritesError, MutationFailedError

LOG, CELLS_FILE, NAMES = "/log", "/cells", "/names"
DEADLINE_S = 60.0
"""Of each call: many times what any fault of the storm lasts."""
OVERWRITERS = 2
SMALL_FILE_MAX = 20_000
KEPT_FILES = 30


class Client:
    """One client process."""

    def __init__(self, kind, number, address, folder):
        self.number, self.folder = number, Path(folder)
        self.tally = Tally(self.folder / "tally")
        self.chance = random.Random(number)
        self.notes = (self.folder / f"{kind}{number}.notes").open("ab", buffering=0)
        self.asked_to_stop = False
        signal.signal(signal.SIGTERM, self.stop)
        self.fs = connected(address)

    def stop(self, *_):
        self.asked_to_stop = True

    def work(self, step):
        """Call `step(sequence)` until SIGTERM."""
        sequence = 0
        while not self.asked_to_stop:
            step(sequence)
            sequence += 1
            self.tally.count(self.number)
        self.fs.close()


def connected(address):
    """Return a client, also if the master is away now: a first contact is not repeated by itself."""
    found = []

    def try_once():
        try:
            found.append(cairnfs.connect(address, timeout=DEADLINE_S))
        except cairnfs.CairnError:
            return False
        return True

    assert wait_until(try_once, DEADLINE_S), address
    return found[0]


# ---- kinds


def appender(client):
    log = client.fs.open(LOG, "ab", buffering=0)

    def step(sequence):
        record = make_record(client.number, sequence, client.chance)
        offset = log.append(record)
        client.notes.write(b"%d %d %d\n" % (offset, len(record), crc32c(record)))

    client.work(step)


def overwriter(client, share):
    """Write rising numbers into the cells of one share, which nobody else writes."""
    tally, mine = client.tally, [cell for cell in range(CELLS) if cell % OVERWRITERS == share]
    for cell in mine:
        if tally.started(cell) > tally.acked(cell):
            tally.loosen(cell, tally.started(cell))  # of one that was killed
    file = client.fs.open(CELLS_FILE, "r+b", buffering=0)

    def step(_sequence):
        cell = client.chance.choice(mine)
        number = tally.started(cell) + 1
        tally.start(cell, number)
        try:
            file.pwrite(cell_bytes(cell, number), cell_place(cell)[0])
            file.sync()
        except (LostWritesError, MutationFailedError) as error:
            tally.loosen(cell, number)
            client.notes.write(f"cell {cell} number {number}: {error}\n".encode())
        else:
            tally.ack(cell, number)

    client.work(step)


def reader(client, place):
    """Contracts 3 and 4: no mixture, nothing older than what was acked or read before, nothing that nobody wrote."""
    tally, file = client.tally, client.fs.open(CELLS_FILE, "rb", buffering=0)
    log = None

    def step(_sequence):
        nonlocal file, log
        if client.chance.random() < 0.05:
            file.close()
            file = client.fs.open(CELLS_FILE, "rb", buffering=0)
        check_cell(tally, file, client.chance.randrange(CELLS), place)
        record = any_acknowledged(client)
        if record is not None:
            log = log or client.fs.open(LOG, "rb", buffering=0)
            data = log.pread(record.length, record.offset)
            assert crc32c(data) == record.crc, f"acknowledged record differs: {record}, read {data[:60]!r}"

    client.work(step)


def check_cell(tally, file, cell, reader_place):
    offset, size = cell_place(cell)
    least = tally.least(cell)
    data = file.pread(size, offset)
    most = tally.started(cell)
    number = cell_number(cell, data)
    assert number is not None, (
        f"mixture in cell {cell}: {sorted({bytes(data[at : at + 16]) for at in range(0, size, 16)})}"
    )
    if not least <= number <= most:
        assert tally.is_loose(cell, number), f"cell {cell} was read as {number}, but {least} to {most} are right"
    else:
        tally.see(reader_place, cell, number)


def any_acknowledged(client):
    """Return one of the last records of some appender."""
    paths = sorted(client.folder.glob("appender*.notes"))
    path = client.chance.choice(paths) if paths else None
    if path is None:
        return None
    recent = list(read_notes(path))[-200:]
    return client.chance.choice(recent) if recent else None


def namer(client):
    """Make small files, rename and delete them, in a folder of its own; every step is noted before and after."""
    top = f"{NAMES}/{client.number}"
    client.fs.makedirs(top)
    there = []

    def step(sequence):
        if len(there) > KEPT_FILES:
            victim = there.pop(client.chance.randrange(len(there)))
            noted("remove", victim, 0, lambda: client.fs.remove(victim))
            return
        path, data = f"{top}/{sequence}", client.chance.randbytes(client.chance.randrange(SMALL_FILE_MAX))
        noted("write", f"{path}.new", crc32c(data), lambda: client.fs.write_bytes(f"{path}.new", data))
        noted("rename", path, crc32c(data), lambda: client.fs.rename(f"{path}.new", path))
        there.append(path)

    def noted(what, path, crc, call):
        client.notes.write(json.dumps(["begin", what, path, crc]).encode() + b"\n")
        call()
        client.notes.write(json.dumps(["end", what, path, crc]).encode() + b"\n")

    client.work(step)


def main(kind, number, address, folder, parent):
    die_with(int(parent))
    client = Client(kind, int(number), address, folder)
    name, _, share = kind.partition("-")
    if name == "appender":
        appender(client)
    elif name == "overwriter":
        overwriter(client, int(share))
    elif name == "reader":
        reader(client, int(share))
    else:
        assert name == "namer", name
        namer(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
