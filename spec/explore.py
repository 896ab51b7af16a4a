"""Goes through the states of a model, breadth first. Used by every configuration and by the tests.

Invariants:
    1. States are met in order of distance, so the trace of a violation is a shortest one.
    2. The same model gives the same order in every run: no set is iterated.
"""

import gc
import random
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)

Label = tuple[object, ...]
"""A text for `str.format`, and what goes into it: formatted only if it is shown."""

START: Label = ("start",)

_STATES_PER_LOOK = 256
"""Between two looks at the clock."""


class Property(NamedTuple):
    """A promise, and where it is given."""

    name: str
    clause: str
    claim: str


class ViolationError(Exception):
    """A property does not hold."""

    def __init__(self, broken: Property, what: str) -> None:
        super().__init__(broken, what)
        self.broken = broken
        self.what = what

    def __str__(self) -> str:
        return f"{self.broken.name} ({self.broken.clause}): {self.what}"


class Model(Protocol[S]):
    """What can be explored."""

    def initial(self) -> S:
        """Return the state in which all begins."""
        ...

    def check(self, state: S) -> None:
        """Raise ViolationError if a property of single states does not hold."""
        ...

    def steps(self, state: S) -> Iterable[tuple[Label, S]]:
        """Return what may happen next. Raises ViolationError: something happens that never may."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What was found."""

    states: int
    seconds: float
    exhaustive: bool
    violation: str = ""
    trace: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    """Names of the goals that some step reached."""


def shown(label: Label) -> str:
    """Return a label as text."""
    return str(label[0]).format(*label[1:])


class _Graph:
    """The states met so far, each with the step that met it first."""

    def __init__(self, first: Hashable) -> None:
        self.order: list[Hashable] = [first]
        self.known: dict[Hashable, int] = {first: 0}
        self.came: list[tuple[int, Label]] = [(-1, START)]

    def meet(self, state: Hashable, before: int, label: Label) -> int:
        number = self.known.get(state)
        if number is None:
            number = self.known[state] = len(self.order)
            self.order.append(state)
            self.came.append((before, label))
        return number

    def trace(self, number: int) -> tuple[str, ...]:
        labels: list[str] = []
        while number:
            number, label = self.came[number]
            labels.append(shown(label))
        return tuple(reversed(labels))


Goal = Callable[[Label], bool]


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the garbage collector off: a hundred thousand states are all alive, and none has a cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_no_collector()
def explore(
    model: Model[S], *, states_max: int = 2_000_000, seconds_max: float = 1e9, goals: dict[str, Goal] | None = None
) -> Result:
    """Visit every state that can be reached, until a violation, the end or a limit."""
    began = time.process_time()
    graph = _Graph(model.initial())
    reached: dict[str, None] = {}
    number = 0
    while number < len(graph.order):
        state: S = graph.order[number]  # type: ignore[assignment]  # only states of the model are met
        try:
            model.check(state)
            for label, after in model.steps(state):
                graph.meet(after, number, label)
                for name, is_goal in (goals or {}).items():
                    if name not in reached and is_goal(label):
                        reached[name] = None
        except ViolationError as violation:
            spent = time.process_time() - began
            return Result(len(graph.order), spent, False, str(violation), graph.trace(number), tuple(reached))
        number += 1
        if len(graph.order) > states_max:
            break
        # Asking for the time costs as much as a state.
        if number % _STATES_PER_LOOK == 0 and time.process_time() - began > seconds_max:
            break
    spent = time.process_time() - began
    return Result(len(graph.order), spent, number == len(graph.order), reached=tuple(reached))


@_no_collector()
def find_stuck(
    model: Model[S], *, is_goal: Callable[[S], bool], is_spent: Callable[[S], bool], states_max: int = 500_000
) -> Result:
    """Look for a state from which no goal can be reached any more although it is not `is_spent`."""
    began = time.process_time()
    graph = _Graph(model.initial())
    before: list[list[int]] = [[]]
    good: list[int] = []
    number = 0
    while number < len(graph.order) and len(graph.order) <= states_max:
        state: S = graph.order[number]  # type: ignore[assignment]  # only states of the model are met
        if is_goal(state):
            good.append(number)
        else:
            for label, after in model.steps(state):
                place = graph.meet(after, number, label)
                if place == len(before):
                    before.append([])
                before[place].append(number)
        number += 1
    exhaustive = number == len(graph.order)
    fine = bytearray(len(graph.order))
    while good:
        place = good.pop()
        if not fine[place]:
            fine[place] = 1
            good.extend(before[place])
    spent = time.process_time() - began
    for place in range(number if exhaustive else 0):
        state = graph.order[place]  # type: ignore[assignment]  # only states of the model are met
        if not fine[place] and not is_spent(state):
            return Result(len(graph.order), spent, False, "stuck: no acknowledgement can follow", graph.trace(place))
    return Result(len(graph.order), spent, exhaustive)


def walk(model: Model[S], *, seconds: float, seed: int, depth: int, dull: tuple[str, ...] = ()) -> Result:
    """Take random walks, for combinations that are too large to visit whole. `dull`: words of steps taken rarely."""
    chance = random.Random(seed)
    began = time.process_time()
    taken = 0
    while time.process_time() - began < seconds:
        state, trace = model.initial(), list[str]()
        for _ in range(depth):
            try:
                model.check(state)
                possible = list(model.steps(state))
            except ViolationError as violation:
                return Result(taken, time.process_time() - began, False, str(violation), tuple(trace))
            if not possible:
                break
            label, state = _pick(chance, possible, dull)
            trace.append(shown(label))
            taken += 1
    return Result(taken, time.process_time() - began, False)


def _pick(chance: random.Random, possible: list[tuple[Label, S]], dull: tuple[str, ...]) -> tuple[Label, S]:
    label, state = possible[0]
    for _ in range(4):
        label, state = chance.choice(possible)
        if not any(word in str(label[0]) for word in dull):
            break
    return label, state
