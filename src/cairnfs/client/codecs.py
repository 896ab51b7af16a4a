"""How values become the bytes of records and come back. Used by `record_writer` and `records`.

None        bytes, as they are
"jsonl"     one line of JSON a record: a file that other tools can read is a `cat` away
"msgpack"   MessagePack: smaller and faster, and it has bytes
an object   with `encode(value) -> bytes` and `decode(bytes) -> value`
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from cairnfs.checksum import Buffer
from cairnfs.errors import BadRequestError


@runtime_checkable
class Codec(Protocol):
    """Whatever turns a value into bytes, and the same bytes into an equal value. It may raise anything."""

    def encode(self, value: Any, /) -> Buffer: ...  # noqa: ANN401 - values are the caller's own

    def decode(self, data: bytes, /) -> Any: ...  # noqa: ANN401


class Undecodable(ValueError):  # noqa: N818 - it never leaves the client; RecordDecodeError tells the caller
    """Why a codec could not decode."""


class Coding:
    """A codec with a name and with errors that say what was wrong."""

    def __init__(self, name: str, encode: Callable[[Any], Buffer], decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self._encode = encode
        self._decode = decode

    def encode(self, value: Any, path: str) -> bytes:  # noqa: ANN401
        """Return the bytes of a record.

        Raises:
            BadRequestError: the codec cannot encode the value; nothing was appended.
        """
        try:
            return bytes(memoryview(self._encode(value)).cast("B"))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            what = f"a {type(value).__name__} cannot be a record of {path} with {self.name}: {why}"
            raise BadRequestError(what=what) from error

    def decode(self, data: bytes) -> Any:  # noqa: ANN401
        """Return the value. Raises Undecodable."""
        try:
            return self._decode(data)
        except Exception as error:
            raise Undecodable(f"{type(error).__name__}: {error}") from error


def find_codec(codec: object) -> Coding:
    """Return the codec that a caller means: a `Codec`, a name or None.

    Raises:
        BadRequestError: no such name, or the object lacks `encode` or `decode`.
    """
    match codec:
        case None:
            return Coding("codec=None, which takes bytes", _bytes, bytes)
        case "jsonl":
            return Coding("codec='jsonl'", _json_line, msgspec.json.decode)
        case "msgpack":
            return Coding("codec='msgpack'", msgspec.msgpack.encode, msgspec.msgpack.decode)
        case str():
            raise BadRequestError(what=f"no codec {codec!r}; there are None, 'jsonl', 'msgpack', or an object")
        case Codec():
            return Coding(f"codec {type(codec).__name__}", codec.encode, codec.decode)
        case _:
            what = f"codec {codec!r} lacks encode(value) or decode(bytes); None, 'jsonl' and 'msgpack' go as well"
            raise BadRequestError(what=what)


def _bytes(value: Any) -> Buffer:  # noqa: ANN401
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("a bytes-like object is required; other values need a codec")
    return value


def _json_line(value: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode(value) + b"\n"
