"""A simulated cluster under a user's test: what its verbs do, and what it refuses."""

import asyncio
import gc
import pickle
import re
import threading

import pytest

from cairnfs.errors import ShutdownError
from cairnfs.sim.loop import SimError
from cairnfs.testing.cluster import CairnCluster
from cairnfs.testing.settings import Settings
from cairnfs.testing.simulated import SimulatedMachines


def simulated(seed, **settings):
    return CairnCluster(SimulatedMachines(Settings(**settings), seed))


def took_s(cluster, call):
    """Return the virtual seconds that a call takes."""

    async def now():
        return asyncio.get_running_loop().time()

    before = cluster.run(now())
    call()
    return cluster.run(now()) - before


# ---- clients


def test_open_files_behave_as_files(cairn_cluster):
    fs = cairn_cluster.fs
    with fs.open("/poem", "w") as file:
        file.writelines(f"line {number}\n" for number in range(1000))
    with fs.open("/poem") as file:
        assert [line.split()[1] for line in file] == [str(number) for number in range(1000)]
    with fs.open("/poem", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"end\n")
    assert fs.read_text("/poem").endswith("998\nline end\n")
    assert [entry.name for entry in fs.scandir("/")] == ["poem"]


def test_clients_on_several_hosts_see_one_cluster(cairn_cluster):
    cairn_cluster.fs.append("/log", b"one")
    other = cairn_cluster.client("elsewhere")
    cairn_cluster.cut("client", "master")
    other.append("/log", b"two")
    with pytest.raises(TimeoutError):
        cairn_cluster.fs.stat("/log")
    cairn_cluster.heal("client", "master")
    assert cairn_cluster.fs.read_bytes("/log") == b"onetwo"


def test_a_file_left_open_is_closed_with_the_cluster():
    with simulated(1) as cluster:
        file = cluster.fs.open("/file", "w")
        file.write("kept in a buffer")
    assert file.closed


def test_a_simulated_client_is_not_pickled(cairn_cluster):
    with pytest.raises(TypeError, match="no other process can reach its cluster"):
        pickle.dumps(cairn_cluster.fs)


# ---- the same run from the same seed


def trace_of(seed):
    with simulated(seed) as cluster:
        file = cluster.fs.open("/file", "wb")
        file.write(bytes(100_000))
        cluster.crash("chunkserver1")
        for number in range(10):
            cluster.fs.append("/log", b"%d" % number)
        return re.search(r"trace (\w{32})", cluster.report())[1]


def test_two_runs_of_a_seed_are_the_same_whatever_else_the_process_did():
    first = trace_of(3)
    rubbish = [[] for _ in range(10_000)]
    for one in rubbish:
        one.append(one)
    del rubbish
    assert trace_of(3) == first
    assert trace_of(4) != first


def test_garbage_is_collected_again_afterwards():
    with simulated(1):
        assert not gc.isenabled()
    assert gc.isenabled()


# ---- what happens


def length_after(seed, happen):
    """Return how much of a file is there that was acked by all replicas and not synced."""
    with simulated(seed) as cluster:
        file = cluster.fs.open("/file", "wb", buffering=0)
        file.write(b"x" * 50_000)
        file.flush()
        happen(cluster)
        cluster.restart()
        cluster.wait_until_healthy()
        return cluster.fs.read_bytes("/file").count(b"x")


def test_a_crash_of_all_keeps_what_was_written_and_a_power_cut_may_not():
    """Goal: both verbs do what they say. Method: bytes that were flushed and not synced, over some seeds."""

    def crash_all(cluster):
        for server in cluster.servers:
            cluster.crash(server)

    assert [length_after(seed, crash_all) for seed in range(4)] == [50_000] * 4
    assert min(length_after(seed, CairnCluster.power_cut) for seed in range(8)) < 50_000


def test_a_slow_disk_is_slow_until_it_is_healed(cairn_cluster):
    def append():
        cairn_cluster.fs.append("/log", b"record")

    append()
    usual_s = took_s(cairn_cluster, append)
    for server in cairn_cluster.servers:
        cairn_cluster.slow_disk(server, 2.0)
        cairn_cluster.slow_disk(server, 1.0)
    assert took_s(cairn_cluster, append) > 0.5 > usual_s
    cairn_cluster.heal()
    append()  # what had been asked of the disks before is still slow
    assert took_s(cairn_cluster, append) < 0.5


def test_a_paused_primary_answers_later(cairn_cluster):
    cairn_cluster.fs.append("/log", b"one")
    cairn_cluster.pause(cairn_cluster.primary_of("/log"), 1.5)
    assert 1.4 < took_s(cairn_cluster, lambda: cairn_cluster.fs.append("/log", b"two")) < 5
    assert cairn_cluster.fs.read_bytes("/log") == b"onetwo"


@pytest.mark.cairn(chunkservers=3)
def test_a_partition_cuts_sides_from_each_other_only(cairn_cluster):
    cairn_cluster.fs.write_bytes("/file", b"x")
    (chunk,) = cairn_cluster.chunks("/file")
    cairn_cluster.partition(["client"], chunk.servers[:2], ["master"])
    cairn_cluster.heal("client", "master")
    assert cairn_cluster.fs.read_bytes("/file") == b"x"
    cairn_cluster.cut("client", chunk.servers[2])
    cairn_cluster.after(30, cairn_cluster.heal)
    assert took_s(cairn_cluster, lambda: cairn_cluster.fs.read_bytes("/file")) > 25


