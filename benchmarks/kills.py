"""Whether servers and clients grow: real processes, a kill every 20 s, for half an hour.

    python benchmarks/kills.py [--minutes 30] [--every 20] [--warm-up 5] [--json]

A client writes, reads, appends and deletes all the time. Three of four chunkservers are killed in turn (SIGKILL) and
started again; the fourth, the master and the client live through it all. Of these anonymous memory, descriptors and
tasks are looked at every ten seconds; after the warm-up a line is laid through each (least squares), and its slope over
ten minutes is given as a fraction of its mean. The goal: below 1 %.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from typing import Any

import cairnfs.aio
from cairnfs.cluster.processes import MASTER, ProcessCluster
from cairnfs.config import ClusterConfig
from cairnfs.errors import CairnError
from cairnfs.units import KIB, MIB

SURVIVOR = "chunkserver4"
SETTINGS = {"suspect_s": 1.5, "dead_s": 3, "repair_grace_s": 1, "safe_start_s": 5, "trash_s": 20, "replica_trash_s": 20}
GOAL = 0.01
LOOK_S = 10.0
FILES = 40
Seen = dict[str, list[tuple[float, float]]]
"""(seconds, value) by what was looked at."""


def anonymous_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * KIB
    return 0


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Worker:
    """Uses the cluster; what fails while a server is away is tried again."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self._chance = random.Random(1)
        self._oldest: dict[int, int] = {}
        self.done = 0
        self.refused = 0

    async def run(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(4)))

    async def _one(self, number: int) -> None:
        while True:
            try:
                await self._turn(number)
                self.done += 1
            except CairnError:
                self.refused += 1
            await asyncio.sleep(0.05)

    async def _turn(self, number: int) -> None:
        path = f"/{number}-{self._chance.randrange(FILES)}"
        match self._chance.randrange(4):
            case 0:
                await self._fs.write_bytes(path, self._chance.randbytes(self._chance.randrange(200 * KIB)))
            case 1:
                if await self._fs.exists(path):
                    await self._fs.read_bytes(path)
            case 2:
                await self._append(number)
            case _:
                if await self._fs.exists(path):
                    await self._fs.remove(path)

    async def _append(self, number: int) -> None:
        """Append to the newest of four logs; the oldest goes, so that there is always as much data."""
        turn = self.done // 500
        await self._fs.append(f"/log{number}-{turn}", self._chance.randbytes(1000))
        for old in range(self._oldest.get(number, 0), turn - 3):
            self._oldest[number] = old + 1
            if await self._fs.exists(f"/log{number}-{old}"):
                await self._fs.remove(f"/log{number}-{old}")


async def tasks_of(fs: Any, address: str) -> int:
    try:
        return int((await fs.server_counters(address)).get("tasks", 0))
    except CairnError:
        return 0


async def watch(cluster: ProcessCluster, fs: Any, seconds: float, every_s: float) -> Seen:
    """Kill and look until the time is over; return (seconds, value) by what was looked at."""
    seen: Seen = {}
    begun = time.monotonic()
    next_kill, turn, down = every_s, 0, ""
    victims = [name for name in cluster.chunkservers if name != SURVIVOR]
    while (now := time.monotonic() - begun) < seconds:
        if down and now >= next_kill - every_s + 5:
            await asyncio.to_thread(cluster.restart, down)
            down = ""
        if now >= next_kill:
            down = victims[turn % len(victims)]
            await asyncio.to_thread(cluster.kill, down)
            turn, next_kill = turn + 1, next_kill + every_s
        for name in (MASTER, SURVIVOR):
            pid = cluster.servers[name].pid
            note(seen, now, name, anonymous_bytes(pid), descriptors(pid), await tasks_of(fs, cluster.addresses[name]))
        me = os.getpid()
        note(seen, now, "client", anonymous_bytes(me), descriptors(me), len(asyncio.all_tasks()))
        await asyncio.sleep(LOOK_S if not down else 2.5)
    return seen


def note(seen: Seen, now: float, name: str, *values: float) -> None:
    for what, value in zip(("memory", "descriptors", "tasks"), values, strict=True):
        seen.setdefault(f"{name} {what}", []).append((now, value))


def growth(values: list[tuple[float, float]], warm_up_s: float) -> tuple[float, float]:
    """Return the mean, and the slope of the line through the values over ten minutes as a fraction of it."""
    late = [(at, value) for at, value in values if at >= warm_up_s]
    mean = statistics.fmean(value for _, value in late)
    slope, _ = statistics.linear_regression([at for at, _ in late], [value for _, value in late])
    return mean, slope * 600 / mean if mean else 0.0


async def run(cluster: ProcessCluster, arguments: argparse.Namespace) -> dict[str, Any]:
    fs = await cairnfs.aio.connect(cluster.address)
    worker = Worker(fs)
    working = asyncio.create_task(worker.run())
    try:
        seen = await watch(cluster, fs, arguments.minutes * 60, arguments.every)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await fs.close()
    found = {name: growth(values, arguments.warm_up * 60) for name, values in seen.items()}
    return {"operations": worker.done, "refused": worker.refused, "growth": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        shape = ClusterConfig(chunk_bytes=1 * MIB)
        with ProcessCluster(folder, chunkservers=4, cluster=shape, master_settings=SETTINGS) as cluster:
            found = asyncio.run(run(cluster, arguments))
    if arguments.json:
        print(json.dumps(found))
        return 0
    print(f"{found['operations']} operations, {found['refused']} refused; growth over ten minutes (goal: below 1 %)")
    for name, (mean, slope) in found["growth"].items():
        shown = f"{mean / MIB:.1f} MiB" if name.endswith("memory") else f"{mean:.1f}"
        print(f"  {name:<26} {shown:>12}   {100 * slope:+6.2f} %   {'' if slope < GOAL else 'too much'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
