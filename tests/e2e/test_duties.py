"""Drain, maintenance, forget and tune as an operator uses them, with real processes."""

import json
import shutil
import subprocess

from tests.e2e.mounts import small_disks
from tests.e2e.tools import QUICK, cluster_in, ok, run

import cairnfs
from cairnfs.cluster.waiting import wait_until
from cairnfs.units import KIB, MIB

FILES = {f"/d/{number}": bytes([number]) * (300 * KIB + number) for number in range(12)}
FAST = {**QUICK, "repair_bytes_s": 500 * MIB, "trim_after_s": 1}


def fill(fs):
    fs.mkdir("/d")
    for path, data in FILES.items():
        fs.write_bytes(path, data)


def all_there(fs):
    return all(fs.read_bytes(path) == data for path, data in FILES.items())


def cairn(cluster, *arguments, code=0):
    ended = run(*arguments, CAIRN_MASTER=cluster.address)
    assert ended.returncode == code, ended
    return ended.stdout.decode()


def replicas(cluster, name):
    """How many chunk files a server has, its trash aside."""
    return sum(len(list(folder.glob("cairn/??/??/*.dat"))) for folder in cluster.folders(name))


def test_a_server_is_drained_taken_away_and_forgotten(tmp_path):
    """Goal: after a drain nothing there is needed. Method: drain, wait, kill it, wipe its disk; every byte is there."""
    with cluster_in(tmp_path, chunkservers=4, master_settings=FAST) as cluster, cairnfs.connect(cluster.address) as fs:
        fill(fs)
        name = max(cluster.chunkservers, key=lambda one: replicas(cluster, one))
        address = cluster.addresses[name]
        plan = json.loads(cairn(cluster, "drain", address, "--json", code=1))
        assert (plan["draining"], plan["left"] > 0, plan["alone"]) == (False, True, 0)
        assert "begin with --start" in cairn(cluster, "drain", address, code=1)

        shown = cairn(cluster, "drain", address, "--start", "--wait")
        assert "nothing there is needed: it can be taken away" in shown
        assert "draining" in run("status", CAIRN_MASTER=cluster.address).stdout.decode()
        with_it = replicas(cluster, name)
        assert with_it, "nothing is deleted from a drained server"

        assert b"drain and stop it first" in run("forget", address, CAIRN_MASTER=cluster.address).stderr
        cluster.kill(name)
        shutil.rmtree(cluster.folder / name)
        assert all_there(fs)
        assert wait_until(lambda: run("forget", address, CAIRN_MASTER=cluster.address).returncode == 0, 20)
        assert wait_until(lambda: run("status", CAIRN_MASTER=cluster.address).returncode == 0, 20)
        assert address not in cairn(cluster, "status")


def test_a_drain_outlives_the_master_and_can_be_cancelled(tmp_path):
    with cluster_in(tmp_path, chunkservers=3, master_settings=FAST) as cluster, cairnfs.connect(cluster.address) as fs:
        fill(fs)
        address = cluster.addresses["chunkserver1"]
        plan = json.loads(cairn(cluster, "drain", address, "--start", "--json", code=1))
        assert plan["stuck"], "three servers and three copies: nowhere to go"
        why = {one["why"] for one in plan["stuck"]}
        assert why <= {"no other chunkserver has room for it", "is being copied", "waits for its turn"} or any(
            "another copy" in one for one in why
        ), why
        cluster.kill("master")
        cluster.restart("master")
        cluster.wait_ready()
        assert json.loads(cairn(cluster, "drain", address, "--json", code=1))["draining"]
        cairn(cluster, "drain", address, "--cancel", code=1)
        assert wait_until(lambda: run("status", CAIRN_MASTER=cluster.address).returncode == 0, 20)
        assert all_there(fs)


def test_a_disk_is_drained_to_the_other_disk_of_its_server(tmp_path):
    """Goal: a disk can be taken out of a server while it runs, though there is no other server to go to."""
    with cluster_in(tmp_path, disks=2, master_settings=FAST) as cluster, cairnfs.connect(cluster.address) as fs:
        fill(fs)
        first, second = cluster.folders("chunkserver1")

        def on(folder):
            return len(list(folder.glob("cairn/??/??/*.dat")))

        assert min(on(first), on(second)) > 0, "each disk has some"
        both = on(first) + on(second)
        address = cluster.addresses["chunkserver1"]
        cairn(cluster, "drain", address, "--disk", str(first), "--start", "--wait")
        assert (on(first), on(second)) == (0, both)
        fs.write_bytes("/d/new", b"new")
        assert on(first) == 0, "a disk that is emptied takes nothing"
        assert all_there(fs)
        cluster.kill("chunkserver1")
        cluster.restart("chunkserver1")
        cluster.wait_ready()
        assert all_there(fs)
        assert run("fsck", "--deep", "/", CAIRN_MASTER=cluster.address).returncode == 0


