"""Lines for `cairn append --line`: how a stream is cut."""

import click
import pytest

from cairnfs.cli.appending import line_batches


def cut(*pieces, limit=100):
    return list(line_batches(pieces, limit=limit, name="-"))


def test_lines_come_with_the_piece_that_completes_them():
    assert cut(b"one\ntw", b"o\nthree\nfo", b"ur", b"\n") == [[b"one\n"], [b"two\n", b"three\n"], [b"four\n"]]


def test_an_empty_line_is_a_newline_and_no_input_is_no_record():
    assert cut(b"\n\nx\n", b"\n") == [[b"\n", b"\n", b"x\n"], [b"\n"]]
    assert cut() == []


def test_a_last_line_without_a_newline_gets_one():
    assert cut(b"one\ntwo") == [[b"one\n"], [b"two\n"]]
    assert cut(b"alone") == [[b"alone\n"]]
    assert cut(b"carriage\r\n\x00\xff") == [[b"carriage\r\n"], [b"\x00\xff\n"]]


def give(given, pieces, limit):
    for lines in line_batches(pieces, limit=limit, name="-"):
        given += lines


@pytest.mark.parametrize(
    "pieces", [(b"ok\n" + b"x" * 10 + b"\nnext\n",), (b"ok\nxxxxx", b"xxxxx\n"), (b"ok\n" + b"x" * 10,)]
)
def test_a_line_that_is_no_record_is_named_after_those_before_it_were_given(pieces):
    given = []
    with pytest.raises(click.ClickException, match="line 2 of standard input has 11 bytes or more, and a record at mo"):
        give(given, pieces, 10)
    assert given == [b"ok\n"]


def test_a_line_of_exactly_the_limit_is_a_record():
    assert cut(b"x" * 9 + b"\n", limit=10) == [[b"x" * 9 + b"\n"]]
    assert cut(b"x" * 9, limit=10) == [[b"x" * 9 + b"\n"]]


def test_an_endless_line_is_refused_before_it_was_read():
    def endless():
        yield b"ok\n"
        for _ in range(20):
            yield b"x" * 10
        raise AssertionError("read on")

    with pytest.raises(click.ClickException, match="line 2"):
        give([], endless(), 100)
