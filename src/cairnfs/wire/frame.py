"""Frames: how messages stand in a byte stream. Pure; the rpc package feeds and drains it.

    header (24 bytes, little endian)
    0   2  magic "CN"
    2   1  protocol   0 in hello, welcome and a refused hello; else the version agreed on
    3   1  kind       1 request, 2 reply, 3 failure
    4   4  request id chosen by the caller; the answer repeats it; 0 is the hello
    8   4  head bytes
    12  4  payload bytes
    16  4  CRC32C of the head
    20  4  CRC32C of the 20 bytes before
    24     head: the message in MessagePack; then the payload: file data, as it is

The payload has no checksum here: messages that carry file data carry the checksums of its pieces, end to end (rule 16).

Invariants:
    1. Both lengths are checked against the limits before anything is allocated (rule 27).
    2. A payload byte is copied only if it was read ahead together with a header: at most `READ_AHEAD_BYTES` a frame.
    3. Malformed input ends the parser with a `FrameFault`; nothing is ever raised out of `buffer_updated`.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Protocol

from cairnfs.checksum import Buffer, crc32c
from cairnfs.limits import HEAD_BYTES_MAX, PAYLOAD_BYTES_MAX, READ_AHEAD_BYTES

MAGIC = b"CN"
NOT_AGREED = 0
"""Protocol number of the frames that agree on one."""
HELLO_ID = 0
HEADER_BYTES = 24

_HEADER = struct.Struct("<2sBBIIIII")
_UNSEALED = struct.Struct("<2sBBIIII")
_SEAL = struct.Struct("<I")
_SEALED_BYTES = _UNSEALED.size

assert _HEADER.size == HEADER_BYTES
assert _SEALED_BYTES + _SEAL.size == HEADER_BYTES
assert HEADER_BYTES < READ_AHEAD_BYTES <= HEAD_BYTES_MAX


class FrameKind(IntEnum):
    """What a frame is to its receiver."""

    REQUEST = 1
    REPLY = 2
    FAILURE = 3


class FrameFault(StrEnum):
    """Why a byte stream is no stream of frames. The connection is closed: there is no way to find the next frame."""

    MAGIC = "not a frame of ours"
    HEADER = "header does not fit its checksum"
    KIND = "unknown kind of frame"
    HEAD_SIZE = "head is larger than the limit"
    PAYLOAD_SIZE = "payload is larger than the limit"
    HEAD = "head does not fit its checksum"


class FrameTarget(Protocol):
    """Takes what a parser finds. None of these may raise."""

    def frame_begun(
        self, protocol: int, kind: int, request_id: int, payload_bytes: int, head: memoryview
    ) -> memoryview | None:
        """Take a head, which is valid only during the call.

        Returns:
            Where the payload goes, exactly `payload_bytes` long; None throws it away. Unused if there is none.
        """

    def payload_arrived(self, received: int) -> None:
        """`received` bytes of the payload are in its buffer now. Not called for one that is thrown away."""

    def parse_failed(self, fault: FrameFault) -> None:
        """The stream is malformed. Called once; nothing follows."""


def encode_frame(protocol: int, kind: int, request_id: int, head: bytes, payload_bytes: int = 0) -> bytes:
    """Return header and head; the payload follows them in the stream, uncopied."""
    assert len(head) <= HEAD_BYTES_MAX, len(head)
    assert payload_bytes <= PAYLOAD_BYTES_MAX, payload_bytes
    start = _UNSEALED.pack(MAGIC, protocol, kind, request_id, len(head), payload_bytes, crc32c(head))
    return start + _SEAL.pack(crc32c(start)) + head


def payload_size(payload: Sequence[Buffer]) -> int:
    """Return how many bytes the buffers have together."""
    return sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in payload)


class FrameParser:
    """Splits a byte stream into frames. Its `get_buffer` and `buffer_updated` are those of an `env.Sink`.

    Headers and heads arrive in a small staging buffer, many at a time; the rest of a payload is received straight into
    the buffer that the target gave.
    """

    def __init__(self, target: FrameTarget) -> None:
        self._target = target
        self._stage = memoryview(bytearray(READ_AHEAD_BYTES))
        self._start = 0  # staged and not yet parsed: [_start, _end)
        self._end = 0
        self._need = HEADER_BYTES  # bytes from _start on without which the frame cannot go on
        self._payload: memoryview | None = None  # where the payload goes; None: away
        self._received = 0
        self._left = 0  # bytes of the payload that are still to come
        self._paused = False
        self._dead = False
        self._parsing = False

    @property
    def is_paused(self) -> bool:
        return self._paused

    def get_buffer(self, hint: int) -> memoryview:
        if self._left:
            if self._payload is not None:
                return self._payload[self._received :]
            return self._stage[: self._left]  # thrown away; nothing is staged while a payload arrives
        self._make_room()
        if self._need > READ_AHEAD_BYTES:
            return self._stage[self._end : self._start + self._need]  # invariant 2: nothing beyond a large head
        return self._stage[self._end :]

    def buffer_updated(self, count: int) -> None:
        if self._dead:
            return
        if self._left:
            self._take_payload(count)
            return
        self._end += count
        assert self._end <= len(self._stage), (self._end, len(self._stage))
        self._parse()

    def pause(self) -> None:
        """Begin no further frame until `resume`; the payload under way goes on. What was read ahead stays staged."""
        self._paused = True

    def resume(self) -> None:
        """Go on, with what was read ahead first."""
        self._paused = False
        self._parse()

    def stop(self) -> None:
        """Take nothing any more: later bytes are thrown away."""
        self._dead = True
        self._start = self._end = self._left = 0
        self._need = HEADER_BYTES
        self._payload = None

    def discard_payload(self) -> None:
        """Throw away what is left of the payload that is arriving: its buffer is not touched any more."""
        self._payload = None

    def _make_room(self) -> None:
        staged = self._end - self._start
        if staged == 0:
            self._start = self._end = 0
            if len(self._stage) > READ_AHEAD_BYTES >= self._need:
                self._stage = memoryview(bytearray(READ_AHEAD_BYTES))  # a large head is done: give its buffer back
        if self._end < len(self._stage) and self._start + self._need <= len(self._stage):
            return
        old, self._start, self._end = self._stage[self._start : self._end], 0, staged
        if max(self._need, staged + 1) > len(self._stage):
            # A full stage without a large head: a transport that still delivers although its reading was paused.
            assert staged <= 2 * HEAD_BYTES_MAX, staged
            self._stage = memoryview(bytearray(max(self._need, 2 * staged)))
        self._stage[:staged] = old

    def _parse(self) -> None:
        if self._parsing:
            return  # resumed from inside the target: the loop below goes on
        self._parsing = True
        while not self._paused and self._left == 0 and self._end - self._start >= self._need:
            if not self._parse_frame():
                break
        self._parsing = False

    def _parse_frame(self) -> bool:
        """Take one frame as far as it has arrived; False if its head has not, or if it is malformed."""
        stage, start = self._stage, self._start
        magic, protocol, kind, request_id, head_bytes, payload_bytes, head_crc, seal = _HEADER.unpack_from(stage, start)
        if magic != MAGIC or crc32c(stage[start : start + _SEALED_BYTES]) != seal:
            return self._fail(FrameFault.MAGIC if magic != MAGIC else FrameFault.HEADER)
        if not FrameKind.REQUEST <= kind <= FrameKind.FAILURE:
            return self._fail(FrameFault.KIND)
        if head_bytes > HEAD_BYTES_MAX or payload_bytes > PAYLOAD_BYTES_MAX:
            return self._fail(FrameFault.HEAD_SIZE if head_bytes > HEAD_BYTES_MAX else FrameFault.PAYLOAD_SIZE)
        body = start + HEADER_BYTES
        head_end = body + head_bytes
        if head_end > self._end:
            self._need = HEADER_BYTES + head_bytes
            return False
        head = stage[body:head_end]
        if crc32c(head) != head_crc:
            return self._fail(FrameFault.HEAD)
        self._need = HEADER_BYTES
        self._start = head_end
        payload = self._target.frame_begun(protocol, kind, request_id, payload_bytes, head)
        if payload_bytes and not self._dead:
            self._begin_payload(payload, payload_bytes)
        return not self._dead

    def _begin_payload(self, payload: memoryview | None, size: int) -> None:
        assert payload is None or payload.nbytes == size, (payload, size)
        self._payload, self._received, self._left = payload, 0, size
        ahead = min(size, self._end - self._start)
        if ahead:
            if payload is not None:
                payload[:ahead] = self._stage[self._start : self._start + ahead]
            self._start += ahead
            self._take_payload(ahead)

    def _take_payload(self, count: int) -> None:
        assert count <= self._left, (count, self._left)
        self._left -= count
        self._received += count
        wanted, received = self._payload is not None, self._received
        if self._left == 0:
            self._payload = None
        if wanted:
            self._target.payload_arrived(received)

    def _fail(self, fault: FrameFault) -> bool:
        self.stop()
        self._target.parse_failed(fault)
        return False
