"""Which replica a raise makes all others equal to. Rule 12, pure.

Input: the last result (who was a member, in which boot) and what each target promised. A replica is a possible source
because the last result names its server, never because of the version it reports (rule 2). It ends with a source, or
with the reason why there is none, for every combination of {absent, broken, unbroken, incomplete} replicas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cairnfs.ids import BootId, ChunkVersion, ServerId
from cairnfs.wire.master_orders import Promised


@dataclass(frozen=True, slots=True)
class Base:
    """The last result."""

    version: ChunkVersion
    members: Sequence[tuple[ServerId, BootId]]
    closed: bool
    length: int
    """Exact if closed."""
    is_new: bool
    """The version is the chunk's first: a member without a replica is an empty full member."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whom to become equal to."""

    server: ServerId
    promised: Promised
    breaks_continuity: bool = False
    """Plain writes that were acked but not synced may be missing (rule 12; told by `broken_at`)."""
    equal: tuple[ServerId, ...] = ()
    """Who else holds the same bytes and the same filter of repeats: nothing need be copied there."""


@dataclass(frozen=True, slots=True)
class NoSource:
    """Nobody to become equal to."""

    why: str


def choose_source(base: Base, answers: Mapping[ServerId, Promised]) -> Source | NoSource:
    """Return the source among those who answered, and who is equal to it."""
    source = _choose(base, answers)
    if isinstance(source, NoSource):
        return source
    others = [server for server, _ in base.members if server in answers and server != source.server]
    equal = tuple(server for server in others if is_equal(source.promised, answers[server]))
    return replace(source, equal=equal)


def _choose(base: Base, answers: Mapping[ServerId, Promised]) -> Source | NoSource:
    named = [(server, answers[server], boot) for server, boot in base.members if server in answers]
    if base.closed:
        return _choose_closed(base, [(server, promised) for server, promised, _ in named])
    unbroken = [(server, promised) for server, promised, boot in named if _is_unbroken(base, promised, boot)]
    if unbroken:
        server, promised = max(unbroken, key=lambda pair: _height(pair[1]))
        return Source(server, promised)
    all_answered = len(named) == len(base.members)
    # Absent after a restart: nothing was ever acked, or the disk is gone that had it. Only all of them together tell.
    broken = [
        (server, promised)
        for server, promised, _ in named
        if _is_usable(base, promised) and (promised.present or all_answered)
    ]
    return _choose_broken(base, broken, all_answered=all_answered)


def is_equal(source: Promised, other: Promised) -> bool:
    """True if nothing need be copied: same bytes, and the same mutations in a filter that is as complete."""
    return (
        other.present
        and source.present
        and not other.incomplete
        and (other.digest, other.length) == (source.digest, source.length)
        and (other.version, other.serial) == (source.version, source.serial)
        and other.filter_since == source.filter_since
    )


def _choose_closed(base: Base, named: list[tuple[ServerId, Promised]]) -> Source | NoSource:
    """A closed replica is current whatever its boot; its length is the record's.

    All have the same bytes, so the one that knows most of how they came about is taken (rule 11).
    """
    current = [
        pair for pair in named if _is_usable(base, pair[1]) and pair[1].present and pair[1].length == base.length
    ]
    if not current:
        return NoSource("no member of the closed version has it complete")
    server, promised = max(current, key=lambda pair: (_memory(pair[1]), _height(pair[1])))
    return Source(server, promised)


def _choose_broken(base: Base, broken: list[tuple[ServerId, Promised]], *, all_answered: bool) -> Source | NoSource:
    """No replica was held in memory since the version began: what was only in memory may be gone."""
    if not broken:
        return NoSource("no member of the last version answered with a complete replica")
    appended_only = [pair for pair in broken if not pair[1].plain_writes]
    if appended_only and (not all_answered or len(appended_only) == len(broken)):
        # Each acked append was flushed on every member: any one of them has them all.
        server, promised = max(appended_only, key=lambda pair: _fullness(pair[1]))
        return Source(server, promised)
    if not all_answered:
        return NoSource("all members of the last version have restarted, and not all of them answer")
    server, promised = max(broken, key=lambda pair: _fullness(pair[1]))
    return Source(server, promised, breaks_continuity=True)


def _is_usable(base: Base, promised: Promised) -> bool:
    """Complete, and not older than the result that names it; absent counts only for a chunk just made.

    Rule 3: an absent replica is an empty member unless its server has lost it.
    """
    if not promised.present:
        return base.is_new and not promised.incomplete
    return not promised.incomplete and promised.version >= base.version


def _is_unbroken(base: Base, promised: Promised, boot: BootId) -> bool:
    if not _is_usable(base, promised):
        return False
    if not promised.present:
        return promised.boot == boot
    return promised.closed or (promised.unbroken and promised.boot == boot)


def _height(promised: Promised) -> tuple[ChunkVersion, int, int, bool]:
    return promised.version, promised.serial, promised.length, promised.present


def _memory(promised: Promised) -> tuple[bool, int, int]:
    """Order filters: the longer complete, the higher."""
    since = promised.filter_since
    return (False, 0, 0) if since is None else (True, -since.epoch, -since.counter)


def _fullness(promised: Promised) -> tuple[ChunkVersion, int, int, bool]:
    return promised.version, promised.length, promised.serial, promised.present
