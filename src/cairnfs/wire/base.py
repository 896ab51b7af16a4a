"""What every message has in common.

A `Request` carries the type of its `Reply`, so that `await caller.call(address, Stat(...))` is known to be a `Status`.
Tags are numbers that are never reused: 0x0_ conversation, 0x1_ namespace, 0x2_ locations, 0x3_ reads, 0x4_ mutations,
0x5_ orders of a primary, 0x6_ membership, 0x7_ orders of a master, 0x8_ status. Replies count from 0x100
in the same families.
"""

from typing import Annotated, Any, ClassVar, Generic, TypeVar, dataclass_transform

import msgspec
from msgspec import Meta

from cairnfs.limits import CHUNK_BYTES, PAYLOAD_BYTES_MAX

U32 = Annotated[int, Meta(ge=0, lt=2**32)]
U63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
OffsetInChunk = Annotated[int, Meta(ge=0, le=CHUNK_BYTES)]
LengthInChunk = Annotated[int, Meta(ge=0, le=CHUNK_BYTES)]
PayloadBytes = Annotated[int, Meta(ge=0, le=PAYLOAD_BYTES_MAX)]
Address = Annotated[str, Meta(max_length=300)]
"""host:port as its owner advertises it."""


class _ByName(msgspec.StructMeta):
    """msgspec does not inherit `kw_only`; every message is built by names, so it is set here once."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> "_ByName":
        return super().__new__(mcls, name, bases, namespace, **{"kw_only": True, **config})


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Reply(msgspec.Struct, frozen=True, array_like=True, metaclass=_ByName):
    """An answer. New fields go last and have defaults, so old peers still decode it."""


R = TypeVar("R", bound=Reply)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Request(msgspec.Struct, Generic[R], frozen=True, array_like=True, metaclass=_ByName):
    """A question whose answer has type `R`. New fields go last and have defaults."""

    idempotent: ClassVar[bool] = False
    """True if carrying it out twice is the same as once: the caller may send it again by itself."""
    bulk: ClassVar[bool] = False
    """True if it or its reply carries file data: it then travels on a connection apart from control messages."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Part(msgspec.Struct, frozen=True, array_like=True, metaclass=_ByName):
    """A value inside messages and records; never sent alone."""


class Done(Reply, tag=0x100):
    """It is done; nothing more to say."""


class Hello(Request["Welcome"], tag=0x01):
    """First message of every connection, from the side that connects. Rule 27, S37.

    Errors: ProtocolVersionError, WrongClusterError; the connection is closed after them.
    """

    protocol_min: U32
    protocol_max: U32
    cluster: str
    """The cluster the caller believes to talk to; "" if it only knows an address (a client's first contact)."""
    role: str
    """client, chunkserver, master or tool: for logs and limits."""
    boot: U63


class Welcome(Reply, tag=0x101):
    """The other side's first message."""

    protocol: U32
    """The version spoken from now on: the highest that both know."""
    cluster: str
    role: str
    boot: U63


class Failure(Reply, tag=0x102):
    """Instead of the reply: a `CairnError` as (code, fields)."""

    error: int
    fields: dict[str, Any]


class Ping(Request[Done], tag=0x03):
    """Ask whether the peer still takes messages."""

    idempotent = True
