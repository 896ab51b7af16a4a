"""Streams: write and read by 1 to 16 clients, random reads, and three readers of one chunk.

    python benchmarks/streaming.py [--clients 1,4] [--size 512M] [--place tmpfs|disk] [--durability disk|memory]

The limits are those of limits.py (a chain of blocking processes; one verified stream) with one client, whatever the
number of clients: the machine is the same. Each client is a process with a file of its own.
"""

import os
import random
import sys
import tempfile
import time

import limits
from common import Row, cluster_of, options, place_of, report, side_by_side

import cairnfs
from cairnfs.units import KIB, MIB, parse_size

BUFFER_BYTES = 8 * MIB
GOALS = {"write": 0.8, "read": 0.8}
RANDOM_SIZES = (4 * KIB, 64 * KIB, 1 * MIB, 4 * MIB)
RANDOM_S = 2.0
CHUNK_BYTES = 64 * MIB


def write(address: str, path: str, total: int) -> float:
    data = os.urandom(BUFFER_BYTES)
    with cairnfs.connect(address) as fs:
        begun = time.perf_counter()
        with fs.open(path, "wb", buffering=0) as file:
            for _ in range(0, total, BUFFER_BYTES):
                file.write(data)
        return total / (time.perf_counter() - begun)


def read(address: str, path: str, total: int) -> float:
    buffer, got = bytearray(BUFFER_BYTES), 0
    with cairnfs.connect(address) as fs:
        begun = time.perf_counter()
        with fs.open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                got += count
        took = time.perf_counter() - begun
    assert got == total, (got, total)
    return total / took


def read_near(address: str, path: str, near: str, seconds: float) -> float:
    """Read the first chunk again and again from one server."""
    got, buffer = 0, bytearray(4 * MIB)
    with cairnfs.connect(address, near=near) as fs, fs.open(path, "rb", buffering=0) as file:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            file.seek(got % CHUNK_BYTES)
            got += file.readinto(buffer)
    return got / seconds


def read_randomly(address: str, path: str, total: int, size: int) -> float:
    chance, done = random.Random(1), 0
    with cairnfs.connect(address) as fs, fs.open(path, "rb", buffering=0) as file:
        end = time.perf_counter() + RANDOM_S
        while time.perf_counter() < end:
            file.seek(chance.randrange(max(1, total - size)))
            done += len(file.read(size))
    return done / RANDOM_S


class Bench:
    """Rows by name, on one cluster."""

    def __init__(self, address: str, servers: list[str], folder: str, total: int, *, has_goals: bool) -> None:
        self.address, self.servers, self.folder, self.total = address, servers, folder, total
        self.has_goals = has_goals
        self.rows: dict[str, Row] = {}

    def row(self, what: str, goal: float | None = None) -> Row:
        return self.rows.setdefault(what, Row(what, "B/s", goal if self.has_goals else None))

    def round(self, number: int, clients: int) -> None:
        paths = [f"/{number}-{clients}-{one}" for one in range(clients)]
        jobs = {"write": (write, limits.write_limit), "read": (read, limits.read_limit)}
        for what, (job, limit) in jobs.items():
            row = self.row(f"{what}, {clients} client{'s' * (clients > 1)}", GOALS[what] if clients == 1 else None)
            each = [(job, (self.address, path, self.total)) for path in paths]
            row.take(lambda each=each: side_by_side(each), lambda limit=limit: limit(self.folder, self.total))
        if clients == 1:
            self.randomly(paths[0])
            self.one_chunk(paths[0])
        with cairnfs.connect(self.address) as fs:
            for path in paths:
                fs.remove(path, now=True)

    def randomly(self, path: str) -> None:
        for size in RANDOM_SIZES:
            self.row(f"random reads of {size // KIB} KiB").take(
                lambda size=size: read_randomly(self.address, path, self.total, size),
                lambda: limits.read_limit(self.folder, self.total),
            )

    def one_chunk(self, path: str) -> None:
        """The limit of three readers is one reader."""
        one = self.row("one reader of one chunk")
        one.take(lambda: read_near(self.address, path, self.servers[0], RANDOM_S))
        three = self.row("three readers of one chunk, three servers", 1.0)
        readers = [(read_near, (self.address, path, server, RANDOM_S)) for server in self.servers[:3]]
        three.take(lambda: side_by_side(readers))
        three.limit.append(one.here[-1])


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--clients", default="1,4")
    parser.add_argument("--size", type=parse_size, default=512 * MIB, help="bytes of each client")
    arguments = parser.parse_args()
    total = arguments.size // BUFFER_BYTES * BUFFER_BYTES
    with cluster_of(arguments) as cluster, tempfile.TemporaryDirectory(dir=place_of(arguments)) as folder:
        servers = [address for name, address in cluster.addresses.items() if name != "master"]
        bench = Bench(cluster.address, servers, folder, total, has_goals=arguments.place == "tmpfs")
        for number in range(arguments.rounds):
            for clients in map(int, arguments.clients.split(",")):
                bench.round(number, clients)
    report(list(bench.rows.values()), arguments, "streams")
    return 0


if __name__ == "__main__":
    sys.exit(main())
