"""Numbers that make requests happen once, and which of them are still waited for. Pure. Contract 1, rule 11."""

from collections.abc import Iterator
from contextlib import contextmanager

from cairnfs.ids import NO_VERSION, ChunkVersion, ClientId, Sequence
from cairnfs.wire.common import Once


class Doubt:
    """Whether a mutation of a chunk may have happened though nobody said so. It goes with the sequence. Rule 11."""

    def __init__(self) -> None:
        self.since: ChunkVersion = NO_VERSION
        """The oldest version at which it may have happened; NO_VERSION: no order of it was left without an answer."""

    def note(self, version: ChunkVersion) -> None:
        """An order at that version may have been carried out."""
        self.since = version if self.since == NO_VERSION else min(self.since, version)


class Sequences:
    """Gives out the sequences of one client library instance; a fork makes a new one."""

    def __init__(self, client: ClientId) -> None:
        self.client = client
        self._next = 1
        self._waiting: dict[Sequence, None] = {}  # in the order given out, so the first is the lowest

    def take(self) -> Sequence:
        """Return a new sequence; it counts as waited for until `done`."""
        sequence = Sequence(self._next)
        self._next += 1
        self._waiting[sequence] = None
        return sequence

    def done(self, sequence: Sequence) -> None:
        """Wait for it no more: its result arrived, or the caller has given up. May be called again."""
        self._waiting.pop(sequence, None)

    @property
    def lowest(self) -> Sequence:
        """The lowest sequence still waited for; servers may forget results below it."""
        return next(iter(self._waiting), Sequence(self._next))

    @contextmanager
    def once(self) -> Iterator[Once]:
        """Give an `Once` for one request, waited for inside the block."""
        sequence = self.take()
        try:
            yield Once(client=self.client, sequence=sequence, lowest=self.lowest)
        finally:
            self.done(sequence)
