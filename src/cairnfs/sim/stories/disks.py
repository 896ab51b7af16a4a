"""Stories of disks: every machine loses power at once, and a block rots."""

from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.stage import FILE, Stage
from cairnfs.sim.stories.narrator import Kind
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story
from cairnfs.sim.stories.watching import Fact, plural

LOG = "/log"
RECORDS = 8
LETTERS = "BCDE"
LONG = 12_000
AT, PART = 500, 3_000
"""What is overwritten: part of the first block, whose other bytes were synced and are nobody's business."""
TURNS = 5


async def power_loss_of_all(stage: Stage, cast: Cast) -> None:
    client = await stage.client("maker")
    await stage.on("maker", client.write_bytes(FILE, b"A" * LONG))
    cast.hush(*Fact)
    cast.raise_curtain()
    cast.note(f"a file holds {LONG} bytes of 'A', synced when it was closed, on {plural(stage.members)}")
    await append_and_lose_power(stage, cast)
    for turn in range(TURNS):
        if not cast.is_broken():
            await overwrite_and_lose_power(stage, cast, turn)


async def append_and_lose_power(stage: Stage, cast: Cast) -> None:
    client = await stage.client("appender")

    async def append() -> list[bytes]:
        await client.write_bytes(LOG, b"")
        appender = await client.append_writer(LOG)
        records = [b"record %d" % number for number in range(RECORDS)]
        for record in records:
            await appender.append(record)
        return records

    records = await stage.on("appender", append())
    cast.tell("appender", f"has the acks of {RECORDS} appended records", Kind.SEEN)
    await lose_power(stage, cast)
    reader = await stage.client("log-reader")

    async def read() -> list[bytes]:
        return [one.data async for one in reader.records(LOG)]

    found = await stage.on("log-reader", read())
    cast.tell("log-reader", f"finds {len(found)} records", Kind.SEEN)
    if found != records:
        cast.breaks("log-reader", f"{RECORDS} records were acknowledged and {len(found)} are there")


async def overwrite_and_lose_power(stage: Stage, cast: Cast, turn: int) -> None:
    """Plain overwrites that nobody synced: each may survive or vanish, what was synced beside them stands."""
    host = f"writer-{turn}"
    client = await stage.client(host)

    async def overwrite() -> None:
        file = await client.open(FILE, "r+b")
        for letter in LETTERS:
            await file.pwrite(letter.encode() * PART, AT)

    with cast.unseen():
        await stage.on(host, overwrite())
    cast.tell(host, f"overwrites {PART} bytes at {AT} with {', '.join(LETTERS)}; each is acknowledged, none synced")
    await lose_power(stage, cast, counts=True)
    if not cast.is_broken():
        await look(stage, cast, f"reader-{turn}")


def count_intact(stage: Stage, cast: Cast, handle: ChunkHandle) -> None:
    """Tell how much of each replica of the file is intact, before there is a master that could mend any."""
    found = {name: server.context.store.replicas.get(handle) for name, server in stage.cluster.servers.items()}
    for name, replica in found.items():
        intact = 0 if replica is None else replica.length
        if intact < LONG:
            cast.breaks(name, f"{name} lost synced bytes beside a torn overwrite: {intact} of {LONG} are intact")
            return
    cast.note(f"all {LONG} bytes are intact on every server, whatever was on its way to a disk")


async def look(stage: Stage, cast: Cast, host: str) -> None:
    client = await stage.client(host)
    try:
        data = await stage.on(host, client.read_bytes(FILE))
    except CairnError as error:
        cast.breaks(host, f"what was synced can not be read any more: {error}")
        return
    inside, beside = data[AT : AT + PART], data[:AT] + data[AT + PART :]
    shown, old = (plural([repr(chr(byte)) for byte in sorted(set(part))]) for part in (inside, beside))
    cast.tell(host, f"sees {shown} where it was overwritten, {old} beside it", Kind.SEEN)
    if len(set(inside)) != 1 or beside != b"A" * (LONG - PART):
        cast.breaks(host, f"{host} sees {shown} and {old}, which nobody wrote like that")


async def lose_power(stage: Stage, cast: Cast, *, counts: bool = False) -> None:
    cast.fault("power", "every machine loses it at once, and starts again")
    with cast.unseen():
        handle = min(handle for server in stage.cluster.servers.values() for handle in server.context.store.replicas)
        for name in [MASTER, *stage.cluster.names]:
            stage.cluster.crash(name, power=True)
        await stage.pause(1)
        for name in stage.cluster.names:
            await stage.cluster.restart(name)
        if counts:
            count_intact(stage, cast, handle)
        await stage.cluster.restart(MASTER)
        await stage.pause(2)


POWER_LOSS = Story(
    name="power-loss-of-all",
    summary="every machine loses power at once; what was acknowledged is still there?",
    gfs=("section 3.3: an append is acknowledged when every replica has it; whether on disk, the paper does not say."),
    ours="flushed on every replica before its ack, and no overwrite tears what was flushed.",
    promise="no acknowledged record was lost, and no overwrite destroyed what was synced before it (contracts 2 and 5)",
    guards=("flush_before_append_ack", "redo_before_overwrite"),
    scene=power_loss_of_all,
)


async def rotten_block(stage: Stage, cast: Cast) -> None:
    await cast.prepare("A")
    writer = await cast.writer()
    first, second = stage.members[0], stage.members[1]
    at_first, at_second = await cast.reader(first, "reader-1"), await cast.reader(second, "reader-2")
    cast.begin()
    cast.fault(first, "a bit of its replica rots on the disk; no one notices")
    stage.flip(first, stage.handle, 100)
    await at_first.read()
    cast.note("each block of 64 KiB (here 4) has a checksum; each read verifies it")
    await stage.cluster.until(lambda: len(stage.cluster.digests(stage.handle)) == len(stage.cluster.names))
    cast.fault(second, "a bit rots there as well; then other bytes of the same block are overwritten")
    stage.flip(second, stage.handle, 100)
    await writer.patch("A", 50, 1000)
    await at_second.read()
    await stage.cluster.until(lambda: len(stage.cluster.digests(stage.handle)) == len(stage.cluster.names))
    cast.compare_replicas()


ROTTEN_BLOCK = Story(
    name="rotten-block",
    summary="a bit rots on a disk; can it be read, copied, or be blessed with a new checksum?",
    gfs=(
        "section 5.2: checksums per 64 KB block are verified before data is returned; the first and last block of "
        "an overwrite are verified before it, lest new checksums hide old corruption."
    ),
    ours="the same, and the replica is quarantined.",
    promise="nobody read the rotten byte, and both replicas were replaced from good ones (rule 16)",
    guards=("verify_before_merge",),
    scene=rotten_block,
)
