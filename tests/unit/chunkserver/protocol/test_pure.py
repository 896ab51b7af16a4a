"""The parts without a world: record fitting, pending ranges, repeats, block checksums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.append import check_record, check_write, choose_offset
from cairnfs.chunkserver.applying import block_crcs
from cairnfs.chunkserver.pending import PendingRanges
from cairnfs.chunkserver.repeats import RepeatFilter
from cairnfs.errors import BadRequestError, RecordTooLargeError, UnsureError
from cairnfs.ids import NO_VERSION, ChunkVersion
from cairnfs.limits import Geometry
from cairnfs.wire.master_orders import FilterEntry

SMALL = Geometry(chunk_bytes=64, block_bytes=8)
OLD, NEW = ChunkVersion(1, 9), ChunkVersion(2, 1)


@given(st.integers(0, 64), st.integers(1, 16))
def test_a_record_goes_to_the_end_or_nowhere_and_wastes_less_than_itself(data_length, record_length):
    offset = choose_offset(SMALL, data_length=data_length, record_length=record_length)
    if offset is None:
        assert SMALL.chunk_bytes - data_length < record_length
    else:
        assert offset == data_length
        assert offset + record_length <= SMALL.chunk_bytes


def test_records_and_writes_that_fit_no_chunk_are_refused():
    check_record(SMALL, 16)
    check_write(SMALL, offset=60, length=4)
    with pytest.raises(RecordTooLargeError):
        check_record(SMALL, 17)
    with pytest.raises(BadRequestError):
        check_record(SMALL, 0)
    with pytest.raises(BadRequestError):
        check_write(SMALL, offset=60, length=5)


spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(spans, max_size=12), st.integers(0, 12), spans)
def test_what_is_pending_is_what_is_above_the_watermark(ranges, committed, span):
    pending = PendingRanges()
    for serial, (start, end) in enumerate(ranges, 1):
        pending.add(serial, start, end, length=0)
    committed = min(committed, len(ranges))
    pending.commit(committed)
    touching = [
        serial
        for serial, (start, end) in enumerate(ranges, 1)
        if serial > committed and start < span[1] and span[0] < end
    ]
    assert pending.touching(*span) == max(touching, default=0)
    assert len(pending) == len(ranges) - committed
    assert not pending.commit(committed)


@given(st.lists(spans, max_size=6), spans)
def test_a_read_is_told_of_mutations_that_touch_its_range_meanwhile(ranges, span):
    pending = PendingRanges()
    watch = pending.watch(*span)
    for serial, (start, end) in enumerate(ranges, 1):
        pending.add(serial, start, end, length=0)
    assert watch.is_dirty == any(start < span[1] and span[0] < end for start, end in ranges)
    pending.unwatch(watch)
    watch.is_dirty = False
    pending.touch(0, 100)
    assert not watch.is_dirty


def entry(client, sequence):
    return FilterEntry(client=client, sequence=sequence, serial=sequence, offset=sequence, length=1)


def test_repeats_that_were_forgotten_are_unsure_and_never_new():
    repeats = RepeatFilter(limit=3)
    for sequence in range(1, 6):
        repeats.add(entry(1, sequence))
    assert len(repeats) == 3
    assert repeats.find(1, 5).offset == 5
    assert repeats.find(1, 6) is None
    assert repeats.find(2, 1) is None
    for sequence in (1, 2):
        with pytest.raises(UnsureError):
            repeats.find(1, sequence)


def test_a_copy_knows_and_forgets_the_same():
    repeats, copy = RepeatFilter(limit=2, since=ChunkVersion(1, 5)), RepeatFilter(limit=2)
    copy.add(entry(9, 9))
    for sequence in (1, 2, 3):
        repeats.add(entry(1, sequence))
    copy.replace(repeats.entries(), since=repeats.since, forgotten=repeats.forgotten())
    assert copy.find(1, 3) == entry(1, 3)
    assert copy.find(9, 9) is None
    with pytest.raises(UnsureError):
        copy.find(1, 1)
    assert copy.since == ChunkVersion(1, 5)


@pytest.mark.parametrize(
    ("complete", "tried", "is_new"),
    [
        (None, NO_VERSION, True), (None, OLD, False),
        (NO_VERSION, OLD, True), (OLD, OLD, True), (OLD, NEW, True), (NEW, OLD, False), (NEW, NO_VERSION, True),
    ],
)  # fmt: skip
def test_what_may_have_happened_before_the_filter_is_complete_is_not_new(complete, tried, is_new):
    repeats = RepeatFilter(since=complete)
    if is_new:
        assert repeats.find(1, 7, since=tried) is None
    else:
        with pytest.raises(UnsureError):
            repeats.find(1, 7, since=tried)
    repeats.add(entry(1, 7))
    assert repeats.find(1, 7, since=tried) == entry(1, 7)


def test_a_filter_is_complete_from_the_first_version_that_opens():
    repeats = RepeatFilter()
    repeats.begin(OLD)
    repeats.begin(NEW)
    assert repeats.since == OLD


def test_what_a_client_waits_for_no_more_makes_room():
    repeats = RepeatFilter(limit=4)
    for sequence in range(1, 5):
        repeats.add(entry(1, sequence))
    repeats.forget_below(1, 4)
    assert [each.sequence for each in repeats.entries()] == [4]


@given(st.binary(max_size=60), st.integers(0, 30), st.lists(st.integers(1, 9), max_size=8))
def test_block_checksums_are_those_of_the_bytes_in_each_block(data, offset, cuts):
    views, rest = [], memoryview(data)
    for cut in cuts:
        views.append(rest[:cut])
        rest = rest[cut:]
    views.append(rest)
    expected, at = [], 0
    while at < len(data):
        count = min(8 - (offset + at) % 8, len(data) - at)
        expected.append(crc32c(data[at : at + count]))
        at += count
    assert block_crcs(offset, views, 8) == expected


def test_a_range_that_begins_below_the_length_of_its_moment_overwrites_until_it_is_committed():
    pending = PendingRanges()
    pending.add(1, 0, 10, length=0)
    pending.add(2, 5, 20, length=10)
    pending.add(3, 20, 30, length=20)
    assert pending.overwriting() == [(5, 20)]
    pending.commit(2)
    assert pending.overwriting() == []
