"""All tables as lines of JSON: how metadata move to another format, and what a person may read. Used by `cairn master`.

    {"cairnfs": "metadata", "format": 1, "cluster": "..."}          first
    {"table": "inodes", "key": "00..01", "value": "9b.."}           a row a line, both in hex; tables in order
    {"rows": 4711, "crc": "89abcdef"}                               last: CRC32C of all lines before it

Pure but for the views. Whoever loads makes a store aside, and gives it its name when the last line was right.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from cairnfs.checksum import crc32c
from cairnfs.errors import FormatError
from cairnfs.meta.tables import FORMAT, TABLES, read_identity
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.units import MIB

COORDINATOR_TABLE = "solo"
"""The epoch counter of `env.solo`: no number is used twice after a load either (rule 1)."""
DUMPED = (*TABLES, COORDINATOR_TABLE)


_KEY_BYTES_MAX = 500
LINE_BYTES_MAX = 16 * MIB
"""Longest line: far above the largest row in hex. Rule 27."""


class _First(msgspec.Struct, forbid_unknown_fields=True):
    cairnfs: str
    format: int
    cluster: str


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    key: str
    value: str


class _Last(msgspec.Struct, forbid_unknown_fields=True):
    rows: int
    crc: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row on its way into a store."""

    table: str
    key: bytes
    value: bytes


def dump(view: MetaRead) -> Iterator[bytes]:
    """Yield the lines, of one moment.

    Raises:
        FormatError: no cluster here, or of another format.
    """
    identity = read_identity(view)
    if identity is None:
        raise FormatError(where="metadata store", why="empty: there is nothing to dump")
    crc, rows = 0, 0
    for line in _lines(view, _First("metadata", FORMAT, identity.cluster)):
        crc, rows = crc32c(line, crc), rows + 1
        yield line
    yield msgspec.json.encode(_Last(rows - 1, f"{crc:08x}")) + b"\n"


def _lines(view: MetaRead, first: _First) -> Iterator[bytes]:
    yield msgspec.json.encode(first) + b"\n"
    for table in DUMPED:
        for key, value in view.scan(table):
            yield msgspec.json.encode(_Row(table, key.hex(), value.hex())) + b"\n"


def parse(lines: Iterable[bytes], where: str) -> Iterator[Row]:
    """Yield the rows of a dump.

    Raises:
        FormatError: no dump, of another format, cut short or changed. What was yielded before must not be used.
    """
    crc, rows, ended = 0, -1, False
    for number, line in enumerate(lines, 1):
        try:
            if len(line) >= LINE_BYTES_MAX:
                raise FormatError(where=where, why=f"line {number} is longer than {LINE_BYTES_MAX} bytes")
            if ended:
                raise FormatError(where=where, why=f"line {number}: something stands behind the end")
            if rows < 0:
                _check_first(msgspec.json.decode(line, type=_First), where)
            elif line.startswith(b'{"rows"'):
                last = msgspec.json.decode(line, type=_Last)
                if (last.rows, last.crc) != (rows, f"{crc:08x}"):
                    raise FormatError(where=where, why="the rows are not those that were dumped")
                ended = True
                continue
            else:
                yield _row(msgspec.json.decode(line, type=_Row))
        except (msgspec.MsgspecError, ValueError) as error:
            raise FormatError(where=where, why=f"line {number} is not of a dump of metadata: {error}") from error
        crc, rows = crc32c(line, crc), rows + 1
    if not ended:
        raise FormatError(where=where, why="cut short: the last line is missing")


def _check_first(first: _First, where: str) -> None:
    if first.cairnfs != "metadata":
        raise ValueError(first.cairnfs)
    if first.format != FORMAT:
        raise FormatError(where=where, why=f"a dump of format {first.format}; this version of CairnFS loads {FORMAT}")


def _row(row: _Row) -> Row:
    if row.table not in DUMPED:
        raise ValueError(f"unknown table {row.table!r}")
    if not 0 < len(row.key) <= 2 * _KEY_BYTES_MAX:
        raise ValueError(f"a key of {len(row.key) // 2} bytes")
    return Row(row.table, bytes.fromhex(row.key), bytes.fromhex(row.value))


def load(txn: MetaWrite, rows: Iterable[Row]) -> None:
    """Put rows into their tables."""
    for row in rows:
        txn.put(row.table, row.key, row.value)
