"""What a server must refuse, in words that say what to do; and how it ends."""

import contextlib
import os
import random
import signal
import socket
import subprocess

import pytest
from tests.e2e.tools import command, environment, ok, run

import cairnfs
from cairnfs.checksum import crc32c
from cairnfs.cluster.processes import MASTER, ProcessCluster, StartError
from cairnfs.cluster.producers import Producers
from cairnfs.cluster.waiting import wait_until
from cairnfs.config import ClusterConfig
from cairnfs.env.addresses import split_address


def refused(*arguments, words):
    """Run a server that must not start: exit code 7, one line and a hint."""
    ended = run(*arguments, timeout_s=30)
    last = [line for line in ended.stderr.splitlines() if line.startswith(b"cairn: ")]
    assert ended.returncode == 7, ended
    assert b"Traceback" not in ended.stderr
    assert words in last[0], ended.stderr


def test_a_port_in_use_is_named(cluster, tmp_path):
    refused(
        "chunkserver", "--data", str(tmp_path), "--listen", cluster.address, "--master", cluster.address,
        words=cluster.address.encode(),
    )  # fmt: skip


@pytest.mark.parametrize("name", [MASTER, "chunkserver1"])
def test_a_folder_is_served_once(cluster, name):
    role = name.rstrip("1")
    folder = str(cluster.folder / name)
    refused(role, "--data", folder, "--listen", "127.0.0.1:0", words=folder.encode())


def test_a_master_without_a_cluster_says_how_to_make_one(tmp_path):
    ended = run("master", "--data", str(tmp_path / "empty"), "--listen", "127.0.0.1:0")
    assert ended.returncode == 7
    assert b"cairn init" in ended.stderr


def test_a_cluster_is_not_made_twice_in_one_folder(tmp_path):
    assert run("init", str(tmp_path / "meta")).returncode == 0
    ended = run("init", str(tmp_path / "meta"))
    assert ended.returncode in (5, 7)
    assert b"meta" in ended.stderr


def test_an_unknown_setting_names_the_nearest(tmp_path):
    refused("master", "--data", str(tmp_path), "--set", "leas_s=3", words=b"did you mean 'lease_s'")


def test_a_disk_of_another_cluster_is_refused_and_not_touched(cluster, tmp_path):
    """Goal: rule 25, nothing foreign is adopted. Method: a chunkserver of a second cluster is pointed at the first."""
    with ProcessCluster(tmp_path / "other", chunkservers=1, cluster=ClusterConfig(copies_min=1)) as other:
        assert other.address != cluster.address
    disk = tmp_path / "other" / "chunkserver1"
    before = contents(disk)
    servers = ok(cluster, "status", "--json").count(b'"address"')
    said = tmp_path / "said"
    arguments = ["--data", str(disk), "--listen", "127.0.0.1:0", "--master", cluster.address]
    with said.open("wb") as log:
        server = subprocess.Popen(command("chunkserver", *arguments), stderr=log, env=environment())
    assert wait_until(lambda: b"belongs to cluster" in said.read_bytes(), 15), said.read_bytes()
    assert b"ERROR" in said.read_bytes()
    shown = run("status", CAIRN_MASTER=cluster.address).stdout
    assert b"and was refused" in shown, shown
    server.terminate()
    assert server.wait(15) in (0, 7)
    assert b"Traceback" not in said.read_bytes()
    assert ok(cluster, "status", "--json").count(b'"address"') == servers
    assert contents(disk) == before


def contents(disk):
    """What is on a disk, but for the journal, which begins anew with each start."""
    files = (path for path in disk.rglob("*") if path.is_file() and not path.name.startswith("journal"))
    return {str(path): path.read_bytes() for path in files}


