"""Files of chunks are cut and changed under running chunkservers: readers never see it, and it is repaired."""

import json
import random

import pytest
from tests.e2e.tools import ok, run

import cairnfs
from cairnfs.cluster.waiting import wait_until
from cairnfs.units import KIB

PATIENCE_S = 30
SIZE = 300 * KIB
PLACE = 100 * KIB
"""Of the damage: in the middle of the second block."""


def cut(path):
    with path.open("r+b") as file:
        file.truncate(PLACE)


def change(path):
    with path.open("r+b") as file:
        file.seek(PLACE)
        file.write(b"not what was stored")


@pytest.mark.parametrize("damage", [cut, change])
@pytest.mark.parametrize("read_bytes", [SIZE, 1000])
def test_a_damaged_chunk_file_is_read_from_elsewhere_and_repaired(own_cluster, damage, read_bytes):
    """Goal: rule 16. Method: the file is damaged at the server that a reader prefers; small reads are verified there,
    large ones by the reader. Afterwards three servers hold the right bytes on their disks again.
    """
    data = random.Random(1).randbytes(SIZE)
    ok(own_cluster, "put", "-", "/file", stdin=data)
    chunk = last_chunk(own_cluster, closed=True)
    victim = own_cluster.named(chunk["replicas"][0]["address"])
    damage(chunk_file(own_cluster, victim, chunk))
    with cairnfs.connect(own_cluster.address, near=own_cluster.addresses[victim]) as fs:
        with fs.open("/file", "rb", buffering=0) as file:
            file.seek(PLACE)
            expected = data[PLACE : PLACE + read_bytes]
            assert file.read(read_bytes) == expected
        assert wait_until(lambda: quarantined(own_cluster, victim), PATIENCE_S)
        assert wait_until(lambda: whole(own_cluster, data), PATIENCE_S), ok(own_cluster, "chunks", "/file")
        assert fs.read_bytes("/file") == data
    assert "quarantined" in own_cluster.log(victim)
    unharmed(own_cluster)


@pytest.mark.parametrize("damage", [cut, change])
def test_a_damaged_file_of_an_open_chunk_costs_no_acknowledged_record(own_cluster, damage):
    """Method: each member of the chunk that is appended to is damaged in turn, the primary too."""
    with cairnfs.connect(own_cluster.address) as fs:
        records = bytearray()
        for turn in range(3):
            for number in range(3):
                record = random.Random(10 * turn + number).randbytes(SIZE // 6)
                fs.append("/file", record)
                records.extend(record)
            chunk = last_chunk(own_cluster, closed=False)
            victim = own_cluster.named(chunk["replicas"][turn % 3]["address"])
            damage(chunk_file(own_cluster, victim, chunk))
            with cairnfs.connect(own_cluster.address, near=own_cluster.addresses[victim]) as reader:
                assert reader.read_bytes("/file") == records
            assert wait_until(lambda victim=victim: quarantined(own_cluster, victim), PATIENCE_S)
            assert wait_until(lambda: whole(own_cluster, records), PATIENCE_S)
    unharmed(own_cluster)


def last_chunk(cluster, *, closed):
    """Wait until the file's last chunk has three copies, closed or not as asked, and return it."""
    found = []

    def is_so():
        found[:] = json.loads(ok(cluster, "chunks", "--json", "/file"))[-1:]
        return found and (found[0]["closed"] or not closed) and current(found[0]) == 3

    assert wait_until(is_so, PATIENCE_S), found
    return found[0]


def current(chunk):
    """How many equal current copies `cairn chunks` shows."""
    shown = [replica for replica in chunk["replicas"] if replica["current"] and replica["present"]]
    return len(shown) if len({replica["checksum"] for replica in shown}) == 1 else 0


def chunk_file(cluster, name, chunk):
    return next((cluster.folder / name / "cairn").glob(f"[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/{chunk['handle']}.dat"))


def quarantined(cluster, name):
    return list((cluster.folder / name / "cairn" / "quarantine").glob("*"))


def whole(cluster, data):
    """True if every chunk has three current copies, equal by checksum and by the bytes on the disks."""
    chunks = json.loads(ok(cluster, "chunks", "--json", "/file"))
    if any(current(chunk) != 3 for chunk in chunks):
        return False
    for name in cluster.chunkservers:
        held = b"".join(chunk_file(cluster, name, chunk).read_bytes()[: chunk["length"]] for chunk in chunks)
        if held != data:
            return False
    return True


def unharmed(cluster):
    for name, server in cluster.servers.items():
        assert server.running, name
        assert "Traceback" not in cluster.log(name), cluster.log(name)


def test_full_disks_refuse_new_bytes_and_lose_none(own_cluster):
    """Goal: rule 26. Method: the reserve is set above the size of the disk. A mount of its own needs root: not here."""
    data = random.Random(1).randbytes(SIZE)
    for path in ("/kept", "/removed"):
        ok(own_cluster, "put", "-", path, stdin=data)
    reserve(own_cluster, reserve_bytes=2**60)
    shown = run("status", CAIRN_MASTER=own_cluster.address)
    assert shown.returncode == 1
    assert b"full disks" in shown.stdout

    ended = run("put", "-", "/new", stdin=data, CAIRN_MASTER=own_cluster.address, CAIRN_CLIENT_META_TIMEOUT_S="2")
    assert ended.returncode == 6, ended
    assert b"2 chunkservers needed, 0 usable\nhint: `cairn status`" in ended.stderr
    assert ok(own_cluster, "cat", "/kept") == data
    ok(own_cluster, "mkdir", "/folder")
    ok(own_cluster, "rm", "--now", "/removed")
    assert wait_until(lambda: held(own_cluster) == 3, PATIENCE_S), held(own_cluster)

    reserve(own_cluster)
    ok(own_cluster, "put", "-", "/new", stdin=data)
    assert ok(own_cluster, "cat", "/new") == ok(own_cluster, "cat", "/kept") == data
    unharmed(own_cluster)


def reserve(cluster, **settings):
    """Restart all chunkservers with these settings."""
    cluster.chunkserver_settings = settings
    for name in cluster.chunkservers:
        assert cluster.terminate(name) == 0
    for name in cluster.chunkservers:
        cluster.restart(name)
    cluster.wait_ready()


def held(cluster):
    """How many replicas stand on the disks."""
    return sum(1 for name in cluster.chunkservers for _ in (cluster.folder / name / "cairn").glob("??/??/*.dat"))
