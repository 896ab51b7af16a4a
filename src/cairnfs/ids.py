"""Names of things: every id that crosses a module border has its own type.

Handles and inode ids are dense counters of the master and are never used twice (rule 21). Server, boot and client
ids are 63 random bits drawn from `Env.random`, so that nobody must be asked for one.
"""

from typing import NamedTuple, NewType

ClusterId = NewType("ClusterId", str)
"""32 hexadecimal digits, made by `cairn init`. In every first message, every disk and every replica header."""

ServerId = NewType("ServerId", int)
"""One chunkserver, for its whole life: stored in the DISK file of its data folders."""

DiskId = NewType("DiskId", int)
"""One data folder of one chunkserver."""

BootId = NewType("BootId", int)
"""One run of one process. A server that restarts has a new one, also after kill -9."""

ClientId = NewType("ClientId", int)
"""One client library instance (a fork makes a new one)."""

Sequence = NewType("Sequence", int)
"""Numbers the requests of one client that must happen once; from 1 upwards."""

InodeId = NewType("InodeId", int)
"""A file, folder or symlink. 1 is the root folder."""

ChunkHandle = NewType("ChunkHandle", int)
"""A chunk. GFS paper, section 2.3: immutable, globally unique, 64 bit. Printed as 16 hexadecimal digits."""

Epoch = NewType("Epoch", int)
"""A master's reign. Solo: a durable counter raised at each start. With HA: the revision of its election key."""

Serial = NewType("Serial", int)
"""The place of a mutation in the order of one version of one chunk; from 1 upwards, without gaps."""

DataId = NewType("DataId", int)
"""Names pushed bytes until a mutation uses them. 63 random bits from the client."""

ROOT_INODE = InodeId(1)
NO_SERVER = ServerId(0)


class ChunkVersion(NamedTuple):
    """Rule 1: (epoch, counter), compared in that order, so no number is ever used twice.

    The counter belongs to the master of that epoch and starts anew with each epoch.
    """

    epoch: Epoch
    counter: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.counter}"


NO_VERSION = ChunkVersion(Epoch(0), 0)
"""Lower than every version a master gives out: a server that never heard of the chunk reports it."""


def format_handle(handle: ChunkHandle) -> str:
    """Return the 16 hexadecimal digits by which people and file names know a chunk."""
    return f"{handle:016x}"
