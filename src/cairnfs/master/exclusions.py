"""Who must not serve a chunk any more, and when that is certain. Rules 5, 6 and 9.

An exclusion says that a server's replica is not current below a version; a barrier that readers with an older version
are to be refused because the file's map changed. Both are kept per session until the server has confirmed them, ride
on every heartbeat answer before the renewal takes effect, and are also sent at once.

A *fence* is done when no server outside the set can still be read: each has confirmed, or its serving lease has surely
ended: the short one, if it is known to have seen the chunk overwritten, else the long one of chunks that never were. A
new master knows nothing of its predecessor's exclusions: until one serving lease after its start it takes every server
that has not yet reported, and any exclusion anywhere, for pending (rule 6).

Invariant: an exclusion leaves this book only by confirmation, by a full report of its server compared anew, or by the
certain end of the server's serving lease.
"""

from collections.abc import Iterable

from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import REPORT_PAGE_MAX
from cairnfs.master.sessions import Session, Sessions
from cairnfs.wire.membership import Exclusion

ANSWER_MAX = REPORT_PAGE_MAX
"""Exclusions in one heartbeat answer; while there are more, the server gets no renewal."""


class Exclusions:
    """All unconfirmed exclusions of one reign."""

    def __init__(self, sessions: Sessions, *, started_s: float) -> None:
        self._sessions = sessions
        self._unsure_until_s = started_s + sessions.quiet_s
        self._sequence = 0
        self._waiting: dict[ChunkHandle, dict[int, ServerId]] = {}
        """By handle: sequences that sessions have not confirmed."""
        self._absent: dict[ServerId, dict[ChunkHandle, None]] = {}
        """Servers without a session that may still serve these chunks until their book ends."""
        self._absent_of: dict[ChunkHandle, dict[ServerId, None]] = {}
        self._short: dict[ChunkHandle, dict[ServerId, None]] = {}
        """Of those: who is known to keep to the short serving lease for the chunk."""
        self._old_map: dict[ChunkHandle, ChunkHandle] = {}

    def add(self, server: ServerId, exclusion: Exclusion, *, now_s: float, overwritten: bool = False) -> Session | None:
        """Exclude `server`; return its session if it is to be told.

        `overwritten`: it has seen an overwrite of the chunk, as members of its version have told. What it was known
        to have seen it has still seen if it is excluded again.
        """
        session = self._sessions.of(server)
        if not overwritten and not self._is_waited_for(exclusion.handle, server):
            self._forget_short(exclusion.handle, server)
        if session is not None:
            self._sequence += 1
            session.pending[self._sequence] = exclusion
            self._waiting.setdefault(exclusion.handle, {})[self._sequence] = server
        elif not self._sessions.is_silent(server, now_s):
            self._add_absent(server, exclusion.handle)
        if overwritten and self._is_waited_for(exclusion.handle, server):
            self._short.setdefault(exclusion.handle, {})[server] = None
        return session

    def took_part(self, server: ServerId, handle: ChunkHandle) -> None:
        """The server holds a replica of a newer version, which may have been made anew: nothing is known of it."""
        self._forget_short(handle, server)

    def _is_waited_for(self, handle: ChunkHandle, server: ServerId) -> bool:
        return server in self._waiting.get(handle, {}).values() or server in self._absent_of.get(handle, ())

    def _forget_short(self, handle: ChunkHandle, server: ServerId) -> None:
        short = self._short.get(handle)
        if short is not None:
            short.pop(server, None)
            if not short:
                del self._short[handle]

    def _add_absent(self, server: ServerId, handle: ChunkHandle) -> None:
        self._absent.setdefault(server, {})[handle] = None
        self._absent_of.setdefault(handle, {})[server] = None

    def confirm_upto(self, session: Session, sequence: int) -> None:
        """A heartbeat says that all up to `sequence` have taken effect."""
        if session.pending:
            self.confirm(session, [number for number in session.pending if number <= sequence])

    def confirm(self, session: Session, sequences: Iterable[int]) -> None:
        for number in sequences:
            exclusion = session.pending.pop(number, None)
            if exclusion is not None:
                self._forget(exclusion.handle, number)

    def _forget(self, handle: ChunkHandle, number: int) -> None:
        waiting = self._waiting.get(handle)
        if waiting is not None:
            server = waiting.pop(number, None)
            if not waiting:
                del self._waiting[handle]
            if server is not None and not self._is_waited_for(handle, server):
                self._forget_short(handle, server)

    def session_ended(self, session: Session) -> None:
        """The server may serve what it has not confirmed until its book ends; its next session compares anew."""
        for number, exclusion in session.pending.items():
            self._add_absent(session.server, exclusion.handle)
            self._forget(exclusion.handle, number)
        session.pending.clear()

    def report_compared(self, server: ServerId) -> None:
        """The full report was compared: what the server must not serve is pending in its new session."""
        for handle in self._absent.pop(server, {}):
            servers = self._absent_of.get(handle)
            if servers is not None:
                servers.pop(server, None)
                if not servers:
                    del self._absent_of[handle]
                if not self._is_waited_for(handle, server):
                    self._forget_short(handle, server)

    def to_tell(self, session: Session) -> tuple[list[Exclusion], int, bool]:
        """Return (exclusions for a heartbeat answer, sequence of the last, True if these are all)."""
        if not session.pending:
            return [], self._sequence, True
        numbers = list(session.pending)[:ANSWER_MAX]
        return [session.pending[number] for number in numbers], numbers[-1], len(numbers) == len(session.pending)

    def map_changed(self, new: ChunkHandle, old: ChunkHandle) -> None:
        """Copy-on-write: overwrites of `new` wait for the barrier of `old` (rule 9)."""
        self._old_map[new] = old

    def is_fenced(self, handle: ChunkHandle, members: Iterable[ServerId], now_s: float) -> bool:
        """True if nobody outside `members` can be read any more, for this chunk and the one it was copied from."""
        inside = dict.fromkeys(members)
        if now_s < self._unsure_until_s and not self._all_sure(inside, now_s):
            return False
        if not self._quiet(handle, inside, now_s):
            return False
        return self._are_old_maps_quiet(handle, now_s)

    def forget_quiet_maps(self, now_s: float) -> None:
        """Forget copies that nobody asks about any more. Called now and then."""
        for handle in list(self._old_map):
            self._are_old_maps_quiet(handle, now_s)

    def _are_old_maps_quiet(self, handle: ChunkHandle, now_s: float) -> bool:
        """A copy may have been copied again: readers may still know any map on the way here (rule 9)."""
        passed: list[ChunkHandle] = []
        while (old := self._old_map.get(handle)) is not None:
            if not self._quiet(old, {}, now_s):
                return False
            passed.append(handle)
            handle = old
        for each in passed:
            del self._old_map[each]
        return True

    def is_quiet(self, handle: ChunkHandle, now_s: float) -> bool:
        """True if nobody can be read any more below the exclusions and barriers given for this chunk."""
        return (now_s >= self._unsure_until_s or self._all_sure({}, now_s)) and self._quiet(handle, {}, now_s)

    def _all_sure(self, inside: dict[ServerId, None], now_s: float) -> bool:
        """For a new master: every server outside has reported, and nothing at all is unconfirmed."""
        return all(self._quiet(handle, inside, now_s) for handle in [*self._waiting, *self._absent_of]) and all(
            server in inside or self._sessions.is_silent(server, now_s) for server in self._sessions.unheard()
        )

    def _quiet(self, handle: ChunkHandle, inside: dict[ServerId, None], now_s: float) -> bool:
        servers = [*self._waiting.get(handle, {}).values(), *self._absent_of.get(handle, ())]
        short = self._short.get(handle, ())
        return all(
            server in inside or self._sessions.is_silent(server, now_s, short=server in short) for server in servers
        )

    def count(self) -> int:
        """Return how many exclusions wait for confirmation."""
        return sum(len(waiting) for waiting in self._waiting.values())


def after(version: ChunkVersion) -> ChunkVersion:
    """Return the lowest version above: `below` of an exclusion that is to hit `version` itself."""
    return ChunkVersion(version.epoch, version.counter + 1)
