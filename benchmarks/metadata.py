"""Names and whole small files: stat, list, create, mkdir, rename, delete, and files of 4 KiB written and read.

    python benchmarks/metadata.py [--callers 1,16,64] [--tree 10000] [--seconds 2] [--only stat,create]

One client process on uvloop with so many callers. The limit is the bare echo of limits.py with as many connections.
`--tree`: files that are there already, in folders of a thousand. Metadata are durable, on the disk.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import limits
from common import Row, cluster_of, on_uvloop, options, report

import cairnfs.aio
from cairnfs.units import KIB

SMALL = bytes(4 * KIB)
GOALS = {("stat", 1): 0.5, ("stat", 64): 0.5, ("read 4 KiB", 1): 0.3, ("read 4 KiB", 16): 0.35}
RATES = {("create", 64): 8000.0, ("write 4 KiB", 1): 700.0, ("write 4 KiB", 16): 2500.0}
WHATS = ("stat", "list", "create", "mkdir", "rename", "delete", "write 4 KiB", "read 4 KiB")
FOLDER_FILES = 1000

Job = Callable[[Any, int], Awaitable[object]]


def job_of(what: str, base: str) -> Job:
    match what:
        case "stat":
            return lambda fs, number: fs.stat("/tree/0/0")
        case "list":
            return lambda fs, number: fs.listdir("/some")
        case "create":
            return lambda fs, number: fs.touch(f"{base}/c{number}")
        case "mkdir":
            return lambda fs, number: fs.mkdir(f"{base}/m{number}")
        case "rename":
            return lambda fs, number: fs.rename(f"{base}/r{number}", f"{base}/s{number}")
        case "delete":
            return lambda fs, number: fs.remove(f"{base}/d{number}")
        case "write 4 KiB":
            return lambda fs, number: fs.write_bytes(f"{base}/w{number}", SMALL)
        case _:
            return lambda fs, number: fs.read_bytes("/tree/0/0")


def measure(address: str, what: str, callers: int, seconds: float, base: str) -> float:
    """Return how often so many callers do it in a second."""

    async def run() -> float:
        fs = await cairnfs.aio.connect(address)
        await fs.makedirs(base, exist_ok=True)
        letter = {"rename": "r", "delete": "d"}.get(what)
        made = 0
        if letter:
            made = 6000
            for first in range(0, made, 200):
                await asyncio.gather(*(fs.touch(f"{base}/{letter}{first + one}") for one in range(200)))
        job, done, next_number = job_of(what, base), 0, 0
        begun = time.perf_counter()
        end = begun + seconds

        async def one() -> None:
            nonlocal done, next_number
            while time.perf_counter() < end and not (made and next_number >= made):
                number, next_number = next_number, next_number + 1
                await job(fs, number)
                done += 1

        await asyncio.gather(*(one() for _ in range(callers)))
        took = time.perf_counter() - begun
        await fs.close()
        return done / took

    return on_uvloop(run)


def make_tree(address: str, files: int) -> None:
    async def run() -> float:
        fs = await cairnfs.aio.connect(address)
        await fs.makedirs("/some", exist_ok=True)
        await asyncio.gather(*(fs.touch(f"/some/{one}") for one in range(100)))
        await fs.makedirs("/tree/0", exist_ok=True)
        await fs.write_bytes("/tree/0/0", SMALL)
        for folder in range(-(-files // FOLDER_FILES)):
            await fs.makedirs(f"/tree/{folder}", exist_ok=True)
            for first in range(0, min(FOLDER_FILES, files - folder * FOLDER_FILES), 200):
                await asyncio.gather(*(fs.touch(f"/tree/{folder}/{first + one}") for one in range(200)))
        await fs.close()
        return 0.0

    on_uvloop(run)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--callers", default="1,16,64")
    parser.add_argument("--tree", type=lambda text: int(float(text)), default=1000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default=",".join(WHATS))
    arguments = parser.parse_args()
    if wrong := [what for what in arguments.only.split(",") if what not in WHATS]:
        parser.error(f"--only takes {', '.join(WHATS)}, not {wrong[0]}")
    rows = []
    with cluster_of(arguments) as cluster:
        make_tree(cluster.address, arguments.tree)
        for what in arguments.only.split(","):
            for callers in map(int, arguments.callers.split(",")):
                on_tmpfs = arguments.place == "tmpfs"
                ratio, rate = GOALS.get((what, callers)), RATES.get((what, callers))
                name = f"{what}, {callers} caller{'s' * (callers > 1)}"
                row = Row(name, "/s", (ratio or rate) if on_tmpfs else None, is_absolute=rate is not None)
                rows.append(row)
                for number in range(arguments.rounds):
                    base = f"/{what.partition(' ')[0]}-{callers}-{number}"
                    row.take(
                        lambda what=what, callers=callers, base=base: measure(
                            cluster.address, what, callers, arguments.seconds, base
                        ),
                        lambda callers=callers: limits.echo_limit(0.5, callers),
                    )
    report(rows, arguments, f"names and small files, beside {arguments.tree:,} others")
    return 0


if __name__ == "__main__":
    sys.exit(main())
