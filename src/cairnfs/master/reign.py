"""What every part of a leading master shares: its epoch, its versions, its store, and the way it gives orders.

One `Reign` lives from the election to the end of the process or the loss of leadership. Nothing in it is durable.

Invariants:
    1. A version is (epoch, counter) and the counter only grows, so no number is ever used twice (rule 1).
    2. Once `is_deposed`, nothing is executed and nothing is ordered any more.
"""

import asyncio
import copy
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cairnfs.config import MasterConfig
from cairnfs.env import Coordinator, Env, MetaStore, MetaWrite
from cairnfs.errors import CairnError, LowerEpochError, NoCopyError, NotLeaderError
from cairnfs.ids import NO_VERSION, BootId, ChunkHandle, ChunkVersion, Epoch, ServerId
from cairnfs.master.exclusions import Exclusions
from cairnfs.master.inventory import Held, Inventory
from cairnfs.master.leases import Leases
from cairnfs.master.sessions import Session, Sessions
from cairnfs.meta import decide, read
from cairnfs.meta.commands import Command
from cairnfs.meta.decide import Choice, Placement
from cairnfs.meta.servers import TuningRow
from cairnfs.meta.tables import ChunkRow, Identity, PurgedRow, RestoredRow
from cairnfs.observe.counters import Counters
from cairnfs.rpc.caller import Caller
from cairnfs.safeguards import Safeguards
from cairnfs.tasks import Nursery, Turns
from cairnfs.units import SECOND_NS
from cairnfs.wire.base import Reply, Request

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)

YOUNG_BEATS = 3
"""Heartbeats within which chunkservers that live find a master that has just started."""


