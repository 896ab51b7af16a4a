"""Decoders of what crosses the network: frames, hello and welcome, every request, every reply, failures."""

import dataclasses
import struct

from tests.fuzz import values
from tests.fuzz.target import Target, refused, same_again

from cairnfs import wire
from cairnfs.checksum import crc32c
from cairnfs.errors import BadRequestError, CairnError, PeerError, ProtocolVersionError, WrongClusterError
from cairnfs.limits import HEAD_BYTES_MAX, PAYLOAD_BYTES_MAX
from cairnfs.rpc.hello import check_hello, check_welcome
from cairnfs.wire.base import Hello, Welcome
from cairnfs.wire.codec import (
    RequestCodec,
    decode_failure,
    decode_reply,
    encode_failure,
    encode_message,
    reply_type,
    requests_in,
)
from cairnfs.wire.frame import HEADER_BYTES, FrameParser, encode_frame
from cairnfs.wire.settled import SettledReplicas, pack, unpack_columns

REQUESTS = requests_in(wire.MESSAGES)
CODEC = RequestCodec(REQUESTS)
EACH = 4
CLUSTER = "c" * 32
DEEP = b"\x92\x03" + b"\x91" * 20_000
"""A ping with one more field, as newer peers may send: arrays in arrays without end."""
SEAL = struct.Struct("<I")
COLUMN = struct.Struct("<H")


# ---- frames


class Collector:
    """A frame target that keeps everything; payloads go into buffers of its own."""

    def __init__(self):
        self.frames, self.faults, self.payloads = [], [], []

    def frame_begun(self, protocol, kind, request_id, payload_bytes, head):
        assert len(head) <= HEAD_BYTES_MAX
        assert payload_bytes <= PAYLOAD_BYTES_MAX
        self.frames.append(encode_frame(protocol, kind, request_id, bytes(head), payload_bytes))
        self.payloads.append(memoryview(bytearray(payload_bytes)))
        return self.payloads[-1] if request_id % 3 else None

    def payload_arrived(self, received):
        assert 0 < received <= len(self.payloads[-1])

    def parse_failed(self, fault):
        self.faults.append(fault)


def frame_streams(chance):
    heads = [values.encode(values.make(chance, chance.choice(REQUESTS))) for _ in range(20)]
    streams = []
    for head in heads:
        payload = chance.randbytes(chance.choice([0, 0, 5, 40_000]))
        frame = encode_frame(1, chance.randint(1, 3), chance.randrange(1000), head, len(payload))
        streams.append(frame + payload)
    return [*streams, streams[0] + streams[1] + streams[2], *(stream[:HEADER_BYTES] for stream in streams[:3])]


def parse_frames(data, chance):
    if chance.random() < 0.5:
        data = sealed(data)
    collector = Collector()
    parser = FrameParser(collector)
    place = 0
    while place < len(data):
        buffer = parser.get_buffer(65_536)
        assert 0 < len(buffer) <= HEADER_BYTES + HEAD_BYTES_MAX + PAYLOAD_BYTES_MAX
        count = min(len(buffer), len(data) - place, chance.choice([1 + chance.randrange(100), 65_536]))
        buffer[:count] = data[place : place + count]
        parser.buffer_updated(count)
        place += count
    assert len(collector.faults) <= 1
    taken = 0
    for frame, payload in zip(collector.frames, collector.payloads, strict=True):
        assert data[taken : taken + len(frame)] == frame
        taken += len(frame) + len(payload)
    return bool(collector.frames) and not collector.faults


def sealed(data):
    """Make the checksums of the first header fit what it says now: an attacker can count, too."""
    if len(data) < HEADER_BYTES:
        return data
    head_bytes = SEAL.unpack_from(data, 8)[0]
    head_crc = SEAL.pack(crc32c(data[HEADER_BYTES : HEADER_BYTES + min(head_bytes, len(data))]))
    start = data[: HEADER_BYTES - 8] + head_crc
    return start + SEAL.pack(crc32c(start)) + data[HEADER_BYTES:]


# ---- messages


def requests(chance):
    return [DEEP, *(values.encode(values.make(chance, kind)) for kind in REQUESTS for _ in range(EACH))]


def decode_request(data, _chance):
    try:
        request = CODEC.decode(data)
    except BadRequestError as error:
        return refused(error)
    return same_again(request, encode_message, CODEC.decode)


def replies(chance):
    kinds = [reply_type(kind) for kind in REQUESTS]
    return [DEEP, *(values.encode(values.make(chance, kind)) for kind in kinds for _ in range(EACH))]


