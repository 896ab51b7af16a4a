"""A simulated world: hosts with lives, disks and clocks, one network, one seed. The frame of every simulation.

    with SimWorld(seed) as world:
        env = world.env("a")                       # the host's present life; after a crash, the next one
        world.spawn("a", serve(env), name="serve") # a task of that life
        world.run(scenario())                      # the world's own code, which never dies
        world.crash("a")                           # kill -9: unsynced pages are kept
        world.power("a"); world.power_all()        # they are not
        world.cut("a", "b"); world.stall("a", "b", 20); world.slow_link("a", "b", bytes_per_s=10_000); world.heal()
        world.suspend("a", 60); world.set_clock_rate("a", 1.01); world.step_wall("a", -3600)

Every kind of chance has a stream of its own, so that one more draw in one shifts no other.
"""

import asyncio
import contextlib
import gc
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

from cairnfs.env import Disk, Env, MetaStore
from cairnfs.env.solo import SoloCoordinator
from cairnfs.sim.clock import LoopClock, SimClock
from cairnfs.sim.disk import SimDisk, SimFiles, SimTree
from cairnfs.sim.links import Ear, Line
from cairnfs.sim.loop import HostDeadError, Incarnation, SimLoop, SimTask
from cairnfs.sim.network import Fabric, SimNetwork, pinned
from cairnfs.sim.store import SimRecord, SimStore
from cairnfs.sim.trace import Trace
from cairnfs.units import SECOND_NS

T = TypeVar("T")

LIMIT_S = 86_400.0
"""Virtual time of one `run`, unless it says otherwise."""


async def pass_time(seconds: float) -> None:
    """Let virtual time go by; for scenarios and tests."""
    await asyncio.sleep(seconds)


class SimHost:
    """A machine: its folders outlive its lives."""

    def __init__(self, name: str, clock: SimClock) -> None:
        self.name = name
        self.clock = clock
        self.is_powered = True
        self.lives = 0
        self.life: Incarnation | None = None
        self.env: Env | None = None
        self.trees: dict[str, SimTree] = {}
        self.records: dict[str, SimRecord] = {}


