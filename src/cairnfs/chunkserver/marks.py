"""Small regular work: last watermarks, leases that end, old pushes, the replica trash. Rules 2, 4 and 7."""

import asyncio
import logging

from cairnfs.chunkserver.context import Context
from cairnfs.errors import CairnError
from cairnfs.limits import MARKS_TICK_S, ORDER_TIMEOUT_S, SPACE_TICK_S, TRASH_TICK_S
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
    """Unlink deleted replicas after their time in the trash, or at once where no further chunk fits. Rule 22.

    The free space that the master hears of is asked for here, because on a full disk no write asks any more.
    """
    emptied_s = context.now_s()
    while True:  # until the nursery stops
        await asyncio.sleep(SPACE_TICK_S)
        settings = context.standing.settings
        if settings is None:
            continue
        try:
            await context.store.look_at_space()
            room = context.geometry.chunk_bytes
            is_full = any(usage.free < room and not usage.failed for usage in context.store.usage())
            if is_full or context.now_s() >= emptied_s + TRASH_TICK_S:
                emptied_s = context.now_s()
                if await context.store.empty_trash(0.0 if is_full else settings.trash_s):
                    await context.store.look_at_space()
        except CairnError as error:
            logger.warning("replica trash not emptied why=%s", error)