TAGS = {reply_type(kind).__struct_config__.tag: kind for kind in REQUESTS}


def decode_any_reply(data, chance):
    """Mostly with the request that the tag is an answer to: any other refuses at once."""
    tag = int.from_bytes(data[2:4], "big") if data[1:2] == b"\xcd" else -1
    kind = TAGS.get(tag) if chance.random() < 0.9 else None
    kind = kind or chance.choice(REQUESTS)
    try:
        reply = decode_reply(kind, data)
    except PeerError as error:
        return refused(error)
    return same_again(reply, encode_message, lambda head: decode_reply(kind, head))


def failures(chance):
    kinds = [kind for _, kind in sorted(CairnError.by_code.items()) if dataclasses.fields(kind)]
    return [failure(chance, kind) for kind in kinds for _ in range(EACH)]


def failure(chance, kind):
    """The fields of an error are known by name only on the wire; a peer may send any type for each."""
    odd = [0, 7, -1, "text", "/a/\ufffd", [1, 2], [], None, 1.5, b"\xff", {"a": 1}]
    fields = {
        field.name: values.of_type(chance, field.type) if chance.random() < 0.8 else chance.choice(odd)
        for field in dataclasses.fields(kind)
    }
    return values.encode([0x102, kind.code, fields])


def decode_any_failure(data, _chance):
    error = decode_failure(data)
    assert isinstance(error, CairnError)
    # What a client does with any error: it prints it, looks what to do, and a server may pass it on.
    assert isinstance(str(error), str)
    assert isinstance(error.hint, str)
    again = decode_failure(encode_failure(error))
    assert isinstance(again, CairnError)
    return not isinstance(error, PeerError)


# ---- the beginning of a conversation


def hellos(chance):
    made = [values.make(chance, Hello) for _ in range(10)]
    right = Hello(protocol_min=1, protocol_max=1, cluster=CLUSTER, role="client", boot=7)
    return [*map(encode_message, [*made, *[right] * 10])]


def decode_hello(data, chance):
    try:
        hello, protocol = check_hello(data, cluster=chance.choice(["", CLUSTER]), me="127.0.0.1:1")
    except (BadRequestError, ProtocolVersionError, WrongClusterError) as error:
        return refused(error)
    assert hello.protocol_min <= protocol <= hello.protocol_max
    return True


def welcomes(chance):
    made = [values.make(chance, Welcome) for _ in range(20)]
    right = Welcome(protocol=1, cluster=CLUSTER, role="master", boot=7)
    return [*map(encode_message, [*made, *[right] * 10]), *failures(chance)[:20]]


def decode_welcome(data, chance):
    try:
        check_welcome(chance.choice([1, 2, 2, 2, 3]), data, cluster=chance.choice(["", CLUSTER]), peer="127.0.0.1:1")
    except CairnError as error:
        return refused(error)
    return True


# ---- columns inside a report


def column_pages(chance):
    """Each of the four columns behind its size: what a page of a report has inside."""
    found = []
    for count in (0, 1, 2, 5, 300):
        handles = sorted({chance.randrange(2**63) for _ in range(count)})
        rows = [
            (handle, chance.randrange(2**63), chance.randrange(2**63), chance.randrange(2**26)) for handle in handles
        ]
        found.append(columns_of(pack(rows)))
    return found


def columns_of(settled):
    columns = (settled.handles, settled.epochs, settled.counters, settled.lengths)
    return b"".join(COLUMN.pack(len(column)) + column for column in columns)


def decode_columns(data, _chance):
    columns = []
    for _ in range(4):
        size = COLUMN.unpack_from(data.ljust(COLUMN.size, b"\0"))[0]
        columns.append(data[COLUMN.size : COLUMN.size + size])
        data = data[COLUMN.size + size :]
    settled = SettledReplicas(handles=columns[0], epochs=columns[1], counters=columns[2], lengths=columns[3])
    try:
        rows = [(handle, *version, length) for handle, version, length in unpack_columns(settled).rows()]
    except BadRequestError as error:
        return refused(error)
    assert pack(rows) == settled
    return True


TARGETS = [
    Target("columns", 12_000, column_pages, decode_columns),
    Target("frames", 36_000, frame_streams, parse_frames),
    Target("requests", 48_000, requests, decode_request),
    Target("replies", 48_000, replies, decode_any_reply),
    Target("failures", 30_000, failures, decode_any_failure),
    Target("hello", 12_000, hellos, decode_hello),
    Target("welcome", 12_000, welcomes, decode_welcome),
]
