"""How far a copy is: a bar on a terminal or in a notebook, or a callable of the program. Used by client and cli."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tell = Callable[[int, int], object]
"""(bytes done, bytes in all); called in the thread of whoever copies."""


@contextmanager
def shown(progress: bool | Tell, title: str) -> Iterator[Tell]:
    """Give what to tell the progress to. True: a bar, if somebody is there to see it.

    Raises:
        TypeError: neither a bool nor callable.
    """
    if callable(progress):
        yield progress
    elif progress is True:
        with bar(title) as tell:
            yield tell
    elif progress is False:
        yield _nothing
    else:
        raise TypeError(f"progress is True, False or a callable of (done_bytes, total_bytes), not {progress!r}")


def _nothing(done_bytes: int, total_bytes: int) -> None:
    pass


@contextmanager
def bar(title: str, *, after_s: float = 0.0) -> Iterator[Tell]:
    """Show a bar with bytes, speed and time left inside the block, once `after_s` have passed.

    Nothing is shown where stderr is neither a terminal nor a notebook: a log needs no bar.
    """
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield _nothing
        return
    bars = _bars(title)
    task = bars.add_task(title, total=None)

    def tell(done_bytes: int, total_bytes: int) -> None:
        bars.update(task, completed=done_bytes, total=total_bytes)
        if not bars.live.is_started and (bars.tasks[0].elapsed or 0.0) >= after_s:
            bars.start()

    try:
        yield tell
    finally:
        bars.stop()


def _bars(title: str) -> Any:  # noqa: ANN401 - rich is loaded by the few who want to see a bar
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console() if "ipykernel" in sys.modules else Console(stderr=True))
