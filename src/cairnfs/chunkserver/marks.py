"""Small regular work: last watermarks, leases that end, old pushes, the replica trash. Rules 2, 4 and 7."""

import asyncio
import logging

from cairnfs.chunkserver.context import Context
from cairnfs.errors import CairnError
from cairnfs.limits import MARKS_TICK_S, ORDER_TIMEOUT_S, TRASH_TICK_S
from cairnfs.tasks import gather_settled
from cairnfs.wire.orders import CommitMark, CommitMarks

logger = logging.getLogger(__name__)


async def tick(context: Context) -> None:
    """Send watermarks of idle primaries, and close what is idle or out of time."""
    while True:  # until the nursery stops
        await asyncio.sleep(MARKS_TICK_S)
        await send_marks(context)
        close_idle(context)
        context.pushed.drop_old(context.now_s())


async def send_marks(context: Context) -> None:
    """One message per server with the last watermarks of all chunks ordered here. Rule 7."""
    by_address: dict[str, list[CommitMark]] = {}
    for primary in context.chunks.primaries():
        committed = primary.chunk.ranges.committed
        if committed <= primary.marks_told or primary.load:
            continue  # told, or about to be told by the next order
        primary.marks_told = committed
        mark = CommitMark(handle=primary.chunk.handle, version=primary.version, serial=committed)
        for member in primary.chunk.others(context.me):
            by_address.setdefault(member.address, []).append(mark)

    async def tell(address: str, marks: list[CommitMark]) -> None:
        request = CommitMarks(primary=context.me, boot=context.boot, marks=marks)
        try:
            await context.caller.call(address, request, timeout_s=ORDER_TIMEOUT_S)
        except CairnError as error:
            logger.debug("watermarks not told address=%s why=%s", address, error)  # readers will ask

    await gather_settled(*(tell(address, marks) for address, marks in by_address.items()))


def close_idle(context: Context) -> None:
    """Rules 2 and 4: a lease that ends unrenewed is given back by closing the chunk."""
    for primary in context.chunks.primaries():
        if context.now_s() >= primary.expires_s:
            primary.close_soon()


async def empty_trash(context: Context) -> None:
    """Unlink deleted replicas after their time in the trash. Rule 22."""
    while True:  # until the nursery stops
        await asyncio.sleep(TRASH_TICK_S)
        settings = context.standing.settings
        if settings is None:
            continue
        is_full = any(not usage.free and not usage.failed for usage in context.store.usage())
        try:
            await context.store.empty_trash(0.0 if is_full else settings.trash_s)
        except CairnError as error:
            logger.warning("replica trash not emptied why=%s", error)
