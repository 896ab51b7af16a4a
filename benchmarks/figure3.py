"""Figure 3 of the paper (section 6.1) on its test bed: aggregate rates of 1 to 16 clients, beside bare sockets.

    python benchmarks/figure3.py [--servers 16] [--clients 1,4,8,16] [--seconds 8] [--set 4G] [--only read,write,append]
                                 [--json FILE] [--plot FILE.png]

    read      each client reads random regions of 4 MB of a file set (--set, before copies)
    write     each client writes a file of its own in writes of 1 MB, three copies
    append    all clients append records of 1 MB to one file, three copies

Hosts have 100 Mbit/s, the two switches 1 Gbit/s between them (netlab.sh; needs root and iproute2, else it prints why
and SKIPPED). Each point is measured twice in the same bed: bare sockets with the same pattern (a region from a random
server; a chain of three servers drawn for each 64 MiB; one chain for all), then CairnFS. The rate is what was
acknowledged within --seconds, after a second of warm-up, by all clients together; files are on tmpfs.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bare_sockets
import recovery
from bare_sockets import RECORD_BYTES, REGION_BYTES, Count

import cairnfs
import cairnfs.aio
from cairnfs.config import ClusterConfig
from cairnfs.env.real import real_env
from cairnfs.master.server import initialise
from cairnfs.units import MIB, parse_size

LAB = Path(__file__).with_name("netlab.sh")
FILE_BYTES = 256 * MIB
PORT = 7500
WHATS = ("read", "write", "append")
GOALS = {"read": 0.95, "write": 0.90, "append": 0.90}
LINE = {
    "read": lambda clients: min(12.5 * clients, 125.0),
    "write": lambda clients: min(12.5 * clients, 16 * 12.5 / 3),
    "append": lambda clients: 12.5,
}
"""MB/s that the lines allow, as the paper counts it."""
PAPER = {"read": {1: 10.0, 16: 94.0}, "write": {1: 6.3, 16: 35.0}, "append": {1: 6.0, 16: 4.8}}

# ---------------------------------------------------------------------- CairnFS


async def cairn_client(what: str, master: str, number: int, files: int, count: Count, chance: random.Random) -> None:
    fs: Any = await cairnfs.aio.connect(master)
    try:
        if what == "read":
            opened = [await fs.open(f"/set/{each}", "rb") for each in range(files)]
            while not count.is_over:
                offset = chance.randrange(FILE_BYTES // REGION_BYTES) * REGION_BYTES
                await read_region(chance.choice(opened), offset, count)
        elif what == "write":
            await write_file(fs, f"/w/{number}-{time.time_ns()}", count)
        else:
            await append_records(fs, count)
    finally:
        await fs.close()


async def write_file(fs: Any, path: str, count: Count) -> None:
    """Write until the time is over and close; what was written counts by the time that all of it took."""
    begun = time.monotonic()
    data, offset = bytes(RECORD_BYTES), 0
    async with await fs.open(path, "wb") as file:
        while not count.is_over:
            await file.pwrite(data, offset)
            offset += RECORD_BYTES
    count.bytes = int(offset * (count.end_s - count.start_s) / (time.monotonic() - begun))


async def read_region(file: Any, offset: int, count: Count) -> None:
    """In halves side by side, as the bare client's bytes arrive while the next are on their way."""
    half = REGION_BYTES // 2
    for data in await asyncio.gather(file.pread(half, offset), file.pread(half, offset + half)):
        count.add(len(data))


async def append_records(fs: Any, count: Count) -> None:
    record = bytes(RECORD_BYTES - 1024)  # the frame must fit, too

    async def one() -> None:
        while not count.is_over:
            await fs.append("/log", record)
            count.add(RECORD_BYTES)

    await asyncio.gather(one(), one())


# ---------------------------------------------------------------------- the bed


