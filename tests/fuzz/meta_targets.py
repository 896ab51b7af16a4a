"""Decoders of the metadata: records, rows, the log with its chain, the identity, dumps."""

import typing
from functools import cache

import msgspec
from tests.fuzz import values
from tests.fuzz.mutate import mutated
from tests.fuzz.target import Target, refused, same_again
from tests.unit.meta.support import Caller, DictStore

from cairnfs.checksum import crc32c
from cairnfs.errors import FormatError
from cairnfs.meta import dump, log, quotas, records, servers, tables
from cairnfs.wire.namespace import MakeFolder

KINDS = typing.get_args(records.Record)
ROWS = {
    tables.InodeRow: tables.decode_inode,
    tables.ChunkRow: tables.decode_chunk,
    tables.Counters: tables.decode_counters,
    tables.TrashRow: tables.decode_trash,
    tables.PurgedRow: tables.decode_purged,
    tables.ClientRow: tables.decode_client,
    servers.ServerRow: servers.decode_server,
    tables.LogState: tables.decode_log_state,
    quotas.QuotaRow: quotas.decode_quota,
    quotas.UsageRow: quotas.decode_usage,
}
REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a row that is none ends with: these bytes are from our own store, and a wrong one is found by `check`."""


def log_rows(chance):
    rows = [[values.make(chance, chance.choice(KINDS)) for _ in range(chance.randint(1, 4))] for _ in range(40)]
    return [*(tables.encode([values.make(chance, kind)]) for kind in KINDS), *map(tables.encode, rows)]


def decode_log_row(data, _chance):
    try:
        found = log.decode_records(data)
    except REFUSED:
        return False
    return same_again(found, tables.encode, log.decode_records)


def table_rows(chance):
    return [tables.encode(values.make(chance, kind)) for kind in ROWS for _ in range(4)]


def decode_table_row(data, chance):
    decode = chance.choice(list(ROWS.values()))
    try:
        found = decode(data)
    except REFUSED:
        return False
    return same_again(found, tables.encode, decode)


# ---- a store


@cache
def whole_store():
    caller = Caller()
    for number in range(6):
        caller.do(MakeFolder, path=b"/%d" % number)
    return caller.store


def copied():
    store = DictStore()
    for table, rows in whole_store().rows.items():
        for key, value in rows.items():
            store.put(table, key, value)
    return store


def stored_log(_chance):
    return list(whole_store().rows[tables.LOG].values())


def verify_log(data, chance):
    """One row of the log is damaged, or stands at another index: it is found, whatever it has become."""
    store = copied()
    key = chance.choice(store.keys[tables.LOG])
    before = store.rows[tables.LOG][key]
    after = mutated(chance, [before]) if chance.random() < 0.8 else data
    store.put(tables.LOG, key, after)
    faults = log.verify(store)
    assert bool(faults) == (after != before), faults
    return not faults


def identities(chance):
    made = [values.make(chance, tables.Identity) for _ in range(5)]
    return [*map(tables.encode, made), whole_store().rows[tables.META][tables.IDENTITY_KEY]]


def decode_identity(data, _chance):
    store = DictStore()
    store.put(tables.META, tables.IDENTITY_KEY, data)
    try:
        found = tables.read_identity(store)
    except FormatError as error:
        return refused(error)
    assert found.format == tables.FORMAT
    return True


# ---- dumps


@cache
def whole_dump():
    return b"".join(dump.dump(whole_store()))


def dumps(_chance):
    lines = whole_dump().splitlines(keepends=True)
    short = [*lines[:3], b'{"rows":2,"crc":"%08x"}\n' % crc32c(b"".join(lines[:3]))]
    return [whole_dump(), *[b"".join(short)] * 3]


def parse_dump(data, chance):
    lines = data.splitlines(keepends=True)
    if chance.random() < 0.5 and lines:
        # Whoever edits a dump may compute its last line anew.
        body = lines[:-1]
        lines = [*body, b'{"rows":%d,"crc":"%08x"}' % (len(body) - 1, crc32c(b"".join(body)))]
    try:
        rows = list(dump.parse(lines, "dump"))
    except FormatError as error:
        return refused(error)
    body, last = lines[:-1], msgspec.json.decode(lines[-1])
    assert (last["rows"], last["crc"]) == (len(body) - 1, f"{crc32c(b''.join(body)):08x}")
    assert len(rows) == len(body) - 1
    assert all(row.table in dump.DUMPED for row in rows)
    return True


TARGETS = [
    Target("log rows", 30_000, log_rows, decode_log_row),
    Target("table rows", 24_000, table_rows, decode_table_row),
    Target("log chain", 6_000, stored_log, verify_log),
    Target("identity", 12_000, identities, decode_identity),
    Target("dumps", 12_000, dumps, parse_dump),
]
