"""What this server is to the master: its session, its serving lease, and what the next heartbeat must say. Rule 5.

Everything here changes on the loop only; `report` talks, this remembers.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.wire.membership import ClosedReport, Settings, SuspectReport

_SUSPECTS_MAX = 10_000
SUSPECT_AGAIN_S = 3.0
"""The same report is made again after so long: a raise takes a second or two."""
_NEVER_S = float("-inf")


@dataclass(slots=True)
class Standing:
    """Session and serving lease, counted on this server's own clock."""

    settings: Settings | None = None
    session: int = 0
    renewed_at_s: float = _NEVER_S
    """When the newest heartbeat that was answered with `serves` was sent."""
    closed: dict[ChunkHandle, ClosedReport] = field(default_factory=dict)
    gained: dict[ChunkHandle, int] = field(default_factory=dict)
    """Replicas to be reported, with the count of the change: a later change is reported again."""
    lost: dict[ChunkHandle, int] = field(default_factory=dict)
    suspects: deque[SuspectReport] = field(default_factory=deque)
    has_suspects: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: dict[ChunkHandle, None] = field(default_factory=dict)
    """Some replicas that have to leave this server; see `relocating`."""
    reports_anew: bool = False
    """So much has changed that the whole inventory is told again, with a new session."""
    changes: int = 0
    """Counts what was noted so far."""
    _suspected: dict[tuple[ChunkHandle, ChunkVersion, ServerId], float] = field(default_factory=dict)

    def begin_session(self, session: int, settings: Settings) -> None:
        """A new session serves nothing until its first renewal. Rule 5."""
        self.session, self.settings = session, settings
        self.reports_anew = False
        self.renewed_at_s = _NEVER_S

    def renew(self, sent_at_s: float) -> None:
        """The master answered the heartbeat sent then."""
        self.renewed_at_s = max(self.renewed_at_s, sent_at_s)

    def may_serve(self, now_s: float, *, quiet: bool) -> bool:
        """True while the serving lease lasts; `quiet`: the longer one of chunks that were never overwritten."""
        if self.settings is None:
            return False
        span_s = self.settings.serving_lease_quiet_s if quiet else self.settings.serving_lease_s
        return now_s < self.renewed_at_s + span_s

    def note_gained(self, handle: ChunkHandle) -> None:
        """Report the replica with the next heartbeat."""
        self.changes += 1
        self.gained[handle] = self.changes
        self.lost.pop(handle, None)

    def note_lost(self, handle: ChunkHandle) -> None:
        """Report with the next heartbeat that the replica is gone."""
        self.changes += 1
        self.lost[handle] = self.changes
        self.gained.pop(handle, None)

    def forget_changes(self, upto: int) -> None:
        """A full report has told everything that was noted up to then."""
        for told in (self.gained, self.lost):
            for handle in [handle for handle, change in told.items() if change <= upto]:
                del told[handle]

    @staticmethod
    def forget(noted: dict[ChunkHandle, int], told: dict[ChunkHandle, int]) -> None:
        """A heartbeat that said this was answered; what changed since stays."""
        for handle, change in told.items():
            if noted.get(handle) == change:
                del noted[handle]

    def note_closed(self, report: ClosedReport) -> None:
        """Report with the next heartbeats, until one is answered."""
        self.closed[report.handle] = report

    def suspect(self, report: SuspectReport, *, now_s: float) -> None:
        """Report at once, and again if it has changed nothing: a master that dies forgets what it was told. Rule 20."""
        key = (report.handle, report.version, report.suspect)
        if now_s < self._suspected.get(key, now_s) or len(self.suspects) >= _SUSPECTS_MAX:
            return
        self._suspected.pop(key, None)
        self._suspected[key] = now_s + SUSPECT_AGAIN_S
        while len(self._suspected) > _SUSPECTS_MAX:
            del self._suspected[next(iter(self._suspected))]
        self.suspects.append(report)
        self.has_suspects.set()
