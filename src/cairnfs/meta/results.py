"""Exactly once: the first result of (client, sequence) is kept and given again. Contract 1.

    row of `results`     0 | reply as on the wire, or 1 | error as on the wire

Kept until the client's lowest waiting sequence passes it, or until the client was quiet for an hour. Then a retry is
answered "unsure", never carried out a second time. Refusals are kept as well: a late repetition must not succeed
after its caller has been told "no". Those that ask to try again later are not: the retry has the same number.
"""

from typing import Any, TypeVar

from cairnfs.errors import BadRequestError, CairnError, PeerError, UnsureError
from cairnfs.meta.records import ResultKept
from cairnfs.meta.tables import CLIENTS, RESULTS, decode_client, key, key2
from cairnfs.meta.views import MetaRead
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.codec import decode_failure, decode_reply, encode_failure, encode_message
from cairnfs.wire.common import Once

R = TypeVar("R", bound=Reply)
REPLY, FAILURE = b"\0", b"\1"


def recall(view: MetaRead, command: Request[R], once: Once) -> R | CairnError | None:
    """Return the first result of a request; None if it is new."""
    if not (once.client >= 0 and 0 < once.lowest <= once.sequence):
        return BadRequestError(what=f"client {once.client}, sequence {once.sequence}, lowest {once.lowest}")
    raw = view.get(RESULTS, key2(once.client, once.sequence))
    if raw is not None:
        return _first_result(command, once, raw)
    known = view.get(CLIENTS, key(once.client))
    if known is not None and once.sequence < decode_client(known).lowest:
        return UnsureError(what=type(command).__name__)
    return None


def _first_result(command: Request[R], once: Once, raw: bytes) -> R | CairnError:
    head = memoryview(raw)[1:]
    if raw[:1] == FAILURE:
        return decode_failure(head)
    try:
        return decode_reply(type(command), head)
    except PeerError:
        return BadRequestError(what=f"sequence {once.sequence} was used for another kind of request")


def kept(once: Once, result: Reply | CairnError, now_ns: int) -> ResultKept:
    """Return the record that keeps a result."""
    raw = FAILURE + encode_failure(result) if isinstance(result, CairnError) else REPLY + encode_message(result)
    return ResultKept(client=once.client, sequence=once.sequence, lowest=once.lowest, now_ns=now_ns, result=raw)


def once_of(command: Any) -> Once | None:  # noqa: ANN401
    """Return what makes a request happen once, if it carries it."""
    return getattr(command, "once", None)