def test_a_server_in_maintenance_is_waited_for(tmp_path):
    """Goal: no copies are made while it is away, though the grace is over. Method: without maintenance they are."""
    with cluster_in(tmp_path, chunkservers=4, master_settings=FAST) as cluster, cairnfs.connect(cluster.address) as fs:
        fill(fs)
        name = max(cluster.chunkservers, key=lambda one: replicas(cluster, one))
        address = cluster.addresses[name]
        shown = cairn(cluster, "maintenance", address, "--for", "30m")
        assert "in maintenance for another" in shown
        assert "without it everything can be read" in shown
        cluster.kill(name)
        assert wait_until(lambda: b"dead, maintenance" in run("status", CAIRN_MASTER=cluster.address).stdout, 20)
        before = fs.server_counters(cluster.address).get("copies_made", 0)
        assert all_there(fs)
        cluster.kill("master")
        cluster.restart("master")  # it is remembered
        assert wait_until(lambda: not fs.status().safe_start, 20)
        assert fs.status().chunks_below_goal or wait_until(lambda: fs.status().chunks_below_goal, 20)
        assert (before, fs.server_counters(cluster.address).get("copies_made", 0)) == (0, 0)
        cairn(cluster, "maintenance", address, "--end")
        assert wait_until(lambda: fs.server_counters(cluster.address).get("copies_made", 0), 20)
        assert wait_until(lambda: not fs.status().chunks_below_goal, 20)


def test_a_disk_that_can_only_be_read_goes_on_serving_is_told_and_taken_back(tmp_path):
    """Goal: one of several disks that cannot be written keeps no server from starting, and what it has is of use."""
    disk, other = (tmp_path / "chunkserver1" / name for name in ("disk1", "disk2"))
    instead = "tests/unit/chunkserver/storage/test_read_only.py"
    with (
        small_disks(disk, other, size_bytes=600 * MIB, instead=instead),
        cluster_in(tmp_path, disks=2, master_settings=FAST) as cluster,
        cairnfs.connect(cluster.address) as fs,
    ):
        fill(fs)
        cluster.terminate("chunkserver1")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        cluster.restart("chunkserver1")
        cluster.wait_ready()
        shown = run("status", CAIRN_MASTER=cluster.address).stdout.decode()
        assert f"serve what they have and take nothing: {disk}" in shown
        assert " read-only" in cairn(cluster, "df")
        copied = fs.server_counters(cluster.address).get("copies_made", 0)
        served = [one for server in fs.status().servers for one in server.disks if one.read_only]
        assert [one.folder for one in served] == [str(disk)]
        assert served[0].replicas, "what was closed there is still a copy"
        assert all_there(fs)
        assert fs.server_counters(cluster.address).get("copies_made", 0) == copied == 0
        path, data = next(iter(FILES.items()))
        with fs.open(path, "r+b") as file:
            file.write(data[::-1])
        assert fs.read_bytes(path) == data[::-1], "the others take what it cannot"
        fs.write_bytes(path, data)
        cairn(cluster, "drain", cluster.addresses["chunkserver1"], "--disk", str(disk), "--start", code=1)
        assert wait_until(lambda: not replicas_of(fs, disk), 30), "it can be emptied"
        cairn(cluster, "drain", cluster.addresses["chunkserver1"], "--disk", str(disk), "--cancel")
        cluster.terminate("chunkserver1")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        cluster.restart("chunkserver1")
        assert wait_until(lambda: run("status", CAIRN_MASTER=cluster.address).returncode == 0, 30)
        assert all_there(fs)
        assert run("fsck", "--deep", "/", CAIRN_MASTER=cluster.address).returncode == 0


def replicas_of(fs, folder):
    return sum(one.replicas for server in fs.status().servers for one in server.disks if one.folder == str(folder))


def test_speeds_are_shown_changed_and_remembered(own_cluster):
    assert "repairs, each server: 48 MiB/s in, and as much out" in cairn(own_cluster, "tune")
    speeds = json.loads(cairn(own_cluster, "tune", "--repair", "10M", "--balance", "5M", "--json"))
    assert (speeds["repair_bytes_s"], speeds["balance_bytes_s"]) == (10 * MIB, 5 * MIB)
    own_cluster.kill("master")
    own_cluster.restart("master")
    assert json.loads(cairn(own_cluster, "tune", "--json"))["repair_bytes_s"] == 10 * MIB
    assert json.loads(cairn(own_cluster, "tune", "--repair", "0", "--json"))["repair_bytes_s"] == 50_000_000


def test_mistakes_say_what_was_wrong(cluster):
    address = cluster.addresses["chunkserver1"]
    for arguments, said, code in (
        (["drain", "nowhere:1"], b"no chunkserver nowhere:1", 3),
        (["drain", address, "--disk", "/none"], b"has no data folder /none; it has ", 2),
        (["drain", address, "--wait"], b"--wait goes with a drain that has begun", 2),
        (["maintenance", address, "--for", "soon"], b"not a time: 'soon'", 2),
        (["maintenance", address, "--for", "30d"], b"0 s to 7 days", 2),
        (["maintenance", address, "--for", "1m", "--end"], b"not both", 2),
        (["tune", "--repair", "10"], b"no copy is slower", 2),
        (["tune", "--repair", "fast"], b"not a size", 2),
        (["forget", "nowhere:1"], b"no chunkserver nowhere:1", 3),
    ):
        ended = run(*arguments, CAIRN_MASTER=cluster.address)
        assert said in ended.stderr, (arguments, ended)
        assert ended.returncode == code, (arguments, ended)
    assert ok(cluster, "tune")
