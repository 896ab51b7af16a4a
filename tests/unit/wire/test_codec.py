"""Messages to bytes and back: exact, bounded, and nothing but what was asked for."""

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairnfs import wire
from cairnfs.errors import (
    BadRequestError,
    CairnError,
    CallTimeoutError,
    ChunkOpenError,
    DiskFullError,
    LostWritesError,
    NotFoundError,
    PeerError,
    StaleVersionError,
)
from cairnfs.ids import ChunkHandle, ChunkVersion, Epoch
from cairnfs.limits import HEAD_BYTES_MAX
from cairnfs.wire.base import Done, Failure, Hello, Ping, Reply, Request, Welcome
from cairnfs.wire.codec import (
    RequestCodec,
    decode_failure,
    decode_reply,
    encode_failure,
    encode_message,
    reply_type,
    requests_in,
    tag_of,
)

REQUESTS = requests_in(wire.MESSAGES)


class Sample(Reply, tag=0x9130):
    version: ChunkVersion
    handle: ChunkHandle
    data: bytes = b""


class Ask(Request[Sample], tag=0x9030):
    version: ChunkVersion


class AskLater(Request["Late"], tag=0x9031):
    pass


class Late(Reply, tag=0x9131):
    pass


def test_every_request_of_the_protocol_names_its_reply_and_has_a_tag_of_its_own():
    assert Hello in REQUESTS
    assert len(REQUESTS) > 20
    assert len({tag_of(kind) for kind in REQUESTS}) == len(REQUESTS)
    replies = {reply_type(kind) for kind in REQUESTS}
    assert len({tag_of(reply) for reply in replies}) == len(replies)
    assert all(tag_of(reply) - 0x100 in {tag_of(kind) for kind in REQUESTS} for reply in replies - {Done})


def test_all_requests_of_the_protocol_make_one_union():
    codec = RequestCodec(REQUESTS)
    assert codec.decode(encode_message(Ping())) == Ping()


def test_a_reply_named_as_text_is_found():
    assert reply_type(Hello) is Welcome
    assert reply_type(AskLater) is Late


def test_versions_handles_and_bytes_survive():
    version = ChunkVersion(Epoch(3), 9)
    ask = Ask(version=version)
    assert RequestCodec([Ask, Ping]).decode(encode_message(ask)) == ask
    reply = Sample(version=version, handle=ChunkHandle(2**62), data=b"\xff\x00")
    got = decode_reply(Ask, encode_message(reply))
    assert got == reply
    assert isinstance(got.version, ChunkVersion)


def test_a_peer_may_leave_out_defaults_and_add_fields():
    short = msgspec.msgpack.encode([0x9130, [1, 2], 3])
    assert decode_reply(Ask, short) == Sample(version=ChunkVersion(Epoch(1), 2), handle=ChunkHandle(3))
    long = msgspec.msgpack.encode([0x9130, [1, 2], 3, b"x", "from the future", {}])
    assert decode_reply(Ask, long).data == b"x"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode([0x7FFF]),
        msgspec.msgpack.encode(["1"]),
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode([0x9030]),
        msgspec.msgpack.encode([0x9030, [1]]),
        msgspec.msgpack.encode([0x9030, "12"]),
        msgspec.msgpack.encode([1, 0, 2**32, "", "", 1]),
        msgspec.msgpack.encode([1, -1, 1, "", "", 1]),
        encode_message(Ask(version=ChunkVersion(Epoch(1), 2))) + b"\x00",
        b"\x92\xcd\x90\x30\xdd\xff\xff\xff\xff\x01",
        b"\x92\xcd\x90\x30" + b"\x91" * 100_000,
    ],
)
def test_a_request_that_is_not_exact_is_refused(head):
    with pytest.raises(BadRequestError):
        RequestCodec([Ask, Hello]).decode(head)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused_by_every_decoder(data):
    codec = RequestCodec(REQUESTS)
    with contextlib.suppress(BadRequestError):
        assert isinstance(codec.decode(data), Request)
    with contextlib.suppress(PeerError):
        decode_reply(Ask, data)
    assert isinstance(decode_failure(data), CairnError)


def test_a_reply_of_another_kind_is_a_peer_error():
    with pytest.raises(PeerError, match="Ask"):
        decode_reply(Ask, encode_message(Done()))


@pytest.mark.parametrize(
    "error",
    [
        StaleVersionError(chunk=ChunkHandle(1), has=ChunkVersion(Epoch(1), 2), wanted=ChunkVersion(Epoch(2), 1)),
        NotFoundError(path="/a/\udcff"),
        CallTimeoutError(address="h:1", what="Stat", timeout_s=1.5),
        LostWritesError(chunk=ChunkHandle(2**63 - 1), since=ChunkVersion(Epoch(9), 9)),
        DiskFullError(where="/data"),
        BadRequestError(what="no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_with_their_fields(error):
    got = decode_failure(encode_failure(error))
    assert type(got) is type(error)
    assert str(got) == str(error)


def test_fields_of_other_types_than_the_error_has_become_a_peer_error_that_can_be_printed():
    """Goal: `str()` of a decoded error never raises, whatever a peer has put into it."""
    for code, fields in ((1003, {"address": "a", "what": "b", "timeout_s": "x"}), (3013, {"chunks": 7}), (4005, {})):
        error = decode_failure(encode_message(Failure(error=code, fields=fields)))
        assert isinstance(error, PeerError)
        assert str(code) in str(error)
    assert "0 chunks" in str(decode_failure(encode_message(Failure(error=3013, fields={"chunks": []}))))


def test_two_chunks_in_an_error_are_not_taken_for_a_version():
    got = decode_failure(encode_failure(ChunkOpenError(chunks=[ChunkHandle(1), ChunkHandle(2)])))
    assert got.chunks == [1, 2]
    assert not isinstance(got.chunks, ChunkVersion)


def test_a_failure_that_cannot_be_encoded_or_is_too_large_still_says_something():
    huge = decode_failure(encode_failure(BadRequestError(what="x" * (HEAD_BYTES_MAX + 1))))
    assert isinstance(huge, PeerError)
    odd = decode_failure(encode_failure(BadRequestError(what=object())))
    assert "BadRequestError" in str(odd)
    assert isinstance(odd, PeerError)


def test_text_that_is_not_unicode_is_refused_in_a_message():
    with pytest.raises(BadRequestError):
        encode_message(Hello(protocol_min=1, protocol_max=1, cluster="\udcff", role="", boot=1))


def test_an_unknown_error_number_is_a_peer_error():
    assert isinstance(decode_failure(encode_message(Failure(error=999_999, fields={"a": 1}))), PeerError)
