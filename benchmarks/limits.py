"""What this machine can do at best with the same bytes: the limits that every benchmark is divided by. Frozen.

A chain of blocking processes, one a hop, on loopback TCP: `recv_into` of 1 MiB, CRC32C of each 64 KiB, `pwrite` to a
file on tmpfs, forwarded as it comes; the client checksums too. Reading is the same with one server: `pread`, CRC, send.
And a bare request-reply echo of 64 bytes: 64 connections, one request on the way on each, one process on each side.

Nothing of cairnfs is imported: a limit must not get slower with the project. Run alone: `python benchmarks/limits.py`.
"""

import json
import multiprocessing
import os
import selectors
import socket
import sys
import tempfile
import time

from fastcrc.crc32 import iscsi

PIECE_BYTES = 1 << 20
BLOCK_BYTES = 64 << 10
ECHO_BYTES = 64


def pin(cores: str) -> None:
    """Bind this process to the cores named ("0,1"); "" leaves it free."""
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})


def listen() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


def checksum(view: memoryview) -> None:
    for start in range(0, len(view), BLOCK_BYTES):
        iscsi(view[start : start + BLOCK_BYTES])


def receive(peer: socket.socket, view: memoryview) -> bool:
    got = 0
    while got < len(view):
        count = peer.recv_into(view[got:])
        if count == 0:
            return False
        got += count
    return True


def store_hop(server: socket.socket, next_port: int, total: int, path: str, cores: str) -> None:
    """Receive `total` bytes piece by piece: checksum, write, forward; then answer with one byte."""
    pin(cores)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    following = socket.create_connection(("127.0.0.1", next_port)) if next_port else None
    peer, _ = server.accept()
    piece = memoryview(bytearray(PIECE_BYTES))
    for offset in range(0, total, PIECE_BYTES):
        receive(peer, piece)
        if following:
            following.sendall(piece)
        checksum(piece)
        os.pwrite(file, piece, offset)
    if following:
        following.recv(1)
    peer.sendall(b"k")
    os.close(file)


def read_hop(server: socket.socket, total: int, path: str, cores: str) -> None:
    pin(cores)
    file = os.open(path, os.O_RDONLY)
    peer, _ = server.accept()
    piece = memoryview(bytearray(PIECE_BYTES))
    for offset in range(0, total, PIECE_BYTES):
        os.preadv(file, [piece], offset)
        checksum(piece)
        peer.sendall(piece)
    os.close(file)


def echo_hop(server: socket.socket, callers: int, cores: str) -> None:
    """Answer each request on its connection: one `recv` and one `send` a request."""
    pin(cores)
    selector = selectors.DefaultSelector()
    for _ in range(callers):
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(peer, selectors.EVENT_READ)
    while callers:
        for key, _ in selector.select():
            peer = key.fileobj  # type: ignore[assignment]
            request = peer.recv(ECHO_BYTES)
            if request:
                peer.sendall(request)
            else:
                selector.unregister(peer)
                callers -= 1


def start(target: object, *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
    process.start()
    return process


def write_limit(folder: str, total: int, replicas: int = 3, cores: str = "") -> float:
    """Return bytes per second through a chain of `replicas` processes."""
    servers = [listen() for _ in range(replicas)]
    processes = []
    for index in reversed(range(replicas)):
        next_port = servers[index + 1][1] if index + 1 < replicas else 0
        path = os.path.join(folder, f"limit-{index}")
        processes.append(start(store_hop, servers[index][0], next_port, total, path, cores))
    peer = socket.create_connection(("127.0.0.1", servers[0][1]))
    piece = memoryview(bytearray(os.urandom(PIECE_BYTES)))
    begun = time.perf_counter()
    for _ in range(0, total, PIECE_BYTES):
        checksum(piece)
        peer.sendall(piece)
    peer.recv(1)
    took = time.perf_counter() - begun
    for process in processes:
        process.join()
    return total / took


def read_limit(folder: str, total: int, cores: str = "") -> float:
    """Return bytes per second from one process that reads what `write_limit` wrote."""
    server, port = listen()
    process = start(read_hop, server, total, os.path.join(folder, "limit-0"), cores)
    peer = socket.create_connection(("127.0.0.1", port))
    piece = memoryview(bytearray(PIECE_BYTES))
    begun = time.perf_counter()
    for _ in range(0, total, PIECE_BYTES):
        receive(peer, piece)
        checksum(piece)
    took = time.perf_counter() - begun
    process.join()
    return total / took


def echo_limit(seconds: float = 1.0, callers: int = 64, cores: str = "") -> float:
    """Return request-reply pairs per second of `callers` connections with one request on the way each."""
    server, port = listen()
    process = start(echo_hop, server, callers, cores)
    selector = selectors.DefaultSelector()
    request = b"q" * ECHO_BYTES
    peers = []
    for _ in range(callers):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(peer, selectors.EVENT_READ)
        peers.append(peer)
    for peer in peers:
        peer.sendall(request)
    done = 0
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for key, _ in selector.select():
            key.fileobj.recv(ECHO_BYTES)  # type: ignore[union-attr]
            key.fileobj.sendall(request)  # type: ignore[union-attr]
            done += 1
    for peer in peers:
        peer.shutdown(socket.SHUT_WR)
    process.join()
    return done / took


def measure(folder: str, total: int, replicas: int, cores: str) -> dict[str, float]:
    return {
        "write_bytes_per_s": write_limit(folder, total, replicas, cores),
        "read_bytes_per_s": read_limit(folder, total, cores),
        "echo_per_s": echo_limit(cores=cores),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        json.dump(measure(place, 1 << 30, 3, ""), sys.stdout)
        print()
