"""Real processes under a user's test: the verbs that work there, and the words about those that do not."""

import threading

import pytest

from cairnfs.testing.cluster import CairnCluster
from cairnfs.testing.real import RealMachines
from cairnfs.testing.settings import OnlySimulatedError, Settings


@pytest.fixture
def machines(tmp_path):
    return RealMachines(Settings(processes=True, chunkservers=3), tmp_path / "cluster")


@pytest.mark.cairn(processes=True, chunkservers=3)
def test_a_server_dies_and_comes_back_anew(cairn_cluster):
    fs = cairn_cluster.fs
    fs.append("/log", b"one")
    primary = cairn_cluster.primary_of("/log")
    cairn_cluster.crash(primary)
    fs.append("/log", b"two")
    cairn_cluster.restart(primary)  # refused if it runs
    cairn_cluster.wait_until_healthy()

    async def read():
        async with await cairn_cluster.aio.client() as other:
            return await other.read_bytes("/log"), await cairn_cluster.aio.chunks("/log")

    data, chunks = cairn_cluster.run(read())
    assert data == b"onetwo"
    assert sorted(chunks[0].servers) == ["chunkserver1", "chunkserver2", "chunkserver3"]


def test_a_paused_master_answers_later_and_what_happens_later_does_happen(machines):
    """Goal: SIGSTOP ends by itself; `after` happens while the test waits in a call.

    Method: with the master stopped, a call returns only if somebody wakes it; then the test waits for the happening.
    """
    happened = threading.Event()
    with CairnCluster(machines) as cluster:
        cluster.fs.write_bytes("/file", b"x")
        cluster.pause("master", 1.0)
        cluster.after(0.5, happened.set)
        assert cluster.fs.read_bytes("/file") == b"x"
        assert happened.is_set()
        cluster.after(60, cluster.crash, "master")
    assert not machines.is_up("master")


def test_what_goes_wrong_later_is_told_at_the_end(machines):
    cluster = CairnCluster(machines).__enter__()
    cluster.after(0.01, cluster.restart, "master")
    cluster.pass_time(0.5)
    with pytest.raises(ValueError, match="master runs already"):
        cluster.__exit__(None, None, None)
    assert not machines.is_up("master")


@pytest.mark.parametrize(
    "call, instead",
    [
        (lambda cluster: cluster.power_cut(), "Simulate .* or use crash"),
        (lambda cluster: cluster.partition(["client"], ["master"]), "Simulate .* or use pause"),
        (lambda cluster: cluster.slow_disk("chunkserver1"), "Simulate .* or use pause"),
    ],
)
def test_what_processes_cannot_do_says_so_and_what_to_use(machines, call, instead):
    with pytest.raises(OnlySimulatedError, match=instead):
        call(CairnCluster(machines))
