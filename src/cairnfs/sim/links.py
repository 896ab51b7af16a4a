"""What lies between the hosts: how slow it is, what is cut, and who answers. Used by `network`.

    host --its card--> line between two hosts --card--> host      each may be slow, in bytes and in time

A cut lets nothing through in one direction. An ear is how a host answers those who want to connect.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cairnfs.env.memory_stream import PIECE_BYTES
from cairnfs.units import KIB

PIECE_S = 0.05
"""On a slow line a parcel takes about so long, so that those who share it take turns."""
PIECE_BYTES_MIN = 1 * KIB
LOCAL_S = 1e-6
"""Within one host."""


@dataclass
class NetworkSettings:
    """How the network behaves everywhere; may be changed at any time. Chances are of each parcel or attempt."""

    latency_s: tuple[float, float] = (0.0001, 0.001)
    slow_chance: float = 0.001
    """The parcel was lost once: TCP repeats it after `slow_s`."""
    slow_s: tuple[float, float] = (0.01, 0.3)
    reset_chance: float = 0.0
    """The connection breaks instead."""
    stall_chance: float = 0.0
    """From this parcel on the connection passes nothing in this direction for `stall_s`."""
    stall_s: tuple[float, float] = (0.5, 20.0)
    stall_both_chance: float = 0.3
    """Of a stall: nor in the other direction."""
    stall_ends_chance: float = 0.7
    """Of a stall: it ends. Else the connection is half-open from now on, until one end is tired of it."""
    bytes_per_s: float | None = None
    """What each host's card sends, and what it takes."""
    small_piece_chance: float = 0.1
    """It has few bytes, so that messages are cut anywhere."""
    small_piece_bytes: int = 64
    refuse_chance: float = 0.0
    """Of an attempt to connect: the queue of the listener is full, and it says so."""
    ghost_chance: float = 0.0
    """Of an attempt to connect: the listener accepts, but the answer is lost, and the caller tries a second time."""


@dataclass(frozen=True)
class Line:
    """How one host, or the line between two, differs from the rest; None: it does not."""

    bytes_per_s: float | None = None
    latency_s: tuple[float, float] | None = None


class Ear(Enum):
    """How a host answers those who want to connect."""

    OPEN = "open"
    FULL = "full"  # its accept queue is full: no answer
    SHUT = "shut"  # refuses all


_Direction = tuple[str, str]
"""(source, target); an empty name: any host."""


class Links:
    """The lines between all hosts, and their chances."""

    def __init__(self, chance: random.Random, is_powered: Callable[[str], bool]) -> None:
        self.settings = NetworkSettings()
        self.is_powered = is_powered
        self.ears: dict[str, Ear] = {}
        self.asleep: dict[str, None] = {}
        """Hosts that are suspended: nothing reaches them."""
        self._chance = chance
        self._cuts: dict[_Direction, None] = {}
        self._lines: dict[_Direction, Line] = {}
        self._busy_until_s: dict[_Direction, float] = {}

    # -------------------------------------------------------------- chance

    def draws(self, chance: float) -> bool:
        """Return True if it happens now."""
        return chance > 0 and self._chance.random() < chance

    def draw_s(self, least_most_s: tuple[float, float]) -> float:
        """Return a time between two."""
        return self._chance.uniform(*least_most_s)

    def draw_latency_s(self, source: str, target: str) -> float:
        """Return how long the next parcel takes, once it is sent."""
        if source == target:
            return LOCAL_S
        settings = self.settings
        if self._chance.random() < settings.slow_chance:
            least, most = settings.slow_s
        else:
            least, most = self._latency(source, target) if self._lines else settings.latency_s
        return least + (most - least) * self._chance.random()

    def draw_piece_bytes(self, source: str, target: str) -> int:
        """Return the size of the next parcel at most."""
        if self._chance.random() < self.settings.small_piece_chance:
            return self._chance.randint(1, self.settings.small_piece_bytes)
        if not self._is_limited(source, target):
            return PIECE_BYTES
        slowest = min((rate for _, rate in self._rates(source, target)), default=PIECE_BYTES / PIECE_S)
        return min(PIECE_BYTES, max(PIECE_BYTES_MIN, int(slowest * PIECE_S)))

    # -------------------------------------------------------------- speed

    def set_line(self, source: str, target: str, line: Line) -> None:
        """Let one direction of a line differ; an empty name is any host: (a, "") is what the card of `a` sends."""
        self._lines[source, target] = line

    def departure_s(self, source: str, target: str, *, size: int, now_s: float) -> float:
        """Return when the last of `size` bytes has passed every slow place on its way."""
        if not self._is_limited(source, target):
            return now_s
        for place, rate in self._rates(source, target):
            now_s = max(now_s, self._busy_until_s.get(place, 0.0)) + size / rate
            self._busy_until_s[place] = now_s
        return now_s

    @property
    def are_limited(self) -> bool:
        """True if some line, or every card, has a speed."""
        return bool(self._lines) or self.settings.bytes_per_s is not None

    def _is_limited(self, source: str, target: str) -> bool:
        return self.are_limited and source != target

    def _rates(self, source: str, target: str) -> list[tuple[_Direction, float]]:
        found = []
        for place, other in (((source, ""), self.settings.bytes_per_s), ((source, target), None),
                             (("", target), self.settings.bytes_per_s)):  # fmt: skip
            line = self._lines.get(place)
            rate = line.bytes_per_s if line is not None and line.bytes_per_s is not None else other
            if rate is not None:
                found.append((place, rate))
        return found

    def _latency(self, source: str, target: str) -> tuple[float, float]:
        for place in ((source, target), (source, ""), ("", target)):
            line = self._lines.get(place)
            if line is not None and line.latency_s is not None:
                return line.latency_s
        return self.settings.latency_s

    # -------------------------------------------------------------- cuts

    def passes(self, source: str, target: str) -> bool:
        """Return True if nothing is cut in this direction, and the target is awake."""
        return (source, target) not in self._cuts and target not in self.asleep

    def cut(self, source: str, target: str) -> None:
        """Let nothing through in this direction."""
        self._cuts[source, target] = None

    def is_reachable(self, source: str, target: str) -> bool:
        """Return True if packets go there and come back, and somebody takes them."""
        return (
            self.passes(source, target)
            and self.passes(target, source)
            and self.is_powered(target)
            and self.ears.get(target) is not Ear.FULL
        )

    def heal(self, pair: _Direction | None) -> None:
        """Undo what was done to one pair of hosts, or to all; sleepers sleep on."""
        if pair is None:
            self._cuts.clear()
            self._lines.clear()
            self.ears.clear()
            return
        for direction in (pair, pair[::-1]):
            self._cuts.pop(direction, None)
            self._lines.pop(direction, None)
