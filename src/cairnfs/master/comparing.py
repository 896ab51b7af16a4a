"""What a reported replica is worth: compared with the record, when a server reports it. Rules 2, 4, 5, 9, 22. Pure.

A replica is current because the record names its server, never because of its version; all others are excluded from
serving before their server gets its first serving lease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cairnfs.ids import NO_VERSION, BootId, ChunkVersion, ServerId
from cairnfs.master.exclusions import after
from cairnfs.meta.sweep import decode_core
from cairnfs.meta.tables import ChunkRow, PurgedRow
from cairnfs.wire.membership import Exclusion, ReplicaReport


class Worth(StrEnum):
    """What a replica is."""

    CURRENT = "current"
    UNSEALED = "unsealed"  # the record says closed, the replica does not know it yet
    RESTARTED = "restarted"  # of an open version, but of an earlier boot: a raise brings it back
    STALE = "stale"  # the record does not name its server, or it is older than the record
    ORPHAN = "orphan"  # no file uses the chunk


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a replica is, and what its server must be told about it."""

    worth: Worth
    exclusions: tuple[Exclusion, ...] = ()


_PLAINLY = {worth: Verdict(worth) for worth in Worth}
"""Nothing to be told: nearly every verdict; made once, for millions are asked for after a start."""


def judge(
    row: ChunkRow | None,
    purged: PurgedRow | None,
    report: ReplicaReport,
    sender: tuple[ServerId, BootId],
    *,
    is_busy: bool = False,
    restart_leaves_set: bool = True,
) -> Verdict:
    """Compare one replica of `sender` with its record. `is_busy`: a raise, copy or repair of the chunk is under way."""
    handle = report.handle
    if row is None:
        barrier = purged.barrier if purged is not None else NO_VERSION
        return Verdict(Worth.ORPHAN, _barrier(report, barrier))
    barriers = _barrier(report, row.barrier) if row.barrier != NO_VERSION else ()
    worth = _worth(row, report, *sender)
    if worth is Worth.RESTARTED and not restart_leaves_set:
        worth = Worth.CURRENT
    if worth in (Worth.CURRENT, Worth.UNSEALED):
        return Verdict(worth, barriers) if barriers else _PLAINLY[worth]
    if worth is Worth.RESTARTED and report.closed and report.version == row.version:
        # Its primary has closed it, and whoever tells us is still on the way: nothing was lost with the boot, and once
        # the record says closed, nothing would take the exclusion back.
        return Verdict(worth, barriers)
    if worth is Worth.RESTARTED:
        below = after(row.version)
    elif report.version < row.version:
        below = row.version
    elif is_busy:
        # A copy or a raise is under way and may be about to name this very replica. Until then it is either the same
        # as the others (closed) or incomplete and silent, and the end of the raise excludes whom it does not name.
        return Verdict(worth, barriers)
    else:
        below = after(report.version)
    return Verdict(worth, (*barriers, Exclusion(handle=handle, below=below)))


def differing(rows: Sequence[bytes | None], versions: Sequence[tuple[int, int]], server: ServerId) -> list[int]:
    """Return which of a server's settled replicas do not equal their records: places in both sequences.

    One that does is current, with nothing to be told; what `judge` would say is known without asking. So it is with
    nearly every replica after a start, and this is its innermost loop: no call but the decoder's.
    """
    found: list[int] = []
    decode = decode_core
    for at, raw in enumerate(rows):
        if raw is not None:
            row = decode(raw)
            if row.closed and row.version == versions[at] and row.barrier == NO_VERSION:
                for member in row.members:
                    if member[0] == server:
                        break
                else:
                    found.append(at)
                continue
        found.append(at)
    return found


def _worth(row: ChunkRow, report: ReplicaReport, server: ServerId, boot: BootId) -> Worth:
    named: BootId | None = None
    for member, recorded in row.members:  # not a generator: this is the innermost loop of a start
        if member == server:
            named = recorded
            break
    if named is None or report.incomplete or report.version < row.version:
        return Worth.STALE
    if not row.closed:
        return Worth.CURRENT if named == boot else Worth.RESTARTED
    return Worth.CURRENT if report.closed else Worth.UNSEALED


def _barrier(report: ReplicaReport, barrier: ChunkVersion) -> tuple[Exclusion, ...]:
    if barrier == NO_VERSION:
        return ()
    return (Exclusion(handle=report.handle, below=barrier, barrier=True),)
