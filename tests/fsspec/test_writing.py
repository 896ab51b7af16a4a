"""Files that are written: whole or not there, through every way in."""

import os

import pytest
from fsspec.callbacks import Callback

from cairnfs.units import MIB


class Interrupted(Exception):
    pass


class Counting(Callback):
    """Adds up what it is told; raises after `stop_at` bytes."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at = stop_at
        self.told = []

    def relative_update(self, inc=1):
        super().relative_update(inc)
        self.told.append(inc)
        if self.stop_at is not None and sum(self.told) >= self.stop_at:
            raise Interrupted


@pytest.fixture
def names(cluster, root):
    """What is in the test's folder, files under way included."""
    return lambda: cluster.listdir(root)


def test_a_file_appears_when_it_is_closed(fs, root, names):
    path = f"{root}/a"
    with fs.open(path, "wb", block_size=1000) as file:
        file.write(b"1" * 5000)
        assert len(names()) == 1  # streamed, not gathered until the end
        assert not fs.exists(path)
        assert fs.ls(root) == fs.find(root) == []
    assert names() == ["a"]
    assert fs.cat(path) == b"1" * 5000


def test_a_file_is_replaced_when_the_new_one_is_closed(fs, root, names, cluster):
    path = f"{root}/a"
    fs.pipe_file(path, b"old")
    cluster.chmod(path, 0o600)
    cluster.set_replicas(path, 2)
    with fs.open(path, "wb", block_size=1000) as file:
        file.write(b"2" * 5000)
        assert fs.cat(path) == b"old"
    assert fs.cat(path) == b"2" * 5000
    assert (cluster.stat(path).mode, cluster.stat(path).replicas) == (0o600, 2)
    assert names() == ["a"]


def write_and_fail(fs, path, mode="wb"):
    with fs.open(path, mode, block_size=1000) as file:
        file.write(b"1" * 5000 if "b" in mode else "1" * 5000)
        raise Interrupted


@pytest.mark.parametrize("mode", ["wb", "xb", "w", "xt"])
def test_a_with_block_that_ends_by_an_error_leaves_nothing(fs, root, names, mode):
    with pytest.raises(Interrupted):
        write_and_fail(fs, f"{root}/a", mode)
    assert names() == []


def test_a_file_can_be_discarded(fs, root, names):
    file = fs.open(f"{root}/a", "wb", block_size=1000)
    file.write(b"1" * 5000)
    file.discard()
    file.close()
    assert file.closed
    assert names() == []


def test_a_folder_in_the_way_is_told_at_once_or_at_the_end(fs, root, names):
    fs.mkdir(f"{root}/d")
    with pytest.raises(IsADirectoryError):
        fs.open(f"{root}/d", "wb")
    file = fs.open(f"{root}/late", "wb")
    file.write(b"1")
    fs.mkdir(f"{root}/late")
    with pytest.raises(IsADirectoryError):
        file.close()
    assert file.closed
    assert names() == ["d", "late"]


def test_exclusive_files_lose_a_race_without_a_trace(fs, root, names):
    file = fs.open(f"{root}/a", "xb")
    file.write(b"mine")
    fs.pipe_file(f"{root}/a", b"theirs")
    with pytest.raises(FileExistsError):
        file.close()
    assert names() == ["a"]
    assert fs.cat(f"{root}/a") == b"theirs"


def test_of_two_writers_of_one_file_the_last_to_close_wins_whole(fs, root, names):
    path = f"{root}/a"
    with fs.open(path, "wb", block_size=1000) as first:
        first.write(b"1" * 5000)
        with fs.open(path, "wb", block_size=1000) as second:
            second.write(b"2" * 3000)
        assert fs.cat(path) == b"2" * 3000
        first.write(b"1" * 100)
    assert fs.cat(path) == b"1" * 5100
    assert names() == ["a"]


def test_what_two_append_to_one_file_is_all_there(fs, root):
    path = f"{root}/a"
    with fs.open(path, "ab") as first, fs.open(path, "ab") as second:
        for number in range(20):
            first.write(f"first {number}\n".encode())
            first.flush()
            second.write(f"second {number}\n".encode())
            second.flush()
    lines = fs.cat(path).decode().splitlines()
    assert sorted(lines) == sorted(f"{who} {number}" for who in ("first", "second") for number in range(20))


@pytest.mark.parametrize("mode", ["r+b", "w+b", "rb+", "z"])
def test_modes_that_files_cannot_have_are_refused(fs, root, mode):
    with pytest.raises(ValueError, match="expected one of rb, wb, xb, ab"):
        fs.open(f"{root}/a", mode)


def test_pipe_file_takes_every_kind_of_bytes(fs, root):
    for value in (b"", b"123", bytearray(b"123"), memoryview(b"0123")[1:], memoryview(b"ab").cast("B")):
        fs.pipe_file(f"{root}/a", value)
        assert fs.cat(f"{root}/a") == bytes(value)
    with pytest.raises(ValueError, match="create"):
        fs.pipe_file(f"{root}/a", b"", mode="other")


def test_missing_folders_are_made_unless_told_otherwise(root, address):
    import fsspec

    strict = fsspec.filesystem("cairn", masters=address, auto_mkdir=False)
    with pytest.raises(FileNotFoundError):
        strict.pipe_file(f"{root}/x/y", b"1")
    with pytest.raises(FileNotFoundError):
        strict.touch(f"{root}/x/y")
    strict.pipe_file(f"{root}/y", b"1")
    with pytest.raises(FileNotFoundError):
        strict.cp_file(f"{root}/y", f"{root}/x/y")
    with pytest.raises(FileNotFoundError):
        strict.mv(f"{root}/y", f"{root}/x/y")


# ---------------------------------------------------------------------- appending


