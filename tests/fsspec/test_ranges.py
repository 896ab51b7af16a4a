"""Bytes of whole files and ranges of them."""

import os

import fsspec
import pytest
from fsspec.asyn import sync

from cairnfs.errors import IsFolderError, NotFoundError

DATA = bytes(range(256)) * 40


def master_calls(fs):
    async def count():
        return (await fs.client()).counters()["master_calls"]

    return sync(fs.loop, count)


@pytest.fixture
def path(fs, root):
    fs.pipe_file(f"{root}/data", DATA)
    return f"{root}/data"


BOUNDS = [
    (None, None), (0, None), (None, 10), (5, 10), (10, 5), (7, 7), (-10, None), (-10, -3), (None, -1), (3, -3),
    (len(DATA) - 2, len(DATA) + 50), (len(DATA) + 5, len(DATA) + 9), (len(DATA) + 5, None), (-10**6, 4), (0, 10**15),
]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), BOUNDS)
def test_a_range_is_what_a_slice_of_the_file_is(fs, path, start, end):
    assert fs.cat_file(path, start=start, end=end) == DATA[start:end]


def test_many_ranges_come_in_the_order_asked_for(fs, path):
    starts, ends = zip(*BOUNDS, strict=True)
    assert fs.cat_ranges([path] * len(BOUNDS), list(starts), list(ends)) == [DATA[a:b] for a, b in BOUNDS]


def test_one_bound_holds_for_all_paths(fs, path):
    assert fs.cat_ranges([path, path], 3, 9) == [DATA[3:9]] * 2


def test_a_path_is_looked_up_once_per_call(fs, path):
    """Goal: 64 ranges of one file cost the master as much as one. Method: count what this client asked it."""
    fs.cat_ranges([path], [0], [10])  # where the chunk is, is known from here on
    before = master_calls(fs)
    out = fs.cat_ranges([path] * 64, [100 * n for n in range(64)], [100 * n + 50 for n in range(64)])
    assert out == [DATA[100 * n : 100 * n + 50] for n in range(64)]
    assert master_calls(fs) - before == 1


def test_errors_take_the_place_of_their_ranges(fs, path, root):
    out = fs.cat_ranges([path, f"{root}/no", root], [0, 0, 0], [4, 4, 4])
    assert out[0] == DATA[:4]
    assert isinstance(out[1], NotFoundError)
    assert isinstance(out[2], IsFolderError)


def test_errors_are_raised_if_asked_for(fs, path, root):
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([path, f"{root}/no"], [0, 0], [4, 4], on_error="raise")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("/x", 0, 1), TypeError), ((["/x"], [0, 1], [1]), ValueError), ((["/x"], 0, 1, 5), NotImplementedError)],
)
def test_ranges_that_make_no_sense_are_refused(fs, arguments, error):
    with pytest.raises(error):
        fs.cat_ranges(*arguments)


def test_ranges_across_many_pieces_and_files(fs, root):
    blobs = {f"{root}/{n}": os.urandom(5_000_000 + n) for n in range(3)}
    fs.pipe(blobs)
    paths = [path for path in blobs for _ in range(4)]
    starts = [1_000_001 * (n % 4) for n in range(12)]
    ends = [start + 2_500_000 for start in starts]
    assert fs.cat_ranges(paths, starts, ends) == [blobs[p][a:b] for p, a, b in zip(paths, starts, ends, strict=True)]
    assert fs.cat(list(blobs)) == blobs


def test_head_and_tail(fs, path):
    assert fs.head(path, 5) == DATA[:5]
    assert fs.tail(path, 5) == DATA[-5:]
    assert fs.read_block(path, 10, 20) == DATA[10:30]


def test_mapper_is_a_dictionary_of_files(fs, root):
    mapper = fs.get_mapper(root)
    mapper["a/b"] = b"1"
    assert (dict(mapper), mapper["a/b"], "c" in mapper) == ({"a/b": b"1"}, b"1", False)
    assert fsspec.get_mapper(fs.unstrip_protocol(root))["a/b"] == b"1"
