"""The paper's recovery experiment (section 6.2.5), scaled: chunkservers are killed, and their chunks copied again.

    python benchmarks/recovery.py [--lab] [--servers 16] [--data 512M] [--chunk 1M] [--speed 1M] [--json]

Two runs on one cluster: first one chunkserver is killed, later two at once. Reported for each: how long after the
master declared them dead the first copy began, the time until no chunk has one copy, the time until all have three, the
rate as a fraction of what the limit allows (`--speed` for each server that is left), bytes cloned over bytes lost, and
how a client's reads and appends fared (99th percentile: before, from the kill until the master declared the server
dead, and beside the repair; the goal is for the last).

With --lab the servers stand on the paper's test bed (netlab.sh: 100 Mbit/s for each host); else all are on loopback.
The paper: 15,000 chunks of 600 GB in 23.2 minutes; of two servers, 266 chunks with one copy in two minutes.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cairnfs
import cairnfs.aio
from cairnfs.config import ClusterConfig
from cairnfs.env.real import real_env
from cairnfs.errors import CairnError
from cairnfs.master.server import initialise
from cairnfs.units import MIB, format_size, parse_size

LAB = Path(__file__).with_name("netlab.sh")
SKIPPED = 77
GOALS = {"begins_s": 5.0, "of_limit": 0.8, "cloned_over_lost": 1.2, "slowdown": 2.0}
FILE_BYTES = 16 * MIB
FOREGROUND = "/foreground"
LOOK_S = 0.05
WATCH_S = 0.25
"""Between two looks at a cluster under repair: they cost the master and the client time, before the kill as well."""


@dataclass
class Bed:
    """Where servers run: network namespaces, or this machine's loopback."""

    folder: Path
    lab: str
    """Prefix of the namespaces; empty: loopback."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, host: str) -> str:
        if not self.lab:
            return f"127.0.0.1:{17400 + (0 if host == 'm' else int(host[1:]))}"
        told = subprocess.run([LAB, "-p", self.lab, "ip", host], capture_output=True, check=True, text=True)
        ip = told.stdout.strip()
        return f"{ip}:7400"

    def start(self, host: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "cairnfs", *arguments, "--listen", self.address(host)]
        if self.lab:
            command = [str(LAB), "-p", self.lab, "run", host, *command]
        with (self.folder / f"{host}.log").open("ab") as log:
            self.processes[host] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self, host: str) -> None:
        self.processes[host].send_signal(signal.SIGKILL)
        self.processes.pop(host).wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


def start_cluster(bed: Bed, servers: int, chunk: int, speed: int) -> str:
    """Start a master and chunkservers; return the master's address."""
    data = bed.folder / "m"
    data.mkdir()
    asyncio.run(initialise(real_env(), str(data), ClusterConfig(chunk_bytes=chunk)))
    settings = {"repair_grace_s": 10, "repair_bytes_s": speed, "repairs_max": 64, "safe_start_s": 10}
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    bed.start("m", "master", "--data", str(data), *pairs)
    master = bed.address("m")
    for number in range(1, servers + 1):
        bed.start(f"s{number}", "chunkserver", "--data", str(bed.folder / f"s{number}"), "--master", master)
    wait(lambda: cairnfs.connect(master).close() or True, 60)
    with cairnfs.connect(master) as fs:
        wait(lambda: sum(one.state == "live" for one in fs.status().servers) == servers, 60)
        wait(lambda: not fs.status().safe_start, 60)
    return master


