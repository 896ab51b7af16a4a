"""Reads of a block and more, which go past fsspec's caches; and pyarrow's way to ask for them."""

import random

import pyarrow as pa
import pytest

import cairnfs

BLOCK = 4_096
CONTENT = random.Random(7).randbytes(10 * BLOCK + 123)


@pytest.fixture
def file(fs, root):
    fs.pipe_file(f"{root}/f", CONTENT)
    with fs.open(f"{root}/f", "rb", block_size=BLOCK) as file:
        yield file


@pytest.mark.parametrize("ask", ["read", "read_buffer"])
def test_any_mixture_of_reads_and_seeks_gives_the_bytes_of_the_file(file, ask):
    dice = random.Random(1)
    for _ in range(300):
        start, size = dice.randrange(len(CONTENT) + BLOCK), dice.choice([0, 1, 100, BLOCK - 1, BLOCK, 3 * BLOCK, 10**6])
        file.seek(start)
        found = getattr(file, ask)(size)
        assert bytes(found) == CONTENT[start : start + size]
        assert file.tell() == start + len(found)
        if dice.random() < 0.3:
            at, more = file.tell(), dice.randrange(2 * BLOCK)
            assert file.read(more) == CONTENT[at : at + more]


@pytest.mark.parametrize("size", [-1, None])
def test_all_that_is_left_is_read_at_once(file, size):
    file.seek(5)
    assert file.read(size) == CONTENT[5:]
    assert file.read(size) == b""


def test_a_large_piece_is_fetched_once_and_nothing_beside_it(file):
    """Goal: no cache copies it, or fetches ahead of it."""
    fetched = []
    fetch = file._fetch_range
    file.cache.fetcher = file._fetch_range = lambda start, end: (fetched.append((start, end)), fetch(start, end))[1]
    file.seek(BLOCK)
    file.read(4 * BLOCK)
    assert fetched == [(BLOCK, 5 * BLOCK)]


def test_what_pyarrow_gets_lives_in_its_own_memory(file):
    before = pa.total_allocated_bytes()
    found = file.read_buffer(8 * BLOCK)
    assert pa.total_allocated_bytes() - before >= 8 * BLOCK
    assert bytes(found) == CONTENT[: 8 * BLOCK]


@pytest.mark.parametrize("ask", ["read", "read_buffer"])
def test_a_file_cut_short_gives_an_error_and_no_garbage(fs, root, ask):
    fs.pipe_file(f"{root}/f2", CONTENT)
    with fs.open(f"{root}/f2", "rb", block_size=BLOCK) as reader:
        with cairnfs.connect(fs.storage_options["masters"]) as client:
            client.truncate(f"{root}/f2", 3 * BLOCK)
        with pytest.raises(OSError, match="cut short"):
            getattr(reader, ask)(8 * BLOCK)
