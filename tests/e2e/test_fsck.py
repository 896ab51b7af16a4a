"""`cairn fsck` on real clusters: content when all is well, and plain about what is not."""

import json

from tests.e2e.test_damage import PATIENCE_S, change, chunk_file
from tests.e2e.tools import ok, run

import cairnfs
from cairnfs.cluster.waiting import wait_until
from cairnfs.units import KIB


def fsck(cluster, *arguments):
    ended = run("fsck", *arguments, CAIRN_MASTER=cluster.address)
    assert ended.stderr == b"", ended
    return ended.returncode, ended.stdout.decode()


def as_json(cluster, *arguments):
    code, text = fsck(cluster, *arguments, "--json")
    found = json.loads(text)
    assert found["exit_code"] == code
    return found


def test_fsck_is_content_then_finds_rot_that_nobody_has_read_and_is_content_again(own_cluster):
    with cairnfs.connect(own_cluster.address) as fs:
        fs.makedirs("/a/b")
        fs.write_bytes("/a/b/file", bytes(300 * KIB))
        fs.write_bytes("/a/other", b"small")
    code, text = fsck(own_cluster)
    assert code == 0
    assert "2 files, 2 chunks (0 open), 300 KiB: all copies are there" in text
    assert "no single server's loss would lose anything" in text
    assert fsck(own_cluster, "--deep")[0] == 0

    [chunk] = json.loads(ok(own_cluster, "chunks", "--json", "/a/b/file"))
    victim = own_cluster.named(chunk["replicas"][0]["address"])
    change(chunk_file(own_cluster, victim, chunk))
    assert fsck(own_cluster)[0] == 0, "only --deep reads"
    found = as_json(own_cluster, "--deep", "/a")
    assert (found["exit_code"], found["files"], found["verified"]) == (1, 2, 5)
    [finding] = found["findings"]
    assert (finding["kind"], finding["path"], finding["handle"]) == ("damaged", "/a/b/file", chunk["handle"])
    assert "corrupt in block" in finding["text"]

    assert wait_until(lambda: as_json(own_cluster, "--deep")["verified"] == 6, PATIENCE_S)
    assert fsck(own_cluster, "--deep")[0] == 0


def test_fsck_says_what_a_dead_server_has_left_behind(own_cluster):
    with cairnfs.connect(own_cluster.address) as fs:
        fs.write_bytes("/file", b"x" * 1000)
        fs.set_replicas("/file", 2)
        fs.write_bytes("/single", b"x" * 1000)
    ok(own_cluster, "status")
    own_cluster.kill(own_cluster.chunkservers[0])
    own_cluster.kill(own_cluster.chunkservers[1])
    assert wait_until(lambda: fsck(own_cluster, "/single")[0] == 2, PATIENCE_S)
    text = fsck(own_cluster, "/single")[1]
    assert "one copy: /single chunk 0" in text
    assert "to do: " in text
    assert f"if server {own_cluster.addresses[own_cluster.chunkservers[2]]} were lost, 1 chunk would" in text


def test_fsck_of_a_path_that_is_not_there_is_not_found(own_cluster):
    ended = run("fsck", "/none", CAIRN_MASTER=own_cluster.address)
    assert ended.returncode == 3
    assert b"no such file or folder: /none" in ended.stderr
