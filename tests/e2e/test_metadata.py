"""Metadata of another format, and how they are converted: dumped, loaded, served again."""

import lmdb
import pytest
from tests.e2e.tools import cluster_in, ok, run

from cairnfs.cluster.processes import MASTER
from cairnfs.env.lmdb_store import FILE, FORMAT, FORMAT_KEY, FORMAT_TABLE


def test_metadata_of_a_newer_format_are_refused_with_the_commands_that_convert_them(tmp_path):
    folder = tmp_path / "meta"
    assert run("init", str(folder)).returncode == 0
    with lmdb.open(str(folder / FILE), subdir=False, max_dbs=4) as store, store.begin(write=True) as transaction:
        table = store.open_db(FORMAT_TABLE, txn=transaction)
        transaction.put(FORMAT_KEY, FORMAT[:-1] + bytes([FORMAT[-1] + 1]), db=table)
    before = (folder / FILE).read_bytes()
    for command in (["master", "--listen", "127.0.0.1:0"], ["master", "dump"]):
        ended = run(command[0], "--data", str(folder), *command[1:], timeout_s=30)
        assert ended.returncode == 7, ended
        assert b"format 2" in ended.stderr
        assert b"`cairn master dump`" in ended.stderr
        assert b"`cairn master load`" in ended.stderr
        assert b"Traceback" not in ended.stderr
    assert (folder / FILE).read_bytes() == before


def test_a_cluster_lives_on_from_a_dump_of_its_metadata(tmp_path):
    """Goal: nothing is lost on the way to another format. Method: the master's folder is replaced by a loaded dump."""
    with cluster_in(tmp_path / "cluster") as cluster:
        ok(cluster, "mkdir", "/folder")
        ok(cluster, "put", "-", "/folder/file", stdin=b"kept")
        ok(cluster, "snapshot", "/folder", "/snapshot")
        listing = ok(cluster, "tree", "/")
        data = str(cluster.folder / MASTER)
        ended = run("master", "dump", "--data", data, str(tmp_path / "dump"))
        assert (ended.returncode, b"in use" in ended.stderr) == (7, True), ended
        assert cluster.terminate(MASTER) == 0
        assert run("master", "dump", "--data", data, str(tmp_path / "dump")).returncode == 0
        (cluster.folder / MASTER).rename(tmp_path / "old")
        assert run("master", "load", "--data", data, str(tmp_path / "dump")).returncode == 0
        cluster.restart(MASTER)
        cluster.wait_ready()
        assert ok(cluster, "tree", "/") == listing
        assert ok(cluster, "cat", "/folder/file") == ok(cluster, "cat", "/snapshot/file") == b"kept"
        ok(cluster, "put", "-", "/folder/more", stdin=b"more")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], b"cut short"),
        (lambda lines: lines[:2] + lines[3:], b"not those that were dumped"),
        (lambda lines: [lines[0].replace(b'"format":1', b'"format":9'), *lines[1:]], b"format 9"),
        (lambda _: [b"precious data\n"], b"not of a dump"),
        (lambda _: [], b"cut short"),
        (lambda lines: [*lines, lines[1]], b"behind the end"),
    ],
)
def test_what_is_no_whole_dump_makes_no_cluster(tmp_path, change, words):
    assert run("init", str(tmp_path / "meta")).returncode == 0
    lines = run("master", "dump", "--data", str(tmp_path / "meta")).stdout.splitlines(keepends=True)
    ended = run("master", "load", "--data", str(tmp_path / "new"), stdin=b"".join(change(lines)))
    assert ended.returncode == 7, ended
    assert words in ended.stderr
    assert run("master", "--data", str(tmp_path / "new"), "--listen", "127.0.0.1:0", timeout_s=30).returncode == 7
