"""Who reads and writes in a story, and what they may see. Letters are written in alphabetical order.

Rule of the reader (contract 4): a read that begins after a letter was acknowledged, or after anybody has read it, shows
that letter or a later one, and never two at once.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cairnfs.client.file import File
from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle
from cairnfs.sim.stage import FILE, SIZE, Seat, Stage
from cairnfs.sim.stories.narrator import Kind, Narrator
from cairnfs.sim.stories.watching import Fact, Watcher, plural

AGAIN_S = 0.25
"""Between two reads of somebody who watches."""


class Cast:
    """Everybody on the stage, and what is known to be written."""

    def __init__(self, stage: Stage, narrator: Narrator, watcher: Watcher) -> None:
        self.stage = stage
        self._narrator = narrator
        self._watcher = watcher
        self.floor = ""
        """The latest letter that was acknowledged or read."""
        self.why = ""
        """How the floor is known."""

    async def prepare(self, letter: str = "A", *, closed: bool = True) -> None:
        """Make the file with that letter in it; `closed`: nobody has its chunk open afterwards. Nothing is told yet."""
        self._watcher.is_quiet = True
        await self.stage.make(ord(letter))
        self.learn(letter, f"{letter!r} was closed in the file")
        if not closed:
            await (await self.stage.writer("opener")).write(ord(letter))

    def raise_curtain(self) -> None:
        """Let the time line begin."""
        self._watcher.look()
        self._watcher.is_quiet = False
        self._narrator.begin()

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Let the roles do something that is not told."""
        self._watcher.look()
        self._watcher.is_quiet = True
        yield
        self._watcher.look()
        self._watcher.is_quiet = False

    def hush(self, *facts: Fact) -> None:
        """Tell nothing of these facts in this story."""
        self._watcher.hushed = facts

    def begin(self) -> None:
        """Let the time line begin, with who is who."""
        self.raise_curtain()
        row, stage = self.stage.row, self.stage
        if row.closed:
            roles = f"closed, on {plural(stage.members)}"
        else:
            roles = f"{stage.primary} is primary, {plural(stage.others)} secondaries"
        self.note(f"the file holds {self.floor!r}; chunk {stage.handle} is at version {row.version}: {roles}")

    async def writer(self, name: str = "writer") -> "Writer":
        return Writer(self, await self.stage.writer(name), name)

    async def reader(self, near: str, name: str = "reader") -> "Reader":
        """Return a reader with a warm cache, whose reads go to one chunkserver first."""
        client = await self.stage.client(name, near=near)
        file: File = await self.stage.on(name, client.open(FILE, "rb"))
        await self.stage.on(name, file.pread(SIZE, 0))
        return Reader(self, Seat(self.stage, name, file), name, near)

    def tell(self, who: str, what: str, kind: Kind = Kind.TOLD) -> None:
        self._watcher.look()
        self._narrator.tell(who, what, kind)

    def note(self, what: str) -> None:
        """Explain something."""
        self.tell("", what)

    def fault(self, who: str, what: str) -> None:
        """Tell what the story breaks or mends."""
        self.tell(who, what, Kind.FAULT)

    def breaks(self, who: str, what: str) -> None:
        """Tell that a promise is broken."""
        self._watcher.look()
        self._narrator.breaks(who, what)

    def is_broken(self) -> bool:
        """True if a promise was seen to be broken."""
        return bool(self._narrator.violations)

    def compare_replicas(self, handle: ChunkHandle | None = None) -> None:
        """Tell whether all members of the chunk hold the same bytes."""
        handle = self.stage.handle if handle is None else handle
        row, found = self.stage.reign.chunk(handle), self.stage.cluster.digests(handle)
        assert row is not None, handle
        members = sorted(self._watcher.name_of(server) for server, _ in row.members)
        equal = len({found.get(name) for name in members}) == 1
        if equal:
            self.note(f"the replicas of chunk {handle} on {plural(members)} are equal, byte for byte")
        else:
            self.breaks("", f"the replicas of chunk {handle} on {plural(members)} differ: an inconsistent region")

    def learn(self, letter: str, why: str) -> None:
        """Everybody may rely on this letter from now on."""
        if letter > self.floor:
            self.floor, self.why = letter, why

    def served(self) -> dict[str, int]:
        """Return how many reads each server has answered."""
        return {
            name: sum(chunk.served for chunk in server.context.chunks.all())
            for name, server in self.stage.cluster.servers.items()
        }


