"""A process that changes metadata without end, for a test that kills it: `python -m tests.e2e.lmdb_writer FOLDER SEED`.

Lines on stdout, each written at once, so that what a killed process has said is what has happened:

    commit                          a commit begins now
    ack CLIENT SEQUENCE CRC         the result (its CRC) of a request was given to its caller
"""

import asyncio
import os
import random
import sys

from cairnfs.checksum import crc32c
from cairnfs.env import Outcome
from cairnfs.env.lmdb_store import LmdbStore
from cairnfs.env.solo import SoloCoordinator
from cairnfs.ids import BootId, ChunkVersion, ClientId, Sequence, ServerId
from cairnfs.meta.decide import Choice, Placement, execute
from cairnfs.meta.results import kept
from cairnfs.wire.common import Member, Once
from cairnfs.wire.namespace import CreateFile, Delete, MakeFolder, Purge, Rename, SetAttributes, Undelete

STDOUT = 1
CALLERS = 6
NAMES = 12
MAP_BYTES = 1 << 28
START_NS = 1_700_000_000_000_000_000


def say(*words):
    os.write(STDOUT, " ".join(map(str, words)).encode() + b"\n")


def announce():
    """Stands where HA asks its coordinator: in the writer's thread, right before the commit."""
    say("commit")
    return Outcome.COMMITTED


async def write(folder, seed):
    store = LmdbStore(folder, map_bytes=MAP_BYTES, gate=announce)
    epoch = await SoloCoordinator(store).campaign()
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(call(store, epoch, ClientId(epoch * CALLERS + number), random.Random(f"{seed} {number}")))


async def call(store, epoch, client, chance):
    sequence = 0
    while True:  # ends when the process is killed
        sequence += 1
        once = Once(client=client, sequence=Sequence(sequence), lowest=Sequence(1))
        request = any_request(chance, once)
        choice = Choice(START_NS + sequence, placement(epoch, sequence, client))
        result = await store.write(lambda txn, r=request, c=choice: execute(txn, r, c, epoch=epoch))
        say("ack", client, sequence, crc32c(kept(once, result, 0).result))


def any_request(chance, once):
    """Few names, so that requests meet each other, and refusals are among the results."""
    path, other = (b"/%d/%d" % (chance.randrange(3), chance.randrange(NAMES)) for _ in range(2))
    kinds = [
        lambda: MakeFolder(path=path.rpartition(b"/")[0], parents=True, once=once),
        lambda: MakeFolder(path=path, once=once),
        lambda: CreateFile(path=path, with_chunk=True, parents=True, once=once),
        lambda: CreateFile(path=path, with_chunk=True, once=once),
        lambda: Rename(old=path, new=other, once=once),
        lambda: Delete(path=path, recursive=True, once=once),
        lambda: Undelete(path=path, once=once),
        lambda: Purge(path=path, once=once),
        lambda: SetAttributes(path=path, xattrs={"user.x": chance.randbytes(chance.randrange(2000))}, once=once),
    ]
    return chance.choice(kinds)()


def placement(epoch, sequence, client):
    members = [Member(server=ServerId(one), boot=BootId(one), address=f"s{one}:1") for one in (1, 2, 3)]
    return Placement(members=members, primary=ServerId(1), version=ChunkVersion(epoch, sequence * 1000 + client))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2]))
