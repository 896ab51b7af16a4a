"""Disks that are really full: clear errors, nothing acknowledged is lost, deletes work, and all goes on afterwards."""

import asyncio
import random

from tests.e2e.mounts import fill, small_disks
from tests.e2e.tools import QUICK, SMALL

import cairnfs
from cairnfs.cluster.processes import MASTER, ProcessCluster
from cairnfs.cluster.waiting import wait_until
from cairnfs.env.real import real_env
from cairnfs.errors import DiskFailedError, DiskFullError, NoCopyError, TooFewCopiesError
from cairnfs.master.server import initialise
from cairnfs.units import MIB

SERVERS = ("chunkserver1", "chunkserver2", "chunkserver3")
NO_ROOM = (DiskFullError, TooFewCopiesError)
"""What a client hears: a disk has no room for the bytes, or no server has room for a further chunk."""
CALL_S = 3.0
PATIENCE_S = 40.0
WITHOUT_RESTART_S = 8.0
CALLS_MAX = 10_000
BOARD_BYTES = 40_000


def on_small_disks(folder, **settings):
    return ProcessCluster(
        folder, chunkservers=3, cluster=SMALL, master_settings={**QUICK, "replica_trash_s": 3600}, **settings
    )


def goes_on(job, within_s=PATIENCE_S):
    """Return whether a call succeeds within a while; errors of the cluster are waited out."""

    def try_once():
        try:
            job()
        except cairnfs.CairnError:
            return False
        return True

    return wait_until(try_once, within_s)


def restart_if_needed(cluster, names, job):
    """Return the names of servers that had to be restarted before the call succeeded again: [] is what is wanted."""
    if goes_on(job, WITHOUT_RESTART_S):
        return []
    for name in names:
        cluster.terminate(name)
        cluster.restart(name)
    assert goes_on(job), "nothing goes on, although there is space again and all were restarted"
    return list(names)


def refusal(call):
    """Call with 0, 1, 2, ... until that fails; return the error."""
    for number in range(CALLS_MAX):
        try:
            call(number)
        except cairnfs.CairnError as error:
            return error
    raise AssertionError("it never was full")


def test_full_chunkservers_say_so_and_go_on_when_files_are_deleted(tmp_path):
    """Goal: rule 26. Method: files are stored until no disk takes more; then some are deleted for good."""
    folder = tmp_path / "cluster"
    disks = [folder / name for name in SERVERS]
    instead = "tests/unit/chunkserver/protocol/test_full_disk.py"
    small = {"chunkserver_settings": {"reserve_bytes": "32m", "reserve_fraction": 0}}
    with small_disks(*disks, size_bytes=96 * MIB, instead=instead), on_small_disks(folder, **small) as cluster:
        with cairnfs.connect(cluster.address, timeout=CALL_S) as fs:
            offset = fs.append("/log", b"first record")
            stored, chance = {}, random.Random(1)
            error = refusal(lambda number: store(fs, stored, number, chance.randbytes(MIB)))
            assert isinstance(error, NO_ROOM), repr(error)
            assert "full" in str(error) + error.hint
            assert len(stored) > 20
            for path, data in stored.items():
                assert fs.read_bytes(path) == data
            # Deleting needs no space, and gives some back without waiting for the trash of the replicas.
            for path in list(stored)[:15]:
                fs.remove(path, now=True)
                del stored[path]
            assert goes_on(lambda: fs.write_bytes("/after", b"there is room again" * 50_000))
            assert all(fs.read_bytes(path) == data for path, data in stored.items())
            assert fs.read_bytes("/log")[offset:] == b"first record"
        assert all(server.running for server in cluster.servers.values())
        assert all("disk failed" not in cluster.log(name) for name in SERVERS)


def store(fs, stored, number, data):
    fs.write_bytes(f"/file{number}", data)
    stored[f"/file{number}"] = data


def test_a_disk_that_others_filled_to_the_last_byte_costs_no_acknowledged_record(tmp_path):
    """Goal: nothing acked is lost when not even the reserve is left. Method: another program takes all of it from each
    disk while records are appended, and gives it back. Servers are restarted only if nothing goes on without.
    """
    folder = tmp_path / "cluster"
    disks = [folder / name for name in SERVERS]
    instead = "tests/unit/chunkserver/storage/test_folders.py::test_the_first_failed_flush_takes_the_disk_out_of_use"
    small = {"chunkserver_settings": {"reserve_bytes": "8m", "reserve_fraction": 0}}
    with (
        small_disks(*disks, size_bytes=64 * MIB, instead=instead),
        on_small_disks(folder, **small) as cluster,
        cairnfs.connect(cluster.address, timeout=CALL_S) as fs,
    ):
        acked = {}
        for number in range(50):
            append(fs, acked, number)
        fs.write_bytes("/board", bytes(BOARD_BYTES))
        fillers = [fill(disk) for disk in disks]
        error = refusal(lambda number: append(fs, acked, 50 + number))
        assert isinstance(error, (*NO_ROOM, DiskFailedError, NoCopyError)), repr(error)
        assert refusal(lambda number: overwrite(fs, number))
        for filler in fillers:
            filler.unlink()
        restarted = restart_if_needed(cluster, SERVERS, lambda: append(fs, acked, CALLS_MAX))
        print(f"{len(acked)} records acknowledged; restarted: {restarted or 'none'}")
        assert goes_on(lambda: fs.read_bytes("/log"))
        data = fs.read_bytes("/log")
        assert all(data[offset : offset + len(record)] == record for offset, record in acked.items())


def overwrite(fs, number):
    """Bytes that are there already are changed: that needs the journal only, which has no room either."""
    with fs.open("/board", "r+b", buffering=0) as file:
        file.pwrite(number.to_bytes(8) * (BOARD_BYTES // 8), 0)


def append(fs, acked, number):
    record = b"record %d " % number * 400
    acked[fs.append("/log", record)] = record


def test_a_full_disk_of_the_master_refuses_changes_and_loses_none(tmp_path):
    """Goal: contract 1 on a full disk. Method: another program fills the disk with the metadata while folders are
    made; what was acknowledged is there afterwards, and changes go on, after a restart if the master needs one.
    """
    folder = tmp_path / "cluster"
    instead = "tests/unit/env/test_lmdb_store.py, test_a_full_map_is_a_full_disk_..."
    with small_disks(folder / MASTER, size_bytes=8 * MIB, instead=instead):
        asyncio.run(initialise(real_env(), str(folder / MASTER), SMALL))
        with on_small_disks(folder) as cluster, cairnfs.connect(cluster.address, timeout=CALL_S) as fs:
            made = []
            for number in range(20):
                make(fs, made, number)
            filler = fill(folder / MASTER)
            error = refusal(lambda number: make(fs, made, 20 + number))
            print(f"{len(made)} folders acknowledged; then: {error}")
            assert isinstance(error, DiskFullError)
            assert MASTER in error.where
            filler.unlink()
            restarted = restart_if_needed(cluster, [MASTER], lambda: make(fs, made, CALLS_MAX))
            print(f"restarted: {restarted or 'none'}")
            assert sorted(made) == sorted(f"/{name}" for name in fs.listdir("/") if f"/{name}" in made)
            fs.write_bytes("/after", b"all goes on")
            assert fs.read_bytes("/after") == b"all goes on"


def make(fs, made, number):
    fs.mkdir(f"/folder{number}")
    made.append(f"/folder{number}")
