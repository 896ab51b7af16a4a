"""What every blocking call stands on: one hop to the loop of the client's life. Used by `blocking_client`."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Self, TypeVar

from cairnfs.client.blocking import PROCESS, Ground
from cairnfs.client.deadlines import checked, public_names
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client as AsyncClient
from cairnfs.config import ClientConfig
from cairnfs.errors import ShutdownError

T = TypeVar("T")

_BATCH = 256
"""Items of an iteration fetched in one hop."""


class _Life:
    """The asynchronous client of one process: views of a client share it."""

    def __init__(self) -> None:
        self.inner: AsyncClient | None = None
        self.number = 0


class Hops:
    """How a blocking client reaches its loop, and what a fork does to it."""

    def __init__(self, config: ClientConfig | None = None, ground: Ground = PROCESS) -> None:
        self.config = config or ClientConfig()
        self.ground = ground
        self.limit_s: float | None = None
        """Longest time of each call in seconds; see `with_timeout`."""
        self._life = _Life()

    def __dir__(self) -> list[str]:
        return public_names(super().__dir__())

    def _state(self) -> str:
        """Say what is known without asking anybody."""
        life = self._life
        is_there = life.inner is not None and life.number == self.ground.life()
        limit = "" if self.limit_s is None else f", {self.limit_s:g} s a call"
        return f"{', '.join(self.config.master)} ({'connected' if is_there else 'not connected'}{limit})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.ground is not PROCESS:
            raise TypeError(f"cannot pickle {self!r}: no other process can reach its cluster")
        return _again, (self._plain(), self.config, self.limit_s)

    def _plain(self) -> "type[Hops]":
        """Return the class that another process makes of this one."""
        return Hops

    # ------------------------------------------------------------------ hops

    def _present(self) -> AsyncClient:
        """Return the asynchronous client of this life. Called on the loop."""
        life = self._life
        if life.inner is None or life.number != self.ground.life():
            life.inner, life.number = self.ground.make_client(self.config), self.ground.life()
        return life.inner

    def _limited(self, timeout: float | None) -> AsyncClient:
        """Return the client with the limit of this call, else of this view. Called on the loop."""
        limit_s = checked(timeout) if timeout is not None else self.limit_s
        return self._present() if limit_s is None else self._present().with_timeout(limit_s)

    def _run(self, call: Callable[[AsyncClient], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        async def job() -> T:
            return await call(self._limited(timeout))

        return self.ground.run(job())

    def _iterate(
        self, call: Callable[[AsyncClient], AsyncIterator[T]], batch: int = _BATCH, timeout: float | None = None
    ) -> Generator[T, None, None]:
        async def begin() -> AsyncIterator[T]:
            return call(self._limited(timeout))

        async def more(items: AsyncIterator[T]) -> list[T]:
            found: list[T] = []
            async for item in items:
                found.append(item)
                if len(found) >= batch:
                    break
            return found

        async def end(items: AsyncIterator[T]) -> None:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

        items = self.ground.run(begin())
        try:
            while found := self.ground.run(more(items)):  # ends with the iteration
                yield from found
        finally:
            # One that was left early tidies up now, not when its loop finds the time.
            with contextlib.suppress(ShutdownError):  # the interpreter ends, and everything with it
                self.ground.run(end(items))

    def reopened(self, file: File, mode: str) -> File:
        """Return the same file for this life: for one that was forked."""

        async def job() -> File:
            client = self._limited(None)
            await client.connect()
            return client.file_of(file.inode, file.name, mode.replace("w", "r+").replace("x", "r+").replace("++", "+"))

        return self.ground.run(job())

    def connect(self) -> None:
        """Reach the master now. Raises ConnectError, whose text says how to start a cluster."""
        self._run(lambda fs: fs.connect())

    def close(self) -> None:
        """End all connections; the next call makes new ones. Close files first."""
        inner, self._life.inner = self._life.inner, None
        if inner is not None and self._life.number == self.ground.life():
            self.ground.run(inner.close())

    def with_timeout(self, timeout: float | None) -> Self:
        """Return the same client with a limit in seconds on each call, of iterations on each item; None: no limit.

        It shares its connections with this one: closing either closes both. A file that it opens has the limit too.
        A call that takes longer raises TimeLimitError, a TimeoutError that says which call, on what, and what is left.

        Raises:
            BadRequestError: 0, negative, or no number.
        """
        # Not copy.copy: that asks __reduce__, which makes what another process would get, with connections of its own.
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        same.limit_s = checked(timeout)
        return same

    def counters(self) -> dict[str, int]:
        """Return what this client did so far in this process."""
        inner = self._life.inner
        return inner.counters() if inner is not None and self._life.number == self.ground.life() else {}


def _again(kind: type[Hops], config: ClientConfig, limit_s: float | None) -> Hops:
    client = kind(config)
    client.limit_s = limit_s
    return client