def worker(arguments: argparse.Namespace) -> None:
    """What runs on a client host: print the bytes acknowledged in the window."""
    count = Count(arguments.start_at, arguments.seconds)
    chance = random.Random(arguments.number)
    time.sleep(max(0.0, arguments.start_at - time.monotonic()))
    if arguments.worker == "bare":
        bare_sockets.client(arguments.only, arguments.to.split(","), count, chance)
    else:
        import uvloop

        uvloop.run(cairn_client(arguments.only, arguments.to, arguments.number, arguments.files, count, chance))
    print(count.bytes)


class Bed(recovery.Bed):
    """Hosts of the lab, and commands on them."""

    def python(self, host: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        command = [str(LAB), "-p", self.lab, "run", host, sys.executable, str(LAB.with_name("figure3.py")), *arguments]
        return subprocess.Popen(command, **more)

    def host_ip(self, host: str) -> str:
        return self.address(host).rpartition(":")[0]


def point(bed: Bed, what: str, clients: int, kind: str, to: str, arguments: argparse.Namespace) -> float:
    """Return MB/s of so many clients."""
    start = time.monotonic() + 1.5 + 0.15 * clients
    files = parse_size(arguments.set) // FILE_BYTES
    workers = [
        bed.python(
            f"c{number}", "--worker", kind, "--only", what, "--to", to, "--number", str(number), "--files", str(files),
            "--start-at", str(start), "--seconds", str(arguments.seconds), stdout=subprocess.PIPE,
        )
        for number in range(1, clients + 1)
    ]  # fmt: skip
    total = 0
    for one in workers:
        out, _ = one.communicate(timeout=arguments.seconds + 120)
        if one.returncode:
            raise SystemExit(f"figure3: a client of {kind} {what} failed")
        total += int(out)
    return total / arguments.seconds / 1e6


def start_cluster(bed: Bed, servers: int) -> str:
    data = bed.folder / "m"
    data.mkdir()
    asyncio.run(initialise(real_env(), str(data), ClusterConfig()))
    bed.start("m", "master", "--data", str(data), "--set", "safe_start_s=5")
    master = bed.address("m")
    for number in range(1, servers + 1):
        bed.start(f"s{number}", "chunkserver", "--data", str(bed.folder / f"s{number}"), "--master", master)
    recovery.wait(lambda: cairnfs.connect(master).close() or True, 60)
    with cairnfs.connect(master) as fs:
        recovery.wait(lambda: sum(one.state == "live" for one in fs.status().servers) == servers, 60)
        fs.makedirs("/set", exist_ok=True)
        fs.makedirs("/w", exist_ok=True)
        fs.append("/log", b"begin")
    return master


def fill(master: str, total: int) -> None:
    """Write the set from the first client's host."""
    data = random.Random(1).randbytes(8 * MIB)
    with cairnfs.connect(master) as fs:
        for number in range(max(1, total // FILE_BYTES)):
            with fs.open(f"/set/{number}", "wb", buffering=0) as file:
                for _ in range(FILE_BYTES // len(data)):
                    file.write(data)


def rate_all(bed: Bed, servers: int, rate: str) -> None:
    for host in ["m", *(f"s{number}" for number in range(1, servers + 1)), "c1"]:
        subprocess.run([LAB, "-p", bed.lab, "rate", host, rate], check=True)


def measure(bed: Bed, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    servers = arguments.servers
    bare = [f"{bed.host_ip(f's{number}')}:{PORT}" for number in range(1, servers + 1)]
    for number, address in enumerate(bare, 1):
        bed.processes[f"bare{number}"] = bed.python(f"s{number}", "--bare-server", address)
    master = start_cluster(bed, servers)
    if "read" in arguments.only:
        rate_all(bed, servers, "10gbit")  # the set is filled on lines that are not the paper's
        fill(master, parse_size(arguments.set))
        rate_all(bed, servers, "100mbit")
    found = []
    for what in arguments.only.split(","):
        for clients in map(int, arguments.clients.split(",")):
            limit = point(bed, what, clients, "bare", ",".join(bare), arguments)
            ours = point(bed, what, clients, "cairn", master, arguments)
            found.append({"what": what, "clients": clients, "bare": limit, "ours": ours, "line": LINE[what](clients)})
            show(found[-1])
            if what == "write":
                drop_written(master)
    return found


def drop_written(master: str) -> None:
    with cairnfs.connect(master) as fs:
        for name in fs.listdir("/w"):
            fs.remove(f"/w/{name}", now=True)


def show(row: dict[str, Any]) -> None:
    ratio = row["ours"] / row["bare"] if row["bare"] else 0.0
    goal = GOALS[row["what"]]
    paper = PAPER[row["what"]].get(row["clients"])
    said = "" if row["clients"] not in (1, 16) else f"  goal {goal}{'' if ratio >= goal else '  NOT REACHED'}"
    beside = f"  paper {paper:.1f} = {paper / row['line']:.2f}" if paper else ""
    print(f"{row['what']:<7} {row['clients']:>2} clients  line {row['line']:6.1f}  bare {row['bare']:6.1f}  "
          f"cairn {row['ours']:6.1f} MB/s = {ratio:.2f} of bare, "
          f"{row['ours'] / row['line']:.2f} of the line{beside}{said}", flush=True)  # fmt: skip


def plot(found: list[dict[str, Any]], path: str) -> None:
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("figure3: --plot needs matplotlib: pip install 'cairnfs[bench]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    whats = list(dict.fromkeys(row["what"] for row in found))
    figure, axes = pyplot.subplots(1, len(whats), figsize=(4 * len(whats), 3.2), squeeze=False)
    for axis, what in zip(axes[0], whats, strict=True):
        rows = [row for row in found if row["what"] == what]
        clients = [row["clients"] for row in rows]
        axis.plot(clients, [row["line"] for row in rows], color="0.6", linestyle="--", label="the lines allow")
        axis.plot(clients, [row["bare"] for row in rows], color="0.3", marker=".", label="bare sockets")
        axis.plot(clients, [row["ours"] for row in rows], color="C0", marker="o", label="CairnFS")
        axis.plot(list(PAPER[what]), list(PAPER[what].values()), "x", color="C3", label="GFS (2003)")
        axis.set_title(what)
        axis.set_xlabel("clients")
        axis.set_ylim(bottom=0)
    axes[0][0].set_ylabel("MB/s, all clients")
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def run(arguments: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="figure3-", dir=arguments.folder))
    bed = Bed(folder, arguments.lab_prefix)
    try:
        found = measure(bed, arguments)
    finally:
        bed.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1))
    if arguments.plot:
        plot(found, arguments.plot)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=16)
    parser.add_argument("--clients", default="1,4,8,16")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--set", default="4G", help="bytes of the file set, before copies")
    parser.add_argument("--only", default=",".join(WHATS))
    parser.add_argument("--folder", default="/dev/shm", help="where the chunks lie")
    parser.add_argument("--lab-prefix", default="cairnf3")
    parser.add_argument("--json", help="write the points there")
    parser.add_argument("--plot", help="draw the plots into this file; needs matplotlib")
    for hidden in ("--bare-server", "--worker", "--to"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--files", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--start-at", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if wrong := [what for what in arguments.only.split(",") if what not in WHATS]:
        parser.error(f"--only takes {', '.join(WHATS)}, not {wrong[0]}")
    if arguments.bare_server:
        bare_sockets.serve(arguments.bare_server)
    elif arguments.worker:
        worker(arguments)
    elif arguments.inside:
        return run(arguments)
    else:
        most = max(map(int, arguments.clients.split(",")))
        lab = [str(LAB), "-p", arguments.lab_prefix]
        command = [*lab, "with", str(arguments.servers), str(most), "100mbit", "1gbit",
                   *lab, "run", "c1", sys.executable, *sys.argv, "--inside"]  # fmt: skip
        ended = subprocess.run(command, env=os.environ, check=False).returncode
        return 0 if ended == recovery.SKIPPED else ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
