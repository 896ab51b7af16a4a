"""The clients behind one filesystem object: one for each loop of each process that uses it.

    call on a loop ──▶ this process? this loop? ──▶ its client, made with the first call
    the loop is shut down, the object collected, the process ends ──▶ its connections are closed
    fork ──▶ the child forgets the parent's clients, without touching their sockets, and makes its own

fsspec runs blocking calls on a loop thread of its own; `asynchronous=True` runs on the caller's; and programs such as
zarr use one object on both. A client belongs to the loop that it was made on.

An asynchronous generator keeps each client: loops close those before they end (`asyncio.run` does, and test runners),
and close them too when the last reference is gone, from whichever thread. Nothing else would do both.
"""

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from cairnfs.client.blocking import PROCESS
from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig

logger = logging.getLogger(__name__)

_CLOSE_S = 5.0
"""At exit a loop that does not answer for so long is left alone: the kernel closes what it holds."""


class Closable(Protocol):
    """A file that must be closed before the process ends."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Held:
    loop: asyncio.AbstractEventLoop
    client: Client
    keeper: AsyncGenerator[None]


class Clients:
    """The clients of one filesystem object. `present` is called on a loop, from any thread."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}
        _process.all.add(self)

    async def present(self) -> Client:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(id(loop))
        if held is None or held.loop is not loop:
            client = PROCESS.make_client(self.config)
            held = _Held(loop, client, _keep(client))
            with self._lock:
                self._held = {key: other for key, other in self._held.items() if not other.loop.is_closed()}
                self._held[id(loop)] = held
            await anext(held.keeper)
        return held.client

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """Return the loops that have a client now."""
        return [held.loop for held in self._held.values()]

    async def close(self) -> None:
        """Close the client of the running loop; the next call makes another."""
        loop = asyncio.get_running_loop()
        with self._lock:
            held = self._held.pop(id(loop), None)
        if held is not None:
            await held.keeper.aclose()

    def forget(self) -> list[_Held]:
        """Begin anew in a forked child; return what belongs to the parent."""
        held, self._held, self._lock = self._held, {}, threading.Lock()
        return list(held.values())


async def _keep(client: Client) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await client.close()


class _Process:
    """What is open in this process, and what a fork left to it."""

    def __init__(self) -> None:
        self.all: weakref.WeakSet[Clients] = weakref.WeakSet()
        self.files: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()
        self.of_parents: list[_Held] = []
        """Never dropped: collecting them would wake the parent's loop, whose file descriptors a child shares."""


_process = _Process()


def close_at_exit(file: Closable) -> None:
    """Close `file` before its loop ends with the process, if somebody still has it open then."""
    _process.files[id(file)] = file


def _after_fork() -> None:
    _process.files = weakref.WeakValueDictionary()
    for clients in list(_process.all):
        _process.of_parents += clients.forget()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    for file in list(_process.files.values()):
        try:
            file.close()
        except (OSError, ValueError, RuntimeError):
            logger.exception("file not closed at exit file=%s", file)
    for clients in list(_process.all):
        for loop in clients.loops():
            if loop.is_running():
                _close_on(loop, clients)


def _close_on(loop: asyncio.AbstractEventLoop, clients: Clients) -> None:
    future = asyncio.run_coroutine_threadsafe(clients.close(), loop)
    try:
        future.result(_CLOSE_S)
    except TimeoutError:
        future.cancel()
        logger.warning("connections not closed at exit loop=%s", loop)
