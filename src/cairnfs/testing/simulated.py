"""Machines of a simulated world. A blocking call of a client runs the world until the call is done.

Between calls no time passes and nothing runs, so a test is decided by its seed however slow its own code is.
"""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

import msgspec

from cairnfs.client.blocking import Closable, Ground
from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig, MasterConfig
from cairnfs.errors import CairnError, ShutdownError
from cairnfs.limits import REPLICAS_DEFAULT, Geometry
from cairnfs.sim.cluster import FOLDER, MASTER_ADDRESS, QUICK, SimCluster
from cairnfs.sim.loop import SimError
from cairnfs.sim.world import SimWorld
from cairnfs.testing.settings import Settings

T = TypeVar("T")
Delay = tuple[float, float]

CALL_S = 3600.0
"""Virtual time after which one call of a test counts as one that never ends."""
LINES_SEARCHED = 1000
LINES_SHOWN = 30
EVENTS = ("start", "crash", "power", "pause", "cut", "heal", "failure", "disk", "net")
"""Lines of the trace that tell a person something; the others are steps of tasks."""


class SimulatedMachines:
    """See `machines.Machines`."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._seed = seed
        self.world = SimWorld(seed)
        self._names = [f"chunkserver{number}" for number in range(1, settings.chunkservers + 1)]
        self._cluster = SimCluster(
            self.world,
            names=self._names,
            geometry=Geometry(chunk_bytes=settings.chunk_bytes, block_bytes=settings.block_bytes),
            config=_master_config(settings),
        )
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._slow: dict[str, tuple[Delay, Delay]] = {}
        """Of slow disks: how fast they were."""
        self._thread = threading.get_ident()
        self._is_over = False
        self._collects_garbage = gc.isenabled()
        self._open_files: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def chunkservers(self) -> Sequence[str]:
        return self._names

    @property
    def master_address(self) -> str:
        return MASTER_ADDRESS

    def start(self) -> None:
        # A file or an iteration that the test lets go of ends when it is freed; garbage is freed at no certain moment.
        gc.disable()
        self._cluster.start()

    def close_files(self) -> None:
        for file in list(self._open_files.values()):
            # As at the end of a program: whoever wants to know closes by hand.
            with suppress(CairnError, OSError, ValueError, SimError):
                file.close()

    def stop(self) -> None:
        self._is_over = True
        self.world.close()
        if self._collects_garbage:
            gc.enable()

    def is_up(self, server: str) -> bool:
        return self.world.is_up(server) or server in self._starting

    def named(self, address: str) -> str:
        return address.partition(":")[0]

    def ground(self, host: str) -> Ground:
        return SimGround(self, host)

    def after(self, seconds: float, happening: Callable[[], object]) -> None:
        self.world.loop.call_later(seconds, happening, context=Context())

    def run(self, host: str, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` as part of a host's life, with whatever the others do meanwhile.

        Raises:
            ShutdownError: the cluster has ended.
            SimError: this is no place for a blocking call, or the simulated cluster is broken.
        """
        try:
            self._check_place()
        except BaseException:
            job.close()
            raise

        async def whole() -> T:
            return await self.world.spawn(host, job)

        try:
            return self.world.run(whole(), limit_s=CALL_S)
        except SimError:
            self._is_over = True  # tasks are in the middle of nowhere: nothing that runs now means anything
            raise

    def _check_place(self) -> None:
        if self._is_over:
            raise ShutdownError(what="the simulated cluster")
        if threading.get_ident() != self._thread:
            raise SimError(
                "a simulated cluster has one thread; code with threads needs real ones: cairn(processes=True)"
            )
        if self.world.loop.is_running():
            raise SimError(
                "a blocking call while the simulated cluster runs: inside coroutines use cluster.aio and await"
            )

    def close_at_exit(self, file: Closable) -> None:
        """Close the file when the cluster stops."""
        self._open_files[id(file)] = file

    def report(self) -> str:
        trace = self.world.trace
        events = [line for line in trace.tail(LINES_SEARCHED).splitlines() if _is_event(line)]
        shown = "".join(f"  {_readable(line)}\n" for line in events[-LINES_SHOWN:])
        told = f"simulated, seed {self._seed}, {self.world.now_s():.6f} s of virtual time, trace {trace.digest()}"
        return f"{told}; the last events:\n{shown}"

    # ------------------------------------------------------------------ what can happen

    def _do(self, happening: Callable[[], None]) -> None:
        """Let something happen now. What arrives by it is taken at once, by code that needs a running loop."""
        if self.world.loop.is_running():
            happening()
            return
        self._check_place()

        async def now() -> None:
            happening()

        self.world.run(now())

    def crash(self, server: str) -> None:
        self._forget_start(server)
        self._do(lambda: self._cluster.crash(server))

    def power_cut(self, servers: Sequence[str]) -> None:
        def all_at_once() -> None:
            for server in servers:
                self._forget_start(server)
                self._cluster.crash(server, power=True)

        self._do(all_at_once)

    def restart(self, server: str) -> None:
        task = self.world.loop.create_task(self._cluster.restart(server), context=Context())
        self._starting[server] = task
        task.add_done_callback(lambda ended: self._started(server, ended))

    def _started(self, server: str, ended: asyncio.Task[None]) -> None:
        if self._starting.get(server) is ended:
            del self._starting[server]
        if not ended.cancelled():
            ended.result()  # an error fails the run

    def _forget_start(self, server: str) -> None:
        task = self._starting.pop(server, None)
        if task is not None:
            task.cancel()

    def pause(self, server: str, seconds: float) -> None:
        self._do(lambda: self.world.pause(server, seconds))

    def cut(self, one: str, other: str, *, one_way: bool) -> None:
        self._do(lambda: self.world.cut(one, other, one_way=one_way))

    def heal_network(self, one: str, other: str) -> None:
        self._do(lambda: self.world.heal(one, other))

    def slow_disk(self, server: str, delay_s: float) -> None:
        disk, record = self.world.tree(server, FOLDER).faults, self.world.record(server, FOLDER)
        self._slow.setdefault(server, (disk.delay_s, record.sync_s))
        disk.delay_s = record.sync_s = (delay_s / 2, delay_s)

    def heal_disks(self) -> None:
        for server, (disk_s, record_s) in self._slow.items():
            self.world.tree(server, FOLDER).faults.delay_s = disk_s
            self.world.record(server, FOLDER).sync_s = record_s
        self._slow.clear()


class SimGround:
    """A host of the world, for blocking clients."""

    def __init__(self, machines: SimulatedMachines, host: str) -> None:
        self._machines = machines
        self._host = host

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        return self._machines.run(self._host, job)

    def post(self, callback: Callable[[], object]) -> None:
        async def job() -> None:
            callback()

        self.run(job())

    def life(self) -> int:
        return self._machines.world.host(self._host).lives

    def monotonic_s(self) -> float:
        return self._machines.world.host(self._host).clock.now_s()

    def make_client(self, config: ClientConfig) -> Client:
        return Client(self._machines.world.env(self._host), config)

    def close_at_exit(self, file: Closable) -> None:
        self._machines.close_at_exit(file)


def _master_config(settings: Settings) -> MasterConfig:
    """Return quick times, and no more copies than there are servers."""
    copies = {"replicas": min(REPLICAS_DEFAULT, settings.chunkservers)}
    return msgspec.convert({**msgspec.structs.asdict(QUICK), **copies, **settings.master}, MasterConfig)


def _is_event(line: str) -> bool:
    return line.split()[2] in EVENTS


def _readable(line: str) -> str:
    when_ns, rest = line.rstrip().split(" ", 1)
    return f"{int(when_ns) / 1e9:.6f} s  {rest}"
