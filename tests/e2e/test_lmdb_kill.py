"""The real metadata store in a process that is killed in the middle of its commits, again and again."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

from tests.e2e.lmdb_writer import MAP_BYTES
from tests.e2e.tools import environment
from tests.unit.meta.support import GEOMETRY, NOW_NS, DictStore

from cairnfs.checksum import crc32c
from cairnfs.config import ClusterConfig
from cairnfs.env.lmdb_store import LmdbStore
from cairnfs.ids import ClusterId
from cairnfs.meta import log, tables
from cairnfs.meta.apply import apply
from cairnfs.meta.check import check

ROOT = Path(__file__).parents[2]
KILLS = 32
COMMITS_MAX = 15
SPIN_MAX = 30_000


def test_a_store_that_is_killed_in_its_commits_keeps_every_ack_and_no_half(tmp_path):
    """Goal: contract 1 and rule 1 for a process that dies. Method: six callers change the tree; after a random number
    of commits, at a random moment in or after one, SIGKILL; then every acknowledged result is there, all invariants of
    the tables hold, the log is whole, and the tables are what the log makes of the first ones. Many times on one store.
    """
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    asyncio.run(initialise(tmp_path))
    replayed, position = asyncio.run(first_tables(tmp_path)), 1
    acks, in_commit = {}, 0
    for kill in range(KILLS):
        lines = killed_writer(tmp_path, chance)
        in_commit += lines[-1] == "commit"
        acks.update(ack_of(line) for line in lines if line.startswith("ack"))
        position = asyncio.run(look(tmp_path, acks, replayed, position, f"seed {seed}, kill {kill}"))
    print(f"{KILLS} kills, {in_commit} in a commit, {len(acks)} acknowledged changes, {position - 1} rows in the log")
    assert in_commit > 0
    assert position > len(acks) / 2 > KILLS


def killed_writer(folder, chance):
    """Let a writer write, kill it, return the whole lines that it had said."""
    command = [sys.executable, "-m", "tests.e2e.lmdb_writer", str(folder), str(chance.random())]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    said = []
    wanted = chance.randint(2, COMMITS_MAX)  # the first is that of the epoch
    try:
        while said.count("commit") < wanted:
            line = writer.stdout.readline()
            assert line, (writer.wait(), said)
            said.append(line.decode().rstrip())
        # A moment inside the commit that begins now, or a little later: no clock, only work.
        for _ in range(chance.randrange(SPIN_MAX)):
            pass
    finally:
        writer.kill()
        rest = writer.stdout.read().decode()
        writer.wait()
        writer.stdout.close()
    assert rest.endswith("\n") or not rest, rest
    return said + rest.splitlines()


def ack_of(line):
    client, sequence, crc = map(int, line.split()[1:])
    return (client, sequence), crc


async def initialise(folder):
    store = LmdbStore(str(folder), map_bytes=MAP_BYTES)
    cluster = ClusterId("c" * 32)
    await store.write(
        lambda txn: tables.initialise(txn, cluster=cluster, geometry=GEOMETRY, config=ClusterConfig(), now_ns=NOW_NS)
    )
    await store.close()


async def first_tables(folder):
    store, copy = LmdbStore(str(folder), map_bytes=MAP_BYTES), DictStore()
    with store.read() as view:
        for table in tables.TABLES:
            for key, value in view.scan(table):
                copy.put(table, key, value)
    await store.close()
    return copy


async def look(folder, acks, replayed, position, where):
    """Check a reopened store; bring `replayed` up to its log and return the position behind that."""
    store = LmdbStore(str(folder), map_bytes=MAP_BYTES)
    with store.read() as view:
        assert check(view) == [], where
        lost = [ack for ack, crc in acks.items() if result_crc(view, ack) != crc]
        assert not lost, (where, lost)
        for entry in log.read_from(view, position):
            assert entry.index == position, where
            position += 1
            for record in entry.records:
                apply(replayed, record)
        for table in tables.TABLES:
            if table != tables.LOG:
                assert rows_of(view, table) == rows_of(replayed, table), (where, table)
    await store.close()
    return position


def result_crc(view, ack):
    row = view.get(tables.RESULTS, tables.key2(*ack))
    return None if row is None else crc32c(row)


def rows_of(view, table):
    return [row for row in view.scan(table) if (table, row[0]) != (tables.META, tables.LOG_KEY)]
