"""What befalls a simulated cluster: carries out a schedule (`schedule`), and mends everything at the end."""

import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from cairnfs.chunkserver.format import parse_handle
from cairnfs.errors import CairnError, DiskFailedError
from cairnfs.sim.cluster import FOLDER, MASTER, SimCluster
from cairnfs.sim.disk_faults import Kind
from cairnfs.sim.insight import chunk_row
from cairnfs.sim.operators import Operators
from cairnfs.sim.options import Mode, Options
from cairnfs.sim.schedule import PRIMARY, SECONDARY, Fault
from cairnfs.units import HOUR_S


class Faults:
    """Carries out a schedule. `told` says what was done, for whoever looks for the cause."""

    def __init__(self, cluster: SimCluster, options: Options, *, restart_user: Callable[[str], None]) -> None:
        """`restart_user` starts a crashed user's work again."""
        self._cluster, self._world, self._options = cluster, cluster.world, options
        self._restart_user = restart_user
        self._hosts = [MASTER, *cluster.names]
        self._is_over = False
        self._operators = Operators(cluster, tell=self._tell)
        self.told: list[str] = []
        self.done: dict[str, int] = {}

    async def run(self, schedule: list[Fault]) -> None:
        """Let every fault happen at its time; returns when the last one has ended."""
        start_s = self._world.loop.time()
        tasks = [self._world.loop.create_task(self._one(fault, start_s)) for fault in schedule]
        for task in tasks:
            await task

    async def end(self) -> None:
        """Mend everything and start whatever is down."""
        self._is_over = True
        self._world.heal()
        self._world.network.settings.reset_chance = 0.0
        for name in self._cluster.names:
            self._mend(name)
        for name in self._hosts:
            await self._start(name)
        await self._operators.end()

    async def _one(self, fault: Fault, start_s: float) -> None:
        await self._cluster.pause(max(0.0, start_s + fault.at_s - self._world.loop.time()))
        maker = self._makers()[fault.kind]
        host, other = self._resolve(fault.host, fault.dice), self._resolve(fault.other, fault.dice + 1)
        self._tell(f"#{fault.number} {fault.kind} {host} {other} for {fault.for_s:.1f} s")
        self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        await maker(msgspec.structs.replace(fault, host=host, other=other))

    def _makers(self) -> dict[str, Callable[[Fault], Coroutine[Any, Any, None]]]:
        return {
            "crash": lambda fault: self._restart(fault, [fault.host]),
            "power": lambda fault: self._restart(fault, [fault.host], power=True),
            "crash in a job": self._crash_in_a_job,
            "pause": self._pause,
            "full disk": self._full_disk,
            "broken disk": self._broken_disk,
            "slow disk": self._slow_disk,
            "stuck disk": self._stuck_disk,
            "disk error": self._disk_error,
            "read-only disk": self._read_only_disk,
            "short reads": self._short_reads,
            "suspend": self._suspend,
            "misdirected writes": self._misdirected_writes,
            "stall": self._stall,
            "slow link": self._slow_link,
            "deaf": self._deaf,
            "rot": self._rot,
            "rot anywhere": self._rot,
            "lost disk": self._lost_disk,
            "master crash": lambda fault: self._restart(fault, [MASTER]),
            "master power": lambda fault: self._restart(fault, [MASTER], power=True),
            "master pause": self._pause,
            "master disk": self._master_disk,
            "cut": self._cut,
            "one-way": self._cut,
            "isolate": self._isolate,
            "halves": self._halves,
            "resets": self._resets,
            "slow network": self._slow_network,
            "two crashes": self._two_crashes,
            "secondary and master": lambda fault: self._restart(fault, [fault.host, MASTER]),
            "everybody": lambda fault: self._restart(fault, list(self._hosts), power=True),
            "user crash": self._user_crash,
            "user cut": self._isolate,
            "drain": lambda fault: self._operators.drain(fault, restart=self._start),
            "disk drain": self._operators.drain_disk,
            "maintenance": lambda fault: self._operators.maintenance(fault, restart=self._start),
            "speeds": self._operators.tune,
            "drift": self._drift,
            "wall clock": self._wall_clock,
        }

    # ------------------------------------------------------------------ who

    def _resolve(self, name: str, dice: int) -> str:
        """Return the host that plays a part now; any server if nobody does."""
        if name not in (PRIMARY, SECONDARY):
            return name
        for role in self._open_chunks(dice):
            return role[0] if name == PRIMARY else role[1]
        return self._cluster.names[dice % len(self._cluster.names)]

    def _open_chunks(self, dice: int) -> list[tuple[str, str]]:
        """Return (primary, a secondary) of the chunks that are open, in an order that `dice` decides."""
        found = []
        for name, server in self._cluster.servers.items():
            for primary in server.context.chunks.primaries():
                lease = primary.chunk.lease
                others = [] if lease is None else [one.server for one in primary.chunk.others(server.server_id)]
                hosts = [host for host, other in self._cluster.servers.items() if other.server_id in others]
                if hosts:
                    found.append((name, hosts[dice % len(hosts)]))
        start = dice % len(found) if found else 0
        return found[start:] + found[:start]

    def _tell(self, what: str) -> None:
        self.told.append(f"{self._world.loop.time():9.3f} {what}")

    # ------------------------------------------------------------------ lives

    async def _restart(self, fault: Fault, names: list[str], *, power: bool = False) -> None:
        chance = random.Random(fault.dice)
        at_once = power or chance.random() < 0.5
        for name in names:
            self._tell(f"  {name} dies")
            self._cluster.crash(name, power=power)
            if not at_once:
                await self._cluster.pause(chance.uniform(0.0, 1.5))
        chance.shuffle(names)
        await self._cluster.pause(fault.for_s)
        for name in names:
            await self._start(name)
            await self._cluster.pause(chance.uniform(0.0, 1.0))

    async def _two_crashes(self, fault: Fault) -> None:
        chance = random.Random(fault.dice)
        await self._restart(fault, chance.sample(self._cluster.names, 2), power=chance.random() < 0.3)

    async def _crash_in_a_job(self, fault: Fault) -> None:
        chance = random.Random(fault.dice)
        power = chance.random() < 0.5
        faults = self._world.tree(fault.host, FOLDER).faults
        faults.dies_after = chance.randrange(40)
        faults.on_death = lambda: self._cluster.crash(fault.host, power=power)
        await self._cluster.pause(fault.for_s)
        faults.dies_after = None
        await self._start(fault.host)

    async def _pause(self, fault: Fault) -> None:
        self._world.pause(fault.host, fault.for_s)
        await self._cluster.pause(fault.for_s)

    async def _suspend(self, fault: Fault) -> None:
        self._world.suspend(fault.host, fault.for_s)
        await self._cluster.pause(fault.for_s)

    async def _user_crash(self, fault: Fault) -> None:
        self._world.crash(fault.host)
        await self._cluster.pause(min(2.0, fault.for_s))
        if not self._world.is_up(fault.host):
            self._restart_user(fault.host)

    async def _start(self, name: str, *, mends: bool = True) -> None:
        """Start a host that is down. It may die again while it starts: that is somebody else's fault, who starts it."""
        if self._world.is_up(name):
            return
        if mends:
            self._mend(name)
        self._tell(f"  {name} starts")
        starting = self._world.loop.create_task(self._cluster.restart(name))
        while not starting.done():
            await self._cluster.pause(0.01)
            if not self._world.is_up(name):
                return
        with suppress(CairnError, OSError):
            starting.result()
            return
        self._tell(f"  {name} could not start")
        self._cluster.crash(name)
        if self._is_over:
            starting.result()

    # ------------------------------------------------------------------ disks

    def _mend(self, name: str) -> None:
        if name == MASTER:
            return
        self._world.tree(name, FOLDER).faults.mend()

    async def _full_disk(self, fault: Fault) -> None:
        """The disk is full for a while, and the server is started again."""
        self._world.tree(fault.host, FOLDER).faults.is_full = True
        await self._cluster.pause(fault.for_s)
        self._mend(fault.host)
        # A journal that could not be written is a failed disk (rule 25) until an operator starts the server again.
        if self._world.is_up(fault.host):
            self._cluster.crash(fault.host)
        await self._start(fault.host)

    async def _slow_disk(self, fault: Fault) -> None:
        self._world.tree(fault.host, FOLDER).faults.delay_s = (0.2, 2.5)
        await self._cluster.pause(fault.for_s)
        self._mend(fault.host)

    async def _stuck_disk(self, fault: Fault) -> None:
        faults = self._world.tree(fault.host, FOLDER).faults
        faults.is_stuck = True
        await self._cluster.pause(fault.for_s)
        faults.is_stuck = False

    async def _disk_error(self, fault: Fault) -> None:
        """One operation fails, of whatever kind comes first; the server is started again after a while."""
        kind: Kind = random.Random(fault.dice).choice(("read", "write", "sync"))
        if kind == "read" and self._holds_a_last_copy(fault):
            kind = "sync"
        self._world.tree(fault.host, FOLDER).faults.fail(kind, once=True)
        await self._cluster.pause(fault.for_s)
        if self._world.is_up(fault.host):
            self._cluster.crash(fault.host)
        await self._start(fault.host)

    async def _read_only_disk(self, fault: Fault) -> None:
        """The server comes back with a disk that can only be read, or not at all if it has no other; later it is well.

        It must be the doing of this fault that it starts: others mend a disk first.
        """
        self._cluster.crash(fault.host, power=fault.dice % 2 == 0)
        self._world.tree(fault.host, FOLDER).faults.is_read_only = True
        await self._start(fault.host, mends=False)
        await self._cluster.pause(fault.for_s)
        if self._world.is_up(fault.host):
            self._cluster.crash(fault.host)
        await self._start(fault.host)

    async def _short_reads(self, fault: Fault) -> None:
        faults = self._world.tree(fault.host, FOLDER).faults
        faults.short_read_chance = 0.05
        await self._cluster.pause(min(2.0, fault.for_s))
        faults.short_read_chance = 0.0

    async def _misdirected_writes(self, fault: Fault) -> None:
        """Some writes to chunk files land elsewhere in a chunk file of the same disk."""
        faults = self._world.tree(fault.host, FOLDER).faults
        faults.misdirect_files, faults.misdirect_chance = "*.dat", 0.02
        await self._cluster.pause(min(2.0, fault.for_s))
        faults.misdirect_chance = 0.0

    async def _broken_disk(self, fault: Fault) -> None:
        """The disk fails; later the host is started again with a disk that works, and has what was durable."""
        faults = self._world.tree(fault.host, FOLDER).faults
        way = random.Random(fault.dice).choice(("fail_writes", "fail_syncs", "fail_reads"))
        setattr(faults, "fail_syncs" if way == "fail_reads" and self._holds_a_last_copy(fault) else way, True)
        await self._cluster.pause(fault.for_s)
        if self._world.is_up(fault.host):
            self._cluster.crash(fault.host, power=True)
        await self._start(fault.host)

    async def _rot(self, fault: Fault) -> None:
        """Bits of one file flip, behind everybody's back; within the promises where another member has it too."""
        chance = random.Random(fault.dice)
        files = self._world.tree(fault.host, FOLDER).walk()
        found = [node for path, node in files if path.endswith(".dat") and node.data and self._may_rot(path, fault)]
        for _ in range(chance.choice((1, 1, 3)) if found else 0):
            node = chance.choice(found)
            node.flip(chance.randrange(len(node.data)))

    def _holds_a_last_copy(self, fault: Fault) -> bool:
        """True if what cannot be read there could be read nowhere: for the quarantine it is as good as rotten."""
        files = self._world.tree(fault.host, FOLDER).walk()
        return any(path.endswith(".dat") and not self._may_rot(path, fault) for path, _ in files)

    def _may_rot(self, path: str, fault: Fault) -> bool:
        if self._options.mode is Mode.BEYOND:
            return True
        handle = parse_handle(path.rpartition("/")[2])
        row = None if handle is None else chunk_row(self._cluster, handle)
        return handle is None or row is None or self._operators.has_another_copy(fault.host, handle, path)

    async def _lost_disk(self, fault: Fault) -> None:
        """The machine comes back with an empty disk. Beyond the promises where few copies are kept."""
        self._cluster.crash(fault.host, power=True)
        self._world.make_folder(fault.host, FOLDER)
        await self._cluster.pause(fault.for_s)
        await self._start(fault.host)

    async def _master_disk(self, fault: Fault) -> None:
        """A commit of the metadata fails; the master is started again."""
        self._world.record(MASTER, FOLDER).fails_with = DiskFailedError(where=FOLDER, why="the simulator said so")
        await self._cluster.pause(fault.for_s)
        self._world.record(MASTER, FOLDER).fails_with = None
        if self._world.is_up(MASTER):
            self._cluster.crash(MASTER)
        await self._start(MASTER)

    # ------------------------------------------------------------------ the network

    async def _cut(self, fault: Fault) -> None:
        self._world.cut(fault.host, fault.other, one_way=fault.kind == "one-way")
        await self._cluster.pause(fault.for_s)
        self._world.heal(fault.host, fault.other, breaks=fault.dice % 2 == 0)

    async def _isolate(self, fault: Fault) -> None:
        others = [name for name in self._hosts if name != fault.host]
        for other in others:
            self._world.cut(fault.host, other)
        await self._cluster.pause(fault.for_s)
        for other in others:
            self._world.heal(fault.host, other, breaks=fault.dice % 2 == 0)

    async def _halves(self, fault: Fault) -> None:
        hosts = list(self._hosts)
        random.Random(fault.dice).shuffle(hosts)
        half = len(hosts) // 2
        self._world.partition(hosts[:half], hosts[half:])
        await self._cluster.pause(fault.for_s)
        self._world.heal(breaks=fault.dice % 2 == 0)

    async def _stall(self, fault: Fault) -> None:
        """Connections pass nothing for a while, in one direction or both; new ones do."""
        self._world.stall(fault.host, fault.other, fault.for_s, one_way=fault.dice % 2 == 0)
        await self._cluster.pause(fault.for_s)

    async def _slow_link(self, fault: Fault) -> None:
        self._world.slow_link(fault.host, bytes_per_s=200_000.0)
        await self._cluster.pause(fault.for_s)
        self._world.slow_link(fault.host)

    async def _deaf(self, fault: Fault) -> None:
        """Nobody can connect to a host; who is connected stays so."""
        self._world.refuse_connections(fault.host, silently=fault.dice % 2 == 0)
        await self._cluster.pause(fault.for_s)
        self._world.network.links.ears.pop(fault.host, None)

    async def _resets(self, fault: Fault) -> None:
        self._world.network.settings.reset_chance = 0.002
        await self._cluster.pause(fault.for_s)
        self._world.network.settings.reset_chance = 0.0

    async def _slow_network(self, fault: Fault) -> None:
        settings = self._world.network.settings
        before, settings.latency_s = settings.latency_s, (0.005, 0.25)
        await self._cluster.pause(fault.for_s)
        settings.latency_s = before

    # ------------------------------------------------------------------ clocks

    async def _drift(self, fault: Fault) -> None:
        """Run a clock faster or slower: within the bound that is assumed, or (contract 6) however it likes."""
        chance = random.Random(fault.dice)
        within = self._options.mode is not Mode.CLOCKS
        rate = chance.uniform(0.98, 1.02) if within else chance.choice((0.1, 0.5, 2.0, 10.0))
        self._world.set_clock_rate(fault.host, rate)
        await self._cluster.pause(fault.for_s)
        self._world.set_clock_rate(fault.host, 1.0)

    async def _wall_clock(self, fault: Fault) -> None:
        """The operator's clock jumps; nothing may care. It jumps back later, or not."""
        self._world.step_wall(fault.host, random.Random(fault.dice).choice((-2, -1, 1, 3)) * HOUR_S)
        await self._cluster.pause(fault.for_s)
