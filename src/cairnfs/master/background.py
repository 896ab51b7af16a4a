"""The timers of a leading master: liveness, repair, garbage, trash, log. One of the three doors for `Exception`.

Each timer runs its job again and again with a pause between; whatever a job raises is logged with its traceback, and
the timer goes on. Periods are multiples of the heartbeat, so that tests and simulations scale them with it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cairnfs.errors import DiskFailedError, DiskFullError, NotLeaderError
from cairnfs.master.balancing import Balancing
from cairnfs.master.counting import Counting
from cairnfs.master.garbage import Garbage
from cairnfs.master.granting import Granting
from cairnfs.master.membership import Membership
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.meta import log
from cairnfs.meta.commands import ExpireTrash, ForgetClients
from cairnfs.units import DAY_S, HOUR_S, SECOND_NS

logger = logging.getLogger(__name__)

SWEEPS_MAX = 50
"""Steps of a sweep in one turn."""
FREED_AT_ONCE = 20
"""Inodes and chunks freed in one commit of the trash sweep: 1 ms of the writer and of the interpreter lock. With 200 a
create beside it took 20 ms at p99 instead of 3."""
FREED_MAX = 10_000
"""Of a turn."""
FREED_PAUSE_S = 0.004
"""Between two of these commits, and at least as long as one took: callers have half of the writer's time."""


class Background:
    """Starts the timers."""

    def __init__(  # noqa: PLR0913 - one for each timer
        self,
        reign: Reign,
        *,
        membership: Membership,
        granting: Granting,
        repairing: Repairing,
        balancing: Balancing,
        garbage: Garbage,
        counting: Counting,
    ) -> None:
        self._reign = reign
        self._membership = membership
        self._granting = granting
        self._repairing = repairing
        self._balancing = balancing
        self._garbage = garbage
        self._counting = counting

    def start(self) -> None:
        """Begin. They end with the nursery."""
        beat_s = self._reign.config.heartbeat_s
        self._every(beat_s / 2, self._watch, "liveness")
        self._every(beat_s / 2, self._repairing.step, "repair")
        self._every(beat_s / 50, self._repairing.survey.watch_affected, "affected")
        self._every(beat_s, self._balancing.step, "balance")
        self._every(beat_s, self._garbage.step, "garbage")
        self._every(beat_s, self._sweep, "trash")
        self._every(60 * beat_s, self._trim, "log")
        self._every(60 * beat_s, self._forget_clients, "clients")
        self._every(60 * beat_s, self._counting.let_go, "quotas")

    def _every(self, period_s: float, job: Callable[[], Awaitable[None]], name: str) -> None:
        self._reign.start(lambda: self._run(period_s, job, name), name=name)

    async def _run(self, period_s: float, job: Callable[[], Awaitable[None]], name: str) -> None:
        while not self._reign.is_deposed:  # ends with the reign
            await asyncio.sleep(period_s)
            try:
                await job()
            except (NotLeaderError, DiskFullError, DiskFailedError):
                logger.warning("timer stopped: not the leader timer=%s", name)
            except Exception:
                logger.exception("timer failed timer=%s", name)

    # ------------------------------------------------------------------ jobs

    async def _watch(self) -> None:
        """End sessions of servers that are dead, and tell primaries whose fences are done by now."""
        reign = self._reign
        if not reign.store.healthy:
            await reign.step_down()
            return
        for session in reign.sessions.dead(reign.now_s()):
            logger.warning("server is dead server=%d address=%s", session.server, session.address)
            for handle in reign.leases.of_primary(session.server):
                reign.wanted[handle] = None
            self._membership.end(session)
        await self._granting.finish_fences()

    async def _sweep(self) -> None:
        """Free what was in the trash for long enough. GFS paper, section 4.4.1."""
        reign = self._reign
        self._forget_leases()
        reign.exclusions.forget_quiet_maps(reign.now_s())
        before_ns = reign.env.clock.wall_ns() - int(reign.config.trash_s * SECOND_NS)
        if reign.holds_newer:
            before_ns = 0  # what is in the trash of a backup may have been taken back after it
        for _ in range(FREED_MAX // FREED_AT_ONCE):
            begun_s = reign.now_s()
            swept = await reign.execute(ExpireTrash(before_ns=before_ns, limit=FREED_AT_ONCE))
            reign.counters.add("inodes_freed", swept.inodes)
            if not swept.more:
                return
            await asyncio.sleep(max(FREED_PAUSE_S, reign.now_s() - begun_s))

    def _forget_leases(self) -> None:
        """Forget leases whose chunk is purged or has moved on; those that only ran out are the repair's to end."""
        reign = self._reign
        for held in reign.leases.expired(reign.now_s()):
            row = reign.chunk(held.handle)
            if row is None or row.closed or row.version != held.version:
                reign.leases.drop(held.handle, held.version)

    async def _trim(self) -> None:
        """Keep the log within its bounds."""
        now_ns = self._reign.env.clock.wall_ns()
        for _ in range(SWEEPS_MAX):
            if not await self._reign.store.write(lambda txn: log.trim(txn, now_ns)):
                return

    async def _forget_clients(self) -> None:
        """Results for retries are kept for an hour after a client was last heard (contract 1)."""
        now_ns = self._reign.env.clock.wall_ns()
        command = ForgetClients(
            before_ns=now_ns - int(HOUR_S * SECOND_NS), removed_before_ns=now_ns - int(30 * DAY_S * SECOND_NS)
        )
        for _ in range(SWEEPS_MAX):
            if not (await self._reign.execute(command)).more:
                return
