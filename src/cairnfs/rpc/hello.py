"""Hello and welcome: who speaks to whom, in which version of the protocol. Pure.

The side that connects says hello in the first frame, with request id 0 and protocol 0. The answer is welcome, or a
failure and the end of the connection. Both frames keep their form in every version, so that any two versions can find
out what they share.
"""

from cairnfs.errors import BadRequestError, CairnError, PeerError, ProtocolVersionError, WrongClusterError
from cairnfs.ids import BootId
from cairnfs.limits import PROTOCOL_MAX, PROTOCOL_MIN
from cairnfs.wire.base import Hello, Welcome
from cairnfs.wire.codec import Head, RequestCodec, decode_failure, decode_reply, encode_failure, encode_message
from cairnfs.wire.frame import HELLO_ID, NOT_AGREED, FrameKind, encode_frame

_hello_codec = RequestCodec([Hello])


def hello_frame(cluster: str, role: str, boot: BootId) -> bytes:
    hello = Hello(protocol_min=PROTOCOL_MIN, protocol_max=PROTOCOL_MAX, cluster=cluster, role=role, boot=boot)
    return encode_frame(NOT_AGREED, FrameKind.REQUEST, HELLO_ID, encode_message(hello))


def welcome_frame(protocol: int, cluster: str, role: str, boot: BootId) -> bytes:
    welcome = Welcome(protocol=protocol, cluster=cluster, role=role, boot=boot)
    return encode_frame(NOT_AGREED, FrameKind.REPLY, HELLO_ID, encode_message(welcome))


def refusal_frame(error: CairnError) -> bytes:
    return encode_frame(NOT_AGREED, FrameKind.FAILURE, HELLO_ID, encode_failure(error))


def is_hello(protocol: int, kind: int, request_id: int, payload_bytes: int) -> bool:
    """True if a header can be that of the first frame of a connection."""
    return (protocol, kind, request_id, payload_bytes) == (NOT_AGREED, FrameKind.REQUEST, HELLO_ID, 0)


def check_hello(head: Head, *, cluster: str, me: str) -> tuple[Hello, int]:
    """Return a hello and the highest protocol version that both sides know.

    A side that knows no cluster yet ("") talks to every one.

    Raises:
        BadRequestError: no hello.
        ProtocolVersionError: no version in common.
        WrongClusterError: the caller belongs to another cluster.
    """
    hello = _hello_codec.decode(head)
    if not isinstance(hello, Hello):
        raise BadRequestError(what="the first message is no hello")
    protocol = min(hello.protocol_max, PROTOCOL_MAX)
    if protocol < max(hello.protocol_min, PROTOCOL_MIN):
        theirs = f"{hello.protocol_min} to {hello.protocol_max}"
        raise ProtocolVersionError(peer=me, ours=theirs, theirs=f"{PROTOCOL_MIN} to {PROTOCOL_MAX}")
    if hello.cluster and cluster and hello.cluster != cluster:
        raise WrongClusterError(what=me, expected=hello.cluster, found=cluster)
    return hello, protocol


def check_welcome(kind: int, head: Head, *, cluster: str, peer: str) -> Welcome:
    """Return the welcome.

    Raises:
        ProtocolVersionError: it names a version that this side does not know.
        WrongClusterError: the server belongs to another cluster.
        PeerError: neither welcome nor refusal.
        CairnError: the server's refusal.
    """
    if kind == FrameKind.FAILURE:
        raise decode_failure(head)
    if kind != FrameKind.REPLY:
        raise PeerError(what=f"frame of kind {kind} in place of a welcome", peer=peer)
    welcome = decode_reply(Hello, head)
    if not PROTOCOL_MIN <= welcome.protocol <= PROTOCOL_MAX:
        ours = f"{PROTOCOL_MIN} to {PROTOCOL_MAX}"
        raise ProtocolVersionError(peer=peer, ours=ours, theirs=str(welcome.protocol))
    if cluster and welcome.cluster and welcome.cluster != cluster:
        raise WrongClusterError(what=f"the {welcome.role} at {peer}", expected=cluster, found=welcome.cluster)
    return welcome
