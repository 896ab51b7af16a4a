"""Progress on stderr: a bar of bytes where that is a terminal, else nothing; a bar of things, else lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from cairnfs.observe.progress import Tell, bar


class Progress:
    """What a command tells about itself."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._done = 0
        self._expected = 0

    def expect(self, count: int) -> None:
        """So many more bytes will come."""
        self._expected += count
        self._tell(self._done, self._expected)

    def advance(self, count: int) -> None:
        """So many bytes have been copied."""
        self._done += count
        self._tell(self._done, self._expected)


@contextmanager
def progress(title: str, *, after_s: float = 0.0) -> Iterator[Progress]:
    """Show a bar inside the block, once `after_s` have passed."""
    with bar(title, after_s=after_s) as tell:
        yield Progress(tell)


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Give what to tell (done, of how many, in a sentence): a bar on a terminal, else a line whenever it changes."""
    if not sys.stderr.isatty():
        last = ""

        def say(_done: int, _total: int, sentence: str) -> None:
            nonlocal last
            if sentence != last:
                click.echo(sentence, err=True)
                last = sentence

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(done: int, total: int, sentence: str) -> None:
            bars.update(task, completed=done, total=total, description=sentence.partition(";")[0])

        yield show
