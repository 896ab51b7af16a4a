"""Handlers of `wire.quotas`. docs/QUOTAS.md."""

from cairnfs.master.counting import Counting
from cairnfs.master.reign import Reign
from cairnfs.meta import read_quotas
from cairnfs.paths import check_path
from cairnfs.rpc.payload import Incoming
from cairnfs.rpc.server import Peer, Server
from cairnfs.wire.base import Done
from cairnfs.wire.quotas import ClearQuota, GetQuotas, Quotas, SetQuota


def serve_quotas(server: Server, reign: Reign, counting: Counting) -> None:
    """Register the handlers."""

    async def set_quota(_peer: Peer, request: SetQuota, _incoming: Incoming) -> Quotas:
        check_path(request.path)
        return await counting.execute(request)

    async def clear(_peer: Peer, request: ClearQuota, _incoming: Incoming) -> Done:
        check_path(request.path)
        return await reign.execute(request)

    async def quotas(_peer: Peer, request: GetQuotas, _incoming: Incoming) -> Quotas:
        if request.path:
            check_path(request.path)
        await reign.prove()
        with reign.store.read() as view:
            if request.path:
                return read_quotas.quotas_at(view, request.path)
            return read_quotas.quotas(view, after=request.after, limit=request.limit)

    server.on(SetQuota, set_quota)
    server.on(ClearQuota, clear)
    server.on(GetQuotas, quotas)
