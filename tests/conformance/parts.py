"""The worlds that the conformance suite runs in, and small helpers for its tests."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import uvloop

from cairnfs.env import Connection, Env, Listener
from cairnfs.env.memory import MemoryMachine, memory_env
from cairnfs.env.real import real_env
from cairnfs.sim.world import SimWorld


@dataclass
class World:
    """One implementation of all parts, on a loop that suits it."""

    name: str
    env: Env
    run: Callable[[Coroutine], object]
    new_folder: Callable[[], str]
    host: str = "127.0.0.1"


def real_world(new_folder) -> World:
    return World("real", real_env(seed=1), asyncio.run, new_folder)


def uvloop_world(new_folder) -> World:
    def run(job):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(job)

    return World("uvloop", real_env(seed=1), run, new_folder)


def memory_world(new_folder) -> World:
    machine = MemoryMachine(makes_folders=False)

    def new_memory_folder():
        folder = new_folder()
        machine.make_folder(folder)
        return folder

    return World("memory", memory_env(1, machine=machine), asyncio.run, new_memory_folder)


def sim_world(new_folder) -> World:
    sim = SimWorld(1, makes_folders=False)

    def new_sim_folder():
        folder = new_folder()
        sim.make_folder("a", folder)
        return folder

    return World("sim", sim.env("a"), sim.run, new_sim_folder)


WORLDS = {"sim": sim_world, "real": real_world, "uvloop": uvloop_world, "memory": memory_world}


@dataclass
class Collector:
    """A sink that keeps all it gets, and tells whoever waits."""

    buffer_bytes: int = 64 * 1024
    data: bytearray = field(default_factory=bytearray)
    connection: Connection | None = None
    ends: list[str] = field(default_factory=list)
    connects: int = 0
    on_data: Callable[[], None] | None = None

    def __post_init__(self):
        self._buffer = bytearray(self.buffer_bytes)
        self._changed = asyncio.Event()

    def connected(self, connection):
        assert not self.data
        assert not self.ends
        self.connects += 1
        self.connection = connection
        self._changed.set()

    def get_buffer(self, hint):
        assert hint > 0
        return memoryview(self._buffer)

    def buffer_updated(self, count):
        assert not self.ends, "bytes after the end"
        assert 0 < count <= self.buffer_bytes
        self.data += self._buffer[:count]
        self._changed.set()
        if self.on_data is not None:
            self.on_data()

    def disconnected(self, why):
        self.ends.append(why)
        self._changed.set()

    async def until(self, claim):
        """Wait until `claim(self)`; each wait is a guard against a hang."""
        async with asyncio.timeout(30):
            while not claim(self):
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Pair:
    """Both ends of one connection."""

    near: Connection
    near_sink: Collector
    far: Connection
    far_sink: Collector
    listener: Listener


async def connect_pair(world: World, **settings) -> Pair:
    accepted = []

    def make_far():
        accepted.append(Collector(**settings))
        arrived.set()
        return accepted[-1]

    arrived = asyncio.Event()
    near_sink = Collector(**settings)
    listener = await world.env.network.listen(f"{world.host}:0", make_far)
    near = await world.env.network.connect(listener.address, lambda: near_sink, timeout_s=5)
    async with asyncio.timeout(30):
        await arrived.wait()
    far_sink = accepted[0]
    await far_sink.until(lambda sink: sink.connection is not None)
    return Pair(near, near_sink, far_sink.connection, far_sink, listener)


async def turns(count: int = 20) -> None:
    """Let everything that is ready run, several times over."""
    for _ in range(count):
        await asyncio.sleep(0)
