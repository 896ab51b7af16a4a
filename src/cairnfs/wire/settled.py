"""Replicas at rest as columns of numbers: what most of an inventory is. Used by reports of chunkservers; pure.

A replica is *settled* when it is closed and complete and has promised nothing above its version: it changes no more
until the master orders it, and four numbers say all of it. Everything else is told as a `ReplicaReport`.

    column     each               of row n
    handles    u64                strictly ascending, so each replica stands once
    epochs     u64                of its version
    counters   u64                of its version
    lengths    u32                bytes

All little endian. A page of replicas is five byte strings to decode instead of tens of thousands of values, and equal
columns are equal bytes: the digest of a bucket is a hash of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import lt
from struct import Struct, unpack
from typing import Annotated, NamedTuple

from msgspec import Meta

from cairnfs.errors import BadRequestError
from cairnfs.ids import ChunkHandle, ChunkVersion
from cairnfs.limits import CHUNK_BYTES, REPORT_PAGE_MAX
from cairnfs.wire.base import Part

U64_BYTES, U32_BYTES = 8, 4
_ID_MAX = 2**63 - 1
_DIGEST_BYTES = 8

Row = tuple[ChunkHandle, int, int, int]
"""handle, epoch, counter, length in bytes."""


class SettledReplicas(Part):
    """Columns of one page or one bucket; see the module."""

    handles: Annotated[bytes, Meta(max_length=U64_BYTES * REPORT_PAGE_MAX)] = b""
    epochs: Annotated[bytes, Meta(max_length=U64_BYTES * REPORT_PAGE_MAX)] = b""
    counters: Annotated[bytes, Meta(max_length=U64_BYTES * REPORT_PAGE_MAX)] = b""
    lengths: Annotated[bytes, Meta(max_length=U32_BYTES * REPORT_PAGE_MAX)] = b""

    def __len__(self) -> int:
        return len(self.handles) // U64_BYTES


class Columns(NamedTuple):
    """The same as numbers."""

    handles: Sequence[ChunkHandle]
    versions: Sequence[tuple[int, int]]
    lengths: Sequence[int]

    def rows(self) -> Iterator[tuple[ChunkHandle, tuple[int, int], int]]:
        return zip(self.handles, self.versions, self.lengths, strict=True)


def pack(rows: Sequence[Row]) -> SettledReplicas:
    """Return the columns of rows that ascend by handle; at most REPORT_PAGE_MAX."""
    if not rows:
        return SettledReplicas()
    handles, epochs, counters, lengths = zip(*rows, strict=True)
    words, halves = Struct(f"<{len(rows)}Q").pack, Struct(f"<{len(rows)}I").pack
    return SettledReplicas(
        handles=words(*handles), epochs=words(*epochs), counters=words(*counters), lengths=halves(*lengths)
    )


def unpack_columns(settled: SettledReplicas) -> Columns:
    """Return the numbers.

    Raises:
        BadRequestError: columns of different lengths, handles out of order, or a number out of its bounds.
    """
    count = len(settled)
    words = U64_BYTES * count
    sizes = (len(settled.handles), len(settled.epochs), len(settled.counters), len(settled.lengths))
    if sizes != (words, words, words, U32_BYTES * count):
        raise BadRequestError(what=f"columns of replicas do not fit each other: {sizes} bytes")
    if not count:
        return Columns((), (), ())
    format64 = f"<{count}Q"
    handles = unpack(format64, settled.handles)
    epochs, counters = unpack(format64, settled.epochs), unpack(format64, settled.counters)
    lengths = unpack(f"<{count}I", settled.lengths)
    if not all(map(lt, handles, handles[1:])):
        raise BadRequestError(what="handles of replicas do not ascend")
    if max(handles[-1], *epochs, *counters) > _ID_MAX or max(lengths) > CHUNK_BYTES:
        raise BadRequestError(what="a handle, version or length of a replica is out of bounds")
    return Columns(handles, list(zip(epochs, counters, strict=True)), lengths)


def row_of(handle: ChunkHandle, version: ChunkVersion, length: int) -> Row:
    return handle, version[0], version[1], length


def digest_of(settled: SettledReplicas) -> int:
    """Return 63 bits of columns: equal digests, equal replicas (but for chance, 1 in 2**63)."""
    content = blake2b(digest_size=_DIGEST_BYTES)
    # Each column has a fixed share of the bytes, so that no two sets of columns run together to the same bytes.
    for column in (settled.handles, settled.epochs, settled.counters, settled.lengths):
        content.update(column)
    return int.from_bytes(content.digest(), "little") >> 1


def by_bucket(handles: Iterable[ChunkHandle], size: int) -> Iterator[tuple[int, list[ChunkHandle]]]:
    """Yield (bucket, its handles) of ascending handles; bucket n has the handles from n * size."""
    bucket, some = -1, list[ChunkHandle]()
    for handle in handles:
        if handle // size != bucket:
            if some:
                yield bucket, some
            bucket, some = handle // size, []
        some.append(handle)
    if some:
        yield bucket, some
