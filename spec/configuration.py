"""What a run consists of: a model with its bounds, and what is expected of it. The lists are beside the models."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spec.explore import Goal, Model, Result, explore, find_stuck

AnyModel = Model[Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A model in which nothing may be found."""

    name: str
    make: Callable[[], AnyModel]
    is_short: bool = False
    """Part of `--short` and of the tests."""
    seconds_max: float = 120.0


@dataclass(frozen=True, slots=True)
class Ablation:
    """The same with one safeguard off: a violation must be found."""

    name: str
    safeguard: str
    make: Callable[[], AnyModel]
    is_short: bool = True
    redundant: str = ""
    """Why nothing is found although it is off, if that is so."""


@dataclass(frozen=True, slots=True)
class Progress:
    """No state may be a dead end: from each a goal can still be reached, unless the model's bounds are spent."""

    name: str
    make: Callable[[], AnyModel]
    is_goal: Callable[[Any], bool]
    is_spent: Callable[[Any], bool]
    is_short: bool = False

    def run(self) -> Result:
        """Look for dead ends."""
        return find_stuck(self.make(), is_goal=self.is_goal, is_spent=self.is_spent)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which of some events can happen at all, so that safety is not bought by doing nothing."""

    name: str
    make: Callable[[], AnyModel]
    goals: dict[str, Goal]
    expected: tuple[str, ...]
    is_short: bool = False

    def run(self) -> Result:
        """Visit everything, and say so if what is reached is not what is expected."""
        result = explore(self.make(), goals=self.goals)
        if not result.violation and sorted(result.reached) != sorted(self.expected):
            reached = ", ".join(result.reached) or "nothing"
            return Result(result.states, result.seconds, result.exhaustive, f"reached: {reached}", (), result.reached)
        return result


@dataclass(frozen=True, slots=True)
class Part:
    """Everything about one model."""

    name: str
    configurations: tuple[Configuration, ...]
    ablations: tuple[Ablation, ...]
    progress: tuple[Progress, ...] = ()
    reaches: tuple[Reach, ...] = ()
    walks: tuple[Configuration, ...] = field(default=())

    def names(self) -> list[str]:
        """Return the names of all its runs."""
        names = [one.name for one in (*self.configurations, *self.walks)]
        names += [one.name for one in self.progress] + [one.name for one in self.reaches]
        return names + [one.name for one in self.ablations]
