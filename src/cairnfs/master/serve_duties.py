"""Handlers of `wire.duties`: what an operator wants of chunkservers."""

from cairnfs.errors import BadRequestError
from cairnfs.master.draining import Draining
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.meta import commands
from cairnfs.meta.servers import get_tuning
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.duties import Drain, DrainPlan, Forget, Maintain, MaintenancePlan, Speeds, Tune

SPEED_MIN = 1_000_000
"""Bytes a second: a run of blocks takes four seconds then, well within the time that its other end waits."""


def serve_duties(server: Server, reign: Reign, draining: Draining, repairing: Repairing) -> None:
    """Register the handlers."""

    async def drain(_peer: Peer, request: Drain, _incoming: Incoming) -> DrainPlan:
        await reign.prove()
        return await draining.drain(request)

    async def maintain(_peer: Peer, request: Maintain, _incoming: Incoming) -> MaintenancePlan:
        await reign.prove()
        return await draining.maintain(request)

    async def forget(_peer: Peer, request: Forget, _incoming: Incoming) -> Done:
        await reign.prove()
        await draining.forget(request.server)
        return Done()

    async def tune(_peer: Peer, request: Tune, _incoming: Incoming) -> Speeds:
        await reign.prove()
        for speed in (request.repair_bytes_s, request.cluster_bytes_s, request.balance_bytes_s):
            if speed and speed < SPEED_MIN:
                raise BadRequestError(what=f"{speed} bytes a second: no copy is slower than {SPEED_MIN}")
        await reign.execute(
            commands.Tune(
                repair_bytes_s=request.repair_bytes_s,
                cluster_bytes_s=request.cluster_bytes_s,
                balance_bytes_s=request.balance_bytes_s,
            )
        )
        with reign.store.read() as view:
            reign.tuning = get_tuning(view)
        return Speeds(
            repair_bytes_s=reign.repair_bytes_s,
            cluster_bytes_s=reign.cluster_bytes_s,
            balance_bytes_s=reign.balance_bytes_s,
            waiting=repairing.waiting,
            running=repairing.running,
        )

    server.on(Drain, drain)
    server.on(Maintain, maintain)
    server.on(Forget, forget)
    server.on(Tune, tune)