def wait(claim: Any, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while True:
        try:
            if claim():
                return
        except CairnError:
            pass
        if time.monotonic() > end:
            raise SystemExit("recovery: gave up waiting")
        time.sleep(LOOK_S)


def fill(master: str, total: int) -> None:
    data = random.Random(1).randbytes(FILE_BYTES)
    with cairnfs.connect(master) as fs:
        for number in range(max(1, total // FILE_BYTES)):
            fs.write_bytes(f"/{number}", data)
        fs.write_bytes(FOREGROUND, b"")


class Foreground:
    """A client at work: reads of 64 KiB anywhere, appends of 1 KiB."""

    def __init__(self, master: str, files: int) -> None:
        self._master, self._files = master, files
        self.reads: list[float] = []
        self.appends: list[float] = []
        self.is_over = False

    async def run(self) -> None:
        fs = await cairnfs.aio.connect(self._master)
        try:
            await asyncio.gather(self._read(fs), self._append(fs))
        finally:
            await fs.close()

    async def _read(self, fs: Any) -> None:
        chance = random.Random(2)
        opened = [await fs.open(f"/{number}", "rb") for number in range(self._files)]
        while not self.is_over:
            begun = time.perf_counter()
            await chance.choice(opened).pread(64 << 10, chance.randrange(FILE_BYTES - (64 << 10)))
            self.reads.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)

    async def _append(self, fs: Any) -> None:
        appender = await fs.append_writer(FOREGROUND)
        while not self.is_over:
            begun = time.perf_counter()
            await appender.append(bytes(1024))
            self.appends.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)

    def take(self) -> tuple[float, float]:
        """Return the 99th percentiles so far, in milliseconds, and begin anew."""
        found = percentile(self.reads), percentile(self.appends)
        self.reads, self.appends = [], []
        return found


def percentile(values: list[float], of: float = 0.99) -> float:
    return 1000 * sorted(values)[min(len(values) - 1, int(of * len(values)))] if values else 0.0


async def kill_and_watch(bed: Bed, master: str, hosts: list[str], speed: int, files: int) -> dict[str, float]:
    """Kill servers while a client works, and look until all is whole again."""
    fs = await cairnfs.aio.connect(master)
    foreground = Foreground(master, files)
    working = asyncio.create_task(foreground.run())
    try:
        end = time.perf_counter() + 10
        while time.perf_counter() < end:
            status, cloned = await look(fs, master)
            await asyncio.sleep(WATCH_S)
        before = foreground.take()
        addresses = [bed.address(host) for host in hosts]
        servers = [one.server for one in status.servers if one.address in addresses]
        lost = sum([(await fs.drain(server)).size_bytes for server in servers])
        for host in hosts:
            bed.kill(host)
        declared: list[tuple[float, float]] = []
        times = await watch(fs, master, servers, cloned, lambda: declared.append(foreground.take()))
        during, after = declared[0], foreground.take()
        bytes_cloned = (await fs.server_counters(master)).get("bytes_cloned", 0) - cloned
        left = sum(one.state == "live" for one in (await fs.status()).servers)
        took = times["whole"] - times["begins"]
        return {
            "killed": len(hosts),
            "lost_bytes": lost,
            "declared_dead_s": times["dead"],
            "begins_after_dead_s": max(0.0, times["begins"] - times["dead"]),
            "no_single_copy_s": times["safe"] - times["dead"],
            "whole_s": times["whole"] - times["dead"],
            "rate": bytes_cloned / took,
            "of_limit": bytes_cloned / took / (speed * left),
            "cloned_over_lost": bytes_cloned / lost if lost else 0.0,
            "read_p99_before_ms": before[0],
            "read_p99_detection_ms": during[0],
            "read_p99_ms": after[0],
            "append_p99_before_ms": before[1],
            "append_p99_detection_ms": during[1],
            "append_p99_ms": after[1],
        }
    finally:
        foreground.is_over = True
        await asyncio.gather(working, return_exceptions=True)
        await fs.close()


async def look(fs: Any, master: str) -> Any:
    status = await fs.status()
    return status, (await fs.server_counters(master)).get("bytes_cloned", 0)


async def watch(fs: Any, master: str, servers: list[int], cloned: int, on_dead: Callable[[], None]) -> dict[str, float]:
    """Return when, in seconds from now: declared dead, first and last byte copied, no chunk with one copy left."""
    begun = time.perf_counter()
    times: dict[str, float] = {}
    last = cloned
    while True:
        now = time.perf_counter() - begun
        status, count = await look(fs, master)
        states = {one.server: one.state for one in status.servers}
        if "dead" not in times and all(states[server] == "dead" for server in servers):
            times["dead"] = now
            on_dead()
        if "begins" not in times and count > cloned:
            times["begins"] = now
        if count > last:
            last, times["whole"] = count, now
        # The census is of the last walk over all chunks, which takes two heartbeats.
        is_settled = "dead" in times and now > times["dead"] + 3
        if is_settled and "safe" not in times and not status.chunks_one_copy:
            times["safe"] = now
        is_quiet = not (status.chunks_below_goal or status.repairs_waiting or status.repairs_running)
        if is_settled and is_quiet and "safe" in times:
            return times
        if now > 900:
            raise SystemExit("recovery: not whole after a quarter of an hour")
        await asyncio.sleep(WATCH_S)


def slowdown(found: dict[str, float], what: str) -> str:
    before, detection, after = (found[f"{what}_p99_{when}ms"] for when in ("before_", "detection_", ""))
    return f"{before:.0f}, {detection:.0f}, {after:.0f} ms: {after / before:.1f}x"


def show(found: dict[str, float], speed: int) -> None:
    print(f"\n{found['killed']:.0f} killed, {format_size(int(found['lost_bytes']))} lost, "
          f"declared dead after {found['declared_dead_s']:.1f} s")  # fmt: skip
    rows = [
        ("first copy begins after that", f"{found['begins_after_dead_s']:.1f} s", f"<= {GOALS['begins_s']:g} s"),
        ("no chunk has one copy after", f"{found['no_single_copy_s']:.1f} s", ""),
        ("all have three after", f"{found['whole_s']:.1f} s", ""),
        (f"rate, of {format_size(speed)}/s a server", f"{found['of_limit']:.2f} ({format_size(int(found['rate']))}/s)",
         f">= {GOALS['of_limit']}"),
        ("bytes cloned / bytes lost", f"{found['cloned_over_lost']:.2f}", f"<= {GOALS['cloned_over_lost']}"),
        ("read of 64 KiB, p99", slowdown(found, "read"), "<= 2x"),
        ("append of 1 KiB, p99", slowdown(found, "append"), "<= 2x"),
    ]  # fmt: skip
    for name, value, goal in rows:
        print(f"  {name:<34} {value:>24}   {goal}")


def run(arguments: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="recovery-", dir=arguments.folder))
    bed = Bed(folder, arguments.lab_prefix if arguments.inside else "")
    data, chunk, speed = (parse_size(getattr(arguments, name)) for name in ("data", "chunk", "speed"))
    try:
        master = start_cluster(bed, arguments.servers, chunk, speed)
        fill(master, data)
        files = max(1, data // FILE_BYTES)
        found = []
        for hosts in (["s1"], ["s2", "s3"]):
            found.append(asyncio.run(kill_and_watch(bed, master, hosts, speed, files)))
            if not arguments.json:
                show(found[-1], speed)
        if arguments.json:
            print(json.dumps(found))
        return 0
    finally:
        bed.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", action="store_true", help="on the paper's test bed; needs root and iproute2")
    parser.add_argument("--lab-prefix", default="cairnrec")
    parser.add_argument("--servers", type=int, default=16)
    parser.add_argument("--data", default="512M", help="bytes of files, before copies")
    parser.add_argument("--chunk", default="1M")
    parser.add_argument("--speed", default="1M", help="limit of repairs for each server, bytes a second")
    parser.add_argument("--folder", default="/dev/shm", help="where the chunks lie")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.lab or arguments.inside:
        return run(arguments)
    me = [sys.executable, *sys.argv, "--inside"]
    lab = [str(LAB), "-p", arguments.lab_prefix]
    command = [*lab, "with", str(arguments.servers), "1", "100mbit", "1gbit", *lab, "run", "c1", *me]
    ended = subprocess.run(command, env=os.environ, check=False).returncode
    return 0 if ended == SKIPPED else ended


if __name__ == "__main__":
    sys.exit(main())
