"""A network inside one event loop, for tests and for clusters in one process. Streams are `memory_stream`.

All who share a `MemoryNetwork` reach each other; addresses are any name with a port ("mem:1"), port 0 is replaced.
"""

import asyncio
import contextvars
from collections.abc import Callable

from cairnfs.env import Sink
from cairnfs.env.addresses import join_address, split_address
from cairnfs.env.memory_stream import MemoryConnection, SoonWire
from cairnfs.errors import AddressInUseError, BadRequestError, ConnectError

FIRST_PORT = 40_000
HERE = ("localhost", "127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104 - names of this machine
"""All the same machine."""


def check_own_host(host: str, address: str) -> None:
    """Refuse a numeric address that is not this machine, as a real one does. Raises BadRequestError."""
    if host not in HERE and (":" in host or host.replace(".", "").isdigit()):
        raise BadRequestError(what=f"cannot listen at {address}: not an address of this machine")


def machine_of(host: str, here: str) -> str:
    """Return the one name of a machine that has many."""
    return here if host in HERE else host


class MemoryListener:
    """Accepts until it is closed."""

    def __init__(
        self, ports: dict[tuple[str, int], "MemoryListener"], key: tuple[str, int], make_sink: Callable[[], Sink]
    ) -> None:
        self.address = ""
        self.make_sink = make_sink
        self.context = contextvars.copy_context()
        self._ports = ports
        self._key = key

    async def close(self) -> None:
        if self._ports.get(self._key) is self:
            del self._ports[self._key]


class MemoryNetwork:
    """Who shares it can connect."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, int], MemoryListener] = {}
        self._next_port = FIRST_PORT

    async def connect(self, address: str, make_sink: Callable[[], Sink], *, timeout_s: float) -> MemoryConnection:
        try:
            host, port = split_address(address)
        except BadRequestError as error:
            raise ConnectError(address=address, why=error.what) from error
        await asyncio.sleep(0)
        listener = self._ports.get((machine_of(host, HERE[0]), port))
        if listener is None:
            raise ConnectError(address=address, why="connection refused")
        wire = SoonWire(asyncio.get_running_loop())
        near = MemoryConnection(make_sink(), wire, peer=address, context=contextvars.copy_context())
        far_peer = join_address(HERE[1], self._take_port())
        far = MemoryConnection(listener.make_sink(), wire, peer=far_peer, context=listener.context)
        near.join(far)
        far.join(near)
        asyncio.get_running_loop().call_soon(far.start, context=far.context)
        near.start()
        return near

    async def listen(self, address: str, make_sink: Callable[[], Sink]) -> MemoryListener:
        host, port = split_address(address)
        check_own_host(host, address)
        if port == 0:
            port = self._take_port()
        key = (machine_of(host, HERE[0]), port)
        if key in self._ports:
            raise AddressInUseError(address=address)
        listener = self._ports[key] = MemoryListener(self._ports, key, make_sink)
        listener.address = join_address(host, port)
        return listener

    def _take_port(self) -> int:
        self._next_port += 1
        return self._next_port
