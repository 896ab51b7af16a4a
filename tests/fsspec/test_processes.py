"""One object in many threads, loops and processes; and the end of each."""

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest


def in_child(fs, root):
    return fs.cat(f"{root}/a"), fs.ls(root, detail=False), os.getpid()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_another_process_uses_the_object_of_its_parent(fs, root, method):
    fs.pipe_file(f"{root}/a", b"1")
    with multiprocessing.get_context(method).Pool(1) as pool:
        data, names, process = pool.apply(in_child, (fs, root))
    assert (data, names) == (b"1", [f"{root}/a"])
    assert process != os.getpid()
    assert fs.cat(f"{root}/a") == b"1"


def run_forked(child):
    """Run `child` in a fork of this process; return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_reads_on_but_its_parent_writes(fs, root):
    """Goal: bytes that the parent gathered are written once, by the parent."""
    fs.pipe_file(f"{root}/a", b"123456")
    reader = fs.open(f"{root}/a", block_size=2, cache_type="none")
    assert reader.read(2) == b"12"
    writer = fs.open(f"{root}/b", "wb", block_size=2)
    writer.write(b"xyz")
    writer.write(b"rest")

    def child():
        assert reader.read() == b"3456"
        with pytest.raises(ValueError, match="another process"):
            writer.write(b"from the child")
        writer.close()
        assert not fs.exists(f"{root}/b")
        fs.pipe_file(f"{root}/c", b"child")

    assert run_forked(child) == 0
    assert fs.ls(root, detail=False) == [f"{root}/a", f"{root}/c"]
    writer.close()
    assert fs.cat(f"{root}/b") == b"xyzrest"


def test_many_threads_use_one_object(fs, root):
    def work(number):
        fs.pipe_file(f"{root}/{number}", str(number).encode())
        return int(fs.cat(f"{root}/{number}"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == list(range(40))


# ---------------------------------------------------------------------- loops


def test_asynchronous_objects_run_on_the_loop_of_their_caller(address, root):
    async def use(number):
        fs = fsspec.filesystem("cairn", masters=address, asynchronous=True)
        await fs._pipe_file(f"{root}/{number}", b"1")
        assert await fs._cat_file(f"{root}/{number}") == b"1"
        assert [loop is asyncio.get_running_loop() for loop in fs._clients.loops()] == [True]
        async with await fs.open_async(f"{root}/streamed{number}", "wb", block_size=4) as file:
            await file.write(b"12345")
            await file.write(b"6789")
            assert not await fs._exists(f"{root}/streamed{number}")
        async with await fs.open_async(f"{root}/streamed{number}") as file:
            assert (await file.read(4), await file.read(), await file.read(1)) == (b"1234", b"56789", b"")
        async with await fs.open_async(f"{root}/streamed{number}", "ab") as file:
            await file.write(b"!")
        assert await fs._cat_file(f"{root}/streamed{number}") == b"123456789!"
        return fs

    first, second = asyncio.run(use(1)), asyncio.run(use(2))
    assert first is second


def test_a_streamed_file_that_fails_leaves_nothing(address, root, cluster):
    async def write_and_fail(fs):
        async with await fs.open_async(f"{root}/a", "wb", block_size=4) as file:
            await file.write(b"12345")
            raise KeyError

    async def use():
        fs = fsspec.filesystem("cairn", masters=address, asynchronous=True)
        with pytest.raises(KeyError):
            await write_and_fail(fs)
        with pytest.raises(FileNotFoundError):
            await fs.open_async(f"{root}/a")
        with pytest.raises(ValueError, match="plain bytes"):
            await fs.open_async(f"{root}/a", "w")

    asyncio.run(use())
    assert cluster.listdir(root) == []


def test_one_object_serves_two_loops_at_once(fs, root):
    fs.pipe_file(f"{root}/a", b"1")

    async def use():
        direct = await fs._cat_file(f"{root}/a")
        return direct, await asyncio.get_running_loop().run_in_executor(None, fs.cat, f"{root}/a")

    assert asyncio.run(use()) == (b"1", b"1")


# ---------------------------------------------------------------------- the end

ENDS = {
    "clean": "",
    "left open": "file = fs.open(root + '/left', 'wb'); file.write(b'left')",
    "reading": "file = fs.open(root + '/a'); file.read(1)",
    "cycle": "class Node: pass\nnode = Node(); node.me = node; node.file = fs.open(root + '/left', 'wb'); del node",
    "collected": "import gc; fs = None; fsspec.filesystem('cairn').clear_instance_cache(); gc.collect()",
    "asynchronous": "import asyncio; a = fsspec.filesystem('cairn', masters=address, asynchronous=True)\n"
    "print(asyncio.run(a._cat_file(root + '/a')))",
    "closed by hand": "fsspec.asyn.sync(fs.loop, fs.aclose); fs.cat(root + '/a'); fsspec.asyn.sync(fs.loop, fs.aclose)",
    "forked": "import os\nif os.fork() == 0:\n    assert fs.cat(root + '/a') == b'1'\n    sys.exit()\nos.wait()",
    "error": "fs.open(root + '/left', 'wb').write(b'1'); sys.exit(3)",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_without_a_word_and_without_hanging(fs, address, root, end):
    """Goal: no connection is leaked, no warning printed, nothing waited for. Method: warnings are errors, all shown."""
    fs.pipe_file(f"{root}/a", b"1")
    program = (
        f"import sys, fsspec; address, root = {address!r}, {root!r}\n"
        "fs = fsspec.filesystem('cairn', masters=address)\nassert fs.cat(root + '/a') == b'1'\n" + ENDS[end]
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.stderr, ended.returncode) == ("", 3 if end == "error" else 0)
    if "left" in end or end == "error":
        assert fs.exists(f"{root}/left")


def test_a_pickled_object_is_of_the_same_cluster(fs):
    copy = pickle.loads(pickle.dumps(fs))
    assert copy == fs
    assert type(fs).from_json(fs.to_json()) == fs
