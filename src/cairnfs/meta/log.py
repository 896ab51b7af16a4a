"""The operation log: every change of the tables, in order. GFS paper, section 2.6.3.

Feeds shadows, the change feed, backup and audit. A row holds the records of one command, so that no reader of the log
ever sees half of one. Kept for 7 days or 1 GiB, whichever is less.

    key    index u64, from 1, without gaps
    row    epoch u64 | now_ns u64 | chain u32 | MessagePack array of records

chain is the CRC32C of (epoch, now_ns, records) continued from the chain of the row before: a row that was changed,
lost or put elsewhere breaks every chain after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

import msgspec

from cairnfs.checksum import crc32c
from cairnfs.ids import Epoch
from cairnfs.limits import LOG_KEEP_BYTES, LOG_KEEP_S
from cairnfs.meta.records import Record
from cairnfs.meta.tables import LOG, U64, LogState, encode, get_log_state, key, put_log_state
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.units import SECOND_NS

HEAD = Struct(">QQ")
CHAIN = Struct(">I")
HEAD_BYTES = HEAD.size + CHAIN.size
TRIM_ROWS_MAX = 1000
"""Rows removed in one transaction, so that no caller waits long."""

decode_records = msgspec.msgpack.Decoder(list[Record]).decode


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One command's records."""

    index: int
    epoch: Epoch
    now_ns: int
    records: list[Record]
    chain: int


def append(txn: MetaWrite, records: Sequence[Record], *, epoch: Epoch, now_ns: int) -> int:
    """Write the records of one command as the next row; return its index."""
    state = get_log_state(txn)
    head, body = HEAD.pack(epoch, now_ns), encode(records)
    chain = crc32c(body, crc32c(head, state.chain))
    row = head + CHAIN.pack(chain) + body
    txn.put(LOG, key(state.next), row)
    put_log_state(
        txn,
        LogState(
            first=state.first,
            next=state.next + 1,
            size_bytes=state.size_bytes + len(row),
            base_chain=state.base_chain,
            chain=chain,
        ),
    )
    return state.next


def trim(txn: MetaWrite, now_ns: int, *, keep_bytes: int = LOG_KEEP_BYTES, keep_s: float = LOG_KEEP_S) -> int:
    """Remove the oldest rows that need not be kept, at most 1000; return how many."""
    state = get_log_state(txn)
    oldest_ns = now_ns - int(keep_s * SECOND_NS)
    first, size, base = state.first, state.size_bytes, state.base_chain
    while first < state.next and first - state.first < TRIM_ROWS_MAX:
        row = _row(txn, first)
        if size <= keep_bytes and HEAD.unpack_from(row)[1] >= oldest_ns:
            break
        txn.delete(LOG, key(first))
        first, size, base = first + 1, size - len(row), CHAIN.unpack_from(row, HEAD.size)[0]
    if first != state.first:
        put_log_state(txn, msgspec.structs.replace(state, first=first, size_bytes=size, base_chain=base))
    return first - state.first


def read_from(view: MetaRead, index: int) -> Iterator[LogEntry]:
    """Yield the rows from `index` on; it begins later if those were trimmed."""
    for raw_key, row in view.scan(LOG, key(index)):
        epoch, now_ns = HEAD.unpack_from(row)
        (chain,) = CHAIN.unpack_from(row, HEAD.size)
        yield LogEntry(
            index=U64.unpack(raw_key)[0],
            epoch=Epoch(epoch),
            now_ns=now_ns,
            records=decode_records(memoryview(row)[HEAD_BYTES:]),
            chain=chain,
        )


def verify(view: MetaRead) -> list[str]:
    """Return what is wrong with the log; [] if its chain is whole."""
    state = get_log_state(view)
    expected, chain, size = state.first, state.base_chain, 0
    for raw_key, row in view.scan(LOG):
        if raw_key != key(expected):
            return [f"log: row {int.from_bytes(raw_key, 'big')} where {expected} should be"]
        if len(row) < HEAD_BYTES:
            return [f"log: row {expected} has {len(row)} bytes"]
        chain = crc32c(memoryview(row)[HEAD_BYTES:], crc32c(row[: HEAD.size], chain))
        if chain != CHAIN.unpack_from(row, HEAD.size)[0]:
            return [f"log: row {expected} breaks the chain"]
        expected, size = expected + 1, size + len(row)
    if (expected, chain, size) != (state.next, state.chain, state.size_bytes):
        return [f"log: ends at {expected} ({size} bytes), but {state.next} ({state.size_bytes} bytes) is written"]
    return []


def _row(view: MetaRead, index: int) -> bytes:
    row = view.get(LOG, key(index))
    assert row is not None, index
    return row
