"""CRC32C, and nothing else. GFS paper, section 5.2 (32 bits per 64 KiB block); rule 16.

The polynomial is that of iSCSI and of most storage systems, so that hardware does it.
"""

from collections.abc import Iterator

from fastcrc.crc32 import iscsi as crc32c

__all__ = ["Buffer", "block_spans", "crc32c", "piece_crcs"]

Buffer = bytes | bytearray | memoryview

# `crc32c(data, previous)` is the library's own function: a wrapper around it costs as much as the checksum of a header.


def piece_crcs(data: Buffer, piece_bytes: int) -> list[int]:
    """Return the CRC32C of each `piece_bytes` of `data` from its start; the last piece may be short."""
    if len(data) <= piece_bytes:
        return [crc32c(data)] if data else []
    view = memoryview(data)
    return [crc32c(view[start : start + piece_bytes]) for start in range(0, len(view), piece_bytes)]


def block_spans(offset: int, length: int, block_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield (block, start in block, length) for each block that [offset, offset + length) touches."""
    end = offset + length
    while offset < end:
        block, start = divmod(offset, block_bytes)
        count = min(block_bytes - start, end - offset)
        yield block, start, count
        offset += count
