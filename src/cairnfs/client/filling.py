"""Bytes objects that are received into, without a second copy. Used by whatever returns bytes."""

import io
from collections.abc import Awaitable, Callable

_SMALL_BYTES = 64 * 1024
"""Up to here one copy costs less than the detour."""


async def filled(size: int, fill: Callable[[memoryview], Awaitable[int]]) -> bytes:
    """Return the first bytes of a buffer of `size` that `fill` has filled; it returns how many.

    A BytesIO gives its buffer away as bytes; large results would otherwise be copied once more.
    """
    if size <= _SMALL_BYTES:
        data = bytearray(size)
        got = await fill(memoryview(data))
        return bytes(data) if got == size else bytes(memoryview(data)[:got])
    holder = io.BytesIO()
    holder.seek(size - 1)
    holder.write(b"\0")
    with holder.getbuffer() as view:
        got = await fill(view)
    try:
        holder.truncate(got)
    except BufferError:
        # Something still holds a part of the view, such as the traceback of a try that failed: then it is a copy.
        return holder.getvalue()[:got]
    return holder.getvalue()
