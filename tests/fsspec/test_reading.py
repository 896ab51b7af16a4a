"""Open files: what a reader sees while others change the file."""

import errno
import os
import pickle

import fsspec
import pytest

from cairnfs.units import MIB

DATA = os.urandom(3 * MIB + 7)


@pytest.fixture
def path(fs, root):
    fs.pipe_file(f"{root}/data", DATA)
    return f"{root}/data"


@pytest.mark.parametrize("cache", ["readahead", "none", "bytes", "blockcache", "background", "mmap", "first", "all"])
def test_every_cache_gives_the_same_bytes(fs, path, cache):
    with fs.open(path, cache_type=cache, block_size=MIB // 2) as file:
        assert file.read(10) == DATA[:10]
        assert file.seek(-20, 2) == len(DATA) - 20
        assert file.read(100) == DATA[-20:]
        assert file.read(1) == b""
        file.seek(MIB)
        assert file.read(MIB) == DATA[MIB : 2 * MIB]
        file.seek(len(DATA) + 5)
        assert file.read(5) == b""
        file.seek(0)
        assert file.read() == DATA


def replace(fs, cluster, path):
    fs.pipe_file(path, bytes(len(DATA)))


def move_over(fs, cluster, path):
    fs.pipe_file(path + "2", bytes(len(DATA)))
    fs.mv(path + "2", path)


def remove(fs, cluster, path):
    fs.rm(path)


@pytest.mark.parametrize("change", [replace, move_over, remove])
@pytest.mark.parametrize("cache", ["readahead", "none"])
def test_a_reader_keeps_the_file_that_it_opened(fs, cluster, path, change, cache):
    """Goal: never bytes of two files in one read. Method: change what the path names between two blocks."""
    with fs.open(path, cache_type=cache, block_size=MIB) as file:
        first = file.read(MIB // 2)
        change(fs, cluster, path)
        assert first + file.read() == DATA


def test_a_file_removed_for_good_is_not_found(fs, address, path):
    """Its bytes may still be read where the client knows their places; it asks again after `location_cache_s`."""
    forgetful = fsspec.filesystem("cairn", masters=address, location_cache_s=0.0)
    with forgetful.open(path, block_size=MIB) as file:
        fs.rm(path, now=True)
        with pytest.raises(FileNotFoundError):
            file.read()


def test_a_file_cut_short_under_a_reader_is_an_error(fs, cluster, path):
    with fs.open(path, cache_type="none") as file:
        cluster.truncate(path, MIB + 1)
        assert file.read(MIB) == DATA[:MIB]
        with pytest.raises(OSError, match="cut short") as raised:
            file.read()
        assert raised.value.errno == errno.ESTALE


def test_a_file_written_anew_in_its_place_is_an_error(fs, cluster, path):
    """Goal: never bytes of two contents in one read, also where the inode stays and its length too."""
    with fs.open(path, cache_type="none") as file:
        assert file.read(MIB) == DATA[:MIB]
        cluster.write_bytes(path, bytes(len(DATA)))
        with pytest.raises(OSError, match="written anew") as raised:
            file.read()
        assert raised.value.errno == errno.ESTALE
    with fs.open(path) as file:
        assert file.read() == bytes(len(DATA))


def test_a_file_of_many_chunks_written_anew_is_an_error(fs, cluster, root):
    path = f"{root}/sparse"
    for value in (b"old", b"new"):
        with cluster.open(path, "wb") as file:
            file.write(value)
            file.seek(65 * MIB)
            file.write(value)
        if value == b"old":
            reader = fs.open(path, cache_type="none")
            assert reader.read(3) == b"old"
    reader.seek(65 * MIB)
    with reader, pytest.raises(OSError, match="written anew"):
        reader.read()


def test_a_file_that_grows_ends_where_it_ended_when_it_was_opened(fs, cluster, path):
    with fs.open(path) as file:
        with fs.open(path, "ab") as more:
            more.write(b"more")
        assert file.read() == DATA
        assert file.size == len(DATA)
    assert fs.cat(path) == DATA + b"more"


def test_a_file_that_is_being_written_is_as_long_as_its_writer_has_flushed(fs, cluster, root):
    with cluster.open(f"{root}/growing", "wb") as writer:
        writer.write(b"12345")
        writer.flush()
        assert fs.info(f"{root}/growing")["size"] == 5
        with fs.open(f"{root}/growing") as file:
            assert file.read() == b"12345"


def test_a_pickled_file_is_the_same_file(fs, path):
    file = fs.open(path)
    file.seek(100)
    copy = pickle.loads(pickle.dumps(file))
    fs.pipe_file(path, b"another")
    assert (copy.tell(), copy.read(50)) == (100, DATA[100:150])
    with fs.open(path, "wb") as writer, pytest.raises(RuntimeError, match="writeable"):
        pickle.dumps(writer)


def test_lines(fs, root):
    fs.pipe_file(f"{root}/t", b"one\ntwo\n\nfour")
    with fs.open(f"{root}/t") as file:
        assert list(file) == [b"one\n", b"two\n", b"\n", b"four"]
    with fs.open(f"{root}/t", "r") as file:
        assert [line.rstrip() for line in file] == ["one", "two", "", "four"]


def test_folders_and_missing_files_do_not_open(fs, root):
    with pytest.raises(IsADirectoryError):
        fs.open(root)
    with pytest.raises(FileNotFoundError):
        fs.open(f"{root}/no")
