"""Messages to heads of frames and back: MessagePack, typed and bounded on decoding.

A head is an array: the message's tag, then its fields in order. A peer may leave out last fields that have defaults and
may add fields that this side does not know. A request is decoded as one of the kinds a server serves, a reply only as
the kind that its request names, so no peer can make us build anything else.
"""

import typing
from collections.abc import Iterable
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from cairnfs.errors import BadRequestError, CairnError, PeerError, decode_error, encode_error
from cairnfs.limits import HEAD_BYTES_MAX
from cairnfs.wire.base import Failure, Reply, Request

R = TypeVar("R", bound=Reply)
Head = bytes | bytearray | memoryview

REPLY_TAG_STEP = 0x100
"""A reply's tag is that of the first request that it answers, and this. Several requests may name one reply."""

_TEXT = 1
"""MessagePack extension in failures: a text with surrogates."""
_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
"""What decoding any bytes can end with; nested arrays without end are a RecursionError."""

_encode = msgspec.msgpack.Encoder().encode
_replies: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {}


def encode_message(message: Request[Any] | Reply) -> bytes:
    """Return the head of a message.

    Raises:
        BadRequestError: it is larger than a head may be, or holds text that is not Unicode. Nothing was sent.
    """
    try:
        head = _encode(message)
    except UnicodeEncodeError as error:
        raise BadRequestError(what=f"{type(message).__name__} holds text that is not Unicode") from error
    if len(head) > HEAD_BYTES_MAX:
        raise BadRequestError(what=f"{type(message).__name__} has {len(head)} bytes; at most {HEAD_BYTES_MAX} are sent")
    return head


def encode_failure(error: CairnError) -> bytes:
    """Return the head of a failure frame. Fields that cannot be sent become a `PeerError` that names the error."""
    code, fields = encode_error(error)
    try:
        head = _encode(Failure(error=code, fields=fields))
    except UnicodeEncodeError:
        head = _encode(Failure(error=code, fields=_marked(fields)))
    except (TypeError, OverflowError, RecursionError):
        head = b""
    if not 0 < len(head) <= HEAD_BYTES_MAX:
        code, fields = encode_error(PeerError(what=f"error {code} ({type(error).__name__})", peer=""))
        head = _encode(Failure(error=code, fields=fields))
    return head


def _marked(value: Any) -> Any:
    """Mark texts that are not Unicode: file names that are not UTF-8 stand in errors with surrogates in them."""
    match value:
        case dict():
            return {key: _marked(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_marked(inner) for inner in value]
        case str() if not value.isascii():
            return msgspec.msgpack.Ext(_TEXT, value.encode("utf-8", "surrogatepass"))
        case _:
            return value


def _unmarked(kind: int, data: memoryview) -> Any:
    return str(data, "utf-8", "surrogatepass") if kind == _TEXT else bytes(data)


def decode_failure(head: Head) -> CairnError:
    """Return the error in a failure frame; a `PeerError` if it is none."""
    try:
        failure = _decode_failure(head)
    except _BROKEN as error:
        return PeerError(what=f"failure that is none: {error}", peer="")
    return decode_error(failure.error, failure.fields)


_decode_failure = msgspec.msgpack.Decoder(Failure, ext_hook=_unmarked).decode


def reply_type(kind: type[Request[R]]) -> type[R]:
    """Return the type that the request names: `Status` for `class Stat(Request["Status"])`."""
    (named,) = typing.get_args(_request_base(kind))
    if isinstance(named, typing.ForwardRef):
        named = _look_up(named.__forward_arg__, kind)
    assert issubclass(named, Reply), (kind, named)
    assert tag_of(named) >= REPLY_TAG_STEP, (kind, named)
    return typing.cast("type[R]", named)


def tag_of(kind: type[Any]) -> int:
    """Return the number that stands for the kind on the wire."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int), (kind, tag)
    return tag


def decode_reply(kind: type[Request[R]], head: Head) -> R:
    """Return the reply to a request of that kind.

    Raises:
        PeerError: the bytes are not such a reply.
    """
    decoder = _replies.get(kind)
    if decoder is None:
        decoder = _replies[kind] = msgspec.msgpack.Decoder(reply_type(kind))
    try:
        return typing.cast("R", decoder.decode(head))
    except _BROKEN as error:
        raise PeerError(what=f"no reply to {kind.__name__}: {error}", peer="") from error


class RequestCodec:
    """Decodes exactly the requests of the kinds given: a union told apart by tag."""

    def __init__(self, kinds: Iterable[type[Request[Any]]]) -> None:
        chosen = tuple(kinds)
        by_tag = {tag_of(kind): kind for kind in chosen}
        assert len(by_tag) == len(chosen), f"two kinds share a tag: {chosen}"
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(typing.Union[chosen])  # noqa: UP007

    def decode(self, head: Head) -> Request[Any]:
        """Return the request.

        Raises:
            BadRequestError: unknown kind, wrong type, or out of bounds.
        """
        try:
            return typing.cast("Request[Any]", self._decoder.decode(head))
        except _BROKEN as error:
            raise BadRequestError(what=f"request not understood: {error}") from error


def requests_in(modules: Iterable[ModuleType]) -> list[type[Request[Any]]]:
    """Return the request kinds that the modules define, by tag: `requests_in(wire.MESSAGES)` is the protocol."""
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Request) and value is not Request
    }
    return sorted(found, key=tag_of)


def _request_base(kind: type[Any]) -> Any:
    for above in kind.__mro__:
        for base in above.__dict__.get("__orig_bases__", ()):
            if typing.get_origin(base) is Request:
                return base
    raise AssertionError(f"{kind.__name__} names no reply")


def _look_up(name: str, kind: type[Any]) -> type[Any]:
    found = [reply for reply in _reply_kinds(Reply) if reply.__name__ == name]
    near = [reply for reply in found if reply.__module__ == kind.__module__] or found
    assert len(near) == 1, (kind, name, near)
    return near[0]


def _reply_kinds(base: type[Reply]) -> list[type[Reply]]:
    return [base, *(deeper for kind in base.__subclasses__() for deeper in _reply_kinds(kind))]
