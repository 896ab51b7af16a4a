"""Frames that a scanner, a broken peer or an attacker might send: each is well formed up to one point."""

import struct

from cairnfs.checksum import crc32c
from cairnfs.limits import PROTOCOL_MAX, PROTOCOL_MIN
from cairnfs.wire.base import Hello, Ping
from cairnfs.wire.codec import encode_message
from cairnfs.wire.frame import HEADER_BYTES, HELLO_ID, MAGIC, NOT_AGREED, FrameKind, encode_frame

HUGE = 2**32 - 1


def broken_frames():
    hello = encode_frame(NOT_AGREED, FrameKind.REQUEST, HELLO_ID, encode_message(
        Hello(protocol_min=PROTOCOL_MIN, protocol_max=PROTOCOL_MAX, cluster="", role="client", boot=1)
    ))  # fmt: skip
    ping = encode_frame(PROTOCOL_MAX, FrameKind.REQUEST, 1, encode_message(Ping()))
    nested = encode_frame(PROTOCOL_MAX, FrameKind.REQUEST, 1, b"\x91" * 100_000)
    yield header(head_bytes=HUGE, payload_bytes=0)
    yield header(head_bytes=10, payload_bytes=HUGE)
    yield hello[: len(hello) // 2]
    yield hello + header(head_bytes=HUGE, payload_bytes=HUGE)
    yield hello + ping[: HEADER_BYTES + 1]
    yield hello + flipped(ping, HEADER_BYTES)
    yield hello + flipped(ping, 3)
    yield hello + nested
    yield hello + encode_frame(PROTOCOL_MAX, FrameKind.REQUEST, 1, b"\xc1")
    yield hello + encode_frame(PROTOCOL_MAX, FrameKind.REQUEST, 1, b"")
    yield hello + encode_frame(PROTOCOL_MAX, FrameKind.REPLY, 77, encode_message(Ping()))
    yield hello * 3


def header(*, head_bytes, payload_bytes):
    start = struct.pack("<2sBBIIII", MAGIC, PROTOCOL_MAX, FrameKind.REQUEST, 1, head_bytes, payload_bytes, 0)
    return start + struct.pack("<I", crc32c(start))


def flipped(frame, place):
    return frame[:place] + bytes([frame[place] ^ 0x10]) + frame[place + 1 :]
