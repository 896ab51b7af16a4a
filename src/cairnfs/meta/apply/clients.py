"""Records of those who talk to the master: results kept for retries. Contract 1."""

from msgspec.structs import replace

from cairnfs.ids import Sequence
from cairnfs.meta.records import ClientForgotten, ResultKept
from cairnfs.meta.tables import (
    CLIENTS,
    RESULTS,
    ClientRow,
    decode_client,
    encode,
    key,
    key2,
    range_of,
)
from cairnfs.meta.views import MetaWrite


def result_kept(txn: MetaWrite, record: ResultKept) -> None:
    raw_key = key(record.client)
    raw = txn.get(CLIENTS, raw_key)
    lowest, highest, kept_from = record.lowest, record.sequence, 0
    if raw is not None:
        row = decode_client(raw)
        lowest, highest, kept_from = max(lowest, row.lowest), max(highest, row.highest), row.lowest
    if kept_from < lowest:
        forgotten = txn.scan(RESULTS, key2(record.client, kept_from), key2(record.client, lowest))
        for old, _ in list(forgotten):
            txn.delete(RESULTS, old)
    txn.put(RESULTS, key2(record.client, record.sequence), record.result)
    txn.put(CLIENTS, raw_key, encode(ClientRow(lowest=lowest, highest=highest, heard_ns=record.now_ns)))


def client_forgotten(txn: MetaWrite, record: ClientForgotten) -> None:
    raw = txn.get(CLIENTS, key(record.client))
    assert raw is not None, record
    for old, _ in list(txn.scan(RESULTS, *range_of(record.client))):
        txn.delete(RESULTS, old)
    if record.removed:
        txn.delete(CLIENTS, key(record.client))
        return
    # What it asked before is answered "unsure" from now on; what it asks next is carried out.
    row = decode_client(raw)
    txn.put(CLIENTS, key(record.client), encode(replace(row, lowest=Sequence(row.highest + 1))))