class SimWorld:
    """See the module."""

    def __init__(self, seed: int, *, makes_folders: bool = True, clocks_differ: bool = True) -> None:
        """Make an empty world.

        Args:
            seed: What decides everything.
            makes_folders: A folder that is opened is made, so that nobody need think of it.
            clocks_differ: Each machine counts from its own start, as CLOCK_BOOTTIME does; else all from the world's.
        """
        self.seed = seed
        self.trace = Trace()
        self.loop = SimLoop(self.stream("scheduler"), self.trace)
        self.random = self.stream("user")
        self.network = Fabric(self.loop, self.trace, self.stream("net"), self._is_powered)
        self._makes_folders = makes_folders
        self._clocks_differ = clocks_differ
        self._hosts: dict[str, SimHost] = {}
        self._dead_tasks: list[SimTask] = []

    def stream(self, name: str) -> random.Random:
        """Return a new source of chance that only the seed and the name decide."""
        return random.Random(f"{self.seed}:{name}")

    def __enter__(self) -> "SimWorld":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt):
            error.add_note(f"seed {self.seed} failed at {self.now_s():.6f} s; the last events:\n{self.trace.tail()}")
        self.close()

    def now_s(self) -> float:
        """Return the world's time, whoever asks; `loop.time()` is what the asking host counts."""
        return self.loop.now_ns / SECOND_NS

    # -------------------------------------------------------------- running

    def run(self, job: Coroutine[Any, Any, T], *, limit_s: float = LIMIT_S) -> T:
        """Run `job` as the world's own, with whatever the hosts do meanwhile, until it ends.

        Raises:
            SimDeadlockError, SimTimeoutError, SimFailedError: see `loop`.
        """
        self.loop.limit_ns = self.loop.now_ns + int(limit_s * SECOND_NS)
        # When garbage is collected depends on the memory of this process, and so would the order of its last words.
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            result = self.loop.run_until_complete(job)
            self.loop.check_failures()
            return result
        finally:
            if was_enabled:
                gc.enable()

    def spawn(self, host: str, job: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Start a task of the host's present life. Keep it, or await it; its errors fail the run."""
        self.env(host)
        life = self._hosts[host].life
        assert life is not None, host
        return self.loop.create_task(job, name=name, context=pinned(life))

    def close(self) -> None:
        """End the world: nothing that still waits has any effect."""
        for host in self._hosts.values():
            if host.life is not None:
                host.life.is_alive = False
        self._dead_tasks += self.loop.tasks_of(None)
        self.loop.is_over = True
        asyncio._set_running_loop(self.loop)  # noqa: SLF001 - last words may start tasks, which then are closed unrun
        try:
            for task in self._dead_tasks:
                task.forget()
                _close_quietly(task)
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001
        self._dead_tasks.clear()
        self.loop.set_exception_handler(lambda loop, context: None)
        if not self.loop.is_closed():
            self.loop.close()

    # -------------------------------------------------------------- hosts

    def env(self, name: str) -> Env:
        """Return the world as the host's present life sees it; a host that is down is started."""
        host = self.host(name)
        if host.life is None or host.env is None:
            host.lives += 1
            life = host.life = Incarnation(name, host.lives)
            if host.clock.rate != 1.0:
                life.clock = LoopClock(self.loop.now_ns)
                life.clock.set_rate(host.clock.rate, self.loop.now_ns)
            self.trace.add(name, "start", str(host.lives))
            host.env = self._make_env(host, life)
            if not host.is_powered:
                host.is_powered = True
                host.clock.boot()
                self.network.wake(name)
        return host.env

    def host(self, name: str) -> SimHost:
        """Return a machine: its clock, and its disks by folder."""
        if name not in self._hosts:
            starts = self.stream(f"clock:{name}") if self._clocks_differ else None
            self._hosts[name] = SimHost(name, SimClock(self.loop, starts))
        return self._hosts[name]

    def is_up(self, name: str) -> bool:
        """Return True between a start and a crash."""
        return name in self._hosts and self._hosts[name].life is not None

    def tasks_of(self, name: str) -> list[SimTask]:
        """Return the unfinished tasks of a host's present life."""
        life = self.host(name).life
        return [] if life is None else self.loop.tasks_of(life)

    def crash(self, name: str) -> None:
        """Kill -9: nothing of this life runs again; its pages stay with the kernel, which resets its connections."""
        self._end_life(name, says_goodbye=True)

    def power(self, name: str) -> None:
        """Cut the power: what was not synced may be gone, and the peers hear nothing."""
        self._end_life(name, says_goodbye=False)
        host = self.host(name)
        host.is_powered = False
        for tree in host.trees.values():
            tree.lose_power()

    def power_all(self) -> list[str]:
        """Cut the power of every machine that is up, at one moment; return them in the order of their making."""
        names = [name for name, host in self._hosts.items() if host.life is not None]
        for name in names:
            self.power(name)
        return names

    def _end_life(self, name: str, *, says_goodbye: bool) -> None:
        host = self.host(name)
        life, host.life, host.env = host.life, None, None
        self.trace.add(name, "crash" if says_goodbye else "power")
        if life is None:
            return
        life.is_alive = False
        self.network.wake_up(name)
        # Kept, since to let go of a coroutine runs its `finally` blocks.
        dead = self.loop.tasks_of(life)
        for task in dead:
            task.forget()
        self._dead_tasks += dead
        self.network.bury(life, says_goodbye=says_goodbye)
        for tree in host.trees.values():
            tree.locked_by = None
        for record in host.records.values():
            record.end_life()

    def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later: nothing of this life runs meanwhile; its kernel still takes packets."""
        life = self.host(name).life
        if life is not None and not life.is_paused:
            self.trace.add(name, "pause", f"{seconds:g}")
            life.is_paused = True
            self._later(seconds, self.loop.resume, life)

    def suspend(self, name: str, seconds: float) -> None:
        """Put the machine to sleep: nothing runs or arrives; its clock goes on, what its timers count does not."""
        host = self.host(name)
        life = host.life
        if life is None or life.is_paused:
            return
        self.trace.add(name, "suspend", f"{seconds:g}")
        life.is_paused = True
        life.clock = life.clock or LoopClock(self.loop.now_ns)
        life.clock.stand_still(seconds, self.loop.now_ns)
        self.loop.postpone(life, seconds)
        self.network.fall_asleep(name)
        self._later(seconds, self._wake_up, host, life)

    def _wake_up(self, host: SimHost, life: Incarnation) -> None:
        if host.life is life:
            self.trace.add(host.name, "wake up")
            self.network.wake_up(host.name)
            self.loop.resume(life)

    def _later(self, seconds: float, callback: Callable[..., None], *args: object) -> None:
        """Call from the world itself, whoever asks for it."""
        self.loop.call_at_ns(self.loop.now_ns + round(seconds * SECOND_NS), callback, *args, context=Context())

    def crash_during(self, name: str, folder: str, operations: int, *, power: bool = False) -> None:
        """Crash the host in the middle of a job: after so many more operations on the files of that folder."""
        faults = self.tree(name, folder).faults
        faults.dies_after = operations
        faults.on_death = lambda: self.power(name) if power else self.crash(name)

    # -------------------------------------------------------------- clocks

    def set_clock_rate(self, name: str, rate: float) -> None:
        """Let a machine's clock and timers run fast or slow from now on; its timers that are set keep their moment."""
        self.trace.add(name, "clock rate", f"{rate:g}")
        host = self.host(name)
        host.clock.set_rate(rate)
        if host.life is not None:
            host.life.clock = host.life.clock or LoopClock(self.loop.now_ns)
            host.life.clock.set_rate(rate, self.loop.now_ns)

    def step_wall(self, name: str, seconds: float) -> None:
        """Let the operator's clock jump, forward or back."""
        self.trace.add(name, "wall clock", f"{seconds:+g}")
        self.host(name).clock.wall_offset_ns += round(seconds * SECOND_NS)

    def _is_powered(self, name: str) -> bool:
        return name in self._hosts and self._hosts[name].is_powered

    # -------------------------------------------------------------- the network

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing through between two hosts, or only from `one` to `other`."""
        self.trace.add(one, "cut", other, one_way)
        for source, target in _directions(one, other, one_way=one_way):
            self.network.links.cut(source, target)

    def partition(self, *sides: list[str]) -> None:
        """Cut every host of one side from every host of the others."""
        for number, side in enumerate(sides):
            for one in side:
                for other_side in sides[number + 1 :]:
                    for other in other_side:
                        self.cut(one, other)

    def stall(self, one: str, other: str, seconds: float | None = None, *, one_way: bool = False) -> None:
        """Let the connections of two hosts pass nothing for so long; None: until a reset. New ones are not touched."""
        for source, target in _directions(one, other, one_way=one_way):
            self.network.stall(source, target, seconds)

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two hosts; both ends hear of it."""
        self.trace.add(one, "reset", other)
        self.network.reset(one, other)

    def slow_link(
        self,
        one: str,
        other: str = "",
        *,
        bytes_per_s: float | None = None,
        latency_s: tuple[float, float] | None = None,
    ) -> None:
        """Slow down what two hosts send each other; with one host, what its card sends and takes."""
        self.trace.add(one, "slow link", other, f"{bytes_per_s} {latency_s}")
        for source, target in _directions(one, other, one_way=False):
            self.network.links.set_line(source, target, Line(bytes_per_s, latency_s))

    def refuse_connections(self, name: str, *, silently: bool = False) -> None:
        """Let nobody connect to a host any more: it says so, or (`silently`) its accept queue is full and stays so."""
        self.trace.add(name, "refuse", silently)
        self.network.links.ears[name] = Ear.FULL if silently else Ear.SHUT

    def heal(self, one: str = "", other: str = "", *, breaks: bool = False) -> None:
        """Undo every cut, stall, slowness and refusal, or those between two hosts.

        Who sleeps sleeps on. `breaks`: what was held on the way is lost, and its connections with it.
        """
        self.trace.add("-", "heal")
        self.network.heal((one, other) if one else None, breaks=breaks)

    # -------------------------------------------------------------- folders

    def make_folder(self, name: str, folder: str) -> None:
        """Make an empty folder on a host."""
        host = self.host(name)
        chance = self.stream(f"disk:{name}:{folder}")
        host.trees[folder] = SimTree(folder, host=name, trace=self.trace, chance=chance)
        host.records[folder] = SimRecord(folder, self.stream(f"store:{name}:{folder}"))

    def tree(self, name: str, folder: str) -> SimTree:
        """Return what is on a disk: its faults, and its files."""
        self._find_folder(name, folder)
        return self.host(name).trees[folder]

    def record(self, name: str, folder: str) -> SimRecord:
        """Return the durable part of a metadata store."""
        self._find_folder(name, folder)
        return self.host(name).records[folder]

    def _find_folder(self, name: str, folder: str) -> None:
        if folder not in self.host(name).trees:
            if not self._makes_folders:
                raise FileNotFoundError(2, "no such folder", folder)
            self.make_folder(name, folder)

    def _make_env(self, host: SimHost, life: Incarnation) -> Env:
        def open_disk(folder: str) -> Disk:
            life.check()
            return SimDisk(SimFiles(self.tree(host.name, folder), life))

        def open_store(folder: str) -> MetaStore:
            life.check()
            return SimStore(self.record(host.name, folder), life)

        return Env(
            clock=host.clock,
            network=SimNetwork(self.network, life),
            random=self.stream(f"host:{host.name}:{life.number}"),
            open_disk=open_disk,
            open_store=open_store,
            open_coordinator=SoloCoordinator,
        )


def _directions(one: str, other: str, *, one_way: bool) -> list[tuple[str, str]]:
    return [(one, other)] if one_way else [(one, other), (other, one)]


def _close_quietly(task: SimTask) -> None:
    """Let go of a coroutine. Its `finally` blocks run now, and whatever they touch is dead."""
    coroutine = task.get_coro()
    # The last words of the dead: whatever they raise, there is nobody to tell.
    with contextlib.suppress(Exception, HostDeadError):
        coroutine.close()
