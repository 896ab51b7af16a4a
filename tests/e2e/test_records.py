"""Records between real processes: producers, servers and a reader that are killed, and a count that comes out exact."""

import subprocess
import sys
from collections import Counter
from contextlib import closing

from tests.e2e.record_processes import LOG, open_store
from tests.e2e.tools import environment

import cairnfs
from cairnfs.cluster.waiting import wait_until

PRODUCERS = 4
RECORDS = 800


def begin(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.record_processes", *map(str, arguments)],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )


def stored(path):
    with closing(open_store(path)) as store:
        return Counter(store.execute("SELECT who, number FROM events").fetchall())


def test_many_producers_a_dying_server_and_a_dying_reader_make_an_exact_count(own_cluster, tmp_path):
    path = tmp_path / "store.db"
    with cairnfs.connect(own_cluster.address) as fs:
        fs.write_bytes(LOG, b"")
    producers = [begin("produce", own_cluster.address, f"p{number}", RECORDS) for number in range(PRODUCERS)]
    reader = begin("read", own_cluster.address, path)
    victims, lives = list(own_cluster.chunkservers[:2]), 1
    total = PRODUCERS * RECORDS
    try:
        for share in range(1, 9):  # the reader dies in the middle of each eighth, a server in two of them
            assert wait_until(lambda share=share: stored(path).total() >= share * total // 9, timeout_s=120)
            reader.kill()
            reader.wait()
            if share in (2, 5):
                victim = victims.pop()
                own_cluster.kill(victim)
                own_cluster.restart(victim)
            reader = begin("read", own_cluster.address, path)
            lives += 1
        assert [one.wait() for one in producers] == [0] * PRODUCERS
        assert wait_until(lambda: stored(path).total() >= total, timeout_s=120)
    finally:
        for one in [*producers, reader]:
            one.kill()
            one.wait()
    assert lives == 9
    assert stored(path) == {(f"p{who}", number): 1 for who in range(PRODUCERS) for number in range(RECORDS)}
