"""Buffers for file data, and the payload of one message while it arrives.

A payload is received straight into a pooled buffer, handed on from it (to a disk, to the next server of a chain) and
the buffer goes back to the pool: file data is never copied on its way.
"""

import asyncio
from collections.abc import Callable

from cairnfs.errors import ConnectionLostError
from cairnfs.limits import PAYLOAD_BYTES_MAX
from cairnfs.units import KIB, MIB

_POOLED_BYTES_MIN = 64 * KIB
"""Below, a fresh buffer costs less than keeping one."""
_IDLE_BYTES_MAX = 64 * MIB
"""Idle buffers a pool keeps; more are left to the memory allocator."""
_LOOK_AFTER = 2000
"""Buffers given back between two looks at which of them were idle all the time."""


class Buffers:
    """A pool of reusable buffers in size classes that double from 64 KiB to 4 MiB. For one event loop.

    It keeps what was needed lately: a rare rush of requests does not stay in memory for ever.
    """

    def __init__(self, idle_bytes_max: int = _IDLE_BYTES_MAX) -> None:
        self._idle: dict[int, list[bytearray]] = {}
        self._unused: dict[int, int] = {}
        """By size: the fewest that were idle at once since the last look."""
        self._given = 0
        self._idle_bytes = 0
        self._idle_bytes_max = idle_bytes_max

    @property
    def idle_bytes(self) -> int:
        """Bytes the pool holds for later use."""
        return self._idle_bytes

    def take(self, size: int) -> memoryview:
        """Return a writable buffer of exactly `size` bytes with arbitrary contents."""
        assert 0 <= size <= PAYLOAD_BYTES_MAX, size
        if size <= _POOLED_BYTES_MIN // 2:
            return memoryview(bytearray(size))
        full = max(_POOLED_BYTES_MIN, 1 << (size - 1).bit_length())
        idle = self._idle.get(full)
        if not idle:
            return memoryview(bytearray(full))[:size]
        self._idle_bytes -= full
        buffer = idle.pop()
        if len(idle) < self._unused.get(full, 0):
            self._unused[full] = len(idle)
        return memoryview(buffer)[:size]

    def give(self, view: memoryview) -> None:
        """Take a buffer back. Nobody may use the view afterwards; another message will be in it."""
        whole = view.obj
        assert isinstance(whole, bytearray), type(whole)
        full = len(whole)
        if full < _POOLED_BYTES_MIN or full > PAYLOAD_BYTES_MAX or full & (full - 1):
            return
        if self._idle_bytes + full <= self._idle_bytes_max:
            self._idle.setdefault(full, []).append(whole)
            self._idle_bytes += full
        self._given += 1
        if self._given == _LOOK_AFTER:
            self._drop_unused()

    def _drop_unused(self) -> None:
        self._given = 0
        for full, idle in self._idle.items():
            count = self._unused.get(full, 0)
            del idle[:count]
            self._idle_bytes -= count * full
            self._unused[full] = len(idle)


class Incoming:
    """The payload of one message, arriving or arrived.

    The buffer goes back to the pool when nobody holds it: not the server (until the handler's reply), not the handler
    (if it said `keep`), and not a connection that passes it on.
    """

    __slots__ = ("_give", "_handler_holds", "_holders", "_lost", "_waiters", "received", "size", "view")

    def __init__(self, view: memoryview, give: Callable[[memoryview], None] | None = None) -> None:
        self.size = view.nbytes
        self.received = 0
        self.view = view
        self._give = give
        self._holders = 1  # the server
        self._handler_holds = False
        self._lost: ConnectionLostError | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    async def wait(self, count: int) -> None:
        """Return when at least `count` bytes of `view` are there.

        Raises:
            ConnectionLostError: the sender is gone. What is there stays valid, the rest never comes.
        """
        assert count <= self.size, (count, self.size)
        while self.received < count:
            if self._lost is not None:
                raise self._lost
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((count, waiter))
            await waiter

    async def complete(self) -> memoryview:
        """Return the whole payload when it is there. Raises ConnectionLostError like `wait`."""
        await self.wait(self.size)
        return self.view

    def keep(self) -> None:
        """Keep the buffer beyond the reply; the handler must call `release` once it is done with it."""
        if not self._handler_holds and self._give is not None:
            self._handler_holds = True
            self.hold()

    def release(self) -> None:
        """Undo `keep`. May be called again, and without it."""
        if self._handler_holds:
            self._handler_holds = False
            self.drop()

    def hold(self) -> None:
        """For the rpc package: one more user of the buffer."""
        if self._give is not None:
            assert self._holders > 0, "payload used after its last holder dropped it"
            self._holders += 1

    def drop(self) -> None:
        """For the rpc package: one user less; the last one gives the buffer back."""
        if self._give is None:
            return
        self._holders -= 1
        assert self._holders >= 0, self._holders
        if self._holders == 0:
            self._give(self.view)
            self.view = memoryview(b"")

    def arrived(self, received: int) -> None:
        """For the rpc package: so many bytes are there now."""
        self.received = received
        if self._waiters:
            self._wake()

    def lose(self, error: ConnectionLostError) -> None:
        """For the rpc package: the rest never comes."""
        if self.received < self.size:
            self._lost = error
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiters = self._waiters, []
        for count, waiter in waiting:
            if count <= self.received or self._lost is not None:
                if not waiter.done():
                    waiter.set_result(None)
            else:
                self._waiters.append((count, waiter))


class IncomingPart:
    """Some bytes of a payload that several users keep and release, each for itself."""

    __slots__ = ("_incoming", "_is_kept", "size", "view")

    def __init__(self, incoming: Incoming, start: int, end: int) -> None:
        self._incoming = incoming
        self._is_kept = False
        self.view = incoming.view[start:end]
        self.size = end - start

    def keep(self) -> None:
        """As `Incoming.keep`."""
        if not self._is_kept:
            self._is_kept = True
            self._incoming.hold()

    def release(self) -> None:
        """As `Incoming.release`."""
        if self._is_kept:
            self._is_kept = False
            self.view = memoryview(b"")
            self._incoming.drop()


NO_PAYLOAD = Incoming(memoryview(b""))
"""Of every message without one: nothing to wait for, nothing to give back."""
