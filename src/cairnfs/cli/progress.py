"""A progress bar on stderr when that is a terminal and rich is there to draw it; else nothing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What a copy tells about itself; may be called from any thread."""

    def expect(self, count: int) -> None:
        """So many more bytes will come."""

    def advance(self, count: int) -> None:
        """So many bytes have been copied."""


class _Silent:
    def expect(self, count: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


@contextmanager
def progress(title: str, *, after_s: float = 0.0) -> Iterator[Progress]:
    """Show a bar with bytes, speed and time left inside the block, once `after_s` have passed."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bars = Bars(*columns, console=Console(stderr=True))
    task = bars.add_task(title, total=None)
    expected = 0
    began_s = time.monotonic()

    class Shown:
        def expect(self, count: int) -> None:
            nonlocal expected
            expected += count
            bars.update(task, total=expected)

        def advance(self, count: int) -> None:
            bars.advance(task, count)
            if not bars.live.is_started and time.monotonic() - began_s >= after_s:
                bars.start()

    if not after_s:
        bars.start()
    try:
        yield Shown()
    finally:
        bars.stop()
