"""How long clients wait when a server dies, stops, or its disk rots: real processes, one thing wrong at a time.

    python benchmarks/failover.py [--rounds 10] [--only appends,reads] [--json]

Five chunkservers and a master with the default settings; in each round a client works without a pause, then a server is
killed (SIGKILL) or stopped (SIGSTOP, which stands for one that is cut off: its connections stay and say nothing), and
the longest call until all goes on is the figure. Servers are started, or go on, before the next round.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cairnfs
from cairnfs.cluster.processes import MASTER, ProcessCluster
from cairnfs.cluster.waiting import wait_until
from cairnfs.config import ClusterConfig
from cairnfs.units import KIB, MIB

GOALS = {
    "appends, primary killed": (3.5, 6.0),
    "appends, primary stopped": (3.5, 6.0),
    "extending writes, primary killed": (3.5, 6.0),
    "extending writes, primary stopped": (3.5, 6.0),
    "overwrites, primary killed": (None, 12.0),
    "overwrites, primary stopped": (None, 12.0),
    "appends, secondary stopped": (None, 5.0),
    "reads, a server killed": (None, 1.0),
    "reads, a server stopped": (None, 1.0),
    "reads, master down for 7 s": (None, 0.1),
    "read of a corrupt replica": (None, 0.2),
}
"""(p50, p99) in seconds."""
WORK_S = 8.0
OVERWRITE_S = 20.0
YOUNG_S = 64.0
"""Rule 6: a master so young takes every server for one that its predecessor left behind."""
READ_BYTES = 64 * KIB
CHUNK = ClusterConfig(chunk_bytes=64 * MIB)


class Bed:
    """A cluster and what can befall it."""

    def __init__(self, cluster: ProcessCluster) -> None:
        self.cluster = cluster
        self.fs: Any = cairnfs.connect(cluster.address)
        self._turn = 0
        self._begun_s = time.monotonic()

    def outlive_youth(self) -> None:
        """Wait until the master has been there for longer than the longest serving lease."""
        time.sleep(max(0.0, self._begun_s + YOUNG_S - time.monotonic()))

    def path(self) -> str:
        self._turn += 1
        return f"/{self._turn}"

    def members(self, path: str) -> tuple[str, list[str]]:
        """Return the names of primary ("" if nobody orders the chunk) and of the others."""
        chunk = self.fs.chunk_table(path)[-1]
        names = {one.server: self.cluster.named(one.address) for one in chunk.replicas}
        return names.get(chunk.primary, ""), [name for server, name in names.items() if server != chunk.primary]

    def heal(self) -> None:
        for name, server in self.cluster.servers.items():
            if not server.running:
                self.cluster.restart(name)
            self.cluster.resume(name)
        wait_until(lambda: self.fs.status().safe_start is False and self._is_whole(), 120)

    def _is_whole(self) -> bool:
        status = self.fs.status()
        live = sum(one.state == "live" for one in status.servers)
        return live == len(status.servers) and not status.chunks_below_goal


def longest(call: Callable[[], object], seconds: float, happens: Callable[[], None]) -> float:
    """Call again and again; after a second something happens. Return the longest call from then on."""
    begun = time.monotonic()
    worst, has_happened = 0.0, False
    while (now := time.monotonic() - begun) < seconds:
        if now > 1.0 and not has_happened:
            has_happened = True
            happens()
        before = time.monotonic()
        call()
        if has_happened:
            worst = max(worst, time.monotonic() - before)
    return worst


def appends(bed: Bed, *, victim: str, how: str) -> float:
    path = bed.path()
    bed.fs.write_bytes(path, b"")
    bed.fs.append(path, bytes(KIB))

    def happens() -> None:
        primary, others = bed.members(path)
        getattr(bed.cluster, how)(primary if victim == "primary" else others[0])

    return longest(lambda: bed.fs.append(path, bytes(KIB)), WORK_S, happens)


def writes(bed: Bed, *, how: str) -> float:
    path = bed.path()
    with bed.fs.open(path, "wb", buffering=0) as file:

        def write() -> None:
            file.write(bytes(16 * KIB))
            file.flush()

        write()
        return longest(write, WORK_S, lambda: getattr(bed.cluster, how)(bed.members(path)[0]))


def overwrites(bed: Bed, *, how: str) -> float:
    bed.outlive_youth()
    path = bed.path()
    bed.fs.write_bytes(path, bytes(MIB))
    with bed.fs.open(path, "r+b", buffering=0) as file:

        def write() -> None:
            file.seek(0)
            file.write(os.urandom(4 * KIB))
            file.flush()

        write()
        return longest(write, OVERWRITE_S, lambda: getattr(bed.cluster, how)(bed.members(path)[0]))


def reads(bed: Bed, *, happens: Callable[[str], None]) -> float:
    path = bed.path()
    bed.fs.write_bytes(path, os.urandom(8 * MIB))
    with bed.fs.open(path, "rb", buffering=0) as file:
        turn = 0

        def read() -> None:
            nonlocal turn
            turn = (turn + 7919 * 4096) % (8 * MIB - READ_BYTES)
            file.seek(turn)
            file.read(READ_BYTES)

        for _ in range(50):
            read()
        return longest(read, WORK_S, lambda: happens(path))


def master_down(bed: Bed, _path: str) -> None:
    bed.cluster.pause(MASTER)


def reads_without_master(bed: Bed) -> float:
    worst = reads(bed, happens=lambda path: master_down(bed, path))
    bed.cluster.resume(MASTER)
    return worst


def corrupt(bed: Bed) -> float:
    """Rot a block of the replica that a reader asks first; return how long its read takes."""
    path = bed.path()
    data = os.urandom(4 * MIB)
    bed.fs.write_bytes(path, data)
    chunk = bed.fs.chunk_table(path)[0]
    address = chunk.replicas[0].address
    (file,) = bed.cluster.folder.joinpath(bed.cluster.named(address)).glob(f"cairn/??/??/{chunk.handle:016x}.dat")
    with Path(file).open("r+b") as rotten:
        rotten.seek(MIB)
        rotten.write(bytes([data[MIB] ^ 1]))
    with cairnfs.connect(bed.cluster.address, near=address) as near:
        begun = time.monotonic()
        found = near.read_bytes(path)
        took = time.monotonic() - begun
    assert found == data, "wrong bytes were read"
    return took


def kinds(bed: Bed) -> dict[str, Callable[[], float]]:
    def one_of(path: str, how: str) -> None:
        primary, others = bed.members(path)
        getattr(bed.cluster, how)(primary or others[0])

    return {
        "appends, primary killed": lambda: appends(bed, victim="primary", how="kill"),
        "appends, primary stopped": lambda: appends(bed, victim="primary", how="pause"),
        "extending writes, primary killed": lambda: writes(bed, how="kill"),
        "extending writes, primary stopped": lambda: writes(bed, how="pause"),
        "overwrites, primary killed": lambda: overwrites(bed, how="kill"),
        "overwrites, primary stopped": lambda: overwrites(bed, how="pause"),
        "appends, secondary stopped": lambda: appends(bed, victim="secondary", how="pause"),
        "reads, a server killed": lambda: reads(bed, happens=lambda path: one_of(path, "kill")),
        "reads, a server stopped": lambda: reads(bed, happens=lambda path: one_of(path, "pause")),
        "reads, master down for 7 s": lambda: reads_without_master(bed),
        "read of a corrupt replica": lambda: corrupt(bed),
    }


def percentile(values: list[float], of: float) -> float:
    return sorted(values)[min(len(values) - 1, int(of * len(values)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", default="", help="words of the rows wanted, separated by commas")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    words = [word.strip() for word in arguments.only.split(",") if word.strip()]
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        ProcessCluster(folder, chunkservers=5, cluster=CHUNK) as cluster,
    ):
        bed = Bed(cluster)
        for name, job in kinds(bed).items():
            if words and not any(word in name for word in words):
                continue
            for _ in range(arguments.rounds):
                found.setdefault(name, []).append(job())
                bed.heal()
            if not arguments.json:
                show(name, found[name])
        bed.fs.close()
    if arguments.json:
        print(json.dumps(found))
    return 0


def show(name: str, values: list[float]) -> None:
    middle, most = percentile(values, 0.5), percentile(values, 0.99)
    goal_middle, goal_most = GOALS[name]
    goal = (f"p50 <= {goal_middle:g} s, " if goal_middle else "") + f"p99 <= {goal_most:g} s"
    is_reached = most <= goal_most and (goal_middle is None or middle <= goal_middle)
    shown = f"p50 {middle:.3f} s, p99 {most:.3f} s"
    print(f"{name:<36} {shown:<28} goal {goal:<28} {'' if is_reached else 'NOT REACHED'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
