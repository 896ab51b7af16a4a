"""Backups of a running master, and what a restored one does with chunkservers that have gone on."""

import json
import os
import resource
import signal
import subprocess

import pytest
from tests.e2e.tools import cluster_in, command, environment, ok, run

from cairnfs.cluster.processes import MASTER
from cairnfs.cluster.waiting import wait_until
from cairnfs.env.lmdb_store import FILE
from cairnfs.meta.backup import TAIL_BYTES


@pytest.fixture
def made(tmp_path):
    """A metadata folder and a backup of it."""
    assert run("init", str(tmp_path / "meta")).returncode == 0
    assert run("master", "backup", "--data", str(tmp_path / "meta"), str(tmp_path / "backup")).returncode == 0
    return tmp_path


def replica_files(cluster):
    return sorted(path.name for path in cluster.folder.rglob("*.dat") if "trash" not in path.parts)


def test_what_was_written_after_the_backup_is_kept_after_a_restore_until_an_operator_accepts_it(tmp_path):
    """Goal: rules 22 and 23 with real processes. Method: back up the running master, write one more file, put the
    backup in the place of the metadata, start again: nothing goes, the orphans are shown; new files get new numbers;
    after the operator's word the orphans go, and the old file is whole.
    """
    with cluster_in(tmp_path / "cluster") as cluster:
        data = cluster.folder / MASTER
        ok(cluster, "put", "-", "/old", stdin=b"old")
        ended = run("master", "backup", "--data", str(data), str(tmp_path / "backup"), "--json")
        assert (ended.returncode, ended.stderr) == (0, b""), ended
        facts = json.loads(ended.stdout)
        assert facts["files"] == 1
        assert facts["epoch"] == 1
        assert facts["log_index"]
        ok(cluster, "put", "-", "/newer", stdin=b"newer")
        before = replica_files(cluster)
        assert run("master", "restore", str(tmp_path / "backup"), str(data)).returncode == 7, "it runs"
        assert cluster.terminate(MASTER) == 0
        ended = run("master", "restore", str(tmp_path / "backup"), str(data))
        assert (ended.returncode, b"already" in ended.stderr) == (7, True), ended
        ended = run("master", "restore", str(tmp_path / "backup"), str(data), "--replace", "--json")
        assert ended.returncode == 0, ended
        assert os.path.exists(json.loads(ended.stdout)["kept"])
        assert run("master", "check", str(data)).returncode == 0
        cluster.restart(MASTER)
        cluster.wait_ready()
        assert ok(cluster, "cat", "/old") == b"old"

        def deletions():
            return run("deletions", "--json", CAIRN_MASTER=cluster.address)

        assert wait_until(lambda: sum(one["newer"] for one in json.loads(deletions().stdout or "[]")) == 3, 30)
        assert deletions().returncode == 1
        assert b"came from a backup" in run("status", CAIRN_MASTER=cluster.address).stdout
        ok(cluster, "put", "-", "/other", stdin=b"other")
        assert set(before) <= set(replica_files(cluster))
        accepted = run("deletions", "--accept-restore", CAIRN_MASTER=cluster.address)
        assert b"wait until" not in accepted.stderr, accepted
        assert wait_until(lambda: len(replica_files(cluster)) == 6, 60)
        assert ok(cluster, "cat", "/old") + ok(cluster, "cat", "/other") == b"oldother"


def test_a_backup_goes_on_when_the_master_is_killed(tmp_path):
    """Goal: a backup is whole or not there. Method: kill the master as soon as a part of the copy is there."""
    with cluster_in(tmp_path / "cluster") as cluster:
        for number in range(20):
            ok(cluster, "mkdir", f"/folder{number}")
        target = tmp_path / "backup"
        asked = command("master", "backup", "--data", str(cluster.folder / MASTER), str(target))
        with subprocess.Popen(asked, env=environment()) as copying:
            part = target.with_name("backup.part")
            assert wait_until(lambda: part.exists() or copying.poll() is not None, 30)
            cluster.kill(MASTER)
            assert copying.wait() == 0
        assert run("master", "check", str(target)).returncode == 0


def test_a_backup_that_was_cut_short_or_changed_is_refused_and_leaves_nothing(made):
    whole = (made / "backup").read_bytes()
    flipped = bytearray(whole)
    flipped[5000] ^= 1
    for bad in (whole[:-1], whole[:-TAIL_BYTES], whole[: len(whole) // 2], b"", bytes(flipped), b"x" * 9000):
        (made / "bad").write_bytes(bad)
        for arguments in (("check", str(made / "bad")), ("restore", str(made / "bad"), str(made / "new"))):
            ended = run("master", *arguments)
            assert ended.returncode == 7, ended
            assert b"Traceback" not in ended.stderr
            assert b"bad" in ended.stderr
        assert not (made / "new" / FILE).exists()


def test_a_backup_never_replaces_a_file(made):
    before = (made / "backup").read_bytes()
    ended = run("master", "backup", "--data", str(made / "meta"), str(made / "backup"))
    assert (ended.returncode, b"exists" in ended.stderr) == (1, True), ended
    assert (made / "backup").read_bytes() == before
    ended = run("master", "backup", "--data", str(made / "none"), str(made / "other"))
    assert (ended.returncode, b"no metadata" in ended.stderr) == (7, True), ended


def test_a_disk_that_is_full_leaves_no_backup(made):
    """Method: a limit on the size of files stands for the full disk; the write fails in the middle in both."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    asked = command("master", "backup", "--data", str(made / "meta"), str(made / "other"))
    ended = subprocess.run(asked, env=environment(), preexec_fn=limit, capture_output=True, check=False)
    assert ended.returncode not in (0, -signal.SIGXFSZ), ended
    assert b"cairn:" in ended.stderr
    assert b"bug" not in ended.stderr
    assert sorted(path.name for path in made.iterdir()) == ["backup", "meta"]
