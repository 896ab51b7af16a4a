"""Exact percentiles of the latest samples."""

from hypothesis import given
from hypothesis import strategies as st

from cairnfs.client.percentiles import RecentPercentile


def of(values, samples_max=128):
    recent = RecentPercentile(samples_max)
    for value in values:
        recent.add(value)
    return recent


def test_a_share_of_all_is_at_most_the_percentile():
    recent = of(range(1, 101))
    assert (recent.at(0.95), recent.at(0.951), recent.at(0.001), recent.at(1)) == (95, 96, 1, 100)


def test_one_sample_is_every_percentile():
    assert {of([7]).at(share) for share in (0.01, 0.5, 1)} == {7}


def test_what_is_older_than_the_ring_is_forgotten():
    recent = of([9, 9, 9, 1, 2, 3], samples_max=3)
    assert (len(recent), recent.at(1)) == (3, 3)


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(1, 8), st.floats(0.01, 1))
def test_it_is_what_sorting_the_latest_gives(values, samples_max, share):
    latest = sorted(values[-samples_max:])
    found = of(values, samples_max).at(share)
    assert found in latest
    assert sum(value <= found for value in latest) >= share * len(latest) - 1e-9
    assert sum(value < found for value in latest) < share * len(latest) + 1e-9
