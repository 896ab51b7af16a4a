"""Real processes die, with SIGKILL, while records are appended: what was acknowledged stays."""

import subprocess

from tests.e2e.tools import command, environment, ok, run

import cairnfs
from cairnfs.checksum import crc32c
from cairnfs.cluster.processes import MASTER
from cairnfs.cluster.producers import Producers
from cairnfs.cluster.waiting import wait_until

LOG = "/log"
PATIENCE_S = 30


def test_four_processes_append_lines_to_one_file_and_none_is_lost_or_torn(own_cluster):
    lines = {number: [b"writer %d line %d" % (number, line) for line in range(50)] for number in range(4)}
    writers = [
        subprocess.Popen(
            command("append", "--line", LOG),
            stdin=subprocess.PIPE,
            env={**environment(), "CAIRN_MASTER": own_cluster.address},
        )
        for _ in lines
    ]
    for number, writer in enumerate(writers):
        writer.stdin.write(b"".join(line + b"\n" for line in lines[number]))
        writer.stdin.close()
    assert [writer.wait(PATIENCE_S) for writer in writers] == [0] * 4
    found = ok(own_cluster, "cat", LOG).splitlines()
    # A retry may repeat a record, so a set of lines is what was promised.
    assert set(found) == {line for of_one in lines.values() for line in of_one}


def test_the_primarys_crash_loses_no_acknowledged_record(own_cluster, tmp_path):
    """Goal: contract 2. Method: SIGKILL the primary of the chunk appended to while three producers append."""
    with producers_on(own_cluster, tmp_path) as producers, cairnfs.connect(own_cluster.address) as fs:
        await_records(producers, 50)
        chunk = fs.chunk_table(LOG)[-1]
        victim = next(replica.address for replica in chunk.replicas if replica.server == chunk.primary)
        own_cluster.kill(own_cluster.named(victim))
        await_records(producers, len(producers.acknowledged()) + 50)
        assert producers.stop() == []
        after = fs.chunk_table(LOG)[-1]
        assert after.version > chunk.version
        assert all_stand(fs, producers)


def test_a_restarted_chunkserver_gets_what_it_missed(own_cluster, tmp_path):
    with producers_on(own_cluster, tmp_path) as producers, cairnfs.connect(own_cluster.address) as fs:
        await_records(producers, 20)
        own_cluster.kill("chunkserver1")
        await_records(producers, len(producers.acknowledged()) + 20)
        own_cluster.restart("chunkserver1")
        assert producers.stop() == []
        # Nobody appends any more, so the lease ends and the chunk is closed, with all three members again.
        assert wait_until(lambda: fs.chunk_table(LOG)[-1].closed, PATIENCE_S), fs.chunk_table(LOG)
        assert wait_until(lambda: not fs.status().chunks_below_goal, PATIENCE_S), fs.status()
        own_cluster.kill("chunkserver2")
        own_cluster.kill("chunkserver3")
        # Only what came back is left: with the old bytes this would fail, and so it may not answer with them.
        assert wait_until(lambda: reads_all(fs, producers), PATIENCE_S)


def test_the_masters_crash_loses_nothing_and_appends_go_on(own_cluster, tmp_path):
    with producers_on(own_cluster, tmp_path) as producers, cairnfs.connect(own_cluster.address) as fs:
        fs.makedirs("/before/crash")
        await_records(producers, 30)
        own_cluster.kill(MASTER)
        own_cluster.restart(MASTER)
        await_records(producers, len(producers.acknowledged()) + 30)
        assert producers.stop() == []
        assert fs.isdir("/before/crash")
        assert all_stand(fs, producers)


def test_the_crash_of_everything_loses_no_acknowledged_record(own_cluster, tmp_path):
    with producers_on(own_cluster, tmp_path) as producers:
        await_records(producers, 50)
        for name in own_cluster.servers:
            own_cluster.kill(name)
    for name in own_cluster.servers:
        own_cluster.restart(name)
    own_cluster.wait_ready()
    with cairnfs.connect(own_cluster.address) as fs:
        assert wait_until(lambda: reads_all(fs, producers), PATIENCE_S)


def test_status_says_by_its_exit_code_how_bad_it_is(own_cluster):
    address = {"CAIRN_MASTER": own_cluster.address}
    ok(own_cluster, "put", "-", "/file", stdin=b"x")
    assert wait_until(lambda: run("status", **address).returncode == 0, PATIENCE_S)
    own_cluster.kill("chunkserver1")
    assert wait_until(lambda: run("status", **address).returncode == 1, PATIENCE_S)
    own_cluster.kill("chunkserver2")
    assert wait_until(lambda: run("status", **address).returncode == 2, PATIENCE_S)
    assert b"data at risk" in run("status", **address).stdout


def producers_on(cluster, tmp_path):
    return Producers(cluster.address, LOG, tmp_path / "producers", count=3)


def await_records(producers, count):
    assert wait_until(producers.are_all_at_work, PATIENCE_S), "a producer never began"
    assert wait_until(lambda: len(producers.acknowledged()) >= count, PATIENCE_S), len(producers.acknowledged())


def all_stand(fs, producers):
    """True if every acknowledged record is where its ack said."""
    with fs.open(LOG, "rb") as file:
        data = file.read()
    acked = producers.acknowledged()
    assert acked
    return all(crc32c(data[each.offset : each.offset + each.length]) == each.crc for each in acked)


def reads_all(fs, producers):
    try:
        return all_stand(fs, producers)
    except cairnfs.CairnError:
        return False
