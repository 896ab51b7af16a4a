"""Where a reader of records is, so that it can go on there: each record once. Pure. docs/CONSISTENCY.md, "Positions".

    text = base64url(MessagePack [1, inode, offset, [[writer, high, missing], ...]] + CRC32C)

`high` is the highest sequence of a writer that was given; bit k of `missing` says that sequence high - 1 - k was not.
Below the window everything counts as given. Invariants that make this enough:

    1. A writer begins a sequence s only when every one up to s - RECORD_WINDOW is acknowledged or given up.
    2. What was acknowledged before another record was begun stands before it (rule 17, contract 2).

So what comes first from below the window was never acknowledged, and all else there is a repeat: both are left out.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from cairnfs.checksum import crc32c
from cairnfs.errors import BadRequestError
from cairnfs.limits import RECORD_WINDOW, RECORD_WRITERS_MAX

_FORMAT = 1
_BELOW = RECORD_WINDOW - 1
"""Sequences below the highest that are known one by one."""
_MASK = (1 << _BELOW) - 1
_CHANGES_MAX = 256
"""Records between two copies of what is known: a copy costs as much as there are writers."""
_U63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_U64 = Annotated[int, Meta(ge=0)]
"""MessagePack has no larger one; a frame of others may have any writer and sequence."""
_TEXT_MAX = 4 * (64 + RECORD_WRITERS_MAX * (32 + RECORD_WINDOW // 8))


@dataclass(frozen=True, slots=True)
class Heard:
    """What was given of one writer."""

    high: int
    missing: int

    def after(self, sequence: int) -> "Heard | None":
        """Return what is known once `sequence` is given too; None if it was given, or lies below the window."""
        if sequence > self.high:
            between = min(sequence - self.high - 1, _BELOW)
            shifted = self.missing << (between + 1) if between < _BELOW else 0
            return Heard(sequence, (shifted | ((1 << between) - 1)) & _MASK)
        bit = self.high - 1 - sequence
        if bit < 0 or bit >= _BELOW or not self.missing >> bit & 1:
            return None
        return Heard(self.high, self.missing & ~(1 << bit))


_NOTHING = Heard(0, 0)


def _give(heard: dict[int, Heard], writer: int, sequence: int) -> bool:
    """Enter a record; False: it is a repeat, and nothing changes. The writers heard last stand last."""
    then = heard.get(writer, _NOTHING).after(sequence)
    if then is None:
        return False
    heard.pop(writer, None)
    heard[writer] = then
    if len(heard) > RECORD_WRITERS_MAX:
        del heard[next(iter(heard))]
    return True


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been given at one moment, found out only when somebody asks."""

    base: Mapping[int, Heard]
    changes: list[tuple[int, int]]
    count: int

    def heard(self) -> dict[int, Heard]:
        heard = dict(self.base)
        for writer, sequence in self.changes[: self.count]:
            _give(heard, writer, sequence)
        return heard


class RepeatFilter:
    """Tells repeats by (writer, sequence), with bounded memory."""

    def __init__(self, heard: Mapping[int, Heard] | None = None) -> None:
        self._heard = dict(heard or {})
        self._base: Mapping[int, Heard] = dict(self._heard)
        self._changes: list[tuple[int, int]] = []
        self.repeats = 0

    def is_new(self, writer: int, sequence: int) -> bool:
        """True the first time, unless the record comes from below the window of its writer."""
        if not _give(self._heard, writer, sequence):
            self.repeats += 1
            return False
        if len(self._changes) >= _CHANGES_MAX:
            self._base, self._changes = self._mark_of_all(), []
        self._changes.append((writer, sequence))
        return True

    def _mark_of_all(self) -> Mapping[int, Heard]:
        """Return what was known before the record that has just been entered."""
        return Mark(self._base, self._changes, len(self._changes)).heard()

    def mark(self) -> Mark:
        """Return what is known now."""
        return Mark(self._base, self._changes, len(self._changes))


class _Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    writer: _U64
    high: _U64
    missing: Annotated[bytes, Meta(max_length=RECORD_WINDOW // 8)]


class _Body(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: _U63
    inode: _U63
    offset: _U63
    rows: Annotated[list[_Row], Meta(max_length=RECORD_WRITERS_MAX)]


@dataclass(frozen=True, slots=True)
class Position:
    """Behind one record of one file."""

    inode: int
    offset: int
    """Where the next frame may begin."""
    heard: Mapping[int, Heard]

    def __str__(self) -> str:
        rows = [_Row(writer, one.high, _to_bytes(one.missing)) for writer, one in self.heard.items()]
        body = msgspec.msgpack.encode(_Body(_FORMAT, self.inode, self.offset, rows))
        return base64.urlsafe_b64encode(body + crc32c(body).to_bytes(4, "little")).rstrip(b"=").decode()


def parse_position(text: str) -> Position:
    """Return what `str` of a position said.

    Raises:
        BadRequestError: it is none, or was changed on the way.
    """
    if not isinstance(text, str):
        raise BadRequestError(what=f"a position is the text that a record gave, not {text!r}")
    shown = text if len(text) <= 60 else f"{text[:60]}..."
    try:
        body = _body_of(text)
    except (ValueError, msgspec.MsgspecError, binascii.Error) as error:
        raise BadRequestError(what=f"{shown!r} is no position of a record: {error}") from error
    found = Position(body.inode, body.offset, dict(_heard_of(body.rows)))
    if str(found) != text:
        raise BadRequestError(what=f"{shown!r} is no position of a record: not as it was given")
    return found


def _body_of(text: str) -> _Body:
    if len(text) > _TEXT_MAX:
        raise ValueError("too long")
    raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    body, crc = raw[:-4], raw[-4:]
    if crc32c(body).to_bytes(4, "little") != crc:
        raise ValueError("it does not fit its checksum")
    decoded = msgspec.msgpack.decode(body, type=_Body)
    if decoded.format != _FORMAT:
        raise ValueError(f"format {decoded.format}, and this version knows {_FORMAT}")
    return decoded


def _heard_of(rows: Iterable[_Row]) -> Iterable[tuple[int, Heard]]:
    for row in rows:
        yield row.writer, Heard(row.high, int.from_bytes(row.missing, "little") & _MASK)


def _to_bytes(missing: int) -> bytes:
    return missing.to_bytes((missing.bit_length() + 7) // 8, "little")
