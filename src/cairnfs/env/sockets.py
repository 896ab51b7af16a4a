"""The real network: finds addresses, connects, and accepts. A stream itself is `socket_connection`."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from cairnfs.env import Sink
from cairnfs.env.addresses import join_address, split_address
from cairnfs.env.socket_connection import SocketConnection
from cairnfs.errors import AddressInUseError, BadRequestError, ConnectError
from cairnfs.units import MIB

logger = logging.getLogger(__name__)

BACKLOG = 1024
ACCEPTS_PER_TURN = 64
ACCEPT_PAUSE_S = 0.5
"""Without free descriptors the listener stays readable; asking again at once would only burn the processor."""
SOCKET_BUFFER_BYTES = 4 * MIB
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_COUNT = 3
_OUT_OF_MEANS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_Target = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""Family and socket address."""


def _numeric(host: str, port: int, flags: int) -> list[Any]:
    """Return what an address of numbers stands for, without a thread: names need one, and at the end there is none."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICHOST)
    except OSError:
        return []


async def _resolve(address: str, *, passive: bool) -> list[_Target]:
    """Return the targets of an address, best first. Raises BadRequestError, socket.gaierror."""
    host, port = split_address(address)
    flags = socket.AI_PASSIVE if passive else 0
    found = _numeric(host, port, flags) or await _look_up(host, port, flags)
    return [(family, where) for family, _, _, _, where in found]


async def _look_up(host: str, port: int, flags: int) -> list[Any]:
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except RuntimeError:
        # The interpreter is ending and gives no more threads; a file that is closed now may still need a connection.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def _allowed_buffer(kind: str) -> int:
    try:
        with open(f"/proc/sys/net/core/{kind}mem_max", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _new_socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    # Below this limit Linux grows the buffers by itself further than we could set them, and setting them stops that.
    for kind, option in (("w", socket.SO_SNDBUF), ("r", socket.SO_RCVBUF)):
        if _allowed_buffer(kind) >= SOCKET_BUFFER_BYTES:
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    return sock


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


def _name(where: tuple[str, int] | tuple[str, int, int, int]) -> str:
    return join_address(where[0], where[1])


class SocketListener:
    """A listening socket; each connection that it accepts gets a sink of its own."""

    def __init__(self, sock: socket.socket, make_sink: Callable[[], Sink], *, pause_s: float) -> None:
        self.address = _name(sock.getsockname())
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._make_sink = make_sink
        self._pause_s = pause_s
        self._pause: asyncio.TimerHandle | None = None
        self._start()

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket.fileno(), self._acceptable)

    def _acceptable(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, where = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_MEANS:
                    self._rest(error)
                    return
                # The peer has given up between its connect and our accept.
                continue
            self._greet(sock, where)
            if self._socket.fileno() < 0:
                return

    def _greet(self, sock: socket.socket, where: tuple[str, int]) -> None:
        try:
            sock.setblocking(False)
            _prepare(sock)
        except OSError:
            sock.close()
            return
        SocketConnection(sock, self._make_sink(), peer=_name(where)).start()

    def _rest(self, error: OSError) -> None:
        logger.warning("cannot accept address=%s why=%s pause_s=%s", self.address, error.strerror, self._pause_s)
        self._loop.remove_reader(self._socket.fileno())
        self._pause = self._loop.call_later(self._pause_s, self._start)

    async def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()


class SocketNetwork:
    """TCP over IPv4 and IPv6."""

    def __init__(self, *, accept_pause_s: float = ACCEPT_PAUSE_S) -> None:
        self._accept_pause_s = accept_pause_s

    async def connect(self, address: str, make_sink: Callable[[], Sink], *, timeout_s: float) -> SocketConnection:
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        why = "no such host"
        try:
            async with asyncio.timeout_at(ends):
                targets = await _resolve(address, passive=False)
        except socket.gaierror as error:
            raise ConnectError(address=address, why=error.strerror or why) from error
        except BadRequestError as error:
            raise ConnectError(address=address, why=error.what) from error
        except TimeoutError as error:
            raise ConnectError(address=address, why="name service does not answer") from error
        for number, target in enumerate(targets):
            # A dead first address must leave time for the second (::1 before 127.0.0.1, for instance).
            share_s = (ends - loop.time()) / (len(targets) - number)
            try:
                sock = await _connect_one(target, timeout_s=share_s)
            except TimeoutError:
                why = f"no answer within {timeout_s:g} s"
            except OSError as error:
                why = (os.strerror(error.errno) if error.errno else str(error)).lower()
            else:
                connection = SocketConnection(sock, make_sink(), peer=_name(target[1]))
                connection.start()
                return connection
        raise ConnectError(address=address, why=why)

    async def listen(self, address: str, make_sink: Callable[[], Sink]) -> SocketListener:
        try:
            targets = await _resolve(address, passive=True)
        except socket.gaierror as error:
            raise BadRequestError(what=f"cannot listen at {address}: {error.strerror}") from error
        family, where = targets[0]
        sock = _new_socket(family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                raise AddressInUseError(address=address) from error
            raise BadRequestError(what=f"cannot listen at {address}: {error.strerror}") from error
        return SocketListener(sock, make_sink, pause_s=self._accept_pause_s)


async def _connect_one(target: _Target, *, timeout_s: float) -> socket.socket:
    """Return a connected socket. Raises OSError, TimeoutError; then nothing is left open."""
    family, where = target
    sock = _new_socket(family)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(sock.close)
        _prepare(sock)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, where)
        # Nobody listens at a port of the range from which our own end was drawn: TCP has connected us to ourselves.
        if sock.getsockname() == sock.getpeername():
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        cleanup.pop_all()
    return sock
