"""A bound on memory that holds for every allocation inside, also for one that is never touched."""

import contextlib
import resource
from pathlib import Path

from cairnfs.units import MIB

ROOM_BYTES = 192 * MIB
"""Above the largest that a decoder may hold (a frame of 5 MiB), below any length that a 32-bit field can lie."""
PAGE_BYTES = resource.getpagesize()


@contextlib.contextmanager
def little_memory(room_bytes=ROOM_BYTES):
    """Make whatever would map more than `room_bytes` beyond what the process has now fail with MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (mapped + room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