def test_a_chunkserver_waits_for_a_master_that_is_not_there_yet_and_stops_when_told(tmp_path):
    """Goal: no order of starting is needed. Method: no master at all; SIGTERM still ends it in order."""
    server = subprocess.Popen(
        command("chunkserver", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--master", "127.0.0.1:1"),
        stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    first = server.stderr.readline()
    assert b"Traceback" not in first
    server.terminate()
    assert server.wait(15) == 0
    server.stderr.close()


def test_sigterm_ends_every_server_in_order(own_cluster):
    ok(own_cluster, "put", "-", "/file", stdin=b"kept")
    for name in [*own_cluster.chunkservers, MASTER]:
        assert own_cluster.terminate(name) == 0, own_cluster.log(name)
        assert "Traceback" not in own_cluster.log(name)
    for name in own_cluster.servers:
        own_cluster.restart(name)
    own_cluster.wait_ready()
    assert ok(own_cluster, "cat", "/file") == b"kept"


def test_a_server_writes_where_it_listens_to_a_file(tmp_path):
    run("init", str(tmp_path / "meta"))
    server = subprocess.Popen(
        command("master", "--data", str(tmp_path / "meta"), "--listen", "127.0.0.1:0", "--log-format", "json",
                "--ready-file", str(tmp_path / "ready")),
        stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    try:
        assert wait_until((tmp_path / "ready").exists, 15)
        host, port = split_address((tmp_path / "ready").read_text().strip())
        assert (host, port > 0) == ("127.0.0.1", True)
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


def test_a_second_signal_ends_at_once(own_cluster):
    """Method: the first one is waited for by members that are silent, since the chunk is to be closed on each."""
    with cairnfs.connect(own_cluster.address) as fs:
        fs.append("/log", b"record")
        chunk = fs.chunk_table("/log")[-1]
    primary = next(own_cluster.named(each.address) for each in chunk.replicas if each.server == chunk.primary)
    others = [name for name in own_cluster.chunkservers if name != primary]
    for name in others:
        own_cluster.pause(name)
    process = own_cluster.servers[primary].process
    process.terminate()
    assert wait_until(lambda: "stopping" in own_cluster.log(primary), 5)
    process.terminate()
    assert process.wait(2) == 128 + signal.SIGTERM
    for name in others:
        own_cluster.resume(name)


def whole(cluster, path):
    """All bytes of a file, with the holes that appends leave at the ends of chunks: `cairn cat` leaves them out."""
    with cairnfs.connect(cluster.address) as fs:
        return memoryview(fs.read_bytes(path))


def test_a_chunkserver_that_is_told_to_stop_under_load_costs_no_record(own_cluster, tmp_path):
    """Method: each in turn gets SIGTERM while producers append, and starts again."""
    with Producers(own_cluster.address, "/log", tmp_path / "producers", count=2) as producers:
        for name in own_cluster.chunkservers:
            acked = len(producers.acknowledged())
            assert wait_until(lambda acked=acked: len(producers.acknowledged()) > acked + 20, 30)
            assert own_cluster.terminate(name) == 0, own_cluster.log(name)
            own_cluster.restart(name)
        assert producers.stop() == []
        records = producers.acknowledged()
    data = whole(own_cluster, "/log")
    assert all(crc32c(data[each.offset : each.offset + each.length]) == each.crc for each in records)
    for name in own_cluster.servers:
        assert "Traceback" not in own_cluster.log(name), own_cluster.log(name)


def garbage():
    chance = random.Random(7)
    yield b""
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\xff" * 4096
    yield bytes(4096)
    for size in (1, 31, 32, 33, 1000, 100_000):
        yield chance.randbytes(size)


def test_garbage_on_every_port_leaves_everything_serving(cluster):
    """Goal: rule 27. Method: random bytes, huge lengths and half frames to each server; then the cluster is used."""
    from tests.e2e.frames import broken_frames

    ok(cluster, "put", "-", "/garbage-before", stdin=b"before")
    for address in cluster.addresses.values():
        for data in [*garbage(), *broken_frames()]:
            with socket.create_connection(split_address(address), timeout=5) as peer:
                try:
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
                except OSError:
                    pass  # the server may hang up in any way it likes
    assert ok(cluster, "cat", "/garbage-before") == b"before"
    ok(cluster, "put", "-", "/garbage-after", stdin=b"after")
    for name, server in cluster.servers.items():
        assert server.running, name
        assert "Traceback" not in cluster.log(name), cluster.log(name)


def test_garbage_on_every_port_under_load_costs_no_record(own_cluster, tmp_path):
    """Goal: rule 27 while the servers work. Method: peers that send garbage, and peers that then fall silent, come and
    stay while producers append.
    """
    from tests.e2e.frames import broken_frames

    silent = []
    with Producers(own_cluster.address, "/log", tmp_path / "producers", count=2) as producers:
        assert wait_until(lambda: len(producers.acknowledged()) > 20, 30)
        for number, data in enumerate([*garbage(), *broken_frames()]):
            for address in own_cluster.addresses.values():
                peer = socket.create_connection(split_address(address), timeout=5)
                with contextlib.suppress(OSError):  # the server may have hung up already
                    peer.sendall(data)
                if number % 2:
                    peer.close()
                else:
                    silent.append(peer)
        acked = len(producers.acknowledged())
        assert wait_until(lambda: len(producers.acknowledged()) > acked + 50, 30)
        assert producers.stop() == []
        data = whole(own_cluster, "/log")
        records = producers.acknowledged()
    assert all(crc32c(data[each.offset : each.offset + each.length]) == each.crc for each in records)
    for peer in silent:
        peer.close()
    for name, server in own_cluster.servers.items():
        assert server.running, name
        assert "Traceback" not in own_cluster.log(name), own_cluster.log(name)


def test_no_master_at_the_address_says_what_to_do():
    ended = run("ls", "/", "--master", "127.0.0.1:1")
    assert ended.returncode == 4
    assert ended.stderr.count(b"cairn up") == 1


def test_a_child_that_cannot_start_tells_why(cluster, tmp_path):
    with pytest.raises(StartError, match="in use"):
        ProcessCluster(tmp_path, chunkservers=1, listen=cluster.address).start()
    assert os.listdir(tmp_path)
