"""Reading a replica: bytes and the checksums that belong to them, as of one moment. Rules 8 and 16.

An extension leaves earlier bytes alone, so only an overwrite of a touched block makes a read start anew; the last try
holds the replica's turn.
"""

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.disks import DataDisk
from cairnfs.chunkserver.flushing import check_there
from cairnfs.chunkserver.replica import Replica
from cairnfs.errors import CairnError, ChunkCorruptError, NotReadableError

TRIES = 5
Touched = list[tuple[int, int, int]]


async def read(
    disk: DataDisk, replica: Replica, offset: int, buffer: memoryview, *, verify: bool = False
) -> tuple[int, Touched]:
    """See `Store.read`. `verify`: offset and buffer are whole blocks, and each is checked in the same hop."""
    for _ in range(TRIES - 1):
        if replica.is_rewriting(_blocks(replica, offset, len(buffer))):
            async with replica.turn:
                pass
        result = await _read_once(disk, replica, offset, buffer, verify=verify)
        if result is not None:
            return result
    async with replica.turn:
        result = await _read_once(disk, replica, offset, buffer, verify=verify)
    if result is None:
        raise NotReadableError(chunk=replica.handle, why="overwritten faster than it can be read")
    return result


def _blocks(replica: Replica, offset: int, count: int) -> range:
    size = replica.table.block_bytes
    return range(offset // size, -(-(offset + count) // size))


async def _read_once(
    disk: DataDisk, replica: Replica, offset: int, buffer: memoryview, *, verify: bool
) -> tuple[int, Touched] | None:
    check_there(disk, replica)
    table = replica.table
    count = max(0, min(len(buffer), table.length - offset))
    if not count:
        return 0, []
    blocks = _blocks(replica, offset, count)
    if replica.is_rewriting(blocks):
        return None
    touched = [(block, table.crcs[block], table.valid_length(block)) for block in blocks]
    rewrites = replica.rewrites
    wrong = await _fill(disk, replica, offset, buffer[:count], touched if verify else [])
    if replica.rewritten_since(rewrites, blocks):
        return None
    if wrong is not None and disk.policy.safeguards.verify_on_read:
        raise ChunkCorruptError(chunk=replica.handle, block=wrong)
    return count, touched


async def _fill(disk: DataDisk, replica: Replica, offset: int, buffer: memoryview, touched: Touched) -> int | None:
    """Fill the buffer; return the first block that is short or does not fit its checksum."""
    block_bytes = replica.table.block_bytes
    with disk.descriptors.lease(replica.handle) as opened:

        def job() -> int | None:
            count = opened.data().read_into(offset, buffer)
            if count < len(buffer):
                # The file was cut under us: an error, never zeros.
                return (offset + count) // block_bytes
            return _first_wrong(buffer, touched, offset, block_bytes)

        try:
            return await disk.run_reading(job)
        except CairnError:
            raise
        except OSError:
            return offset // block_bytes


def _first_wrong(buffer: memoryview, touched: Touched, start: int, block_bytes: int) -> int | None:
    for block, crc, valid in touched:
        place = block * block_bytes - start
        if crc32c(buffer[place : place + valid]) != crc:
            return block
    return None


async def read_verified(disk: DataDisk, replica: Replica, offset: int, length: int) -> memoryview:
    """See `Store.read_verified`."""
    block_bytes = replica.table.block_bytes
    length = max(0, min(length, replica.length - offset))
    blocks = _blocks(replica, offset, length)
    start = blocks.start * block_bytes
    # Whole blocks even at the end: the last one may grow before the bytes are read.
    buffer = memoryview(bytearray(len(blocks) * block_bytes))
    count, _ = await read(disk, replica, start, buffer, verify=True)
    return buffer[offset - start : min(offset - start + length, count)]


async def verify(disk: DataDisk, replica: Replica, block: int) -> bool:
    """See `Store.verify`."""
    block_bytes = replica.table.block_bytes
    try:
        await read_verified(disk, replica, block * block_bytes, block_bytes)
    except ChunkCorruptError:
        return False
    return True
