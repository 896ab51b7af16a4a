"""A minute of trouble: writers, readers and appenders while servers die, lose power and are cut off.

Checked while it runs, for each cell of one file (a cell is overwritten whole by one writer with rising numbers):
    1. a read shows one number, never a mixture (contract 3)
    2. at least the number acknowledged before the read began, at most the last one that was begun (contract 4)
    3. at least every number that a read which had ended before showed (contract 4)
and at the end: every acknowledged record once (contract 2), all copies equal (rule 12).

As a script it runs seeds: `python -m tests.sim.chaos FIRST LAST [GUARD]`, with one safeguard off if named.
"""

import random
import struct
import sys
import traceback
from dataclasses import dataclass, field

from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.world import SimWorld

CELLS = 6
CELL_BYTES = 24_000
"""Some lie across blocks of 4 KiB, all within one chunk of 64 KiB: two a chunk."""
PLACES = [(number // 2) * 65_536 + (number % 2) * 30_000 for number in range(CELLS)]
FILE, LOG = "/cells", "/log"
ROUNDS = 6


@dataclass
class Cell:
    """What is known of one cell."""

    begun: int = 0
    acked: int = 0
    shown: int = 0


@dataclass
class History:
    """What the clients saw."""

    cells: list[Cell] = field(default_factory=lambda: [Cell() for _ in range(CELLS)])
    acked_records: list[bytes] = field(default_factory=list)
    maybe_records: list[bytes] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    refused: int = 0
    is_over: bool = False


def content(number: int) -> bytes:
    return struct.pack("<Q", number) * (CELL_BYTES // 8)


async def write_cells(cluster: SimCluster, client: Client, history: History, mine: list[int]) -> None:
    chance = cluster.world.stream(f"writer {mine}")
    file = await client.open(FILE, "r+b")
    while not history.is_over:
        number = chance.choice(mine)
        cell = history.cells[number]
        cell.begun += 1
        value = cell.begun
        try:
            await file.pwrite(content(value), PLACES[number])
        except CairnError:
            history.refused += 1
            file.discard()
            file = await open_again(cluster, client)
        else:
            cell.acked = max(cell.acked, value)
            history.writes += 1
        await cluster.pause(chance.uniform(0.0, 0.1))


async def open_again(cluster: SimCluster, client: Client):
    while True:
        try:
            return await client.open(FILE, "r+b")
        except CairnError:
            await cluster.pause(0.2)


async def read_cells(cluster: SimCluster, client: Client, history: History, name: str) -> None:
    chance = cluster.world.stream(f"reader {name}")
    file = await client.open(FILE, "rb")
    while not history.is_over:
        number = chance.randrange(CELLS)
        cell = history.cells[number]
        acked, shown = cell.acked, cell.shown
        try:
            data = await file.pread(CELL_BYTES, PLACES[number])
        except CairnError:
            history.refused += 1
            await cluster.pause(0.05)
            continue
        history.reads += 1
        assert len(data) == CELL_BYTES, f"cell {number}: {len(data)} bytes"
        values = set(struct.unpack(f"<{CELL_BYTES // 8}Q", data))
        assert len(values) == 1, f"cell {number} shows a mixture of {sorted(values)}"
        value = values.pop()
        assert value >= acked, f"stale read: cell {number} shows {value}, but {acked} was acknowledged before"
        assert value >= shown, f"stale read: cell {number} shows {value}, but a read had shown {shown}"
        assert value <= cell.begun, f"cell {number} shows {value}, which nobody wrote"
        cell.shown = max(cell.shown, value)
        await cluster.pause(chance.uniform(0.0, 0.05))


async def append_records(cluster: SimCluster, client: Client, history: History, writer: int) -> None:
    chance = cluster.world.stream(f"appender {writer}")
    number = 0
    appender = await client.append_writer(LOG)
    while not history.is_over:
        number += 1
        data = f"{writer} {number} ".encode() + bytes(chance.randrange(6000))
        try:
            await appender.append(data)
        except CairnError:
            history.refused += 1
            history.maybe_records.append(data)
            appender = await client.append_writer(LOG)
        else:
            history.acked_records.append(data)
        await cluster.pause(chance.uniform(0.0, 0.1))


async def make_trouble(cluster: SimCluster, chance: random.Random) -> None:
    """Break one thing at a time, and mend it before the next."""
    world = cluster.world
    for _ in range(ROUNDS):
        await cluster.pause(chance.uniform(0.5, 3.0))
        kind = chance.choice(["crash", "crash", "power", "cut", "cut", "one-way", "master"])
        hosts = [MASTER, *cluster.names]
        if kind in ("crash", "power"):
            name = chance.choice(cluster.names)
            cluster.crash(name, power=kind == "power")
            await cluster.pause(chance.uniform(0.2, 12.0))
            await cluster.restart(name)
        elif kind == "master":
            cluster.crash(MASTER, power=chance.random() < 0.5)
            await cluster.pause(chance.uniform(0.2, 5.0))
            await cluster.restart(MASTER)
        else:
            one, other = chance.sample(hosts, 2)
            world.cut(one, other, one_way=kind == "one-way")
            await cluster.pause(chance.uniform(0.5, 15.0))
            world.heal()
        await cluster.pause(chance.uniform(1.0, 8.0))


async def live(cluster: SimCluster) -> History:
    """Run everything for a while; return what was seen."""
    world = cluster.world
    history = History()

    async def make(client: Client) -> None:
        async with await client.open(FILE, "wb") as file:
            for place in PLACES:
                await file.pwrite(content(0), place)
        await client.write_bytes(LOG, b"")

    await cluster.on_client(make)
    jobs = [
        cluster.on_client(lambda client: write_cells(cluster, client, history, [0, 2, 4]), host="writer0"),
        cluster.on_client(lambda client: write_cells(cluster, client, history, [1, 3, 5]), host="writer1"),
        cluster.on_client(lambda client: read_cells(cluster, client, history, "a"), host="reader0"),
        cluster.on_client(lambda client: read_cells(cluster, client, history, "b"), host="reader1"),
        cluster.on_client(lambda client: append_records(cluster, client, history, 0), host="appender0"),
        cluster.on_client(lambda client: append_records(cluster, client, history, 1), host="appender1"),
    ]
    tasks = [world.loop.create_task(job) for job in jobs]
    await make_trouble(cluster, world.stream("trouble"))
    history.is_over = True
    for task in tasks:
        await task
    return history


async def check_records(client: Client, history: History) -> None:
    found = [one.data async for one in client.records(LOG)]
    assert len(found) == len(set(found)), "a record is repeated"
    missing = set(history.acked_records) - set(found)
    assert not missing, f"{len(missing)} acknowledged records are lost: {sorted(one[:12] for one in missing)[:5]}"
    invented = set(found) - set(history.acked_records) - set(history.maybe_records)
    assert not invented, "records that nobody appended"


async def check_copies(cluster: SimCluster, client: Client) -> None:
    """Wait until every chunk has its copies; then they are equal, bit for bit."""
    for _ in range(600):
        chunks = [*await client.chunk_table(FILE), *await client.chunk_table(LOG)]
        if all(sum(one.current for one in chunk.replicas) >= chunk.goal for chunk in chunks):
            break
        await cluster.pause(0.5)
    else:
        raise AssertionError("copies are still missing after five minutes")
    for chunk in chunks:
        digests = cluster.digests(chunk.handle)
        values = {digests.get(cluster.name_of(one.server)) for one in chunk.replicas if one.current}
        assert len(values) == 1, (chunk.handle, digests)


def run(seed: int, safeguards: Safeguards = ALL_ON) -> History:
    """Run one seed; raises AssertionError for whatever was seen to be wrong."""
    with SimWorld(seed) as world:
        cluster = SimCluster(world, chunkservers=4, safeguards=safeguards)
        cluster.start()
        history = world.run(live(cluster))
        world.run(cluster.on_client(lambda client: check_records(client, history)))
        world.run(cluster.on_client(lambda client: check_copies(cluster, client)))
        return history


def main() -> None:
    safeguards = Safeguards(**{sys.argv[3]: False}) if len(sys.argv) > 3 else ALL_ON
    failed = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        try:
            history = run(seed, safeguards)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            if failed == 1:
                traceback.print_exc(limit=-6)
        else:
            print(f"seed {seed}: {history.writes} writes, {history.reads} reads, "
                  f"{len(history.acked_records)} records, {history.refused} refused", flush=True)  # fmt: skip
    print(f"{failed} failed")


if __name__ == "__main__":
    main()
