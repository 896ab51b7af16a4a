"""A progress bar on stderr when that is a terminal, for what is not counted in advance; else nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

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
