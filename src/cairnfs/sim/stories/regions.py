"""The story of a region that is consistent but undefined: what concurrent writes may leave behind, and what not."""

from contextlib import suppress

from cairnfs.client.file import File
from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle
from cairnfs.sim.scenes.orders import order_write
from cairnfs.sim.stage import FILE, Stage
from cairnfs.sim.stories.narrator import Kind
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.story import Story
from cairnfs.units import KIB

END = 64 * KIB
"""Where the first chunk ends."""
HALF = 4 * KIB


class Author:
    """Somebody who writes one letter at chosen places of a file of two chunks."""

    def __init__(self, cast: Cast, letter: str, file: File) -> None:
        self._cast, self.letter, self._file = cast, letter, file
        self.name = f"writer-{letter.lower()}"

    async def touch(self, offset: int) -> None:
        """Write what is there already, so that the nearest server becomes primary of the chunk."""
        await self._cast.stage.on(self.name, self._file.pwrite(b"A", offset))

    async def write(self, offset: int, size: int) -> None:
        self._cast.tell(self.name, f"writes {size} bytes of {self.letter!r} at {offset}")
        await self._cast.stage.on(self.name, self._file.pwrite(self.letter.encode() * size, offset))
        self._cast.tell(self.name, f"has the ack of all {size} bytes", Kind.SEEN)


async def undefined_region(stage: Stage, cast: Cast) -> None:
    first, second, third = stage.cluster.names
    await prepare(stage, cast)
    x, y = await author(stage, cast, "X", near=first), await author(stage, cast, "Y", near=second)
    files = {name: await open_near(stage, name) for name in stage.cluster.names}
    await x.touch(0)
    await y.touch(END)
    left, right = sorted(stage.cluster.servers[first].context.store.replicas)
    cast.raise_curtain()
    cast.note(f"a file of two chunks, all 'A': {first} is primary of chunk {left}, {second} of chunk {right}")
    cast.fault("network", f"{x.name} and {second} lose each other for half a second")
    stage.world.cut(x.name, second)
    across = stage.later(x.write(END - HALF, 2 * HALF))
    await stage.pause(0.1)
    await y.write(END - HALF, 2 * HALF)
    await stage.pause(0.4)
    stage.world.heal()
    await across
    await read_everywhere(cast, files, END - HALF, (HALF, HALF))
    cast.note("each chunk has its own primary and order: consistent but undefined, as in the paper")
    cast.fault("network", f"{first} cannot reach {third} any more; then both write the same range of chunk {left}")
    stage.world.cut(first, third)
    same = stage.later(x.write(0, 2 * HALF))
    await y.write(0, 2 * HALF)
    await same
    await read_everywhere(cast, files, 0, (2 * HALF,))
    if cast.is_broken():
        return
    cast.note("inside one chunk one primary gives serials: the later write stands whole, never a mixture")
    stage.world.heal()
    await stage.cluster.until(lambda: is_whole(stage, left))
    await y.write(0, 2 * HALF)
    await late_order(stage, cast, third, left)
    await x.write(0, 2 * HALF)
    await read_everywhere(cast, files, 0, (2 * HALF,))
    for handle in (left, right):
        cast.compare_replicas(handle)


async def prepare(stage: Stage, cast: Cast) -> None:
    client = await stage.client("maker")
    await stage.on("maker", client.write_bytes(FILE, b"A" * 2 * END))


async def author(stage: Stage, cast: Cast, letter: str, *, near: str) -> Author:
    host = f"writer-{letter.lower()}"
    client = await stage.client(host, near=near)
    return Author(cast, letter, await stage.on(host, client.open(FILE, "r+b")))


async def open_near(stage: Stage, name: str) -> File:
    host = f"reader-{name}"
    client = await stage.client(host, near=name)
    return await stage.on(host, client.open(FILE, "rb"))


def is_whole(stage: Stage, handle: ChunkHandle) -> bool:
    row = stage.reign.chunk(handle)
    return row is not None and len(row.members) == 3


async def late_order(stage: Stage, cast: Cast, victim: str, handle: ChunkHandle) -> None:
    """Let an order come to a secondary whose predecessor never came."""
    chunk = stage.cluster.servers[victim].context.chunks.ensure(handle)
    assert chunk.lease is not None, "the chunk is open"
    primary = chunk.member(chunk.lease.primary)
    assert primary is not None, "the primary is a member"
    first = chunk.serial + 2
    cast.fault("network", f"an order with serial {first} reaches {victim}, where {first - 1} has not been yet")
    try:
        await order_write(stage, victim, first=first, boot=primary.boot, handle=handle)
    except CairnError as error:
        cast.tell(victim, f"refuses it: {error}")


async def read_everywhere(cast: Cast, files: dict[str, File], offset: int, sizes: tuple[int, ...]) -> None:
    """Read a range at each server and tell what is seen: all readers must see the same, each part of one writer."""
    seen: dict[str, str] = {}
    for name, file in files.items():
        data = b""
        with suppress(CairnError):
            data = await cast.stage.on(f"reader-{name}", file.pread(sum(sizes), offset))
        parts = [data[sum(sizes[:number]) :][:size] for number, size in enumerate(sizes)]
        letters = [" and ".join(repr(chr(byte)) for byte in sorted(set(part))) or "nothing" for part in parts]
        seen[name] = ", then ".join(letters)
        if any(len(set(part)) > 1 for part in parts):
            cast.breaks("readers", f"readers see a mixture of {seen[name]} at {name}")
    if len(set(seen.values())) == 1:
        where = "around the chunk end" if len(sizes) > 1 else f"at {offset}"
        cast.tell("readers", f"at all three servers see {next(iter(seen.values()))} {where}", Kind.SEEN)
    else:
        told = ", ".join(f"{shown} at {name}" for name, shown in seen.items())
        cast.breaks("readers", f"readers see {told}: an inconsistent region")


UNDEFINED_REGION = Story(
    name="undefined-region",
    summary="two clients write the same bytes at once; what may be read afterwards?",
    gfs=(
        "section 2.7.1: concurrent writes leave a region consistent but undefined: all clients see the same "
        "bytes, which may be mingled fragments of several writes."
    ),
    ours="mingled only where a write crosses a chunk end, whole inside a chunk.",
    promise="all readers saw the same, each chunk's part was of one write, all replicas are equal (contract 3)",
    guards=("ack_by_all", "serial_order"),
    scene=undefined_region,
)