def test_something_happens_in_the_middle_of_a_call(cairn_cluster):
    fs = cairn_cluster.fs
    fs.append("/log", b"one")
    cairn_cluster.crash("master")
    cairn_cluster.after(3, cairn_cluster.restart, "master")
    assert took_s(cairn_cluster, lambda: fs.stat("/log")) > 3


# ---- waiting


def test_healthy_means_that_lost_copies_were_made_again(cairn_cluster):
    cairn_cluster.fs.write_bytes("/file", b"x")
    victim = cairn_cluster.chunks("/file")[0].servers[0]
    cairn_cluster.crash(victim)
    cairn_cluster.wait_until_healthy()
    servers = cairn_cluster.chunks("/file")[0].servers
    assert len(servers) == 3
    assert victim not in servers


def test_healthy_does_not_believe_in_a_life_that_is_over(cairn_cluster):
    """Goal: a server that crashed and is back has registered anew.

    Method: its way to the master stays cut, so that the master still believes in the life before.
    """
    cairn_cluster.power_cut("chunkserver1")
    cairn_cluster.cut("chunkserver1", "master")
    cairn_cluster.restart("chunkserver1")
    with pytest.raises(AssertionError, match="did not come true within 1 s"):
        cairn_cluster.wait_until_healthy(limit_s=1)
    cairn_cluster.heal()
    cairn_cluster.wait_until_healthy()


def test_until_looks_again_and_again(cairn_cluster):
    fs = cairn_cluster.fs
    cairn_cluster.after(3, cairn_cluster.crash, "chunkserver1")
    cairn_cluster.until(lambda: sum(server.state == "live" for server in fs.status().servers) == 3, limit_s=20)
    with pytest.raises(AssertionError, match="did not come true within 2 s"):
        cairn_cluster.until(lambda: False, limit_s=2)
    assert 2 <= took_s(cairn_cluster, lambda: cairn_cluster.pass_time(2)) < 2.1


def test_a_server_that_crashes_as_it_starts_is_down(cairn_cluster):
    cairn_cluster.crash("chunkserver1")
    cairn_cluster.restart("chunkserver1")
    cairn_cluster.crash("chunkserver1")
    cairn_cluster.pass_time(1)
    cairn_cluster.restart("chunkserver1")
    cairn_cluster.wait_until_healthy()


def test_no_primary_is_a_lookup_error(cairn_cluster):
    cairn_cluster.fs.write_bytes("/file", b"closed")
    with pytest.raises(LookupError, match="/file"):
        cairn_cluster.primary_of("/file")


# ---- coroutines


def test_a_coroutine_has_the_same_verbs(cairn_cluster):
    async def scene():
        aio = cairn_cluster.aio
        async with await aio.client() as fs, await aio.client("elsewhere") as other:
            await fs.append("/log", b"one")
            cairn_cluster.crash(await aio.primary_of("/log"))
            await other.append("/log", b"two")
            cairn_cluster.restart()
            await aio.wait_until_healthy()

            async def has_both():
                return await fs.read_bytes("/log") == b"onetwo"

            await aio.until(has_both)
            return await aio.chunks("/log")

    assert len(cairn_cluster.run(scene())[0].servers) >= 3


def test_a_blocking_call_inside_a_coroutine_is_refused(cairn_cluster):
    async def scene():
        cairn_cluster.fs.exists("/file")

    with pytest.raises(SimError, match=r"inside coroutines use cluster\.aio and await"):
        cairn_cluster.run(scene())


def test_another_thread_is_refused(cairn_cluster):
    errors = []

    def call():
        try:
            cairn_cluster.fs.exists("/file")
        except SimError as error:
            errors.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert errors == ["a simulated cluster has one thread; code with threads needs real ones: cairn(processes=True)"]


def test_a_cluster_that_has_ended_says_so():
    with simulated(1) as cluster:
        fs = cluster.fs
    with pytest.raises(ShutdownError, match="the simulated cluster"):
        fs.exists("/file")


# ---- wrong names


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda cluster: cluster.crash("chunkserver9"), "no server 'chunkserver9'; there are master, chunkserver1"),
        (lambda cluster: cluster.crash("client"), "no server 'client'"),
        (lambda cluster: cluster.cut("client", "chunkserver9"), "no host 'chunkserver9'"),
        (lambda cluster: cluster.heal("client"), "no host ''"),
        (lambda cluster: cluster.restart("master"), "master runs already"),
        (lambda cluster: cluster.client("master"), "'master' is a server"),
        (lambda cluster: cluster.run(cluster.aio.client("chunkserver1")), "'chunkserver1' is a server"),
        (lambda cluster: [cluster.crash("master"), cluster.power_cut("master")], "master is down already"),
    ],
)
def test_what_cannot_be_meant_is_refused(cairn_cluster, call, words):
    with pytest.raises(ValueError, match=words):
        call(cairn_cluster)
