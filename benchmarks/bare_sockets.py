"""What figure3.py is divided by: the same patterns over bare sockets, without checksums, names or disks.

A server gives bytes, or takes records and passes them on along a chain; a record is acknowledged when all have it.
"""

import random
import socket
import struct
import threading
import time

from cairnfs.units import MIB

REGION_BYTES = 4 * MIB
RECORD_BYTES = 1 * MIB
CHUNK_BYTES = 64 * MIB
WARM_UP_S = 1.0

_ASK = struct.Struct("<cI")  # what, bytes
_HOP = struct.Struct("<B15s")


def receive(sock: socket.socket, view: memoryview) -> bool:
    while view:
        count = sock.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True


def serve(address: str) -> None:
    """Give bytes, or take them and pass them on along the chain that is named first. One thread a connection."""
    host, _, port = address.rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=64)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_one, args=(sock,), daemon=True).start()


def serve_one(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(256 << 10))
    head = memoryview(bytearray(_ASK.size))
    onward: socket.socket | None = None
    while receive(sock, head):
        what, count = _ASK.unpack(head)
        if what == b"r":
            for start in range(0, count, len(buffer)):
                sock.sendall(buffer[: min(len(buffer), count - start)])
        elif what == b"c":  # the rest of the chain, as text
            text = memoryview(bytearray(count))
            receive(sock, text)
            onward = open_chain(bytes(text).decode().split(",")) if count else None
        else:  # a record: it is acknowledged when the whole chain has it
            if onward is not None:
                onward.sendall(_ASK.pack(b"w", count))
            for start in range(0, count, len(buffer)):
                part = buffer[: min(len(buffer), count - start)]
                receive(sock, part)
                if onward is not None:
                    onward.sendall(part)
            if onward is not None:
                receive(onward, memoryview(bytearray(1)))
            sock.sendall(b"k")


def open_chain(hops: list[str]) -> socket.socket:
    host, _, port = hops[0].rpartition(":")
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest = ",".join(hops[1:]).encode()
    sock.sendall(_ASK.pack(b"c", len(rest)) + rest)
    return sock


class Count:
    """Bytes acknowledged within the window."""

    def __init__(self, start_s: float, seconds: float) -> None:
        self.start_s, self.end_s = start_s + WARM_UP_S, start_s + WARM_UP_S + seconds
        self.bytes = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end_s

    def add(self, size: int) -> None:
        if self.start_s <= time.monotonic() < self.end_s:
            self.bytes += size


def client(what: str, servers: list[str], count: Count, chance: random.Random) -> None:
    if what == "read":
        socks = [open_chain([server]) for server in servers]
        target = memoryview(bytearray(REGION_BYTES))
        while not count.is_over:
            sock = chance.choice(socks)
            sock.sendall(_ASK.pack(b"r", REGION_BYTES))
            for start in range(0, REGION_BYTES, 256 << 10):
                receive(sock, target[start : start + (256 << 10)])
                count.add(256 << 10)
        return
    data = bytes(RECORD_BYTES)
    sock, left = None, 0
    while not count.is_over:
        if left == 0:
            sock = open_chain(servers[:3] if what == "append" else chance.sample(servers, 3))
            left = CHUNK_BYTES // RECORD_BYTES
        assert sock is not None
        # Two records under way: one arrives while the ack of the one before travels.
        sock.sendall(_ASK.pack(b"w", RECORD_BYTES))
        sock.sendall(data)
        if left < CHUNK_BYTES // RECORD_BYTES:
            receive(sock, memoryview(bytearray(1)))
            count.add(RECORD_BYTES)
        left -= 1
        if left == 0:
            receive(sock, memoryview(bytearray(1)))
            count.add(RECORD_BYTES)
