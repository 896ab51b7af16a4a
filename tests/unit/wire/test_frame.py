"""Frames: what was sent is what arrives, and whatever else arrives does no harm."""

import pathlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairnfs.checksum import crc32c
from cairnfs.limits import HEAD_BYTES_MAX, PAYLOAD_BYTES_MAX, READ_AHEAD_BYTES
from cairnfs.wire.base import Hello, Ping
from cairnfs.wire.codec import encode_message
from cairnfs.wire.frame import HEADER_BYTES, FrameFault, FrameKind, FrameParser, encode_frame, payload_size

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"


class Target:
    """Keeps every frame. `discards` payloads on demand."""

    def __init__(self, *, discards=False):
        self.frames = []
        self.fault = None
        self.discards = discards
        self.allocated = 0
        self.progress = []

    def frame_begun(self, protocol, kind, request_id, payload_bytes, head):
        assert self.fault is None
        buffer = None if self.discards or not payload_bytes else memoryview(bytearray(payload_bytes))
        self.allocated += payload_bytes
        self.frames.append([protocol, kind, request_id, bytes(head), buffer, 0])
        return buffer

    def payload_arrived(self, received):
        assert received > self.frames[-1][5]
        self.frames[-1][5] = received
        self.progress.append(received)

    def parse_failed(self, fault):
        assert self.fault is None
        self.fault = fault


def feed(parser, data, cuts=()):
    """Give the parser `data` as a socket would, broken at `cuts`. Return the largest buffer it offered."""
    largest, at = 0, 0
    for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        while at < end:
            buffer = parser.get_buffer(65536)
            assert len(buffer) > 0
            largest = max(largest, len(buffer))
            count = min(len(buffer), end - at)
            buffer[:count] = data[at : at + count]
            at += count
            parser.buffer_updated(count)
    return largest


frames = st.lists(
    st.tuples(
        st.integers(0, 255),
        st.sampled_from(list(FrameKind)),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=300) | st.integers(0, 200_000).map(lambda n: b"h" * n),
        st.binary(max_size=300) | st.integers(0, 200_000).map(lambda n: b"p" * n),
    ),
    max_size=6,
)


def stream_of(chosen):
    return b"".join(encode_frame(*frame[:4], len(frame[4])) + frame[4] for frame in chosen)


def summary(target):
    return [(f[0], f[1], f[2], f[3], bytes(f[4]) if f[4] is not None else b"") for f in target.frames]


@given(frames, st.lists(st.integers(0, 500_000), max_size=20))
@settings(max_examples=150, deadline=None)
def test_what_was_sent_arrives_wherever_the_stream_is_cut(chosen, cuts):
    target = Target()
    parser = FrameParser(target)
    largest = feed(parser, stream_of(chosen), cuts)
    assert target.fault is None
    assert summary(target) == chosen
    assert largest <= max(
        READ_AHEAD_BYTES, *(len(f[3]) + HEADER_BYTES for f in chosen), *(len(f[4]) for f in chosen), 0
    )


def test_a_stream_cut_after_every_byte_arrives():
    chosen = [
        (1, FrameKind.REQUEST, 5, b"head", b"payload"),
        (1, FrameKind.REPLY, 6, b"", b""),
        (1, 3, 7, b"x", b"y" * 99),
    ]
    data = stream_of(chosen)
    target = Target()
    feed(FrameParser(target), data, range(len(data)))
    assert summary(target) == chosen


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_no_frame(data, cuts):
    target = Target()
    largest = feed(FrameParser(target), data, cuts)
    assert target.frames == []
    assert (target.fault is None) == (len(data) < HEADER_BYTES)
    assert largest <= READ_AHEAD_BYTES


