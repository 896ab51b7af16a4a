"""What deleting a large tree costs: how long the call takes, how it slows others, and when the space is back.

    python benchmarks/deleting.py [--files 100000] [--servers 3] [--copies 3] [--replica-trash 5] [--json]

Real processes on this machine. The tree is written by a client (1 KB a file, 1,000 files a folder). Then `rmtree`
moves it to the trash (the default), it is taken back, and it is deleted with `now`. All the time one caller asks
`stat` and one makes files, each with a short pause, in a process of their own: latencies before, and from the deletion
until the master has given all replicas up. Space is what the chunkservers' folders hold.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

import cairnfs
import cairnfs.aio
from cairnfs.cluster.processes import ProcessCluster

GOALS = {"rm_s": 0.1, "rm_now_s": 0.1, "stat_p99_ratio": 2.0, "create_p99_ratio": 2.0}
IN_FOLDER = 1000
WRITERS = 48
PAUSE_S = 0.002
QUIET_S = 10.0
POLL_S = 0.5
BYTES = 1000


async def make(address: str, files: int, copies: int) -> None:
    """Write the tree."""
    fs = await cairnfs.aio.connect(address)
    numbers = iter(range(files))

    async def writer() -> None:
        for number in numbers:
            await fs.write_bytes(f"/tree/{number // IN_FOLDER}/{number}", bytes(BYTES))

    try:
        await fs.set_replicas("/", copies)
        for number in range(-(-files // IN_FOLDER)):
            await fs.makedirs(f"/tree/{number}", exist_ok=True)
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
    finally:
        await fs.close()


def foreground(pipe: Connection, address: str) -> None:
    """A process: measure stat and create until told a mark; then answer with the latencies since the last one."""
    import uvloop

    found: dict[str, list[float]] = {"stat": [], "create": []}

    async def caller(name: str, job: Callable[[int], Awaitable[object]]) -> None:
        turn = 0
        while True:  # ends with the process
            begun = time.perf_counter()
            await job(turn)
            found[name].append(time.perf_counter() - begun)
            turn += 1
            await asyncio.sleep(PAUSE_S)

    async def go() -> None:
        fs = await cairnfs.aio.connect(address)
        await fs.makedirs("/others")
        await fs.touch("/others/file")
        callers = [
            asyncio.create_task(caller("stat", lambda _: fs.stat("/others/file"))),
            asyncio.create_task(caller("create", lambda turn: fs.touch(f"/others/{turn}"))),
        ]
        while await asyncio.to_thread(pipe.recv):
            pipe.send({name: list(values) for name, values in found.items()})
            for values in found.values():
                values.clear()
        for one in callers:
            one.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(go())


def spread(latencies: dict[str, list[float]], when: str) -> dict[str, float]:
    """Return p50 and p99 in ms, by name."""
    facts: dict[str, float] = {}
    for name, values in latencies.items():
        cuts = statistics.quantiles(values, n=100)
        facts[f"{name}_p50_ms_{when}"], facts[f"{name}_p99_ms_{when}"] = 1000 * cuts[49], 1000 * cuts[98]
    return facts


def trashed(folder: Path) -> int:
    """Return how many replicas lie in trash folders. To walk all folders would take a core for itself."""
    return sum(name.endswith(".dat") for trash in folder.glob("chunkserver*/cairn/trash") for name in os.listdir(trash))


def until(done: Callable[[], bool]) -> None:
    while not done():  # ends: the cluster frees what it was told to, or the operator's patience does
        time.sleep(POLL_S)


def timed(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def measure(cluster: ProcessCluster, files: int, copies: int) -> dict[str, float]:
    """Make the tree, delete it, and return the figures."""
    facts = {"make_s": timed(lambda: asyncio.run(make(cluster.address, files, copies)))}
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    other = multiprocessing.get_context("spawn").Process(target=foreground, args=(theirs, cluster.address), daemon=True)
    other.start()

    def mark() -> dict[str, list[float]]:
        ours.send("mark")
        return dict(ours.recv())

    with cairnfs.connect(cluster.address) as fs:
        time.sleep(QUIET_S / 2)
        mark()
        time.sleep(QUIET_S)
        before = mark()
        facts["rm_s"] = timed(lambda: fs.rmtree("/tree"))
        facts["undelete_s"] = timed(lambda: fs.undelete("/tree"))
        mark()
        begun = time.perf_counter()
        facts["rm_now_s"] = timed(lambda: fs.rmtree("/tree", now=True))
        until(lambda: fs.status().chunks == 0)
        facts["metadata_freed_s"] = time.perf_counter() - begun
        until(lambda: sum(one.replicas for one in fs.status().servers) == 0)
        facts["replicas_out_of_use_s"] = time.perf_counter() - begun
        during = mark()
        until(lambda: trashed(cluster.folder) == 0)
        facts["space_back_s"] = time.perf_counter() - begun
        after = mark()
    ours.send("")
    other.join()
    facts |= spread(before, "before") | spread(during, "during") | spread(after, "emptying")
    for name in before:
        facts[f"{name}_p99_ratio"] = facts[f"{name}_p99_ms_during"] / facts[f"{name}_p99_ms_before"]
    return facts


def main() -> None:
    """Measure once and print the figures beside their goals."""
    parser = argparse.ArgumentParser(description="what deleting a large tree costs")
    parser.add_argument("--files", type=float, default=1e5, help="files with a chunk each (1e5)")
    parser.add_argument("--servers", type=int, default=3, help="chunkservers (3)")
    parser.add_argument("--copies", type=int, default=3, help="replicas of each chunk (3)")
    parser.add_argument("--replica-trash", type=float, default=5.0, help="seconds in the replica trash (5; real: 3600)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"replica_trash_s": args.replica_trash, "recent_creations_max": 10**9}
        with ProcessCluster(folder, chunkservers=args.servers, master_settings=settings) as cluster:
            found = measure(cluster, int(args.files), args.copies)
        # Before the folder is removed, which takes minutes.
        show({"files": int(args.files), "servers": args.servers, "copies": args.copies, **found}, as_json=args.json)


def show(facts: dict[str, float], *, as_json: bool) -> None:
    """Print the figures, as one document or a table."""
    if as_json:
        print(json.dumps({name: round(value, 4) for name, value in facts.items()}), flush=True)
        return
    for name, value in facts.items():
        goal = f"   goal {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:>22}: {value:,.3f}{goal}", flush=True)


if __name__ == "__main__":
    main()
