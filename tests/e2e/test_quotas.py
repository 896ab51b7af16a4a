"""Quotas with the real command and real servers. docs/QUOTAS.md."""

import errno
import json

import pytest
from tests.e2e.tools import ok, run

import cairnfs
from cairnfs.errors import QuotaError
from cairnfs.units import MIB


@pytest.fixture
def folder(cluster, request):
    """A folder of the cluster for one test, without limits afterwards."""
    path = f"/{request.node.name}"
    ok(cluster, "mkdir", path)
    yield path
    ok(cluster, "quota", "clear", path)


@pytest.fixture
def fs(cluster):
    with cairnfs.connect(cluster.address) as client:
        yield client


def write_on(fs, path):
    with fs.open(path, "wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(MIB))


def append_on(fs, path):
    for _ in range(50):
        fs.append(path, bytes(MIB // 5))


def test_limits_are_set_shown_and_cleared_by_the_command(cluster, folder):
    ok(cluster, "put", "-", f"{folder}/file", stdin=b"12345")
    shown = ok(cluster, "quota", "set", folder, "--files", "10", "--soft-bytes", "4", "--bytes", "1M").decode()
    assert [line.split() for line in shown.splitlines()] == [
        ["files", "soft", "hard", "bytes", "soft", "hard", "state", "folder"],
        ["1", "-", "10", "5", "B", "4", "B", "1.0", "MiB", "above", "soft", folder],
    ]
    assert ok(cluster, "quota", "show", f"{folder}/file").decode() == shown
    (found,) = [one for one in json.loads(ok(cluster, "quota", "show", "--json")) if one["path"] == folder]
    assert found == {
        "path": folder, "used_files": 1, "used_bytes": 5, "files": 10, "size_bytes": MIB, "soft_files": None,
        "soft_bytes": 4,
    }  # fmt: skip
    warning = f"warning: {folder} holds 5 bytes, more than its soft quota of 4"
    assert warning in run("status", CAIRN_MASTER=cluster.address).stdout.decode()
    ok(cluster, "quota", "clear", folder)
    ended = run("quota", "show", folder, CAIRN_MASTER=cluster.address)
    assert (ended.stdout, ended.stderr) == (b"", b"no quota holds here\n")


def test_the_refusal_says_what_to_do_and_has_its_exit_code(cluster, folder):
    ok(cluster, "quota", "set", folder, "--files", "0")
    ended = run("mkdir", f"{folder}/more", CAIRN_MASTER=cluster.address)
    assert ended.returncode == 6
    assert ended.stderr.decode().splitlines() == [
        f"cairn: quota exceeded: {folder} may hold 0 files, holds 0, and 1 more were asked for",
        f"hint: {QuotaError.hint}",
    ]
    assert run("quota", "set", folder, CAIRN_MASTER=cluster.address).returncode == 2


def test_a_writer_is_refused_at_the_next_chunk_though_nothing_was_synced(fs, folder):
    fs.set_quota(folder, size_bytes=3 * MIB)
    with pytest.raises(QuotaError) as refused:
        write_on(fs, f"{folder}/file")
    assert (refused.value.errno, refused.value.path) == (errno.EDQUOT, folder)
    assert fs.quota(folder).used_bytes <= 3 * MIB
    fs.remove(f"{folder}/file", now=True)
    fs.write_bytes(f"{folder}/file", bytes(3 * MIB))
    assert fs.read_bytes(f"{folder}/file") == bytes(3 * MIB)
    assert (fs.quota(folder).used_files, fs.quota(folder).used_bytes, fs.quota(folder).is_full) == (1, 3 * MIB, True)
    with pytest.raises(QuotaError):
        fs.write_bytes(f"{folder}/next", b"1")


def test_an_appender_is_refused_at_the_next_chunk(fs, folder):
    fs.set_quota(folder, size_bytes=2 * MIB)
    with pytest.raises(QuotaError):
        append_on(fs, f"{folder}/log")
    assert fs.quota(folder).used_bytes <= 2 * MIB
    assert all(record.data == bytes(MIB // 5) for record in fs.records(f"{folder}/log"))


def test_a_tree_from_outside_is_counted_when_it_moves_in_and_when_it_is_copied_in(fs, folder):
    fs.makedirs(f"{folder}/out/a/b")
    fs.makedirs(f"{folder}/in")
    for number in range(5):
        fs.write_bytes(f"{folder}/out/a/b/{number}", bytes(100))
    fs.set_quota(f"{folder}/in", files=15)
    fs.snapshot(f"{folder}/out", f"{folder}/in/copy")
    fs.replace(f"{folder}/out/a", f"{folder}/in/a")
    quota = fs.quota(f"{folder}/in")
    assert (quota.used_files, quota.used_bytes) == (8 + 7, 1000)
    fs.rmtree(f"{folder}/in/copy")
    fs.snapshot(f"{folder}/in/a", f"{folder}/in/again")
    with pytest.raises(QuotaError):
        fs.undelete(f"{folder}/in/copy")
    assert [one.path for one in fs.quotas(f"{folder}/in/a/b")] == [f"{folder}/in"]
    assert fs.quota(folder) is None


def test_quotas_outlive_the_master(own_cluster):
    with cairnfs.connect(own_cluster.address) as fs:
        fs.makedirs("/q/a")
        fs.set_quota("/q", files=2)
        fs.touch("/q/file")
        own_cluster.kill("master")
        own_cluster.restart("master")
        own_cluster.wait_ready()
        with pytest.raises(QuotaError):
            fs.touch("/q/a/other")
        assert fs.quota("/q").used_files == 2