@given(frames.filter(bool), st.integers(0, 10**9), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_in_header_or_head_is_never_believed(chosen, place, bit):
    data = bytearray(stream_of(chosen))
    starts, at = [], 0
    for frame in chosen:
        starts.append((at, at + HEADER_BYTES + len(frame[3])))
        at += HEADER_BYTES + len(frame[3]) + len(frame[4])
    checked = [offset for start, end in starts for offset in (start, end - 1, (start + end) // 2)]
    place = checked[place % len(checked)]
    data[place] ^= 1 << bit
    target = Target()
    feed(FrameParser(target), bytes(data))
    intact = sum(end <= place for _, end in starts)
    assert len(target.frames) == intact
    assert target.fault is not None


@given(frames.filter(bool), st.integers(1, 10**9))
@settings(max_examples=100, deadline=None)
def test_half_a_frame_waits_and_yields_nothing_wrong(chosen, place):
    data = stream_of(chosen)
    target = Target()
    feed(FrameParser(target), data[: place % len(data)])
    assert target.fault is None
    for got, sent in zip(target.frames, chosen, strict=False):
        assert tuple(got[:4]) == sent[:4]
        assert got[4] is None or bytes(got[4][: got[5]]) == sent[4][: got[5]]


def sealed(*, magic=b"CN", kind=1, head=0, payload=0, head_crc=0):
    start = struct.pack("<2sBBIIII", magic, 1, kind, 7, head, payload, head_crc)
    return start + struct.pack("<I", crc32c(start))


@pytest.mark.parametrize(
    "header, fault",
    [
        (sealed(magic=b"CM"), FrameFault.MAGIC),
        (sealed(kind=0), FrameFault.KIND),
        (sealed(kind=4), FrameFault.KIND),
        (sealed(head=HEAD_BYTES_MAX + 1), FrameFault.HEAD_SIZE),
        (sealed(head=2**32 - 1), FrameFault.HEAD_SIZE),
        (sealed(payload=PAYLOAD_BYTES_MAX + 1), FrameFault.PAYLOAD_SIZE),
        (sealed(payload=2**32 - 1), FrameFault.PAYLOAD_SIZE),
        (sealed(head_crc=1), FrameFault.HEAD),
        (sealed()[:-1] + b"\x00", FrameFault.HEADER),
    ],
)
def test_each_fault_is_told_once_and_nothing_is_allocated_for_it(header, fault):
    target = Target()
    parser = FrameParser(target)
    largest = feed(parser, header)
    assert target.fault is fault
    assert target.frames == []
    assert target.allocated == 0
    largest = max(largest, feed(parser, stream_of([(1, 1, 1, b"head", b"payload")])))
    assert target.frames == []
    assert largest <= READ_AHEAD_BYTES


def test_the_largest_head_and_payload_fit_and_their_buffers_are_given_back():
    target = Target()
    parser = FrameParser(target)
    chosen = [(1, 1, 1, b"h" * HEAD_BYTES_MAX, b"p" * PAYLOAD_BYTES_MAX), (1, 1, 2, b"", b"")]
    feed(parser, stream_of(chosen))
    assert summary(target) == chosen
    assert len(parser.get_buffer(1)) <= READ_AHEAD_BYTES


def test_a_payload_is_received_in_place_but_for_what_was_read_ahead():
    target = Target()
    parser = FrameParser(target)
    data = stream_of([(1, 1, 1, b"head", b"p" * 1_000_000)])
    feed(parser, data[:1000])
    buffer = parser.get_buffer(1)
    assert buffer.obj is target.frames[0][4].obj
    assert len(buffer) == 1_000_000 - (1000 - HEADER_BYTES - 4)


def test_a_discarded_payload_is_skipped_without_a_buffer_of_its_size():
    target = Target(discards=True)
    parser = FrameParser(target)
    largest = feed(parser, stream_of([(1, 1, 1, b"a", b"p" * 1_000_000), (1, 1, 2, b"b", b"")]), range(0, 10**6, 777))
    assert [frame[2] for frame in target.frames] == [1, 2]
    assert largest <= READ_AHEAD_BYTES
    assert target.progress == []


def test_a_paused_parser_begins_no_frame_and_goes_on_when_resumed():
    target = Target()
    parser = FrameParser(target)
    begun = target.frame_begun

    def pause_after(*frame):
        parser.pause()
        return begun(*frame)

    target.frame_begun = pause_after
    feed(parser, stream_of([(1, 1, number, b"a", b"pp") for number in range(4)]))
    for expected in range(1, 5):
        assert len(target.frames) == expected
        parser.resume()
    assert len(target.frames) == 4


def test_payload_size_counts_bytes_not_items():
    assert payload_size([b"ab", bytearray(3), memoryview(bytes(8)).cast("I")]) == 13


@pytest.mark.parametrize(
    "name, frame",
    [
        (
            "hello",
            encode_frame(
                0,
                FrameKind.REQUEST,
                0,
                encode_message(
                    Hello(protocol_min=1, protocol_max=1, cluster="0123456789abcdef" * 2, role="client", boot=42)
                ),
            ),
        ),
        ("ping", encode_frame(1, FrameKind.REQUEST, 0x01020304, encode_message(Ping()))),
        ("ping_with_payload", encode_frame(1, FrameKind.REQUEST, 5, encode_message(Ping()), 3) + b"abc"),
    ],
)
def test_golden_bytes(name, frame):
    """Frames of version 1 never change: other releases speak it."""
    golden = bytes.fromhex((GOLDEN / f"frame_{name}.hex").read_text())
    assert frame == golden
