"""Handlers of `wire.operating`: what an operator decides. Rule 22."""

import logging

from cairnfs.ids import NO_SERVER
from cairnfs.master.garbage import Garbage
from cairnfs.master.reign import Reign
from cairnfs.meta import commands
from cairnfs.meta.tables import get_restored
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.operating import (
    AcceptRestore,
    Deletions,
    DeletionsReleased,
    GetDeletions,
    HeldDeletions,
    ReleaseDeletions,
)

logger = logging.getLogger(__name__)


def serve_operating(server: Server, reign: Reign, garbage: Garbage) -> None:
    """Register the handlers."""

    async def deletions(_peer: Peer, _request: GetDeletions, _incoming: Incoming) -> Deletions:
        await reign.prove()
        brake, now_s = garbage.brake, reign.now_s()
        return Deletions(
            held=[
                HeldDeletions(
                    server=one,
                    address=session.address if (session := reign.sessions.of(one)) is not None else "",
                    orphans=held.orphans,
                    stale=held.stale,
                    released=min(held.count, brake.released(one, now_s=now_s)),
                    handles=list(held.handles),
                    newer=held.newer,
                )
                for one, held in sorted(brake.held.items())
            ],
            restored_ns=reign.restored.taken_ns if reign.restored is not None and reign.holds_newer else 0,
        )

    async def release(_peer: Peer, request: ReleaseDeletions, _incoming: Incoming) -> DeletionsReleased:
        await reign.prove()
        wanted = [one for one in sorted(garbage.brake.held) if request.server in (one, NO_SERVER)]
        count = sum(garbage.brake.release(one, now_s=reign.now_s()) for one in wanted)
        if count:
            logger.warning("deletions released by an operator servers=%d count=%d", len(wanted), count)
        return DeletionsReleased(count=count)

    async def accept(_peer: Peer, _request: AcceptRestore, _incoming: Incoming) -> Done:
        await reign.prove()
        if reign.holds_newer:
            await reign.execute(commands.AcceptRestore())
            with reign.store.read() as view:
                reign.restored = get_restored(view)
            logger.warning("restore accepted by an operator: what is newer is not held any more")
        return Done()

    server.on(AcceptRestore, accept)
    server.on(GetDeletions, deletions)
    server.on(ReleaseDeletions, release)
