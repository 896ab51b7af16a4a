"""Open files behave as Python's own: the same operations on both, op by op."""

import io
import os
import pickle
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.client.support import cluster_on_a_thread

import cairnfs

CHUNK = 64 * 1024


@pytest.fixture(scope="module")
def fs():
    with cluster_on_a_thread(chunk_bytes=CHUNK, block_bytes=4096) as cluster:
        client = cairnfs.connect(cluster.master.address, timeout=10)
        yield client
        client.close()


def place(limit=3 * CHUNK):
    near_ends = st.builds(lambda chunk, by: max(0, chunk * CHUNK + by), st.integers(0, 2), st.integers(-3, 3))
    return st.one_of(near_ends, st.integers(0, limit))


def data():
    return st.builds(
        lambda first, size: bytes((first + at) % 251 for at in range(size)),
        st.integers(0, 250), st.one_of(st.integers(0, 40), st.sampled_from([4096, CHUNK - 1, CHUNK, CHUNK + 5])),
    )  # fmt: skip


OPS = st.one_of(
    st.tuples(st.just("write"), data()),
    st.tuples(st.just("read"), st.one_of(st.just(-1), st.integers(0, 2 * CHUNK))),
    st.tuples(st.just("readline"), st.just(-1)),
    st.tuples(st.just("seek"), place(), st.just(0)),
    st.tuples(st.just("seek"), st.integers(-CHUNK, CHUNK), st.sampled_from([1, 2])),
    st.tuples(st.just("tell")),
    st.tuples(st.just("truncate"), st.one_of(st.none(), place())),
    st.tuples(st.just("flush")),
)


def outcome(file, op):
    name, *args = op
    try:
        return getattr(file, name)(*args)
    except (ValueError, OSError) as error:
        return "refused" if isinstance(error, OSError | ValueError) else error


@settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    before=data(),
    mode=st.sampled_from(["rb", "wb", "ab", "r+b", "w+b", "a+b"]),
    buffering=st.sampled_from([-1, 0, 700]),
    ops=st.lists(OPS, max_size=10),
)
def test_every_mode_does_what_pythons_own_files_do(fs, before, mode, buffering, ops):
    """Goal: a program cannot tell a file of the cluster from one of its machine.

    Method: the same operations on both; results, positions and the bytes left behind are equal.
    """
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "file")
        with open(name, "wb") as file:
            file.write(before)
        fs.write_bytes("/file", before)
        with open(name, mode, buffering) as theirs, fs.open("/file", mode, buffering) as ours:
            assert ours.tell() == theirs.tell()
            for op in ops:
                assert outcome(ours, op) == outcome(theirs, op), op[:1]
                if mode.startswith("a"):
                    # Where Python says it stands before an append is flushed depends on the size of its buffer.
                    assert outcome(ours, ("flush",)) == outcome(theirs, ("flush",))
                assert ours.tell() == theirs.tell(), op[:1]
        with open(name, "rb") as file:
            assert fs.read_bytes("/file") == file.read()
        assert fs.stat("/file").size == os.stat(name).st_size


@pytest.mark.parametrize("mode", ["r", "x", "xb", "rb+"])
def test_missing_and_existing_files_raise_pythons_own_errors(fs, mode):
    fs.write_bytes("/there", b"1")
    if "x" in mode:
        with pytest.raises(FileExistsError):
            fs.open("/there", mode)
    else:
        with pytest.raises(FileNotFoundError) as caught:
            fs.open("/missing", mode)
        assert caught.value.filename == "/missing"
    fs.makedirs("/folder", exist_ok=True)
    with pytest.raises(IsADirectoryError):
        fs.open("/folder", "r")


@pytest.mark.parametrize("mode", ["", "z", "rw", "rbt", "r++", "b"])
def test_odd_modes_are_refused_as_by_python(fs, mode):
    with pytest.raises(ValueError):
        fs.open("/there", mode)


def test_text_lines_and_print_work(fs):
    with fs.open("/text", "w") as file:
        for number in range(3000):
            print("line", number, "ü", file=file)
    with fs.open("/text") as file:
        assert [line.split()[1] for line in file] == [str(number) for number in range(3000)]
    assert fs.read_text("/text").count("ü") == 3000


def test_copyfileobj_both_ways(fs):
    data = os.urandom(7 * CHUNK + 11)
    with fs.open("/copied", "wb") as file:
        shutil.copyfileobj(io.BytesIO(data), file)
    out = io.BytesIO()
    with fs.open("/copied", "rb") as file:
        shutil.copyfileobj(file, out)
    assert out.getvalue() == data


def test_flush_makes_bytes_visible_to_others(fs):
    with fs.open("/flushed", "wb") as file:
        file.write(b"abc")
        file.flush()
        assert fs.read_bytes("/flushed") == b"abc"
        assert fs.stat("/flushed").size == 3


def test_a_client_and_a_reader_survive_pickling(fs):
    fs.write_bytes("/pickled", b"0123456789")
    other = pickle.loads(pickle.dumps(fs))
    assert other.read_bytes("/pickled") == b"0123456789"
    other.close()
    with fs.open("/pickled", "rb") as file:
        file.read(4)
        again = pickle.loads(pickle.dumps(file))
        assert again.read() == b"456789"
        again.close()
    with fs.open("/pickled", "r+b") as file, pytest.raises(TypeError):
        pickle.dumps(file)


def test_a_forked_child_reads_and_writes_with_the_same_objects(fs):
    """Goal: multiprocessing by fork works. Method: the child uses client and open file, and tells through a pipe."""
    fs.write_bytes("/forked", b"0123456789")
    with fs.open("/forked", "rb", buffering=0) as file:
        file.read(2)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                fs.write_bytes("/by-child", b"child")
                os.write(writing, file.read(3) + fs.read_bytes("/forked"))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 100) == b"2340123456789"
        assert file.read(3) == b"234"
        os.close(reading)
        os.close(writing)
    assert fs.read_bytes("/by-child") == b"child"


def test_an_empty_file_has_no_chunks(fs):
    with fs.open("/empty", "w"):
        pass
    assert fs.stat("/empty").size == 0
    assert fs.stat("/empty").chunks == 0
    assert fs.read_bytes("/empty") == b""


def test_nobody_there_is_said_with_the_way_to_start_a_cluster():
    with pytest.raises(ConnectionError, match="cairn up"):
        cairnfs.connect("127.0.0.1:1")
