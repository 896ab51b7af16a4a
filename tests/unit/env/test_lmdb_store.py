"""What only the real metadata store has: files on a disk, other processes, full maps, failing disks."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading

import lmdb
import pytest

from cairnfs.env import Outcome
from cairnfs.env.lmdb_store import FILE, FORMAT, FORMAT_KEY, FORMAT_TABLE, LmdbStore
from cairnfs.errors import DiskFailedError, DiskFullError, FolderInUseError, FormatError


def put(key, value=b""):
    return lambda tx: tx.put("t", key, value)


def rows(store):
    with store.read() as view:
        return list(view.scan("t"))


async def closing(store):
    await store.close()


@pytest.mark.parametrize("size", [1, 100, 4096, 8192, 100_000])
def test_a_file_that_is_no_store_is_refused_and_not_touched(tmp_path, size):
    content = (b"precious data " * size)[:size]
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(FormatError):
        LmdbStore(str(tmp_path))
    assert (tmp_path / FILE).read_bytes() == content


def test_somebody_elses_lmdb_file_is_refused(tmp_path):
    with lmdb.open(str(tmp_path / FILE), subdir=False, max_dbs=4) as other, other.begin(write=True) as transaction:
        transaction.put(b"a", b"b")
    with pytest.raises(FormatError, match="not of CairnFS"):
        LmdbStore(str(tmp_path))


def test_another_format_is_refused_with_the_command_that_converts_it(tmp_path):
    asyncio.run(closing(LmdbStore(str(tmp_path))))
    with lmdb.open(str(tmp_path / FILE), subdir=False, max_dbs=4) as other, other.begin(write=True) as transaction:
        table = other.open_db(FORMAT_TABLE, txn=transaction)
        transaction.put(FORMAT_KEY, FORMAT[:-1] + bytes([FORMAT[-1] + 1]), db=table)
    with pytest.raises(FormatError, match="cairn master dump"):
        LmdbStore(str(tmp_path))


def test_a_folder_that_is_missing_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(DiskFailedError):
        LmdbStore(str(tmp_path / "missing"))


def test_a_refused_store_leaves_its_folder_free(tmp_path):
    (tmp_path / FILE).write_bytes(b"x" * 8192)
    for _ in range(2):
        with pytest.raises(FormatError):
            LmdbStore(str(tmp_path))


def test_a_full_map_is_a_full_disk_and_lasts_until_the_store_is_opened_anew(tmp_path):
    async def scenario():
        store = LmdbStore(str(tmp_path), map_bytes=1 << 20)
        await store.write(put(b"kept"))
        with pytest.raises(DiskFullError):
            await store.write(put(b"big", bytes(2 << 20)))
        with pytest.raises(DiskFullError):
            await store.write(put(b"small"))
        assert not store.healthy
        assert rows(store) == [(b"kept", b"")]
        await store.close()
        again = LmdbStore(str(tmp_path), map_bytes=8 << 20)
        await again.write(put(b"big", bytes(2 << 20)))
        assert len(rows(again)) == 2
        await again.close()

    asyncio.run(scenario())


def test_a_job_that_hides_a_full_map_does_not_save_its_batch(tmp_path):
    async def scenario():
        store = LmdbStore(str(tmp_path), map_bytes=1 << 20)

        def job(tx):
            try:
                tx.put("t", b"big", bytes(2 << 20))
            except lmdb.Error:
                return "all is well"

        with pytest.raises(DiskFullError):
            await store.write(job)
        await store.close()

    asyncio.run(scenario())


def test_a_failed_write_of_the_disk_fails_the_store_and_nothing_of_the_batch_is_there(tmp_path):
    async def scenario():
        store = LmdbStore(str(tmp_path))
        await store.write(put(b"kept"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python ignores SIGXFSZ, so a write beyond the limit is an error of the system: EFBIG.
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / FILE).stat().st_size, hard))
        try:
            results = await asyncio.gather(
                *(store.write(put(b"%d" % n, bytes(100_000))) for n in range(3)), return_exceptions=True
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert any(isinstance(result, DiskFailedError) for result in results)
        with pytest.raises(DiskFailedError):
            await store.write(put(b"later"))
        await store.close()
        again = LmdbStore(str(tmp_path))
        acknowledged = [b"%d" % n for n, result in enumerate(results) if result is None]
        assert [key for key, _ in rows(again)] == sorted([*acknowledged, b"kept"])
        await again.close()

    asyncio.run(scenario())


def test_what_arrives_during_a_commit_shares_the_next_one(tmp_path):
    async def scenario():
        store = LmdbStore(str(tmp_path))
        commits = []
        store.gate = lambda: commits.append(1) or Outcome.COMMITTED
        await asyncio.gather(*(store.write(put(b"%d" % n)) for n in range(500)))
        assert len(rows(store)) == 500
        assert len(commits) < 100
        await store.close()

    asyncio.run(scenario())


CHILD = """
import asyncio, sys
from cairnfs.env.lmdb_store import LmdbStore

async def main():
    store = LmdbStore(sys.argv[1])
    number = 0
    while True:
        await store.write(lambda tx: tx.put("t", b"%08d" % number, b"x" * 100))
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


def test_another_process_is_refused_and_after_its_kill_every_acknowledged_row_is_there(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        last = 0
        while last < 50:
            last = int(child.stdout.readline())
        with pytest.raises(FolderInUseError):
            LmdbStore(str(tmp_path))
    finally:
        os.kill(child.pid, signal.SIGKILL)
        said, _ = child.communicate()
    numbers = [int(line) for line in said.splitlines()]
    last = max([last, *numbers])

    async def scenario():
        store = LmdbStore(str(tmp_path))
        keys = [int(key) for key, _ in rows(store)]
        assert keys == list(range(len(keys)))
        assert len(keys) >= last + 1
        await store.close()

    asyncio.run(scenario())


def test_who_sees_a_row_sees_the_tables_made_with_it(tmp_path):
    """Goal: invariant 2. Method: reads all the time, while each commit makes a table and counts it in another one."""
    store = LmdbStore(str(tmp_path))
    torn, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            with store.read() as view:
                count = view.get("count", b"k")
                if count and view.get(f"t{count.decode()}", b"k") is None:
                    torn.append(count)

    def make(number):
        return lambda tx: (tx.put(f"t{number}", b"k", b"v"), tx.put("count", b"k", b"%d" % number))

    async def main():
        for number in range(60):
            await store.write(make(number))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        asyncio.run(main())
    finally:
        ended.set()
        for reader in readers:
            reader.join()
        asyncio.run(closing(store))
    assert not torn
