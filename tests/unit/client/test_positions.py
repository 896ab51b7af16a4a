"""Positions of readers of records: each record once, wherever a reader stops and goes on. docs/CONSISTENCY.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairnfs.client.positions import Heard, Position, RepeatFilter, parse_position
from cairnfs.errors import BadRequestError
from cairnfs.limits import RECORD_WINDOW, RECORD_WRITERS_MAX

WRITERS = 3


@st.composite
def files(draw):
    """What may stand in a file: records out of order and twice, as far as a writer's window allows."""
    stood, settled, sequence = [], dict.fromkeys(range(WRITERS), 0), dict.fromkeys(range(WRITERS), 0)
    under_way = {writer: [] for writer in range(WRITERS)}
    for writer, act in draw(st.lists(st.tuples(st.integers(0, WRITERS - 1), st.integers(0, 3)), max_size=120)):
        if act <= 1:
            sequence[writer] += 1
            under_way[writer].append(sequence[writer])
        elif under_way[writer]:
            number = draw(st.sampled_from(under_way[writer]))
            stood.append((writer, number))
            if act == 3:  # acknowledged; else it will be sent again
                under_way[writer].remove(number)
                settled[writer] += 1
    return stood


@given(files(), st.lists(st.booleans(), min_size=1, max_size=40))
def test_each_record_is_given_once_across_any_number_of_stops(stood, stops):
    seen = RepeatFilter()
    given_ = []
    for place, (writer, sequence) in enumerate(stood):
        if seen.is_new(writer, sequence):
            given_.append((writer, sequence))
            if stops[place % len(stops)]:
                text = str(Position(1, place + 1, seen.mark().heard()))
                seen = RepeatFilter(parse_position(text).heard)
    assert given_ == list(dict.fromkeys(stood))


@given(files())
def test_a_mark_says_what_was_known_when_it_was_made(stood):
    seen = RepeatFilter()
    marks = [seen.mark() for one in stood if seen.is_new(*one)]
    for count, mark in enumerate(marks, start=1):
        again = RepeatFilter()
        for one in list(dict.fromkeys(stood))[:count]:
            again.is_new(*one)
        assert dict(mark.heard()) == dict(again.mark().heard())


def test_below_the_window_everything_counts_as_given():
    seen = RepeatFilter()
    assert seen.is_new(1, 5_000)
    assert seen.is_new(1, 5_000 - RECORD_WINDOW + 1)
    assert not seen.is_new(1, 5_000 - RECORD_WINDOW)
    assert seen.repeats == 1


def test_memory_and_text_are_bounded():
    seen = RepeatFilter()
    for writer in range(RECORD_WRITERS_MAX + 200):
        for sequence in range(1, 3_000, 700):
            seen.is_new(writer, sequence)
    heard = seen.mark().heard()
    assert len(heard) == RECORD_WRITERS_MAX
    text = str(Position(2**62, 2**50, heard))
    assert len(text) < 4 * (64 + RECORD_WRITERS_MAX * (32 + RECORD_WINDOW // 8))
    assert parse_position(text) == Position(2**62, 2**50, heard)


def test_the_position_of_a_reader_of_one_writer_is_short():
    assert len(str(Position(4711, 1 << 40, {(1 << 63) - 1: Heard(1_000_000, 0)}))) < 60


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.data())
def test_a_position_comes_back_whole_and_is_refused_when_it_was_changed(inode, offset, data):
    position = Position(inode, offset, {7: Heard(9, 2), (1 << 64) - 1: Heard((1 << 64) - 1, 0)})
    text = str(position)
    assert parse_position(text) == position
    text = str(Position(inode, offset, {7: Heard(9, 2), 1 << 62: Heard(1, 0)}))
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("AZaz09-_=+ \n\u00e9"))
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(BadRequestError, match="no position"):
            parse_position(changed)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "x" * 10_000_000, "0", "null", b"bytes", 7, None])
def test_what_is_no_position_is_refused(text):
    with pytest.raises(BadRequestError, match="position"):
        parse_position(text)
