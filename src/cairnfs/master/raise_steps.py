"""The first two steps of a raise: promise and reconcile. Rules 3 and 12. `raising` does the rest.

Nothing is durable in the master after these steps: whoever fails is left out, and the number is burnt.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cairnfs.errors import CairnError, ChunkCorruptError, NoCopyError, NotLeaderError
from cairnfs.ids import NO_SERVER, ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import DATA_CALL_S, META_CALL_S, ORDER_TIMEOUT_S
from cairnfs.master.raise_plan import Source
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session
from cairnfs.tasks import gather_settled
from cairnfs.wire.master_orders import Promise, Promised, Reconcile, Reconciled

logger = logging.getLogger(__name__)


class Aim(StrEnum):
    """How a raise ends."""

    OPEN = "open"
    SEAL = "seal"


@dataclass(slots=True)
class Raise:
    """One raise under way."""

    handle: ChunkHandle
    aim: Aim
    joiners: Sequence[ServerId] = ()
    near: str = ""
    avoid: ServerId = NO_SERVER
    """Somebody could not reach it as primary: another one, if there is one."""
    left_out: dict[ServerId, str] = field(default_factory=dict)
    """Who failed in this raise, and how."""
    least: int = 0
    """Members that the result must have, where rule 19 would ask for more."""
    shunned: ServerId = NO_SERVER
    """A source that none of several others could copy from: left out in their place, once."""
    overwritten: dict[ChunkVersion, None] = field(default_factory=dict)
    """Versions of which a member has told that an overwrite was committed. Rule 6."""
    is_alone: bool = False
    """One target is left of several members: the result will give up the others for what it holds."""


class Steps:
    """Sends the orders of a raise and collects the answers."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign

    # ------------------------------------------------------------------ promise

    async def promise(self, job: Raise, version: ChunkVersion, targets: list[Session]) -> dict[ServerId, Promised]:
        order = Promise(handle=job.handle, version=version, epoch=self._reign.epoch)
        answers = await gather_settled(
            *[self._reign.order(one.address, order, timeout_s=2 * ORDER_TIMEOUT_S) for one in targets]
        )
        promised: dict[ServerId, Promised] = {}
        for session, answer in zip(targets, answers, strict=True):
            if isinstance(answer, Promised):
                promised[session.server] = answer
                if answer.overwritten:
                    job.overwritten[answer.version] = None
            else:
                self._leave_out(job, session.server, answer)
        return promised

    def _leave_out(self, job: Raise, server: ServerId, error: BaseException) -> None:
        if isinstance(error, NotLeaderError) or not isinstance(error, CairnError):
            raise error
        job.left_out[server] = str(error)
        logger.info("left out of a raise chunk=%016x server=%d why=%s", job.handle, server, error)

    # ------------------------------------------------------------------ reconcile

    async def reconcile(
        self,
        job: Raise,
        version: ChunkVersion,
        targets: list[Session],
        promised: dict[ServerId, Promised],
        source: Source,
    ) -> dict[ServerId, Reconciled] | None:
        """Make all targets equal to the source; None if one failed or differs.

        Those that must copy come first, while the source still stands at the version that they name; the source and
        those that are equal already only flush and take the version.
        """
        equal = [one for one in targets if one.server == source.server or one.server in source.equal]
        others = [one for one in targets if one not in equal]
        found: dict[ServerId, Reconciled] = {}
        origin = next(one for one in targets if one.server == source.server)
        if not source.promised.present:
            # An empty full member: it makes its empty replica first, then the others have something to copy.
            if not await self._reconcile_some(job, version, [origin], source, "", found):
                return None
            equal = [one for one in equal if one is not origin]
        if others and not await self._reconcile_some(job, version, others, source, origin.address, found):
            return None
        if equal and not await self._reconcile_some(job, version, equal, source, "", found):
            return None
        first = found[source.server]
        for server, one in found.items():
            if (one.length, one.digest) != (first.length, first.digest) or one.boot != promised[server].boot:
                job.left_out[server] = f"server {server} differs after reconciling"
                logger.error("differs after reconciling chunk=%016x server=%d", job.handle, server)
                return None
        return found

    async def _reconcile_some(
        self,
        job: Raise,
        version: ChunkVersion,
        targets: list[Session],
        source: Source,
        address: str,
        found: dict[ServerId, Reconciled],
    ) -> bool:
        base = source.promised
        made = found.get(source.server)
        order = Reconcile(
            handle=job.handle,
            version=version,
            epoch=self._reign.epoch,
            source=address,
            source_version=version if made is not None else base.version,
            length=base.length,
            digest=made.digest if made is not None else base.digest,
            verify=job.is_alone and self._reign.safeguards.verify_alone,
        )
        timeout_s = DATA_CALL_S if address or order.verify else META_CALL_S
        answers = await gather_settled(*[self._reign.order(one.address, order, timeout_s=timeout_s) for one in targets])
        unreachable = [answer for answer in answers if isinstance(answer, NoCopyError)]
        if address and len(unreachable) == len(targets) > 1:
            # Rule 20: one server's way to all its peers is broken sooner than the ways of all of them.
            job.shunned = source.server
            self._leave_out(job, source.server, unreachable[0])
            return False
        whole = True
        for session, answer in zip(targets, answers, strict=True):
            if isinstance(answer, Reconciled):
                found[session.server] = answer
                continue
            if not self._reign.safeguards.reconcile_before_result:
                found[session.server] = Reconciled(boot=session.boot, length=base.length, digest=base.digest)
                continue
            whole = False
            # A corrupt source is nobody's source (rule 16): it is left out, not the one that noticed.
            corrupt = isinstance(answer, ChunkCorruptError) and bool(address)
            self._leave_out(job, source.server if corrupt else session.server, answer)
        return whole
