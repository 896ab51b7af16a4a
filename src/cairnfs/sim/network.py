"""The network of a simulated world: streams that are late, stalled, cut and reset, in seeded measure.

    a ---SimWire---> b     each direction of each connection: parcels in order, each later than the one before

Streams are `memory_stream`; what lies between the hosts is `links`. A cut or a stall holds what is on the way until it
ends, as TCP's repetition does; those who wait longer have deadlines of their own. Two connections overtake each other
as they like. A crashed process resets its connections (its kernel lives), a host without power says nothing until it
is back.
"""

import asyncio
import itertools
import random
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass

from cairnfs.env import Connection, Sink
from cairnfs.env.addresses import join_address, split_address
from cairnfs.env.memory_network import FIRST_PORT, HERE, machine_of
from cairnfs.env.memory_stream import Mark, MemoryConnection, Parcel
from cairnfs.errors import AddressInUseError, BadRequestError, ConnectError
from cairnfs.sim.links import Ear, Links, NetworkSettings
from cairnfs.sim.loop import CURRENT, Incarnation, SimLoop
from cairnfs.sim.trace import Trace
from cairnfs.units import SECOND_NS

CONNECT_RETRY_S = 1.0
"""TCP repeats its first packet so late."""
GHOST_S = (0.1, 60.0)
"""After so long a listener hears that nobody is at the other end of what it accepted."""
NEVER_NS = 2**63


class SimWire:
    """One direction of one connection, to an end whose life is `life`."""

    def __init__(self, fabric: "Fabric", *, source: str, life: Incarnation, label: str) -> None:
        self.source = source
        self.target = life.host
        self._life = life
        self._fabric = fabric
        self._links = fabric.links
        self._label = label
        self._last_ns = 0
        self._stalled_until_ns = 0
        self._held: list[tuple[Parcel, MemoryConnection]] = []
        self._held_acks: list[tuple[int, MemoryConnection]] = []
        self.back: SimWire
        """The other direction."""

    def piece_bytes(self) -> int:
        return self._links.draw_piece_bytes(self.source, self.target)

    def carry(self, parcel: Parcel, to: MemoryConnection) -> None:
        links, loop, settings = self._links, self._fabric.loop, self._fabric.settings
        if settings.reset_chance > 0 and links.draws(settings.reset_chance):
            self._fabric.trace.add(self.source, "net reset", self._label)
            parcel = Mark.RESET
        elif settings.stall_chance > 0 and links.draws(settings.stall_chance):
            seconds = links.draw_s(settings.stall_s) if links.draws(settings.stall_ends_chance) else None
            self.stall(seconds)
            if links.draws(settings.stall_both_chance):
                self.back.stall(seconds)
        gone_s = loop.now_ns / SECOND_NS
        if links.are_limited:
            size = len(parcel) if isinstance(parcel, bytes) else 0
            gone_s = links.departure_s(self.source, self.target, size=size, now_s=gone_s)
        due_ns = round((gone_s + links.draw_latency_s(self.source, self.target)) * SECOND_NS)
        # Strictly later than the parcel before: the loop draws among what is due at one moment.
        self._last_ns = max(self._last_ns + 1, due_ns)
        loop.call_at_ns(self._last_ns, self._deliver, parcel, to, context=Context())

    def acknowledge(self, count: int, to: MemoryConnection) -> None:
        if self._is_blocked():
            self._held_acks.append((count, to))
        elif to.waits_for_window:
            self._fabric.loop.call_soon(to.taken, count, context=to.context)
        else:
            to.taken(count)

    def _is_blocked(self) -> bool:
        return self._fabric.loop.now_ns < self._stalled_until_ns or not self._links.passes(self.source, self.target)

    def _deliver(self, parcel: Parcel, to: MemoryConnection) -> None:
        if self._held or self._is_blocked():
            self._held.append((parcel, to))
        else:
            self._hand_over(parcel, to)

    def _hand_over(self, parcel: Parcel, to: MemoryConnection) -> None:
        if not self._links.is_powered(self.target):
            return
        about = parcel.value if isinstance(parcel, Mark) else len(parcel)
        self._fabric.trace.add(self.target, "net", self._label, about)
        to.arrived(parcel, now=self._life.is_alive and not self._life.is_paused)

    def stall(self, seconds: float | None) -> None:
        """Pass nothing for so long; None: until the connection is reset, or the network healed."""
        loop = self._fabric.loop
        self._fabric.trace.add(self.source, "net stall", self._label, "for ever" if seconds is None else f"{seconds:g}")
        if seconds is None:
            self._stalled_until_ns = NEVER_NS
            return
        until_ns = loop.now_ns + round(seconds * SECOND_NS)
        if until_ns > self._stalled_until_ns:
            self._stalled_until_ns = until_ns
            loop.call_at_ns(until_ns, self.release, context=Context())

    def heal(self, *, breaks: bool) -> None:
        """End every stall. `breaks`: what was held is lost, and the connection with it."""
        self._stalled_until_ns = 0
        self.release(breaks=breaks)

    def release(self, *, breaks: bool = False) -> None:
        """Let what was held arrive now, before what is still on the way; or never (`breaks`)."""
        if self._is_blocked():
            return
        acks, self._held_acks = self._held_acks, []
        for count, sender in acks:
            self.acknowledge(count, sender)
        held, self._held = self._held, []
        for parcel, to in [(Mark.RESET, held[0][1])] if held and breaks else held:
            self._hand_over(parcel, to)

    def break_off(self, to: MemoryConnection) -> None:
        """Reset the connection from somewhere on the way: the next that arrives is that, whatever is held."""
        self._held.clear()
        latency_ns = round(self._links.draw_latency_s(self.source, self.target) * SECOND_NS)
        loop = self._fabric.loop
        loop.call_at_ns(loop.now_ns + latency_ns, self._hand_over, Mark.RESET, to, context=Context())


