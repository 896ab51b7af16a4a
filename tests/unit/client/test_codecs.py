"""How values become records and come back."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairnfs.client.codecs import Undecodable, find_codec
from cairnfs.errors import BadRequestError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES, st.sampled_from(["jsonl", "msgpack"]))
def test_values_come_back(value, name):
    codec = find_codec(name)
    assert codec.decode(codec.encode(value, "/f")) == value


@given(VALUES)
def test_json_is_one_line_that_others_read(value):
    line = find_codec("jsonl").encode(value, "/f")
    assert line.count(b"\n") == 1
    assert json.loads(line) == value


def test_msgpack_has_bytes_and_without_a_codec_there_are_only_bytes():
    assert find_codec("msgpack").decode(find_codec("msgpack").encode({"raw": b"\x00\xff"}, "/f")) == {
        "raw": b"\x00\xff"
    }
    assert find_codec(None).encode(memoryview(b"abc"), "/f") == b"abc"


class Words:
    """A codec of one's own."""

    def encode(self, value):
        return " ".join(value).encode()

    def decode(self, data):
        return data.decode().split()


def test_an_object_with_two_methods_is_a_codec():
    codec = find_codec(Words())
    assert codec.decode(codec.encode(["a", "b"], "/f")) == ["a", "b"]


@pytest.mark.parametrize(
    ("codec", "value", "text"),
    [
        (None, "text", "a str cannot be a record of /f"),
        ("jsonl", object(), "a object cannot be a record of /f with codec='jsonl'"),
        ("msgpack", {1, object()}, "cannot be a record of /f"),
        (Words(), 7, "an? int cannot be a record of /f with codec Words: TypeError"),
    ],
)
def test_a_value_that_cannot_be_encoded_is_named(codec, value, text):
    with pytest.raises(BadRequestError, match=text):
        find_codec(codec).encode(value, "/f")


@pytest.mark.parametrize("codec", ["json", "", 7, b"jsonl", Words])
def test_what_is_no_codec_is_refused(codec):
    with pytest.raises(BadRequestError, match="codec"):
        find_codec(codec).encode(["a"], "/f")


@given(st.binary(max_size=60), st.sampled_from(["jsonl", "msgpack", Words()]))
def test_any_bytes_give_a_value_or_one_kind_of_error(data, codec):
    with contextlib.suppress(Undecodable):
        find_codec(codec).decode(data)
