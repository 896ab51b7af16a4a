"""Who reads and writes in a story, and what they may see. Letters are written in alphabetical order.

Rule of the reader (contract 4): a read that begins after a letter was acknowledged, or after anybody has read it, shows
that letter or a later one, and never two at once.
"""

import asyncio
from contextlib import suppress

from cairnfs.client.file import File
from cairnfs.errors import CairnError
from cairnfs.sim.stage import FILE, SIZE, Seat, Stage
from cairnfs.sim.stories.narrator import Kind, Narrator
from cairnfs.sim.stories.watching import Watcher, plural

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

    def begin(self) -> None:
        """Let the time line begin, with who is who."""
        self._watcher.look()
        self._watcher.is_quiet = False
        self._narrator.begin()
        row, stage = self.stage.row, self.stage
        if row.closed:
            roles = f"closed, on {plural(stage.members)}"
        else:
            roles = f"{stage.primary} is its primary, {plural(stage.others)} secondaries"
        self.note(f"the file holds {self.floor!r}; its chunk {stage.handle} is at version {row.version}: {roles}")

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

    @property
    def is_broken(self) -> bool:
        """True if a promise was seen to be broken."""
        return bool(self._narrator.violations)

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

    async def write(self, letter: str, why: str = "") -> None:
        """Write over the file and tell when it is acknowledged, or that it failed."""
        cast, began_s = self._cast, self._cast.stage.world.loop.time()
        cast.tell(self.name, f"writes {letter!r} over the file" + (f": {why}" if why else ""))
        try:
            await self._seat.write(ord(letter))
        except CairnError as error:
            cast.tell(self.name, f"is told that {letter!r} failed: {error}", Kind.SEEN)
            return
        took_s = cast.stage.world.loop.time() - began_s
        cast.tell(self.name, f"has the ack of {letter!r}, after {took_s:.2f} s", Kind.SEEN)
        cast.learn(letter, f"{letter!r} was acknowledged")


class Reader:
    """Somebody who reads the whole file, at one chunkserver first, by a cached location."""

    def __init__(self, cast: Cast, seat: Seat, name: str, near: str) -> None:
        self._cast, self._seat, self.name, self.near = cast, seat, name, near
        self.told = ""

    async def read(self, *, limit_s: float = 30.0, only_news: bool = False) -> str:
        """Read and tell what was seen; return the letter, "" if nobody answered in time.

        `only_news`: tell it only if it differs from what this reader told last.
        """
        cast = self._cast
        floor, why, before = cast.floor, cast.why, cast.served()
        shown = await self._ask(limit_s)
        by = [name for name, count in cast.served().items() if count > before.get(name, 0)]
        text = f"sees {shown!r}, from {by[0] if len(by) == 1 else 'the chunkservers'}" if shown else "gets no answer"
        wrong = self._wrong(shown, floor, why)
        if wrong or not only_news or text != self.told:
            cast.tell(self.name, f"reads, asking {self.near} first: {text}", Kind.SEEN)
        self.told = text
        if wrong:
            cast.breaks(self.name, wrong)
        elif shown:
            cast.learn(shown, f"the {self.name} had seen {shown!r}")
        return shown

    def _wrong(self, shown: str, floor: str, why: str) -> str:
        if len(shown) > 1:
            return f"the {self.name} sees a mixture of {' and '.join(shown)} in one read"
        return f"the {self.name} sees {shown!r} after {why}" if shown and shown < floor else ""

    async def _ask(self, limit_s: float) -> str:
        async def ask() -> bytes:
            with suppress(CairnError, TimeoutError):
                async with asyncio.timeout(limit_s):
                    return await self._seat.file.pread(SIZE, 0)
            return b""

        data = await self._seat.do(ask())
        return "".join(chr(number) for number in sorted(set(data)))

    async def watch(self, seconds: float) -> None:
        """Read four times a second and tell what is new."""
        end_s = self._cast.stage.world.loop.time() + seconds
        while self._cast.stage.world.loop.time() < end_s and not self._cast.is_broken:
            await self.read(limit_s=0.5, only_news=True)
            await self._cast.stage.pause(AGAIN_S)
