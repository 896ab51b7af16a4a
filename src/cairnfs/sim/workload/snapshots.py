"""Snapshots of the file of cells under writes: each shows one moment and never changes. GFS paper, section 3.4."""

from dataclasses import dataclass, field

from cairnfs.client.filesystem import Client
from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.insight import may_have_lost
from cairnfs.sim.model import ViolationError, compare
from cairnfs.sim.options import Mode, Options
from cairnfs.sim.workload.cells import COUNT, FILE, Cells
from cairnfs.sim.workload.party import User


@dataclass
class Taken:
    """One snapshot that was acknowledged, and what it showed when it was first read."""

    path: str
    called_s: float
    returned_s: float
    content: bytes = b""
    values: list[int] = field(default_factory=list)


class Snapshots:
    """See the module."""

    weight = 1

    def __init__(self, cluster: SimCluster, options: Options, cells: Cells) -> None:
        self._cluster, self._cells = cluster, cells
        self._may_be_stale = options.mode is Mode.CLOCKS
        self._count = 0
        self.taken: list[Taken] = []

    async def make(self, client: Client) -> None:
        await client.mkdir("/snapshots")

    async def act(self, user: User) -> None:
        if self.taken and user.chance.random() < 0.7:
            await self._read(user, user.chance.choice(self.taken))
            return
        self._count += 1
        path, called_s = f"/snapshots/{self._count}", user.now_s()
        is_done, _ = await user.attempt("snapshot", user.client.snapshot(FILE, path))
        if is_done:
            self.taken.append(Taken(path, called_s, user.now_s()))

    async def _read(self, user: User, one: Taken) -> None:
        is_done, data = await user.attempt("read a snapshot", user.client.read_bytes(one.path))
        if is_done and data is not None:
            self._look(one, data)

    def _look(self, one: Taken, data: bytes) -> None:
        """Its content may never change. Each cell shows a write that was current between call and return."""
        if one.content:
            compare(data, one.content, one.path)
            return
        one.content = data
        cells = self._cells
        for number, register in enumerate(cells.registers):
            place = cells.place(number)
            value = cells.value_of(data[place : place + cells.cell_bytes], f"{one.path}, cell {number}")
            one.values.append(value)
            write = register.writes.get(value)
            if write is None or write.called_s > one.returned_s:
                raise ViolationError(f"{one.path}: cell {number} shows {value}, of after the snapshot")
            missed = register.overtaken(value, one.called_s)
            if missed is not None and not self._may_be_stale and not may_have_lost(self._cluster, FILE, number // 2):
                raise ViolationError(f"{one.path}: cell {number} shows {value}, but {missed.value} was written before")

    async def check(self, client: Client) -> None:
        for one in self.taken:
            self._look(one, await client.read_bytes(one.path))
            assert len(one.values) == COUNT, one
