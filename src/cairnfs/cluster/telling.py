"""How the demo speaks: sentences, progress bars on a terminal, and plain lines where nobody watches."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from cairnfs.units import format_size


class Bar(Protocol):
    """Progress of one thing; may be advanced from any thread."""

    def advance(self, count: int) -> None: ...


class _Counted:
    """A bar that nobody sees but that knows how far it is."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count


class Teller:
    """Tells a story on stdout."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._watched = sys.stdout.isatty()
        self._began_s = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begin a part of the story, with the time since its start."""
        self._console.print()
        self._console.print(f"[{self.seconds():5.1f} s] {title}", style="bold")

    def say(self, text: str) -> None:
        self._console.print(f"          {text}")

    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows under headings."""
        shown = Table(box=None, pad_edge=False)
        for heading in headings:
            shown.add_column(heading, no_wrap=True)
        for row in rows:
            shown.add_row(*row)
        # Wider than a narrow terminal is better than cut: the columns are what the demo is about.
        wide = Console(highlight=False, markup=False, width=max(self._console.width, 150))
        wide.print(shown)

    @contextmanager
    def bar(self, title: str, total: int, *, in_bytes: bool = True) -> Iterator[Bar]:
        """Show progress inside the block, and one line with the speed after it."""
        began_s = time.monotonic()
        if not self._watched:
            counted: Bar = _Counted()
            yield counted
        else:
            columns = [TextColumn("          " + title), BarColumn()]
            columns += [DownloadColumn(), TransferSpeedColumn()] if in_bytes else [MofNCompleteColumn()]
            with Progress(*columns, console=self._console, transient=True) as bars:
                task = bars.add_task(title, total=total)
                yield _Shown(bars, task)
        took_s = max(time.monotonic() - began_s, 1e-6)
        amount = f"{format_size(total)}, {format_size(int(total / took_s))}/s" if in_bytes else f"{total}"
        self.say(f"{title}: {amount} in {took_s:.1f} s")


class _Shown:
    def __init__(self, bars: Progress, task: object) -> None:
        self._bars, self._task = bars, task

    def advance(self, count: int) -> None:
        self._bars.advance(self._task, count)  # type: ignore[arg-type]
