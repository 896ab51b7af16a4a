"""Record append: producers in four processes, one file and many, records of 100 B to 1 MiB, durable.

    python benchmarks/appends.py [--producers 1,16,64] [--sizes 1k] [--files one,many] [--seconds 3]

The limit is a bare chain with the same promise: blocking processes that write what has come to a file, flush it once
for all that wait, and answer when two others have done so, too. Nobody of them knows names, places or repeats.
"""

import os
import selectors
import socket
import struct
import sys
import tempfile
import time
from typing import Any

import limits
from common import Row, cluster_of, on_uvloop, options, place_of, report, side_by_side

import cairnfs
import cairnfs.aio
from cairnfs.units import KIB, MIB, parse_size

PROCESSES = 4
GOALS = {(1, KIB, "one"): 1500.0, (64, KIB, "one"): 10_000.0}
_HEAD = struct.Struct("<I")

# ---------------------------------------------------------------------- the limit


def journal_hop(server: socket.socket, callers: int, others: list[int], path: str) -> None:
    """Take records from all connections; write and flush what has come, have the others do so, answer."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    onward = [socket.create_connection(("127.0.0.1", port)) for port in others]
    selector = selectors.DefaultSelector()
    for _ in range(callers):
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(peer, selectors.EVENT_READ)
    offset = 0
    while callers:
        ready, batch = [], []
        for key, _ in selector.select():
            peer: Any = key.fileobj
            head = peer.recv(_HEAD.size, socket.MSG_WAITALL)
            if not head:
                selector.unregister(peer)
                callers -= 1
                continue
            batch.append(peer.recv(_HEAD.unpack(head)[0], socket.MSG_WAITALL))
            ready.append(peer)
        if not ready:
            continue
        data = b"".join(batch)
        for each in onward:
            each.sendall(_HEAD.pack(len(data)) + data)
        limits.checksum(memoryview(data))
        os.pwrite(file, data, offset)
        offset = (offset + len(data)) % (64 * MIB)
        os.fdatasync(file)
        for each in onward:
            each.recv(1)
        for peer in ready:
            peer.sendall(b"k")


def bare_producers(port: int, count: int, size: int, seconds: float) -> float:
    record = _HEAD.pack(size) + bytes(size)
    peers = []
    for _ in range(count):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peers.append(peer)
    selector = selectors.DefaultSelector()
    for peer in peers:
        selector.register(peer, selectors.EVENT_READ)
        peer.sendall(record)
    done, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for key, _ in selector.select(0.1):
            key.fileobj.recv(1)  # type: ignore[union-attr]
            key.fileobj.sendall(record)  # type: ignore[union-attr]
            done += 1
    for peer in peers:
        peer.recv(1)
        peer.close()
    return done / took


def bare_limit(place: str | None, shares: list[int], size: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        members = [limits.listen() for _ in range(3)]
        ports = [port for _, port in members]
        for number in (1, 2):
            limits.start(journal_hop, members[number][0], 1, [], f"{folder}/{number}")
        limits.start(journal_hop, members[0][0], sum(shares), ports[1:], f"{folder}/0")
        return side_by_side([(bare_producers, (ports[0], share, size, seconds)) for share in shares])


# ---------------------------------------------------------------------- CairnFS


def producers(address: str, first: int, count: int, size: int, files: str, seconds: float) -> float:
    """Return records a second of so many producers in this process."""

    async def run() -> float:
        fs: Any = await cairnfs.aio.connect(address)
        record, done = bytes(size), 0
        paths = [f"/{files}-{size}-{first + number if files == 'many' else 0}" for number in range(count)]
        inodes = [await warmed(fs, path, record) for path in paths]
        end = time.perf_counter() + seconds

        async def one(inode: int) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await fs._core.appender.append(inode, record)
                done += 1

        import asyncio

        await asyncio.gather(*(one(inode) for inode in inodes))
        await fs.close()
        return done / seconds

    return on_uvloop(run)


async def warmed(fs: Any, path: str, record: bytes) -> int:
    await fs.append(path, record)
    return (await fs.stat(path)).inode


def shares_of(count: int) -> list[int]:
    """Return how many producers each process has."""
    some = min(PROCESSES, count)
    return [count // some + (number < count % some) for number in range(some)]


def measured(row: Row, address: str, count: int, size: int, files: str, arguments: Any) -> None:
    shares, first, jobs = shares_of(count), 0, []
    for share in shares:
        jobs.append((producers, (address, first, share, size, files, arguments.seconds)))
        first += share
    for _ in range(arguments.rounds):
        row.take(lambda: side_by_side(jobs), lambda: bare_limit(place_of(arguments), shares, size, 1.0))


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--producers", default="1,16,64")
    parser.add_argument("--sizes", default="1k", help="bytes of a record, 100 to 1m")
    parser.add_argument("--files", default="one,many")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    wanted = [
        (count, size, files)
        for size in map(parse_size, arguments.sizes.split(","))
        for count in map(int, arguments.producers.split(","))
        for files in arguments.files.split(",")
        if files == "one" or count > 1
    ]
    rows = []
    with cluster_of(arguments) as cluster:
        for count, size, files in wanted:
            goal = GOALS.get((count, size, files)) if arguments.place == "tmpfs" else None
            name = f"{count} producer{'s' * (count > 1)}, {size} B, {files} file{'s' * (files == 'many')}"
            rows.append(Row(name, "/s", goal, is_absolute=True))
            measured(rows[-1], cluster.address, count, size, files, arguments)
    report(rows, arguments, "durable record appends")
    return 0


if __name__ == "__main__":
    sys.exit(main())
