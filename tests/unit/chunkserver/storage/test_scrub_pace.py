"""When a scrubber reads its next piece. Pure."""

import pytest

from cairnfs.chunkserver.scrub import Progress, Round
from cairnfs.limits import SCRUB_BYTES_PER_S_MAX
from cairnfs.units import SECOND_NS

DAY_NS = 86_400 * SECOND_NS
SIZES = [(3, 300), (1, 100), (2, 200), (9, 400)]


def begin(sizes=SIZES, *, now_s=1000.0, wall_ns=50 * DAY_NS, period_s=1000.0, found=None):
    return Round.begin(sizes, now_s=now_s, wall_ns=wall_ns, period_s=period_s, found=found)


def test_a_round_spreads_its_bytes_over_its_time_in_order_of_handles():
    round_ = begin()
    due, order = [], []
    while round_.left:
        order.append(round_.left[0][0])
        due.append(round_.due_s())
        round_.piece_done(round_.left[0][1], ends=True)
    assert order == [1, 2, 3, 9]
    assert due == [1000.0, 1100.0, 1300.0, 1600.0]
    assert round_.due_s() == 2000.0
    assert round_.after == 9


def test_what_is_left_out_or_came_to_an_end_early_counts_as_done():
    round_ = begin()
    round_.piece_done(10, ends=False)
    round_.piece_done(10, ends=True)
    assert round_.done_bytes == 100
    assert (round_.left[0], round_.offset) == ((2, 200), 0)


def test_a_restart_goes_on_behind_what_is_done_in_the_time_that_is_left():
    found = Progress(began_ns=50 * DAY_NS - 600 * SECOND_NS, after=2)
    round_ = begin(found=found)
    assert [handle for handle, _ in round_.left] == [3, 9]
    assert (round_.began_s, round_.ends_s) == (1000.0, 1400.0)
    assert round_.began_ns == found.began_ns


@pytest.mark.parametrize("began_ns", [40 * DAY_NS, 51 * DAY_NS])
def test_a_round_of_long_ago_or_of_the_future_begins_anew(began_ns):
    """The wall clock may have been set."""
    round_ = begin(found=Progress(began_ns=began_ns, after=3))
    assert [handle for handle, _ in round_.left] == [1, 2, 3, 9]
    assert round_.began_ns == 50 * DAY_NS


def test_no_round_is_faster_than_a_disk_may_be_read():
    round_ = begin([(1, 10 * SCRUB_BYTES_PER_S_MAX)], period_s=1.0)
    assert round_.ends_s == 1010.0


def test_late_is_a_tenth_of_the_time():
    round_ = begin()
    assert not round_.is_late(1099.0)
    assert round_.is_late(1101.0)


def test_an_empty_disk_waits_for_the_next_round():
    assert begin([]).due_s() == 2000.0
