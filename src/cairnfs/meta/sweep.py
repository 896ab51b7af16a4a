"""Records of many chunks at once: what a master needs that compares millions of replicas with them. Pure."""

from collections.abc import Sequence
from struct import unpack

import msgspec

from cairnfs.ids import ChunkHandle
from cairnfs.meta.tables import CHUNKS, key
from cairnfs.meta.views import MetaRead

SPARSE = 3
"""Handles that lie further apart are looked up one by one: a sweep would read more rows than that costs."""


class ChunkCore(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A `ChunkRow` up to its barrier, as plain numbers: a quarter cheaper to decode where millions are compared."""

    version: tuple[int, int]
    members: list[tuple[int, int]]
    primary: int
    closed: bool
    length: int
    references: int
    goal: int
    inode: int
    index: int
    broken_at: tuple[int, int] = (0, 0)
    barrier: tuple[int, int] = (0, 0)


decode_core = msgspec.msgpack.Decoder(ChunkCore).decode


def raw_chunks(view: MetaRead, handles: Sequence[ChunkHandle]) -> list[bytes | None]:
    """Return the row of each chunk as it is stored, for `decode_chunk` or `decode_core`; None: there is none.

    `handles` ascend. Where they lie close together the rows come in one sweep, which costs a third of looking up each.
    """
    if not handles:
        return []
    span = handles[-1] - handles[0] + 1
    if span > SPARSE * len(handles):
        return [view.get(CHUNKS, key(handle)) for handle in handles]
    rows = view.page(CHUNKS, key(handles[0]), span)
    raw = [value for _, value in rows]
    found = unpack(f">{len(rows)}Q", b"".join([name for name, _ in rows]))
    if found == tuple(handles):
        return raw  # type: ignore[return-value]  # a list of bytes is one of bytes or None
    return list(map(dict(zip(found, raw, strict=True)).get, handles))
