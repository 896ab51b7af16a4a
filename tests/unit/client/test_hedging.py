"""When a second replica is asked, and who is asked last. Pure: times are numbers."""

import pytest

from cairnfs.client.hedging import Hedging
from cairnfs.limits import (
    HEDGE_BURST,
    HEDGE_BYTES_PER_S,
    HEDGE_DELAY_MAX_S,
    HEDGE_DELAY_MIN_S,
    HEDGE_DELAY_START_S,
    HEDGE_SAMPLES_MIN,
    HEDGE_SHARE,
    SILENT_MAX_S,
    SILENT_S,
)
from cairnfs.units import KIB, MIB

EXTRA_S = MIB / HEDGE_BYTES_PER_S
"""What the bytes of such a read get besides."""


def after(*latencies_s, length=MIB):
    hedging = Hedging()
    for latency_s in latencies_s:
        hedging.took(length, latency_s)
    return hedging


def test_the_wait_is_the_95th_percentile_within_bounds():
    assert after(*[0.02] * 95, *[0.2] * 5).delay_s(MIB) == 0.02
    assert after(*[0.02] * 94, *[0.2] * 6).delay_s(MIB) == 0.2
    assert after(*[0.0001] * 100).delay_s(MIB) == HEDGE_DELAY_MIN_S
    assert after(*[3.0] * 100).delay_s(MIB) == HEDGE_DELAY_MAX_S + EXTRA_S


def test_bytes_that_need_their_time_on_a_slow_line_are_not_asked_for_twice():
    """Goal: 2 MiB take 170 ms on a line of 100 Mbit/s; a second copy of them would only halve its speed."""
    on_the_line_s = 2 * MIB / 12.5e6
    assert Hedging().delay_s(2 * MIB) > on_the_line_s
    hedging = after(*[2 * on_the_line_s] * 100, length=2 * MIB)
    assert hedging.silent_at_s("s1", 2 * MIB, began_s=0.0) > 2 * on_the_line_s


def test_few_samples_are_not_believed():
    assert after(*[0.02] * (HEDGE_SAMPLES_MIN - 1)).delay_s(MIB) == HEDGE_DELAY_START_S + EXTRA_S


@pytest.mark.parametrize("other", [1, 64 * KIB, 100 * KIB, 512 * KIB])
def test_small_reads_say_nothing_of_large_ones(other):
    hedging = after(*[0.02] * 20, length=other)
    assert (hedging.delay_s(other), hedging.delay_s(MIB)) == (0.02, HEDGE_DELAY_START_S + EXTRA_S)


def test_the_budget_is_a_share_of_the_reads_and_a_burst():
    """Method: every read wants a hedge."""
    hedging, spent, reads = Hedging(), 0, 2000
    for _ in range(reads):
        hedging.began()
        if hedging.may_spend:
            hedging.spend()
            spent += 1
    assert spent <= reads * HEDGE_SHARE + HEDGE_BURST
    assert spent >= reads * HEDGE_SHARE


def test_a_server_is_silent_since_the_first_request_that_it_left_unanswered():
    hedging = Hedging()
    hedging.asked("a", 10.0)
    hedging.asked("a", 10.3)
    assert hedging.silent_at_s("a", MIB, began_s=10.3) == 10.0 + SILENT_S + EXTRA_S


def test_a_word_begins_the_silence_anew():
    hedging = Hedging()
    hedging.asked("a", 10.0)
    hedging.heard("a", 10.2)
    assert hedging.silent_at_s("a", MIB, began_s=10.0) == 10.2 + SILENT_S + EXTRA_S
    hedging.asked("a", 11.0)
    assert hedging.silent_at_s("a", MIB, began_s=11.0) == 11.0 + SILENT_S + EXTRA_S


def test_a_request_given_up_long_ago_counts_for_nothing():
    hedging = Hedging()
    hedging.asked("a", 10.0)
    hedging.asked("a", 20.0)
    assert hedging.silent_at_s("a", MIB, began_s=20.0) == 20.0 + SILENT_S + EXTRA_S


def test_where_answers_take_long_silence_does_too():
    hedging = after(*[0.4] * 100)
    hedging.asked("a", 10.0)
    assert hedging.silent_at_s("a", MIB, began_s=10.0) == 10.8
    hedging = after(*[3.0] * 100)
    assert hedging.silent_at_s("a", MIB, began_s=10.0) == 10.0 + SILENT_MAX_S


def test_the_silent_are_asked_last_until_they_speak_or_time_passes():
    hedging = Hedging()
    hedging.fell_silent("a", 10.0)
    assert hedging.order(["a", "b", "c"], 10.1) == ["b", "c", "a"]
    hedging.fell_silent("b", 11.0)
    assert hedging.order(["a", "b", "c"], 11.1) == ["c", "a", "b"], "the latest last"
    hedging.heard("a", 12.0)
    assert hedging.order(["a", "b", "c"], 12.1) == ["a", "c", "b"]
    assert hedging.order(["a", "b", "c"], 100.0) == ["a", "b", "c"]


def test_who_failed_is_asked_last_though_it_speaks():
    hedging = Hedging()
    hedging.avoid("a", 10.0)
    hedging.heard("a", 10.1)
    assert hedging.order(["a", "b"], 10.2) == ["b", "a"]