@dataclass(slots=True, eq=False)
class Reign:
    """Shared by reference; each part owns what is named after it."""

    env: Env
    config: MasterConfig
    safeguards: Safeguards
    identity: Identity
    epoch: Epoch
    store: MetaStore
    coordinator: Coordinator
    caller: Caller
    nursery: Nursery
    sessions: Sessions
    inventory: Inventory
    exclusions: Exclusions
    leases: Leases
    started_s: float
    counters: Counters = field(default_factory=Counters)
    turns: Turns = field(default_factory=Turns)
    """At a chunk's handle: one raise, copy or repair at a time. At ("add", inode): one new chunk at a time."""
    wanted: dict[ChunkHandle, None] = field(default_factory=dict)
    """Chunks that need repair now, before the next look at all of them."""
    affected: dict[ChunkHandle, None] = field(default_factory=dict)
    """Chunks to be looked at before the walk over all of them gets there: their servers have died, or are to leave."""
    has_affected: asyncio.Event = field(default_factory=asyncio.Event)
    tuning: TuningRow = field(default_factory=TuningRow)
    """Speeds that an operator has set."""
    copying: dict[ChunkHandle, None] = field(default_factory=dict)
    """Chunks that a repair copies without holding the turn."""
    revoked: dict[ChunkHandle, ChunkVersion] = field(default_factory=dict)
    """Last results whose lease is over, since a member has promised more (rule 2); a raise that failed leaves them."""
    by_chunk: list[dict[ChunkHandle, Any]] = field(default_factory=list)
    """Books of other parts of the master, of which a chunk that is gone for good is to be struck."""
    is_deposed: bool = False
    store_failure: CairnError | None = None
    """Why the metadata store is of no use any more."""
    rolled_back: str = ""
    """Rule 22: why this master's metadata seem to be older than the cluster: no deletion then."""
    restored: RestoredRow | None = None
    """From which backup the metadata came last."""
    _counter: int = 0

    # ------------------------------------------------------------------ time and numbers

    def now_s(self) -> float:
        return self.env.clock.now_s()

    def next_version(self) -> ChunkVersion:
        """Return a version that was never used. Invariant 1."""
        self._counter += 1
        return ChunkVersion(self.epoch, self._counter)

    @property
    def highest_version(self) -> ChunkVersion:
        """No replica can have a higher one, unless metadata were rolled back."""
        return ChunkVersion(self.epoch, self._counter)

    @property
    def holds_newer(self) -> bool:
        """Rules 22 and 23: metadata came from a backup; nobody has said yet that what is newer may be deleted."""
        return self.restored is not None and not self.restored.accepted_ns

    def is_newer(self, held: Held, handle: ChunkHandle, row: ChunkRow | PurgedRow | None) -> bool:
        """True if a replica was made or changed after the backup that the metadata came from, as far as one can tell.

        A raise that was given up before the backup looks the same: such a replica is held as well.
        """
        if self.restored is None or not self.holds_newer or held.version.epoch > self.restored.epoch:
            return False
        return handle >= self.restored.next_handle if row is None else held.version > row.version

    def check_overwrites_nothing_newer(self, handle: ChunkHandle, row: ChunkRow, servers: Sequence[ServerId]) -> None:
        """Let no raise make a replica equal to an older one while what is newer is held. Rule 23.

        An open chunk's raise takes the newest that it finds; a closed one's takes what its record says.

        Raises:
            NoCopyError: one of `servers` has a newer replica.
        """
        if not self.holds_newer or not row.closed:
            return
        for server, held in self.inventory.holders(handle).items():
            if server in servers and self.is_newer(held, handle, row):
                why = "changed after the backup that was restored: it can be read, and written once that is accepted"
                raise NoCopyError(chunk=handle, why=why)

    def copies_needed(self, goal: int) -> int:
        """Rule 19: with fewer members nothing is created or acked."""
        return min(self.identity.copies_min, goal) if self.safeguards.enough_copies else 1

    # ------------------------------------------------------------------ durable state

    async def execute(
        self,
        command: Request[R] | Command[R],
        placement: Placement | None = None,
        *,
        barrier: ChunkVersion = NO_VERSION,
    ) -> R:
        """Carry out a command durably and exactly once; return its reply.

        Raises:
            CairnError: refused; nothing was changed.
        """
        self.check_leads()
        choice = Choice(
            now_ns=self.env.clock.wall_ns(),
            placement=placement,
            barrier=barrier,
            recalls=self.safeguards.remember_results,
            holds_quotas=self.safeguards.hold_quotas,
        )
        epoch = self.epoch
        return decide.answer(await self.store.write(lambda txn: decide.execute(txn, command, choice, epoch=epoch)))

    async def execute_each(self, commands: Sequence[Command[R]]) -> list[R | CairnError]:
        """Carry out commands in one commit; one that is refused changes nothing and gives its error."""
        self.check_leads()
        choice = Choice(now_ns=self.env.clock.wall_ns())
        epoch = self.epoch

        def job(txn: MetaWrite) -> list[R | CairnError]:
            return [decide.execute(txn, command, choice, epoch=epoch) for command in commands]

        return await self.store.write(job)

    def chunk(self, handle: ChunkHandle) -> ChunkRow | None:
        """Return the record of the last commit."""
        with self.store.read() as view:
            return read.chunk(view, handle)

    def revoke(self, handle: ChunkHandle, row: ChunkRow) -> None:
        """A member has promised more than the last result: nobody can order the chunk, or serve its end, any more."""
        self.leases.drop(handle)
        if not row.closed:
            self.revoked[handle] = row.version

    def is_revoked(self, handle: ChunkHandle, row: ChunkRow) -> bool:
        """True until a raise has given the chunk another version.

        A master that has just started knows it from reports alone: a raise of its predecessor may have gone no further
        than a promise, and where a member has promised more, nobody can order the last result any more (rule 2).
        """
        version = self.revoked.get(handle)
        if version is not None and version != row.version:
            del self.revoked[handle]
        return version == row.version or (not row.closed and self._is_promised_above(handle, row))

    def _is_promised_above(self, handle: ChunkHandle, row: ChunkRow) -> bool:
        holders = self.inventory.holders(handle)
        return any((held := holders.get(server)) is not None and held.bound > row.version for server, _ in row.members)

    def check_leads(self) -> None:
        """Raises NotLeaderError if this master was deposed, or what its store failed with."""
        if self.is_deposed:
            raise self._not_leader()

    async def prove(self) -> None:
        """Rule 1: answers that say what is current rest on a proof begun after the question.

        Raises:
            NotLeaderError: no proof.
            DiskFullError, DiskFailedError: the metadata store has failed with it; a restart opens it anew.
        """
        if self.is_deposed or not await self.coordinator.prove():
            raise self._not_leader()

    def _not_leader(self) -> CairnError:
        """A person can do something about a full disk, and nothing about "not the leader"."""
        return NotLeaderError() if self.store_failure is None else copy.copy(self.store_failure)

    async def step_down(self) -> None:
        """The store has failed: nothing is written any more, and nobody is told what is current."""
        try:
            await self.store.write(lambda _: None)
        except CairnError as error:
            self.store_failure = error
        logger.error("metadata store has failed: stepping down why=%s", self.store_failure)
        self.is_deposed = True

    # ------------------------------------------------------------------ orders

    async def order(self, address: str, request: Request[R], *, timeout_s: float) -> R:
        """Send an order to a chunkserver. A higher epoch seen there deposes this master. Rule 1."""
        self.check_leads()
        try:
            return await self.caller.call(address, request, timeout_s=timeout_s)
        except LowerEpochError as error:
            self.depose(error)
            raise NotLeaderError() from error

    def depose(self, error: LowerEpochError) -> None:
        if error.seen > self.epoch and not self.is_deposed:
            self.is_deposed = True
            logger.error("another master leads epoch=%d seen=%d: stepping down", self.epoch, error.seen)

    # ------------------------------------------------------------------ who is current

    @property
    def is_young(self) -> bool:
        """True while chunkservers may not have found this master yet, though all of them live."""
        waited = self.now_s() - self.started_s >= YOUNG_BEATS * self.config.heartbeat_s
        return not waited and bool(self.sessions.unheard())

    async def wait_for(self, row: ChunkRow) -> None:
        """Let the members of a chunk find a master that has just started, so that none is left out in haste."""
        pause_s = self.config.heartbeat_s / 20
        while self.is_young and not all(  # noqa: ASYNC110 - rare, short, and no event says it
            (session := self.sessions.of(server)) is not None and session.reported for server, _ in row.members
        ):  # ends: no master stays young
            await asyncio.sleep(pause_s)

    def current_session(self, row: ChunkRow, server: ServerId, handle: ChunkHandle) -> Session | None:
        """Return the session of a server that holds a current replica. See `is_current`."""
        session = self.sessions.of(server)
        for member, boot in row.members:
            if member == server and session is not None:
                held = self.inventory.get(server, handle)
                return session if self.is_current(row, held, session, boot, handle) else None
        return None

    def current(self, row: ChunkRow, handle: ChunkHandle) -> list[Session]:
        """Return the sessions with a current replica, in the order of the record."""
        holders = self.inventory.holders(handle)
        found = []
        for server, boot in row.members:
            session = self.sessions.of(server)
            if session is not None and self.is_current(row, holders.get(server), session, boot, handle):
                found.append(session)
        return found

    def is_current(self, row: ChunkRow, held: Held | None, session: Session, boot: BootId, handle: ChunkHandle) -> bool:
        """True if what the server of that session holds is current, as the member that the record names with `boot`.

        The record names it (rule 2); an open replica is current only in the boot that the record names (rule 4).
        """
        if not session.reported or (boot != session.boot and not row.closed):
            return False
        if held is None:
            is_empty = row.is_new and boot == session.boot and not row.closed
            return is_empty and not self.inventory.is_lost(session.server, handle)
        return not held.incomplete and held.told >= row.version

    def live_current(self, row: ChunkRow, handle: ChunkHandle) -> list[Session]:
        """Of these, the ones heard lately."""
        now_s = self.now_s()
        limit_s = now_s - self.config.suspect_s
        return [session for session in self.current(row, handle) if session.heard_s > limit_s]

    def staying(self, row: ChunkRow, handle: ChunkHandle) -> list[Session]:
        """Of these, the ones whose replica counts for the goal: it is not to leave its server."""
        return [session for session in self.live_current(row, handle) if not self.leaves(session, handle)]

    def leaves(self, session: Session, handle: ChunkHandle) -> bool:
        """True if the server, or the disk, that holds the replica is to be empty: drained, or too slow for too long."""
        return handle in session.leaving or self.is_to_be_emptied(session)

    def is_to_be_emptied(self, session: Session) -> bool:
        """True if an operator drains the server, or if it has been an outlier for long."""
        known = self.sessions.known.get(session.server)
        if known is not None and known.draining:
            return True
        since_s = session.slow_since_s
        return since_s is not None and self.now_s() - since_s >= self.config.evacuate_after_s

    def is_spared(self, session: Session) -> bool:
        """True if the server gets no new chunks, and no primary duty where another can: leaving, away soon, or slow."""
        since_s = session.slow_since_s
        if since_s is not None and self.now_s() - since_s >= self.config.slow_after_s:
            return True
        return self.is_to_be_emptied(session) or self.is_in_maintenance(session.server)

    def is_in_maintenance(self, server: ServerId) -> bool:
        """True while an operator has said that the server's silence means nothing."""
        known = self.sessions.known.get(server)
        return known is not None and known.maintenance_until_ns > self.env.clock.wall_ns()

    def maintenance_left_s(self, server: ServerId) -> float:
        known = self.sessions.known.get(server)
        left_ns = known.maintenance_until_ns - self.env.clock.wall_ns() if known is not None else 0
        return max(0, left_ns) / SECOND_NS

    def may_come_back(self, server: ServerId, now_s: float) -> bool:
        """True for a silent server whose replicas are waited for: gone for less than the grace, or in maintenance."""
        if self.sessions.gone_for_s(server, now_s) < self.config.repair_grace_s:
            return True
        return self.is_in_maintenance(server)

    def size_of(self, handle: ChunkHandle, row: ChunkRow) -> int:
        """Return how many bytes a copy of the chunk moves, as far as is known."""
        if row.closed:
            return row.length
        return max((held.length for held in self.inventory.holders(handle).values()), default=row.length)

    def forget(self, handles: Sequence[ChunkHandle]) -> None:
        """These chunks are gone for good, and no server holds one: nothing need be known of them any more."""
        self.inventory.forget_lost(handles)
        books: list[dict[ChunkHandle, Any]] = [self.wanted, self.affected, self.revoked, *self.by_chunk]
        for book in books:
            for handle in handles:
                book.pop(handle, None)

    def look_at(self, handles: Iterable[ChunkHandle]) -> None:
        """Have these chunks looked at soon: copies of them are gone, or are to go."""
        self.affected.update(dict.fromkeys(handles))
        if self.affected:
            self.has_affected.set()

    @property
    def repair_bytes_s(self) -> int:
        return self.tuning.repair_bytes_s or self.config.repair_bytes_s

    @property
    def cluster_bytes_s(self) -> int:
        return self.tuning.cluster_bytes_s or self.config.cluster_bytes_s

    @property
    def balance_bytes_s(self) -> int:
        return self.tuning.balance_bytes_s or self.config.balance_bytes_s

    def is_busy(self, handle: ChunkHandle) -> bool:
        """True while a raise, a copy or a repair of the chunk is under way."""
        return handle in self.copying or self.turns.is_held(handle)

    # ------------------------------------------------------------------ background work

    def start(self, job: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        """Run a job that nobody waits for; it must catch its own CairnErrors."""
        _ = self.nursery.start(job(), name=name)