@dataclass
class _Stream:
    near: MemoryConnection
    near_life: Incarnation
    far: MemoryConnection
    far_life: Incarnation
    there: SimWire
    back: SimWire

    def is_between(self, one: str, other: str) -> bool:
        return {self.near_life.host, self.far_life.host} == {one, other}


class _NoSink:
    """Of an end that nobody uses."""

    def connected(self, connection: Connection) -> None:
        pass

    def get_buffer(self, hint: int) -> memoryview:
        raise AssertionError("a ghost takes no bytes")

    def buffer_updated(self, count: int) -> None:
        pass

    def disconnected(self, why: str) -> None:
        pass


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
        self.links = Links(chance, is_powered)
        self.ports: dict[tuple[str, int], SimListener] = {}
        self._streams: dict[int, _Stream] = {}
        self._stream_numbers = itertools.count()
        self._port_numbers = itertools.count(FIRST_PORT)

    @property
    def settings(self) -> NetworkSettings:
        """How the network behaves everywhere."""
        return self.links.settings

    @settings.setter
    def settings(self, settings: NetworkSettings) -> None:
        self.links.settings = settings

    # -------------------------------------------------------------- what is wrong with it

    def is_reachable(self, source: str, target: str) -> bool:
        """Return True if packets go there and come back."""
        return self.links.is_reachable(source, target)

    def passes(self, source: str, target: str) -> bool:
        """Return True if nothing is cut in this direction."""
        return self.links.passes(source, target)

    def heal(self, pair: tuple[str, str] | None = None, *, breaks: bool = False) -> None:
        """Undo everything, or what is between two hosts. `breaks`: connections that were in use meanwhile are reset."""
        self.links.heal(pair)
        for stream in list(self._streams.values()):
            if pair is None or stream.is_between(*pair):
                stream.there.heal(breaks=breaks)
                stream.back.heal(breaks=breaks)

    def stall(self, source: str, target: str, seconds: float | None) -> None:
        """Let the connections that there are pass nothing in this direction."""
        for stream in self._streams.values():
            for wire in (stream.there, stream.back):
                if (wire.source, wire.target) == (source, target):
                    wire.stall(seconds)

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two hosts; both ends hear of it."""
        for stream in self._streams.values():
            if stream.is_between(one, other):
                stream.there.break_off(stream.far)
                stream.back.break_off(stream.near)

    def fall_asleep(self, host: str) -> None:
        """Let nothing reach a host."""
        self.links.asleep[host] = None

    def wake_up(self, host: str) -> None:
        """It hears again: what was held for it arrives."""
        if self.links.asleep.pop(host, 0) is None:
            for stream in list(self._streams.values()):
                stream.there.release()
                stream.back.release()

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
        near_host, far_life = near_life.host, listener.life
        there = SimWire(self, source=near_host, life=far_life, label=f"{number}>")
        back = SimWire(self, source=far_life.host, life=near_life, label=f"{number}<")
        there.back, back.back = back, there
        near = MemoryConnection(make_sink(), there, peer=listener.address, context=pinned(near_life))
        peer = join_address(near_host, self.take_port())
        far = MemoryConnection(listener.make_sink(), back, peer=peer, context=pinned(far_life))
        near.join(far)
        far.join(near)
        self._streams[number] = _Stream(near, near_life, far, far_life, there, back)
        self.trace.add(near_host, "net connect", number, listener.address)
        self.loop.call_soon(far.start, context=far.context)
        near.context.run(near.start)
        return near

    def make_ghost(self, near_life: Incarnation, listener: SimListener) -> None:
        """Let a listener accept what its caller knows nothing of; it hears so later."""
        near = self.make_stream(near_life, _NoSink, listener)
        stream = next(reversed(self._streams.values()))
        near.vanish()
        delay_ns = round(self.links.draw_s(GHOST_S) * SECOND_NS)
        self.loop.call_at_ns(self.loop.now_ns + delay_ns, stream.there.carry, Mark.RESET, stream.far, context=Context())

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
        ends_s = loop.time() + timeout_s
        await asyncio.sleep(2 * self._fabric.links.draw_latency_s(self._life.host, target))
        await self._wait_until_reachable(address, target, ends_s=ends_s)
        listener = self._fabric.ports.get((target, port))
        links = self._fabric.links
        if listener is not None and links.draws(links.settings.ghost_chance):
            self._fabric.make_ghost(self._life, listener)
            await asyncio.sleep(min(CONNECT_RETRY_S, timeout_s))
            await self._wait_until_reachable(address, target, ends_s=ends_s)
            listener = self._fabric.ports.get((target, port))
        is_refused = links.ears.get(target) is Ear.SHUT or links.draws(links.settings.refuse_chance)
        if listener is None or is_refused:
            raise ConnectError(address=address, why="connection refused")
        return self._fabric.make_stream(self._life, make_sink, listener)

    async def _wait_until_reachable(self, address: str, target: str, *, ends_s: float) -> None:
        """Raises ConnectError."""
        loop = asyncio.get_running_loop()
        while not self._fabric.is_reachable(self._life.host, target):
            await asyncio.sleep(min(CONNECT_RETRY_S, max(0.0, ends_s - loop.time())))
            if loop.time() >= ends_s:
                raise ConnectError(address=address, why="no answer in time")

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
