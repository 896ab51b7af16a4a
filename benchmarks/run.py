"""The table of `make bench`: each figure beside the limit measured in the same run, as a ratio.

    python benchmarks/run.py [--size 1G] [--rounds 3] [--cores 0,1] [--json]

Limits are those of `limits.py` (blocking processes, the same bytes, the same pinning). Every round measures limit, then
cluster, then limit again; the ratio is to the mean of the two, and the table shows the median round. Chunk files lie on
tmpfs, so that the path is measured and not the disk; the metadata lies on the real disk, so that creates are durable.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import limits
import streaming

import cairnfs
import cairnfs.aio
from cairnfs.cluster.processes import ProcessCluster
from cairnfs.units import format_size, parse_size

BUFFER_BYTES = 8 << 20
CALLERS = 64
SECONDS = 3.0


async def per_second(job: Callable[[int], Awaitable[object]]) -> float:
    """Return how often `job` ends within a few seconds when 64 callers repeat it."""
    done = 0
    end = time.perf_counter() + SECONDS

    async def caller(number: int) -> None:
        nonlocal done
        turn = 0
        while time.perf_counter() < end:
            await job(number * 10_000_000 + turn)
            turn += 1
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return done / (time.perf_counter() - begun)


async def metadata_speed(address: str, folder: str) -> dict[str, float]:
    fs = await cairnfs.aio.connect(address)
    try:
        await fs.makedirs(folder)
        await fs.write_bytes(f"{folder}/file", b"x")
        return {
            "stat_per_s": await per_second(lambda number: fs.stat(f"{folder}/file")),
            "create_per_s": await per_second(lambda number: fs.touch(f"{folder}/{number}")),
        }
    finally:
        await fs.close()


def run_async(job: Callable[[], Awaitable[dict[str, float]]]) -> dict[str, float]:
    """Run on uvloop, as the blocking client does."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(job())  # type: ignore[arg-type]


def cpu_of(command: list[str]) -> float:
    """Return CPU seconds (user and system) of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def warm_memory(total: int) -> None:
    """Touch as much tmpfs as a round needs: a virtual machine pays the first use of a page, whoever it is."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        for _ in range(0, 8 * total, BUFFER_BYTES):
            file.write(bytes(BUFFER_BYTES))
        file.flush()


def size_now(file: Path) -> int:
    """Return the size of a file that may be removed at any moment."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def give_back(cluster: ProcessCluster, path: str) -> None:
    """Remove a file and wait until its replicas are off the disks, so that every round writes to the same pages."""
    with cairnfs.connect(cluster.address) as fs:
        fs.remove(path, now=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sum(map(size_now, cluster.folder.glob("chunkserver*/cairn/**/*.dat"))) < BUFFER_BYTES:
            return
        time.sleep(0.2)
    raise TimeoutError("replicas of a removed file are still on the disks")


def one_round(cluster: ProcessCluster, number: int, total: int, cores: str) -> dict[str, float]:
    """Return figures and ratios of one round."""
    address = cluster.address
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        first = limits.measure(place, total, 3, cores)
        path = f"/bench-{number}"
        figures = {
            "write_bytes_per_s": streaming.write(address, path, total),
            "read_bytes_per_s": streaming.read(address, path, total),
        }
        figures |= run_async(lambda: metadata_speed(address, f"/meta-{number}"))
        give_back(cluster, path)
        second = limits.measure(place, total, 3, cores)
    limit = {name: (first[name] + second[name]) / 2 for name in first}
    figures |= {f"limit_{name}": value for name, value in limit.items()}
    figures["write_ratio"] = figures["write_bytes_per_s"] / limit["write_bytes_per_s"]
    figures["read_ratio"] = figures["read_bytes_per_s"] / limit["read_bytes_per_s"]
    figures["stat_ratio"] = figures["stat_per_s"] / limit["echo_per_s"]
    return figures


def start_costs(address: str) -> dict[str, float]:
    python = sys.executable
    empty = min(cpu_of([python, "-c", "pass"]) for _ in range(5))
    return {
        "python_s": empty,
        "import_s": min(cpu_of([python, "-c", "import cairnfs"]) for _ in range(5)),
        "ls_s": min(cpu_of([python, "-m", "cairnfs", "ls", "/", "--master", address]) for _ in range(5)),
    }


def print_table(figures: dict[str, float], total: int) -> None:
    def speed(name: str) -> str:
        return format_size(int(figures[name])) + "/s"

    def rate(name: str) -> str:
        return f"{figures[name]:,.0f}/s"

    def milliseconds(name: str) -> str:
        return f"{figures[name] * 1000:.0f} ms"

    limit = "limit_"
    rows = [
        ("write", speed("write_bytes_per_s"), speed(limit + "write_bytes_per_s"), figures["write_ratio"], 0.5),
        ("read", speed("read_bytes_per_s"), speed(limit + "read_bytes_per_s"), figures["read_ratio"], 0.5),
        ("stat, 64 callers", rate("stat_per_s"), rate(limit + "echo_per_s"), figures["stat_ratio"], 0.2),
        ("durable create, 64 callers", rate("create_per_s"), "3,000/s", figures["create_per_s"] / 3000, 1.0),
        ("import cairnfs, CPU", milliseconds("import_s"), "150 ms", 0.150 / figures["import_s"], 1.0),
        ("cairn ls, CPU", milliseconds("ls_s"), "400 ms", 0.400 / figures["ls_s"], 1.0),
    ]
    print(f"{format_size(total)}, 3 replicas on tmpfs, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'what':<28}{'here':>14}{'limit':>14}{'ratio':>8}{'goal':>6}")
    for what, here, bound, ratio, goal in rows:
        print(f"{what:<28}{here:>14}{bound:>14}{ratio:>8.2f}{goal:>6.1f}  {'ok' if ratio >= goal else 'NOT REACHED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", default="", help="pin everything to these cores, for example 0,1; default: free")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    limits.pin(options.cores)
    total = options.size // BUFFER_BYTES * BUFFER_BYTES
    print(f"pinning: {options.cores or 'none'} for limits and cluster alike", file=sys.stderr)
    warm_memory(total)
    with tempfile.TemporaryDirectory() as meta, tempfile.TemporaryDirectory(dir="/dev/shm") as data:
        for number in range(1, 4):
            on_tmpfs = Path(data, f"chunkserver{number}")
            on_tmpfs.mkdir()
            Path(meta, on_tmpfs.name).symlink_to(on_tmpfs)
        cluster = ProcessCluster(meta, chunkservers=3, master_settings={"replica_trash_s": 0})
        cluster.start()
        try:
            rounds = [one_round(cluster, number, total, options.cores) for number in range(options.rounds)]
            figures = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
            figures |= start_costs(cluster.address)
        finally:
            cluster.stop()
    if options.json:
        print(json.dumps({"figures": figures, "rounds": rounds}))
    else:
        print_table(figures, total)


if __name__ == "__main__":
    main()
