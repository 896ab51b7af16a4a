"""Who lives: one session per chunkserver, begun by Register, kept by Heartbeat. Rules 2, 4, 5.

A server is *live* while it is heard, *suspect* after `suspect_s`, *dead* after `dead_s` (its session then ends). The
serving lease book is here as well: until when each server may answer reads at the latest, on our clock.

Invariants:
    1. One session per server id; a session number is never used twice.
    2. The book never ends before the server's own serving lease does (rule 5): it counts from the answer, which is
       later than the question that the server counts from, and is longer by the drift bound.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from cairnfs.errors import SessionLostError
from cairnfs.ids import BootId, ChunkHandle, DiskId, Epoch, ServerId
from cairnfs.limits import CLOCK_DRIFT
from cairnfs.wire.membership import DiskReport, Exclusion, Register

RECENT_S = 10.0
"""Creations so long ago still count as recent. GFS paper, section 4.2."""


_EPOCHS = 1 << 30
"""Session numbers are 63 bits: these many reigns have numbers of their own."""


class Health(StrEnum):
    """How lately a server was heard."""

    LIVE = "live"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(slots=True, eq=False)
class Session:
    """One run of one chunkserver as the master sees it."""

    number: int
    server: ServerId
    boot: BootId
    address: str
    rack: str
    disks: list[DiskReport]
    heard_s: float
    begun_s: float = 0.0
    sent_at_s: float = 0.0
    """Its own clock at its last heartbeat: the anchor of leases."""
    heartbeats: int = 0
    reported: bool = False
    """Its full report has been compared (rule 5)."""
    page: int = 0
    is_waiting: bool = False
    """Its report has begun, or waits for its turn to."""
    load: int = 0
    serves_until_s: float = 0.0
    pending: dict[int, Exclusion] = field(default_factory=dict)
    """Exclusions it has not confirmed, by sequence (see `exclusions`)."""
    primaries: int = 0
    """Leases it holds: chunks being written there."""
    creations: deque[float] = field(default_factory=deque)
    free_bytes: int = 0
    """On disks that take new chunks."""
    total_bytes: int = 0
    leaving: dict[ChunkHandle, None] = field(default_factory=dict)
    """Replicas that have to leave it, as its last heartbeat said."""
    draining_disks: tuple[DiskId, ...] = ()
    slow_since_s: float | None = None
    """Since when it has been much slower than its peers."""

    @property
    def has_begun(self) -> bool:
        """True once its report has begun. A server whose disks have failed may register for ever."""
        return self.reported or self.is_waiting

    def take_disks(self, disks: list[DiskReport]) -> None:
        self.disks = disks
        self.free_bytes = sum(disk.free for disk in self._usable())
        self.total_bytes = sum(disk.total for disk in disks if not disk.failed)

    def room_bytes(self, chunk_bytes: int) -> int:
        """Return how much fits in whole chunks: each is on one disk. One disk alone is counted to the byte."""
        usable = [disk.free for disk in self._usable()]
        if len(usable) == 1:
            return usable[0]
        return sum(free - free % chunk_bytes for free in usable)

    def _usable(self) -> list[DiskReport]:
        return [one for one in self.disks if not (one.failed or one.read_only or one.disk in self.draining_disks)]

    @property
    def latency_s(self) -> float:
        """Of its slowest disk."""
        return max((disk.latency_s for disk in self.disks if not disk.failed), default=0.0)

    def recent_creations(self, now_s: float) -> int:
        while self.creations and self.creations[0] < now_s - RECENT_S:
            self.creations.popleft()
        return len(self.creations)


@dataclass(frozen=True, slots=True)
class Known:
    """A server of the servers table: whoever ever registered, and what an operator has said of it."""

    address: str
    rack: str
    draining: bool = False
    draining_disks: tuple[DiskId, ...] = ()
    maintenance_until_ns: int = 0
    """By the wall clock."""


class Sessions:
    """All sessions of one reign. Only touched on the loop."""

    def __init__(
        self, *, started_s: float, suspect_s: float, dead_s: float, quiet_s: float, short_s: float, epoch: Epoch
    ) -> None:
        self._suspect_s = suspect_s
        self._dead_s = dead_s
        self.quiet_s = quiet_s * (1 + CLOCK_DRIFT)
        """Longest time for which a server may go on serving unheard."""
        self._sooner_s = (quiet_s - short_s) * (1 + CLOCK_DRIFT)
        """So much earlier it stops to serve chunks that it knows to be overwritten. Rule 5."""
        self._assumed_s = started_s + self.quiet_s
        self._by_server: dict[ServerId, Session] = {}
        self._by_number: dict[int, Session] = {}
        self._served_until: dict[ServerId, float] = {}
        # Apart from the numbers of every other reign: a heartbeat meant for the predecessor must find no session.
        self._next = ((epoch % _EPOCHS) << 32) + 1
        self._started_s = started_s
        self._last_heard: dict[ServerId, float] = {}
        self.known: dict[ServerId, Known] = {}

    def begin(self, request: Register, *, now_s: float) -> Session:
        """Start a session; an older one of the same server ends."""
        older = self._by_server.get(request.server)
        if older is not None:
            self.end(older, restarted=older.boot != request.boot)
        session = Session(
            number=self._next,
            server=request.server,
            boot=request.boot,
            address=request.address,
            rack=request.rack,
            disks=request.disks,
            heard_s=now_s,
            begun_s=now_s,
        )
        session.take_disks(request.disks)
        self._next += 1
        self._by_server[session.server] = session
        self._by_number[session.number] = session
        return session

    def end(self, session: Session, *, restarted: bool = False) -> None:
        """Forget the session. Its serving lease goes on to its end, unless the process itself is gone."""
        if self._by_server.get(session.server) is session:
            del self._by_server[session.server]
        self._by_number.pop(session.number, None)
        if session.has_begun:
            self._last_heard[session.server] = session.heard_s
        if restarted:
            self._served_until[session.server] = 0.0
        elif session.serves_until_s:
            self._served_until[session.server] = session.serves_until_s

    def by_number(self, number: int, boot: BootId | None = None) -> Session:
        """Return the session.

        Raises:
            SessionLostError: it has ended, or belongs to another boot.
        """
        session = self._by_number.get(number)
        if session is None:
            raise SessionLostError(why=f"session {number} is not known to this master")
        if boot is not None and session.boot != boot:
            raise SessionLostError(why=f"session {number} belongs to another run of the server")
        return session

    def of(self, server: ServerId) -> Session | None:
        return self._by_server.get(server)

    def is_there(self, number: int) -> bool:
        """True while the session of that number lives."""
        return number in self._by_number

    def all(self) -> list[Session]:
        return list(self._by_server.values())

    def health(self, session: Session, now_s: float) -> Health:
        age_s = now_s - session.heard_s
        if age_s < self._suspect_s:
            return Health.LIVE
        return Health.SUSPECT if age_s < self._dead_s else Health.DEAD

    def is_live(self, server: ServerId, now_s: float) -> bool:
        session = self._by_server.get(server)
        return session is not None and now_s - session.heard_s < self._suspect_s

    def live(self, now_s: float) -> list[Session]:
        """Return the sessions heard lately, oldest session first."""
        limit_s = now_s - self._suspect_s
        return [session for session in self._by_server.values() if session.heard_s > limit_s]

    def dead(self, now_s: float) -> list[Session]:
        """Return the sessions to be ended."""
        return [session for session in self._by_server.values() if now_s - session.heard_s >= self._dead_s]

    def renew_serving(self, session: Session, *, now_s: float) -> None:
        """Write into the book that the server may serve reads from now on. Invariant 2."""
        session.serves_until_s = now_s + self.quiet_s

    def is_silent(self, server: ServerId, now_s: float, *, short: bool = False) -> bool:
        """True if the server surely answers no read: its serving lease has ended, whatever it believes.

        `short`: no read of a chunk that it knows to be overwritten.
        """
        if short:
            now_s += self._sooner_s
        session = self._by_server.get(server)
        if session is not None and session.reported:
            return now_s >= session.serves_until_s
        return now_s >= self._served_until.get(server, self._assumed_s)

    def gone_for_s(self, server: ServerId, now_s: float) -> float:
        """Return how long a server has told nothing of its replicas; if it never did, since this master's start."""
        session = self._by_server.get(server)
        if session is not None and session.has_begun:
            return now_s - session.heard_s
        return now_s - self._last_heard.get(server, self._started_s)

    def unheard(self) -> list[ServerId]:
        """Return the known servers that have not reported to this master, in order of their ids."""
        return [
            server
            for server in sorted(self.known)
            if (session := self._by_server.get(server)) is None or not session.reported
        ]
