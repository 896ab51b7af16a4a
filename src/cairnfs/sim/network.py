"""The network of a simulated world: latency, cuts, resets and crashes, in seeded measure. Streams are `memory_stream`.

    a ---SimWire---> b     each direction of each connection: parcels in order, each later than the one before

A cut holds what is on the way until it is healed, as TCP's repetition does; those who wait longer have deadlines of
their own. A crashed process resets its connections (its kernel lives), a host without power says nothing until it is
back.
"""

import asyncio
import itertools
import random
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass

from cairnfs.env import Sink
from cairnfs.env.addresses import join_address, split_address
from cairnfs.env.memory_network import FIRST_PORT, HERE, machine_of
from cairnfs.env.memory_stream import PIECE_BYTES, Mark, MemoryConnection, Parcel
from cairnfs.errors import AddressInUseError, BadRequestError, ConnectError
from cairnfs.sim.loop import CURRENT, Incarnation, SimLoop
from cairnfs.sim.trace import Trace

CONNECT_RETRY_S = 1.0
"""TCP repeats its first packet so late."""


@dataclass
class NetworkSettings:
    """How the network behaves; may be changed at any time."""

    latency_s: tuple[float, float] = (0.0001, 0.001)
    slow_chance: float = 0.001
    slow_s: tuple[float, float] = (0.01, 0.3)
    reset_chance: float = 0.0
    """Of each parcel: the connection breaks instead."""
    small_piece_chance: float = 0.1
    """Of each parcel: it has few bytes, so that messages are cut anywhere."""
    small_piece_bytes: int = 64


class SimWire:
    """One direction of one connection."""

    def __init__(self, fabric: "Fabric", *, source: str, target: str, label: str) -> None:
        self.source = source
        self.target = target
        self._fabric = fabric
        self._label = label
        self._last_s = 0.0
        self._held: list[tuple[Parcel, MemoryConnection]] = []

    def piece_bytes(self) -> int:
        return self._fabric.draw_piece_bytes()

    def carry(self, parcel: Parcel, to: MemoryConnection) -> None:
        loop = self._fabric.loop
        if self._fabric.draw_reset():
            self._fabric.trace.add(self.source, "net reset", self._label)
            parcel = Mark.RESET
        # Strictly later than the parcel before: the loop draws among what is due at one moment.
        self._last_s = max(self._last_s + 1e-9, loop.time() + self._fabric.draw_latency_s(self.source, self.target))
        loop.call_at(self._last_s, self._deliver, parcel, to, context=Context())

    def _deliver(self, parcel: Parcel, to: MemoryConnection) -> None:
        if self._held or not self._fabric.passes(self.source, self.target):
            self._held.append((parcel, to))
            return
        if not self._fabric.is_powered(self.target):
            return
        about = parcel.value if isinstance(parcel, Mark) else str(len(parcel))
        self._fabric.trace.add(self.target, "net", f"{self._label} {about}")
        to.arrived(parcel)

    def release(self, *, breaks: bool = False) -> None:
        """The cut is healed: what was held arrives now, before what is still on the way; or never (`breaks`)."""
        if not self._held or not self._fabric.passes(self.source, self.target):
            return
        held, self._held = self._held, []
        for parcel, to in [(Mark.RESET, held[0][1])] if breaks else held:
            self._deliver(parcel, to)


@dataclass
class _Stream:
    near: MemoryConnection
    near_life: Incarnation
    far: MemoryConnection
    far_life: Incarnation
    there: SimWire
    back: SimWire


class SimListener:
    """Accepts until it is closed or its host dies."""

    def __init__(
        self, fabric: "Fabric", key: tuple[str, int], make_sink: Callable[[], Sink], life: Incarnation
    ) -> None:
        self.address = join_address(*key)
        self.make_sink = make_sink
        self.life = life
        self._fabric = fabric
        self._key = key

    async def close(self) -> None:
        self._fabric.close_port(self._key, self)


