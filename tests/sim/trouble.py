"""What befalls a simulated cluster: one fault or two at a time, at moments that the seed picks, each mended again."""

import random
from collections.abc import Callable

from cairnfs.sim.cluster import FOLDER, MASTER, SimCluster

KINDS = (
    "crash",
    "crash",
    "power",
    "cut",
    "cut",
    "one-way",
    "from the master",
    "master",
    "pause",
    "pause the master",
    "two crashes",
    "crash of a secondary and its master",
    "everybody",
    "full disk",
    "broken disk",
    "bit flip",
    "crash in a job",
    "slow disk",
)
ROTTEN = "cs0"
"""Bits flip on one host only, so that at most one copy of each chunk is damaged."""


class Trouble:
    """Makes trouble; `told` says what it did, for whoever looks for the cause."""

    def __init__(self, cluster: SimCluster, chance: random.Random, told: list[str]) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.chance = chance
        self.told = told
        self._hosts = [MASTER, *cluster.names]

    async def rounds(self, count: int, kinds: tuple[str, ...] = KINDS) -> None:
        for _ in range(count):
            await self._pause(0.5, 3.0)
            kind = self.chance.choice(kinds)
            self._tell(kind)
            await self._make(kind)
            await self._pause(1.0, 8.0)

    async def end(self) -> None:
        """Mend everything."""
        self.world.heal()
        for name in self.cluster.names:
            self._mend(name)
        for name in self._hosts:
            await self._start(name)

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.world.loop.time():.3f} {what}")

    async def _pause(self, least_s: float, most_s: float) -> None:
        await self.cluster.pause(self.chance.uniform(least_s, most_s))

    async def _make(self, kind: str) -> None:
        makers: dict[str, Callable] = {
            "crash": lambda: self._restart([self._server()]),
            "power": lambda: self._restart([self._server()], power=True),
            "master": lambda: self._restart([MASTER], power=self.chance.random() < 0.5),
            "two crashes": lambda: self._restart(self.chance.sample(self.cluster.names, 2)),
            "crash of a secondary and its master": lambda: self._restart([self._server(), MASTER]),
            "everybody": lambda: self._restart(list(self._hosts), power=True),
            "crash in a job": self._crash_in_a_job,
            "cut": self._cut,
            "one-way": lambda: self._cut(one_way=True),
            "from the master": lambda: self._cut(pair=(MASTER, self._server())),
            "pause": lambda: self._stop(self._server()),
            "pause the master": lambda: self._stop(MASTER),
            "full disk": lambda: self._fault("is_full"),
            "slow disk": self._slow,
            "broken disk": self._break_disk,
            "bit flip": self._flip,
        }
        await makers[kind]()

    def _server(self) -> str:
        return self.chance.choice(self.cluster.names)

    async def _restart(self, names: list[str], *, power: bool = False) -> None:
        at_once = power or self.chance.random() < 0.5
        for name in names:
            self._tell(f"  {name} dies")
            self.cluster.crash(name, power=power)
            if not at_once:
                await self._pause(0.0, 1.5)
        self.chance.shuffle(names)
        await self._pause(0.2, 12.0)
        for name in names:
            self._tell(f"  {name} starts")
            await self._start(name)
            await self._pause(0.0, 1.0)

    async def _crash_in_a_job(self) -> None:
        name = self._server()
        self._tell(f"  {name}")
        power = self.chance.random() < 0.5
        tree = self.world.tree(name, FOLDER)
        tree.faults.dies_after = self.chance.randrange(30)
        tree.faults.on_death = lambda: self.cluster.crash(name, power=power)
        await self._pause(2.0, 8.0)
        tree.faults.dies_after = None
        await self._start(name)

    async def _cut(self, *, one_way: bool = False, pair: tuple[str, str] | None = None) -> None:
        for _ in range(self.chance.choice((1, 1, 2))):
            one, other = pair or self.chance.sample(self._hosts, 2)
            self._tell(f"  {one} {other}")
            self.world.cut(one, other, one_way=one_way)
            await self._pause(0.0, 2.0)
        await self._pause(0.5, 15.0)
        self._tell("  healed")
        self.world.heal(breaks=self.chance.random() < 0.5)

    async def _stop(self, name: str) -> None:
        seconds = self.chance.uniform(0.5, 20.0)
        self._tell(f"  {name} for {seconds:.1f} s")
        self.world.pause(name, seconds)
        await self.cluster.pause(seconds)

    async def _fault(self, fault: str) -> None:
        name = self._server()
        self._tell(f"  {name}")
        setattr(self.world.tree(name, FOLDER).faults, fault, True)
        await self._pause(1.0, 8.0)
        self._mend(name)
        # A journal that could not be written is a failed disk (rule 25) until an operator starts the server again.
        if self.world.is_up(name):
            self.cluster.crash(name)
        await self._start(name)

    async def _slow(self) -> None:
        name = self._server()
        self._tell(f"  {name}")
        self.world.tree(name, FOLDER).faults.delay_s = (0.2, 2.5)
        await self._pause(1.0, 8.0)
        self._mend(name)

    async def _break_disk(self) -> None:
        """The disk fails; later the host is started again with a disk that works (and has what was durable)."""
        name = self._server()
        self._tell(f"  {name}")
        faults = self.world.tree(name, FOLDER).faults
        fault = self.chance.choice(("fail_writes", "fail_syncs", "fail_reads"))
        setattr(faults, fault, True)
        await self._pause(1.0, 6.0)
        if self.world.is_up(name):
            self.cluster.crash(name, power=True)
        self._mend(name)
        await self._pause(0.2, 3.0)
        await self._start(name)

    async def _start(self, name: str) -> None:
        """Start a host that is down. Somebody else may make trouble meanwhile: it may die while it starts."""
        if self.world.is_up(name):
            return
        self._mend(name)
        starting = self.world.loop.create_task(self.cluster.restart(name))
        while not starting.done():
            await self.cluster.pause(0.01)
            if not self.world.is_up(name):
                return
        starting.result()

    def _mend(self, name: str) -> None:
        faults = self.world.tree(name, FOLDER).faults
        faults.is_full = faults.fail_writes = faults.fail_syncs = faults.fail_reads = False
        faults.delay_s = (0.00005, 0.002)

    async def _flip(self) -> None:
        if not self.world.is_up(ROTTEN):
            return
        files = self.world.tree(ROTTEN, FOLDER).walk()
        found = [(path, node) for path, node in files if path.endswith(".dat") and node.data]
        if found:
            path, node = self.chance.choice(found)
            offset = self.chance.randrange(len(node.data))
            self._tell(f"  {path} at {offset}")
            node.flip(offset)