class Writer:
    """Somebody who writes one letter over the whole file."""

    def __init__(self, cast: Cast, seat: Seat, name: str) -> None:
        self._cast, self._seat, self.name = cast, seat, name

    async def write(self, letter: str, why: str = "") -> float:
        """Write over the file and tell when it is acknowledged, or that it failed; return the seconds it took."""
        cast, began_s = self._cast, self._cast.stage.world.loop.time()
        cast.tell(self.name, f"writes {letter!r} over the file" + (f": {why}" if why else ""))
        try:
            await self._seat.write(ord(letter))
        except CairnError as error:
            cast.tell(self.name, f"is told that {letter!r} failed: {error}", Kind.SEEN)
            return cast.stage.world.loop.time() - began_s
        took_s = cast.stage.world.loop.time() - began_s
        cast.tell(self.name, f"has the ack of {letter!r}, after {took_s:.3f} s", Kind.SEEN)
        cast.learn(letter, f"{letter!r} was acknowledged")
        return took_s

    async def patch(self, letter: str, size: int, offset: int) -> None:
        """Write a few bytes in the middle of the file."""
        self._cast.tell(self.name, f"writes {size} bytes of {letter!r} at {offset}")
        await self._seat.do(self._seat.file.pwrite(letter.encode() * size, offset))
        self._cast.tell(self.name, "has the ack", Kind.SEEN)


class Reader:
    """Somebody who reads the whole file, at one chunkserver first, by a cached location."""

    def __init__(self, cast: Cast, seat: Seat, name: str, near: str) -> None:
        self._cast, self._seat, self.name, self.near = cast, seat, name, near

    async def read(self, *, limit_s: float = 30.0, is_told: bool = True) -> str:
        """Read and tell what was seen; return the letter, "" if nobody answered in time.

        Without `is_told` only what is wrong or new is told.
        """
        cast = self._cast
        floor, why, before = cast.floor, cast.why, cast.served()
        shown = await self._ask(limit_s)
        by = [name for name, count in cast.served().items() if count > before.get(name, 0)]
        text = (
            f"sees {shown!r}, from {by[0] if len(by) == 1 else 'the chunkservers'}"
            if shown
            else f"no answer in {limit_s:g} s"
        )
        wrong = self._wrong(shown, floor, why)
        if wrong or is_told or shown > floor:
            cast.tell(self.name, f"reads, asking {self.near} first: {text}", Kind.SEEN)
        if wrong:
            cast.breaks(self.name, wrong)
        elif shown:
            cast.learn(shown, f"{self.name} had seen {shown!r}")
        return shown

    def _wrong(self, shown: str, floor: str, why: str) -> str:
        if not all(letter.isupper() for letter in shown):
            return f"{self.name} sees {''.join(one for one in shown if not one.isupper())!r}, which nobody has written"
        if len(shown) > 1:
            return f"{self.name} sees a mixture of {plural(list(shown))} in one read"
        return f"{self.name} sees {shown!r} after {why}" if shown and shown < floor else ""

    async def _ask(self, limit_s: float) -> str:
        async def ask() -> bytes:
            with suppress(CairnError, TimeoutError):
                async with asyncio.timeout(limit_s):
                    return await self._seat.file.pread(SIZE, 0)
            return b""

        data = await self._seat.do(ask())
        return "".join(chr(number) for number in sorted(set(data)))

    async def watch(self, seconds: float) -> None:
        """Read four times a second, tell what is new, and stop when a promise is broken."""
        now_s, last = self._cast.stage.world.loop.time, self._cast.floor
        end_s = now_s() + seconds
        while now_s() < end_s and not self._cast.is_broken():
            shown = await self.read(limit_s=0.5, is_told=False)
            if shown != last and not self._cast.is_broken():
                what = f"sees {shown!r} now" if shown else f"gets no answer from {self.near} any more"
                self._cast.tell(self.name, f"reads four times a second: {what}", Kind.SEEN)
            last = shown
            await self._cast.stage.pause(AGAIN_S)