class Fabric:
    """What connects the hosts."""

    def __init__(self, loop: SimLoop, trace: Trace, chance: random.Random, is_powered: Callable[[str], bool]) -> None:
        self.loop = loop
        self.trace = trace
        self.settings = NetworkSettings()
        self.is_powered = is_powered
        self.ports: dict[tuple[str, int], SimListener] = {}
        self._chance = chance
        self._cuts: dict[tuple[str, str], None] = {}
        self._streams: dict[int, _Stream] = {}
        self._stream_numbers = itertools.count()
        self._port_numbers = itertools.count(FIRST_PORT)

    # -------------------------------------------------------------- chance

    def draw_latency_s(self, source: str, target: str) -> float:
        """Return how long the next parcel takes."""
        if source == target:
            return 1e-6
        slow = self._chance.random() < self.settings.slow_chance
        return self._chance.uniform(*(self.settings.slow_s if slow else self.settings.latency_s))

    def draw_piece_bytes(self) -> int:
        """Return the size of the next parcel at most."""
        if self._chance.random() < self.settings.small_piece_chance:
            return self._chance.randint(1, self.settings.small_piece_bytes)
        return PIECE_BYTES

    def draw_reset(self) -> bool:
        """Return True if the connection breaks here."""
        return self.settings.reset_chance > 0 and self._chance.random() < self.settings.reset_chance

    # -------------------------------------------------------------- cuts

    def passes(self, source: str, target: str) -> bool:
        """Return True if nothing is cut in this direction."""
        return (source, target) not in self._cuts

    def cut(self, source: str, target: str) -> None:
        """Let nothing through in this direction."""
        self._cuts[source, target] = None

    def heal(self, pair: tuple[str, str] | None = None, *, breaks: bool = False) -> None:
        """Undo every cut, or that between two hosts. `breaks`: connections that were in use meanwhile are reset."""
        for cut in list(self._cuts):
            if pair is None or cut in (pair, pair[::-1]):
                del self._cuts[cut]
        for stream in list(self._streams.values()):
            stream.there.release(breaks=breaks)
            stream.back.release(breaks=breaks)

    def is_reachable(self, source: str, target: str) -> bool:
        """Return True if packets go there and come back."""
        return self.passes(source, target) and self.passes(target, source) and self.is_powered(target)

    # -------------------------------------------------------------- streams and ports

    def take_port(self) -> int:
        """Return a port that was never used."""
        return next(self._port_numbers)

    def close_port(self, key: tuple[str, int], listener: SimListener) -> None:
        """Free a port, if it is still that listener's."""
        if self.ports.get(key) is listener:
            del self.ports[key]

    def make_stream(
        self, near_life: Incarnation, make_sink: Callable[[], Sink], listener: SimListener
    ) -> MemoryConnection:
        """Connect a host with a listener and return the near end."""
        self._forget_ended()
        number = next(self._stream_numbers)
        near_host, far_host = near_life.host, listener.life.host
        there = SimWire(self, source=near_host, target=far_host, label=f"{number}>")
        back = SimWire(self, source=far_host, target=near_host, label=f"{number}<")
        near = MemoryConnection(make_sink(), there, peer=listener.address, context=pinned(near_life))
        peer = join_address(near_host, self.take_port())
        far = MemoryConnection(listener.make_sink(), back, peer=peer, context=pinned(listener.life))
        near.join(far)
        far.join(near)
        self._streams[number] = _Stream(near, near_life, far, listener.life, there, back)
        self.trace.add(near_host, "net connect", f"{number} {listener.address}")
        self.loop.call_soon(far.start, context=far.context)
        near.context.run(near.start)
        return near

    def _forget_ended(self) -> None:
        ended = [number for number, stream in self._streams.items() if stream.near.is_lost and stream.far.is_lost]
        for number in ended:
            del self._streams[number]

    def bury(self, life: Incarnation, *, says_goodbye: bool) -> None:
        """A life has ended: its ports are free, its ends are gone; the others hear of it, or not."""
        self.ports = {key: listener for key, listener in self.ports.items() if listener.life is not life}
        for stream in self._streams.values():
            for mine, whose, wire, other in (
                (stream.near, stream.near_life, stream.there, stream.far),
                (stream.far, stream.far_life, stream.back, stream.near),
            ):
                if whose is life and not mine.is_lost:
                    mine.vanish()
                    if says_goodbye:
                        wire.carry(Mark.RESET, other)

    def wake(self, host: str) -> None:
        """Power is back: whoever still holds a connection to an earlier life now hears that nobody knows it."""
        for stream in self._streams.values():
            if stream.near_life.host == host and not stream.near_life.is_alive and not stream.far.is_lost:
                stream.there.carry(Mark.RESET, stream.far)
            if stream.far_life.host == host and not stream.far_life.is_alive and not stream.near.is_lost:
                stream.back.carry(Mark.RESET, stream.near)


class SimNetwork:
    """The network as one life of one host sees it."""

    def __init__(self, fabric: Fabric, life: Incarnation) -> None:
        self._fabric = fabric
        self._life = life

    async def connect(self, address: str, make_sink: Callable[[], Sink], *, timeout_s: float) -> MemoryConnection:
        self._life.check()
        try:
            host, port = split_address(address)
        except BadRequestError as error:
            raise ConnectError(address=address, why=error.what) from error
        target = machine_of(host, self._life.host)
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        await asyncio.sleep(2 * self._fabric.draw_latency_s(self._life.host, target))
        while not self._fabric.is_reachable(self._life.host, target):
            await asyncio.sleep(min(CONNECT_RETRY_S, max(0.0, ends - loop.time())))
            if loop.time() >= ends:
                raise ConnectError(address=address, why=f"no answer within {timeout_s:g} s")
        listener = self._fabric.ports.get((target, port))
        if listener is None:
            raise ConnectError(address=address, why="connection refused")
        return self._fabric.make_stream(self._life, make_sink, listener)

    async def listen(self, address: str, make_sink: Callable[[], Sink]) -> SimListener:
        self._life.check()
        host, port = split_address(address)
        if host not in (*HERE, self._life.host):
            raise BadRequestError(what=f"cannot listen at {address}: not an address of this machine")
        key = (self._life.host, port or self._fabric.take_port())
        if key in self._fabric.ports:
            raise AddressInUseError(address=address)
        listener = self._fabric.ports[key] = SimListener(self._fabric, key, make_sink, self._life)
        return listener


def pinned(life: Incarnation) -> Context:
    """Return a context whose tasks and callbacks belong to `life`."""
    context = copy_context()
    context.run(CURRENT.set, life)
    return context
