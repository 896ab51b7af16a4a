"""Plain integers with names: what a server counts about itself. No threads, no HTTP, no dependencies.

A counter costs one dictionary write. Names are `thing_what` in lower case, the same words as in the paper;
`GetCounters` and the web page show them as they are.
"""

from collections import defaultdict


class Counters:
    """Counters of one role; a name that was never counted is 0."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: defaultdict[str, int] = defaultdict(int)

    def add(self, name: str, amount: int = 1) -> None:
        self._values[name] += amount

    def set(self, name: str, value: int) -> None:
        """Give a gauge its present value."""
        self._values[name] = value

    def get(self, name: str) -> int:
        return self._values.get(name, 0)

    def take(self) -> dict[str, int]:
        """Return all and begin anew at 0, for whoever adds up several lives."""
        values = dict(self._values)
        self._values.clear()
        return values

    def all(self) -> dict[str, int]:
        """Return a copy, sorted by name."""
        return dict(sorted(self._values.items()))
