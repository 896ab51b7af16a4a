"""The time line of a story: virtual time, who, what; and what was seen to break a promise."""

from dataclasses import dataclass
from enum import StrEnum

from cairnfs.sim.world import SimWorld


class Kind(StrEnum):
    """What a line is about; a terminal shows each in its own colour."""

    TOLD = "told"
    """What people and servers did."""
    FAULT = "fault"
    """What the story breaks or mends."""
    SEEN = "seen"
    """What a reader or writer learned."""
    ROLE = "role"
    """What master and chunkservers did by themselves."""
    BROKEN = "broken"
    """A promise is seen to be broken."""
    KEPT = "kept"
    """The verdict that all is well."""
    FRAME = "frame"
    """What stands around the time line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `at_s` counts from the beginning of the story."""

    at_s: float
    who: str
    what: str
    kind: Kind


class Narrator:
    """Writes the lines down in the order in which they are told."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._began_s = world.loop.time()
        self.lines: list[Line] = []
        self.violations: list[str] = []
        self._is_over = False

    def begin(self) -> None:
        """Let the time line start here, empty."""
        self._began_s = self._world.loop.time()
        self.lines.clear()

    def end(self) -> None:
        """Tell nothing more: what people do when the lights go out is no part of the story."""
        self._is_over = True

    def now_s(self) -> float:
        """Return the seconds since the story began."""
        return self._world.loop.time() - self._began_s

    def tell(self, who: str, what: str, kind: Kind = Kind.TOLD) -> None:
        if not self._is_over:
            self.lines.append(Line(self.now_s(), who, what, kind))

    def breaks(self, who: str, what: str) -> None:
        """Tell that a promise is broken; the first one goes into the verdict."""
        self.tell(who, f"BROKEN: {what}", Kind.BROKEN)
        self.violations.append(what)
