"""`cairn up` and the cluster inside a process: both end with whoever started them."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
from tests.e2e.tools import command, environment, run

import cairnfs
from cairnfs.cluster.in_process import InProcessCluster
from cairnfs.cluster.waiting import wait_until
from cairnfs.errors import ConnectError


def start_up(folder):
    process = subprocess.Popen(
        command("up", str(folder), "-n", "2", "--listen", "127.0.0.1:0", "--json"),
        stdout=subprocess.PIPE,
        env=environment(),
    )
    return process, json.loads(process.stdout.readline())


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def gone(pids):
    """True if none of the processes runs; one that nobody has waited for does not run either."""
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] != "Z":
                    return False
        except FileNotFoundError:
            pass
    return True


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)])
def test_up_takes_its_children_with_it(tmp_path, number, code):
    process, said = start_up(tmp_path / "up")
    try:
        children = children_of(process.pid)
        assert len(children) == 3
        ended = run("put", "-", f"cairn://{said['address']}/file", stdin=b"x")
        assert ended.returncode == 0, ended
        process.send_signal(number)
        assert process.wait(20) == code
        assert wait_until(lambda: gone(children), 5)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_signal_ends_up_at_once(tmp_path):
    """Method: a stopped process gets both signals before it can act on the first."""
    process, _ = start_up(tmp_path / "up")
    try:
        children = children_of(process.pid)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(5) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        assert wait_until(lambda: gone(children), 5)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_up_keeps_its_files_for_the_next_time(tmp_path):
    for content in (b"", b"kept"):
        process, said = start_up(tmp_path / "up")
        path = f"cairn://{said['address']}/file"
        if content:
            assert run("cat", path).stdout == content
        else:
            assert run("put", "-", path, stdin=b"kept").returncode == 0
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_a_cluster_inside_this_process_stores_and_leaves_nothing_behind():
    cluster = InProcessCluster(chunkservers=2)
    cluster.start()
    try:
        with cairnfs.connect(cluster.master_address) as fs:
            fs.append("/log", b"record")
            with fs.open("/log", "rb") as file:
                assert file.read() == b"record"
        folder = cluster._folder
        assert os.path.isdir(folder)
    finally:
        cluster.stop()
    assert not os.path.exists(folder)


def test_a_cluster_inside_this_process_uses_its_folder_again(tmp_path):
    for number in range(2):
        with InProcessCluster(str(tmp_path), chunkservers=1) as cluster, cairnfs.connect(cluster.master_address) as fs:
            assert fs.exists("/folder") == bool(number)
            fs.makedirs("/folder", exist_ok=True)


def ended(what):
    program = os.path.join(os.path.dirname(__file__), "local_ends.py")
    asked = subprocess.run([sys.executable, program, what], capture_output=True, text=True, env=environment())
    assert (asked.returncode, asked.stderr) == (0, "")
    return asked.stdout


def test_a_program_that_ends_without_closing_leaves_no_folder_and_no_word():
    folder = ended("exit")
    assert os.path.basename(folder).startswith("cairnfs-")
    assert not os.path.exists(folder)


def test_a_forked_child_that_closes_the_client_leaves_the_cluster_to_its_parent():
    assert ended("fork") == "of the parent, read by the child"


def test_a_spawned_child_uses_its_parents_client():
    """Method: a bound method of the client travels by pickle, to a process that shares nothing."""
    with cairnfs.local() as fs:
        fs.write_text("/file", "of the parent")
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            assert pool.submit(fs.read_text, "/file").result() == "of the parent"


def test_blocking_and_await_work_where_a_loop_runs_already():
    """Goal: cells of a notebook, whose kernel runs a loop, need nothing special. Method: calls inside a coroutine."""

    async def cell():
        with cairnfs.local() as fs, cairnfs.local(chunkservers=1) as second:
            fs.write_text("/file", "first")
            second.write_text("/file", "second")
            assert (fs.read_text("/file"), second.read_text("/file")) == ("first", "second")
            async with await cairnfs.aio.connect(fs.cluster.master_address) as waiting:
                assert await waiting.read_text("/file") == "first"
            async with await cairnfs.aio.local(chunkservers=1) as third:
                await third.write_text("/file", "third")
                assert await third.read_text("/file") == "third"

    asyncio.run(cell())


def test_no_master_is_told_soon_also_where_a_loop_runs():
    async def cell():
        for connect in (cairnfs.connect, cairnfs.aio.connect):
            with pytest.raises(ConnectError, match=r"no master at 127\.0\.0\.1:1: .*`cairn up` starts"):
                await connect("127.0.0.1:1")

    asyncio.run(cell())
