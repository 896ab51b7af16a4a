"""A limit in seconds on each call of a client or an open file: `fs.with_timeout(5).read_bytes(path)`.

`timed` wraps every public call of a class, so that a new one cannot be forgotten. Without a limit a call costs one
`if`. The limit is on the whole call, and of an iteration on each item.
"""

import asyncio
import copy
import functools
import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

from cairnfs.errors import BadRequestError, TimeLimitError

C = TypeVar("C", bound=type)
T = TypeVar("T")

_READS = {
    "cat", "chunk_table", "complete", "connect", "counters", "data", "data_ranges", "deletions", "du", "exists",
    "free", "glob", "info", "isdir", "isfile", "islink", "listdir", "ls", "lstat", "pread", "pread_stale",
    "preadinto", "quota", "quotas", "read", "read_bytes", "read_text", "readinto", "readline", "readlink", "realpath",
    "record_batches", "records", "replica_info", "restored_ns", "scandir", "server_counters", "size", "stat",
    "status", "trash", "wait_longer", "walk",
}  # fmt: skip
"""They change nothing. Whatever is not named here may have changed something when its time is up."""
_NOT_TIMED = {"upload", "download", "copytree", "transfer"}
"""They take their limit themselves: on progress, because a whole copy takes as long as it takes."""
_LEFT = {
    "append": "the record may be there, whole, or may come yet",
    "append_all": "each record may be there, whole, or may come yet",
    "open": "a new file may have been made, or an old one emptied (w)",
    "write_bytes": "the file may be there with none, some or all of the new bytes",
    "write_text": "the file may be there with none, some or all of the new bytes",
    "put": "this value was not taken",
    "room": "this value was not taken",
    "copy": "the target may be there with none, some or all of the bytes",
    "write": "what was taken is kept by the file; flush, sync or close goes on",
    "pwrite": "what was taken is kept by the file; flush, sync or close goes on",
    "flush": "what is not acked is kept by the file or writer; flush, sync or close goes on",
    "sync": "what is not synced is kept by the file; sync or close goes on",
    "close": "what is not synced is kept by the file or writer; close goes on",
}
_CALLED = {"record_batches": "records", "room": "put"}
"""What the caller knows a call as."""
_LEFT_ELSE = "it may have been carried out, whole, or may be yet"
_LEFT_READ = "nothing was changed"


class Limited:
    """Has calls that `timed` wraps."""

    limit_s: float | None = None
    """Longest time of each call in seconds."""

    def __dir__(self) -> list[str]:
        return public_names(super().__dir__())

    def with_timeout(self, timeout: float | None) -> Self:
        """Return the same client with a limit in seconds on each call, of iterations on each item; None: no limit.

        It shares its connections with this one: closing either closes both. A file that it opens has the limit too.
        A call that takes longer raises TimeLimitError, a TimeoutError that says which call, on what, and what is left.

        Raises:
            BadRequestError: 0, negative, or no number.
        """
        same = copy.copy(self)
        same.limit_s = checked(timeout)
        return same


def public_names(names: Iterable[str]) -> list[str]:
    """Return what a completer offers: no private clutter. Double underscores stay, as Python's own tools want them."""
    return [name for name in names if not name.startswith("_") or name.startswith("__")]


def checked(timeout: float | None) -> float | None:
    """Return a limit that makes sense.

    Raises:
        BadRequestError: 0, negative, or no number.
    """
    if timeout is None:
        return None
    given: object = timeout
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0 or math.isinf(given):
        raise BadRequestError(what=f"timeout={timeout!r}: it takes seconds above 0, or None for no limit")
    return float(given)


def timed(kind: C) -> C:
    """Put the limit of its instance on each public call of a class."""
    for name, method in list(vars(kind).items()):
        if name.startswith("_") or name in _NOT_TIMED:
            continue
        if inspect.iscoroutinefunction(method):
            setattr(kind, name, _timed_call(name, method))
        elif inspect.isasyncgenfunction(method):
            setattr(kind, name, _timed_items(name, method))
    return kind


def _timed_call(name: str, method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        limit_s = self.limit_s
        if limit_s is None:
            return await method(self, *args, **kwargs)
        return await within(limit_s, method(self, *args, **kwargs), call=name, what=_what(self, args, kwargs))

    return call


def _timed_items(name: str, method: Callable[..., AsyncGenerator[T, None]]) -> Callable[..., AsyncIterator[T]]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[T]:  # noqa: ANN401
        items = method(self, *args, **kwargs)
        limit_s = self.limit_s
        return items if limit_s is None else each_within(limit_s, items, call=name, what=_what(self, args, kwargs))

    return call


async def within(limit_s: float, job: Coroutine[Any, Any, T], *, call: str, what: str) -> T:
    """Return what `job` returns.

    Raises:
        TimeLimitError: it took longer, and was cancelled.
    """
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return await job
    except TimeoutError as error:
        if not limit.expired():
            raise  # another deadline of the job's own
        left = _LEFT_READ if call in _READS else _LEFT.get(call, _LEFT_ELSE)
        raise TimeLimitError(call=_CALLED.get(call, call), what=what, timeout_s=limit_s, left=left) from error


async def each_within(
    limit_s: float, items: AsyncGenerator[T, None], *, call: str, what: str
) -> AsyncGenerator[T, None]:
    """Yield what `items` yields, each item within the limit."""
    try:
        while True:  # ends with the items
            yield await within(limit_s, _next(items), call=call, what=what)
    except StopAsyncIteration:
        return
    finally:
        await items.aclose()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)


def _what(owner: object, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Return on what a call works: the name of an open file or the path of a writer, else the first path given."""
    given = getattr(owner, "name", "") or getattr(owner, "path", "") or next(iter([*args, *kwargs.values()]), "")
    return given if isinstance(given, str) else repr(given)
