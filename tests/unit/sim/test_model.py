"""The model of what a reader may see accepts every history of the contract, and no other."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairnfs.sim.model import Journal, Register, ViolationError, compare


def register(*writes, reads=()):
    """Build a history: writes are (value, called, returned), reads as well."""
    made = Register("cell")
    made.begin(0, 0.0).returned_s = 0.0
    for value, called_s, returned_s in writes:
        made.begin(value, called_s).returned_s = returned_s
    for value, called_s, returned_s in reads:
        made.note_read(value, called_s, returned_s)
    return made


def test_reads_in_the_order_of_the_writes_are_accepted():
    register((1, 1, 2), (2, 3, 4), reads=[(0, 0.1, 0.5), (1, 2.1, 2.5), (2, 5, 6)]).check()


def test_a_read_under_a_write_may_show_either():
    register((1, 1, 5), reads=[(0, 2, 3)]).check()
    register((1, 1, 5), reads=[(1, 2, 3)]).check()


@pytest.mark.parametrize(
    ("writes", "reads"),
    [
        ([(1, 1, 2)], [(0, 3, 4)]),
        ([(1, 1, 9)], [(1, 2, 3), (0, 4, 5)]),
        ([(1, 1, 2), (2, 3, 4)], [(1, 5, 6)]),
        ([(1, 1, 9), (2, 1, 9)], [(1, 2, 3), (2, 4, 5), (1, 6, 7)]),
        ([(1, 1, math.inf)], [(1, 2, 3), (0, 4, 5)]),
    ],
    ids=["older than an ack", "older than a read", "older than the next ack", "back again", "undone"],
)
def test_a_stale_read_is_noticed(writes, reads):
    with pytest.raises(ViolationError):
        register(*writes, reads=reads).check()


def test_a_write_without_an_answer_may_happen_at_any_time_or_never():
    register((1, 1, math.inf), (2, 3, 4), reads=[(2, 5, 6)]).check()
    register((1, 1, math.inf), (2, 3, 4), reads=[(2, 5, 6), (1, 7, 8)]).check()


def test_what_nobody_wrote_is_noticed_at_once():
    with pytest.raises(ViolationError, match="nobody wrote"):
        register().note_read(7, 1, 2)


def test_unsynced_writes_may_vanish_with_continuity_and_synced_ones_may_not():
    """Goal: contract 5. Method: the read is stale; whether that is allowed depends on the sync alone."""
    history = register((1, 1, 2), (2, 3, 4), reads=[(1, 9, 10)])
    history.writes[1].synced_s = 2.5
    history.check(is_broken=True)
    history.writes[2].synced_s = 5.0
    with pytest.raises(ViolationError, match="was synced"):
        history.check(is_broken=True)


@st.composite
def histories(draw):
    """A few writes and reads with times that overlap in all ways."""
    times = st.integers(min_value=1, max_value=12)
    writes, reads = [], []
    for value in range(1, draw(st.integers(1, 3)) + 1):
        called = draw(times)
        writes.append((value, called, called + draw(st.integers(1, 6))))
    for _ in range(draw(st.integers(0, 3))):
        called = draw(times)
        reads.append((draw(st.integers(0, len(writes))), called, called + draw(st.integers(1, 4))))
    return writes, reads


@given(histories())
def test_the_zones_say_what_a_search_of_all_orders_says(history):
    """Goal: the quick check is right. Method: small histories, compared with every order of the operations."""
    writes, reads = history
    made = register(*writes, reads=reads)
    operations = [(0, 0, 0, True), *((*one, True) for one in writes), *((*one, False) for one in reads)]
    found = any(is_order(order) for order in permutations(operations[1:]))
    if found:
        made.check()
    else:
        with pytest.raises(ViolationError):
            made.check()


def is_order(order):
    """True if one operation after the other explains what was seen, and none comes before one that had returned."""
    value = 0
    for place, (its, called, _, is_write) in enumerate(order):
        if any(later[2] < called for later in order[place + 1 :]):
            return False
        if is_write:
            value = its
        elif its != value:
            return False
    return True


# ---------------------------------------------------------------------- records


def journal(*records):
    made = Journal("/log")
    for data, called_s, returned_s, offset in records:
        record = made.begin(data, called_s)
        record.returned_s, record.offset = returned_s, offset
    return made


def test_records_where_their_acks_said_are_accepted_also_repeated_ones():
    journal((b"a", 1, 2, 0), (b"b", 3, 4, 10)).check({0: b"a", 5: b"b", 10: b"b"})


@pytest.mark.parametrize(
    ("found", "what"),
    [({0: b"a"}, "not at 10"), ({0: b"a", 10: b"x"}, "nobody appended"), ({0: b"b", 10: b"a"}, "not at")],
)
def test_a_lost_or_invented_record_is_noticed(found, what):
    with pytest.raises(ViolationError, match=what):
        journal((b"a", 1, 2, 0), (b"b", 3, 4, 10)).check(found)


def test_a_record_before_one_that_was_acknowledged_earlier_is_noticed():
    with pytest.raises(ViolationError, match="behind it"):
        journal((b"a", 3, 4, 0), (b"b", 1, 2, 10)).check({0: b"a", 10: b"b"})


def test_bytes_that_differ_are_told_by_place():
    with pytest.raises(ViolationError, match="at 2 places from 1 to 3 of 4"):
        compare(b"abcd", b"axcx", "here")