def test_appended_bytes_are_there_after_flush(fs, root):
    path = f"{root}/log"
    with fs.open(path, "ab") as file:
        file.write(b"one\n")
    with fs.open(path, "ab") as file:
        assert file.tell() == 4
        file.write(b"two\n")
        file.flush()
        assert fs.cat(path) == b"one\ntwo\n"
        file.write(b"three\n")
    with fs.open(path, "a") as file:
        file.write("four\n")
    assert fs.cat(path) == b"one\ntwo\nthree\nfour\n"


def test_text_and_compression(fs, root):
    with fs.open(f"{root}/t", "w", encoding="utf-16-le", newline="\r\n") as file:
        file.write("ä\nb\n")
    assert fs.cat(f"{root}/t") == "ä\r\nb\r\n".encode("utf-16-le")
    with fs.open(f"{root}/t", "r", encoding="utf-16-le") as file:
        assert file.readlines() == ["ä\n", "b\n"]
    with fs.open(f"{root}/t.gz", "wb", compression="infer") as file:
        file.write(b"z" * 100_000)
    assert fs.size(f"{root}/t.gz") < 1000
    with fs.open(f"{root}/t.gz", compression="infer") as file:
        assert file.read() == b"z" * 100_000


# ---------------------------------------------------------------------- transactions


def write_all_ways(fs, root, tmp_path, then=None):
    (tmp_path / "local").write_bytes(b"put")
    with fs.open(f"{root}/opened", "wb") as file:
        file.write(b"opened")
    with fs.open(f"{root}/log", "ab") as file:
        file.write(b"+more")
    fs.pipe_file(f"{root}/piped", b"piped")
    fs.put_file(str(tmp_path / "local"), f"{root}/put")
    if then:
        fs.cat_file(then)


def test_a_transaction_shows_all_at_its_end(fs, root, names, tmp_path):
    fs.pipe_file(f"{root}/log", b"log")
    with fs.transaction:
        write_all_ways(fs, root, tmp_path)
        assert fs.find(root) == [f"{root}/log"]
        assert fs.cat(f"{root}/log") == b"log"
    assert names() == ["log", "opened", "piped", "put"]
    assert fs.cat(fs.find(root)) == {
        f"{root}/log": b"log+more", f"{root}/opened": b"opened", f"{root}/piped": b"piped", f"{root}/put": b"put"
    }  # fmt: skip


def test_a_transaction_that_fails_leaves_nothing(fs, root, names, tmp_path):
    fs.pipe_file(f"{root}/log", b"log")
    with pytest.raises(FileNotFoundError), fs.transaction:
        write_all_ways(fs, root, tmp_path, then=f"{root}/no")
    assert names() == ["log"]
    assert fs.cat(f"{root}/log") == b"log"
    fs.pipe_file(f"{root}/after", b"1")
    assert names() == ["after", "log"]


def test_a_file_that_failed_inside_a_transaction_is_not_committed(fs, root, names):
    with fs.transaction:
        with pytest.raises(Interrupted):
            write_and_fail(fs, f"{root}/a")
        file = fs.open(f"{root}/left-open", "wb")
        file.write(b"2")
    assert names() == ["left-open"]
    assert fs.cat(f"{root}/left-open") == b"2"


# ---------------------------------------------------------------------- local files


def test_put_and_get_stream_and_tell_their_progress(fs, root, tmp_path):
    data = os.urandom(20 * MIB + 5)
    (tmp_path / "up").write_bytes(data)
    sent, fetched = Counting(), Counting()
    fs.put_file(str(tmp_path / "up"), f"{root}/a", callback=sent)
    fs.get_file(f"{root}/a", str(tmp_path / "down"), callback=fetched)
    assert (tmp_path / "down").read_bytes() == data
    for told in (sent, fetched):
        assert (told.size, told.value, len(told.told)) == (len(data), len(data), 3)
    with pytest.raises(FileExistsError):
        fs.put_file(str(tmp_path / "up"), f"{root}/a", mode="create")


def test_empty_files_and_folders_go_both_ways(fs, root, tmp_path):
    (tmp_path / "tree" / "empty").mkdir(parents=True)
    (tmp_path / "tree" / "none").write_bytes(b"")
    fs.put(str(tmp_path / "tree"), f"{root}/tree", recursive=True)
    assert fs.isdir(f"{root}/tree/empty")
    fs.get(f"{root}/tree", str(tmp_path / "back"), recursive=True)
    assert sorted(os.listdir(tmp_path / "back")) == ["empty", "none"]


def test_a_get_that_fails_leaves_the_old_file(fs, root, tmp_path):
    fs.pipe_file(f"{root}/a", bytes(20 * MIB))
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(Interrupted):
        fs.get_file(f"{root}/a", str(tmp_path / "a"), callback=Counting(stop_at=8 * MIB))
    with pytest.raises(FileNotFoundError):
        fs.get_file(f"{root}/no", str(tmp_path / "no"))
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_put_that_fails_leaves_the_old_file(fs, root, names, tmp_path):
    (tmp_path / "a").write_bytes(bytes(20 * MIB))
    fs.pipe_file(f"{root}/a", b"old")
    with pytest.raises(Interrupted):
        fs.put_file(str(tmp_path / "a"), f"{root}/a", callback=Counting(stop_at=8 * MIB))
    with pytest.raises(FileNotFoundError):
        fs.put_file(str(tmp_path / "no"), f"{root}/no")
    assert names() == ["a"]
    assert fs.cat(f"{root}/a") == b"old"


def test_get_writes_into_open_files_too(fs, root, tmp_path):
    fs.pipe_file(f"{root}/a", b"123")
    with open(tmp_path / "x", "wb") as file:
        fs.get_file(f"{root}/a", file)
    assert (tmp_path / "x").read_bytes() == b"123"
