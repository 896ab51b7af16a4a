"""Limits on calls: with_timeout and timeout=, what they end, and what the error says."""

import asyncio
import inspect
import pickle

import pytest
from tests.support.fake_cluster import fake_cluster
from tests.unit.client.support import cluster_on_a_thread

import cairnfs
from cairnfs.client.blocking_client import Client
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client as AsyncClient
from cairnfs.client.record_writer import RecordWriter
from cairnfs.errors import BadRequestError, TimeLimitError

SOON = 0.05
"""Seconds; nobody answers, so it does not matter how slow the machine is."""


@pytest.fixture
def silent():
    """A connected client of a master that no longer answers."""
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address)
        fs.write_bytes("/file", b"bytes")
        cluster.master.is_silent = True
        yield fs
        fs.close()


def test_a_call_that_takes_longer_says_which_on_what_and_what_is_left(silent):
    with pytest.raises(TimeoutError, match=r"read_bytes of /file took longer than 0\.05 s: nothing was changed"):
        silent.read_bytes("/file", timeout=SOON)
    with pytest.raises(TimeoutError, match=r"rename of /file .*: it may have been carried out"):
        silent.rename("/file", "/other", timeout=SOON)
    with pytest.raises(TimeoutError, match=r"append of /log .*: the record may be there, whole"):
        silent.with_timeout(SOON).append("/log", b"record")


def test_an_iteration_has_the_limit_for_each_item(silent):
    with pytest.raises(TimeLimitError, match="scandir of /"):
        list(silent.scandir("/", timeout=SOON))


def test_a_transfer_has_the_limit_on_its_progress(silent, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TimeLimitError, match="upload of /new"):
        silent.upload(tmp_path / "file", "/new", timeout=SOON)


def test_a_file_opened_with_a_limit_has_it_too():
    """Method: the reader has its place in the file before the master and the servers fall silent."""
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address).with_timeout(5)
        fs.write_bytes("/file", b"bytes")
        file = fs.with_timeout(SOON * 20).open("/file", "rb", buffering=0)
        for server in (cluster.master, *cluster.servers):
            server.is_silent = True
        with pytest.raises(TimeLimitError, match="of /file"):
            file.read(3)
        fs.close()


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_limit_that_makes_no_sense_is_refused(bad):
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address)
        for call in (lambda: fs.exists("/", timeout=bad), lambda: fs.with_timeout(bad)):
            with pytest.raises(BadRequestError, match="seconds above 0"):
                call()
        with pytest.raises(BadRequestError, match="seconds above 0"):
            cairnfs.connect(cluster.master.address, timeout=bad)
        assert fs.exists("/", timeout=30)
        fs.close()


def test_every_blocking_call_takes_a_timeout():
    free = {"open_files", "close", "connect", "counters", "reopened", "reopened_writer", "with_timeout"}
    calls = [
        (name, method)
        for name, method in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_") and name not in free
    ]
    assert len(calls) > 45
    missing = [name for name, method in calls if "timeout" not in inspect.signature(method).parameters]
    assert missing == []


def test_every_call_with_await_is_limited():
    """Method: what `timed` wraps has the wrapped one inside."""
    for kind in (AsyncClient, File, RecordWriter):
        calls = [
            name
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
            and (
                inspect.iscoroutinefunction(inspect.unwrap(method))
                or inspect.isasyncgenfunction(inspect.unwrap(method))
            )
        ]
        free = {"upload", "download", "copytree"}  # limited by progress
        assert [name for name in calls if name not in free and not hasattr(getattr(kind, name), "__wrapped__")] == []


def test_await_has_the_same_limits():
    async def claim():
        async with fake_cluster() as (cluster, fs):
            await fs.connect()
            cluster.master.is_silent = True
            with pytest.raises(TimeLimitError, match="stat of /file"):
                await fs.with_timeout(SOON).stat("/file")
            with pytest.raises(TimeLimitError, match="walk of /"):
                _ = [step async for step in fs.with_timeout(SOON).walk("/")]

    asyncio.run(claim())


def test_a_deadline_around_a_call_is_not_taken_for_its_limit():
    async def claim():
        async with fake_cluster() as (cluster, fs):
            await fs.connect()
            cluster.master.is_silent = True
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(SOON):
                    await fs.with_timeout(1000).stat("/file")
            assert not isinstance(caught.value, TimeLimitError)

    asyncio.run(claim())


def test_the_limit_travels_with_a_pickled_client():
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address)
        again = pickle.loads(pickle.dumps(fs.with_timeout(7)))
        assert (again.limit_s, again.exists("/")) == (7, True)
        again.close()
        fs.close()


def test_a_view_shares_the_connection_of_its_client():
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address)
        view = fs.with_timeout(30)
        view.exists("/")
        assert view.counters() == fs.counters() != {}
        view.close()
        assert fs.counters() == {}
        fs.close()
