"""A minute of trouble: writers, readers and appenders while servers die, lose power and are cut off.

Checked while it runs, for each cell of one file (a cell is overwritten whole by one writer with rising numbers):
    1. a read shows one number, never a mixture (contract 3)
    2. at least the number acknowledged before the read began, at most the last one that was begun (contract 4)
    3. at least every number that a read which had ended before showed (contract 4)
Besides: snapshots of that file, one file stretched and cut, names (`jobs`). At the end: every acknowledged record once
(contract 2), all copies equal (rule 12). What goes wrong meanwhile is in `trouble`.

Accepted: where all members of a version died before a raise, writes that were not synced may be gone (contract 5); the
record of the chunk says so.

As a script it runs seeds: `python -m tests.sim.chaos FIRST LAST [GUARD]`, with one safeguard off if named.
"""

import contextlib
import logging
import struct
import sys
import traceback
from dataclasses import dataclass, field

from tests.sim.jobs import (
    Names,
    Snapshot,
    Stretched,
    check_names,
    check_snapshots,
    check_stretched,
    stretch,
    take_snapshots,
    use_names,
)
from tests.sim.trouble import KINDS, Trouble

from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig
from cairnfs.errors import CairnError
from cairnfs.ids import NO_VERSION
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.cluster import MASTER_ADDRESS, SimCluster
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
    synced: int = 0


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
    others: str = ""
    doubts: list[tuple[int, str]] = field(default_factory=list)
    """(chunk, what was seen) that only broken continuity explains."""

    def values_of(self, data: bytes) -> list[int]:
        """The number that each cell shows."""
        found = []
        for number, place in enumerate(PLACES):
            cell = data[place : place + CELL_BYTES]
            assert len(cell) == CELL_BYTES, f"cell {number}: {len(cell)} bytes"
            values = set(struct.unpack(f"<{CELL_BYTES // 8}Q", cell))
            assert len(values) == 1, f"cell {number} shows a mixture of {sorted(values)}"
            found.append(values.pop())
        return found

    def note_shown(self, number: int, value: int, *, least: int, what: str, synced: int = 0) -> None:
        """A read that began when `least` was known has shown `value`."""
        if value < least:
            assert value >= synced, f"{what}: cell {number} shows {value}, but {synced} was synced before"
            cell = self.cells[number]
            cell.acked, cell.shown = min(cell.acked, value), min(cell.shown, value)
            self.doubts.append((number // 2, f"{what}: stale read: cell {number} shows {value} after {least}"))


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
            if chance.random() < 0.05:
                with contextlib.suppress(CairnError):
                    before = [history.cells[one].acked for one in mine]
                    await file.sync()
                    for one, acked in zip(mine, before, strict=True):
                        history.cells[one].synced = acked
        await cluster.pause(chance.uniform(0.0, 0.4))


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
        least, synced = max(cell.acked, cell.shown), cell.synced
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
        assert value <= cell.begun, f"cell {number} shows {value}, which nobody wrote"
        history.note_shown(number, value, least=least, what=f"{name} {cluster.world.loop.time():.3f}", synced=synced)
        cell.shown = max(cell.shown, value)
        await cluster.pause(chance.uniform(0.0, 0.4))


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
        await cluster.pause(chance.uniform(0.0, 0.4))


def client_near(cluster: SimCluster, host: str, near: str) -> Client:
    config = ClientConfig(master=(MASTER_ADDRESS,), near=f"{near}:7410", readahead_bytes=0)
    return Client(cluster.world.env(host), config)


async def make_trouble(world: SimWorld, cluster: SimCluster, told: list[str], kinds: tuple[str, ...]) -> None:
    """Odd seeds have two sources of trouble at once."""
    sources = [Trouble(cluster, world.stream(f"trouble {number}"), told) for number in range(1 + world.seed % 2)]
    makers = [world.loop.create_task(each.rounds(ROUNDS, kinds)) for each in sources]
    for maker in makers:
        await maker
    await sources[0].end()


async def live(cluster: SimCluster, after: list, told: list[str], kinds: tuple[str, ...]) -> History:
    """Run everything for a while; return what was seen."""
    world = cluster.world
    history, stretched, names = History(), Stretched(), Names()
    taken: list[Snapshot] = []
    tasks = []

    async def make(client: Client) -> None:
        async with await client.open(FILE, "wb") as file:
            for place in PLACES:
                await file.pwrite(content(0), place)
        await client.write_bytes(LOG, b"")

    def start(host: str, job, near: str = "cs0") -> None:
        async def with_client() -> None:
            async with client_near(cluster, host, near) as client:
                await job(client)

        tasks.append(world.spawn(host, with_client(), name=f"job {host}"))

    def is_over() -> bool:
        return history.is_over

    await cluster.on_client(make)
    start("writer0", lambda client: write_cells(cluster, client, history, [0, 2, 4]))
    start("writer1", lambda client: write_cells(cluster, client, history, [1, 3, 5]), near="cs1")
    for near in cluster.names:
        start(f"reader-{near}", lambda client, near=near: read_cells(cluster, client, history, near), near=near)
    start("appender0", lambda client: append_records(cluster, client, history, 0), near="cs2")
    start("appender1", lambda client: append_records(cluster, client, history, 1), near="cs3")
    start("stretcher", lambda client: stretch(cluster, client, is_over, stretched), near="cs1")
    start("namer", lambda client: use_names(cluster, client, is_over, names), near="cs2")
    start("snapper", lambda client: take_snapshots(cluster, client, is_over, history, taken, file=FILE))
    try:
        await make_trouble(world, cluster, told, kinds)
    finally:
        history.is_over = True
    for task in tasks:
        await task
    after += [
        lambda client: check_records(client, history),
        lambda client: check_stretched(client, stretched),
        lambda client: check_names(client, names),
        lambda client: check_snapshots(client, taken, history),
        lambda client: check_doubts(cluster, client, history),
        lambda client: check_copies(cluster, client),
    ]
    history.others = f"{stretched.done} changes, {names.done} names, {len(taken)} snapshots"
    return history


async def check_doubts(cluster: SimCluster, client: Client, history: History) -> None:
    chunks = {chunk.index: chunk.handle for chunk in await client.chunk_table(FILE)}
    for index, what in history.doubts:
        row = cluster.master.reign.chunk(chunks[index])
        assert row.broken_at != NO_VERSION, what


async def check_records(client: Client, history: History) -> None:
    found = [one.data async for one in client.records(LOG)]
    assert len(found) == len(set(found)), "a record is repeated"
    missing = set(history.acked_records) - set(found)
    assert not missing, f"{len(missing)} acknowledged records are lost: {sorted(one[:12] for one in missing)[:5]}"
    invented = set(found) - set(history.acked_records) - set(history.maybe_records)
    assert not invented, "records that nobody appended"


def currents(cluster: SimCluster, chunk) -> list[str]:
    return [cluster.name_of(one.server) for one in chunk.replicas if one.current]


async def check_copies(cluster: SimCluster, client: Client) -> None:
    """Wait until every chunk has its copies; then they are equal, bit for bit."""
    for _ in range(600):
        chunks = [*await client.chunk_table(FILE), *await client.chunk_table(LOG)]
        # A replica that has just been found rotten is told to the master with the next heartbeat.
        if all(
            len(cluster.digests(chunk.handle).keys() & set(currents(cluster, chunk))) >= chunk.goal for chunk in chunks
        ):
            break
        await cluster.pause(0.5)
    else:
        raise AssertionError("copies are still missing after five minutes")
    for chunk in chunks:
        digests = cluster.digests(chunk.handle)
        values = {digests.get(cluster.name_of(one.server)) for one in chunk.replicas if one.current}
        assert len(values) == 1, (chunk.handle, digests)


def run(seed: int, safeguards: Safeguards = ALL_ON, kinds: tuple[str, ...] = KINDS) -> History:
    """Run one seed; raises AssertionError for whatever was seen to be wrong."""
    told: list[str] = []
    with SimWorld(seed) as world:
        try:
            cluster = SimCluster(world, chunkservers=4, safeguards=safeguards)
            cluster.start()
            after: list = []
            history = world.run(live(cluster, after, told, kinds), limit_s=1500)
            for check in after:
                world.run(cluster.on_client(check), limit_s=1000)
        except BaseException as error:
            error.add_note("\n".join([f"seed {seed} failed at {world.loop.time():.3f} s", *told]))
            raise
        return history


def main() -> None:
    safeguards = Safeguards(**{sys.argv[3]: False}) if len(sys.argv) > 3 else ALL_ON
    failed = 0
    logging.disable(logging.CRITICAL)
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        try:
            history = run(seed, safeguards)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            print("\n".join(getattr(error, "__notes__", [])[:1]))
            if failed < 5:
                error.__notes__ = []
                traceback.print_exc(limit=-6)
        else:
            print(f"seed {seed}: {history.writes} writes, {history.reads} reads, "
                  f"{len(history.acked_records)} records, {history.others}, {history.refused} refused, "
                  f"{len(history.doubts)} doubts", flush=True)  # fmt: skip
    print(f"{failed} failed")


if __name__ == "__main__":
    main()
