"""How long an overwrite waits for a server left behind: two serving leases, and who knows which one counts. Rules 5, 6.

Members A, which survives, and B, which the master cannot hear for a while. A chunk that was never overwritten is served
with the long lease, any other with the short one, and each server knows that of its own replica only. A has seen the
watermark pass an overwrite, so it knows that B has seen one too, and tells so in its promise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from spec.configuration import Ablation, Configuration, Part, Reach
from spec.explore import Label, Property, ViolationError

NEVER_OLDER = Property("reads never go back", "contract 4", "B shows nothing older than what was acked or shown")

Steps = Iterator[tuple[Label, "State"]]
SHORT_TICKS = 1
LONG_TICKS = 2
OVERWRITES_MAX = 3
RAISES_MAX = 3


class Left(NamedTuple):
    """B, which may be left behind."""

    content: int = 0
    has_seen: bool = False
    """It knows the chunk to be overwritten, and keeps to the short lease."""
    is_member: bool = True
    is_excluded: bool = False
    """It knows that it is behind."""


class State(NamedTuple):
    """All of it."""

    left: Left = Left()
    content: int = 0
    """Overwrites that A has applied."""
    committed: int = 0
    """Applied by all members."""
    shown: int = 0
    """Acked to a writer, or shown to a reader."""
    knows: bool = False
    """A: an overwrite of this version is committed."""
    age: int = 0
    """Ticks since B's serving lease was renewed."""
    is_pending: bool = False
    """The master waits for B to confirm its exclusion."""
    is_short: bool = False
    """The master knows that B keeps to the short lease."""
    raises: int = 0


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    short_fence_if_told: bool = True
    """The short lease counts only if a member of the version has told that an overwrite was committed."""
    told_when_committed: bool = True
    """A member tells of committed overwrites, not of those that it has applied itself."""
    told_of_its_version: bool = True
    """What was told counts for the members of that version only."""
    forget_when_made_anew: bool = True
    """Of a replica of a newer version nothing is known: it may have been made anew."""


class Fence:
    """The only configuration; a `spec.explore.Model`."""

    def __init__(self, safeguards: Safeguards | None = None) -> None:
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """Both hold the chunk, which was only ever extended."""
        return State()

    def check(self, state: State) -> None:
        """Properties are checked by reads."""

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        if state.age < LONG_TICKS:
            yield ("a tick passes",), state._replace(age=state.age + 1)
        yield from _renewal(state)
        yield from self._overwrite(state)
        yield from self._raises(state)
        yield from _read(state)

    def is_fenced(self, state: State) -> bool:
        """True if the master is sure that B cannot be read any more."""
        if state.left.is_member or not state.is_pending:
            return True
        is_short = state.is_short or not self.safeguards.short_fence_if_told
        return state.age >= (SHORT_TICKS if is_short else LONG_TICKS)

    def _overwrite(self, state: State) -> Steps:
        left = state.left
        if state.content == state.committed < OVERWRITES_MAX and self.is_fenced(state):
            knows = state.knows or not self.safeguards.told_when_committed
            yield ("A applies overwrite {}", state.content + 1), state._replace(content=state.content + 1, knows=knows)
        if left.is_member and left.content < state.content:
            applied = left._replace(content=state.content, has_seen=True)
            yield ("B applies overwrite {}", state.content), state._replace(left=applied)
        is_everywhere = not left.is_member or left.content == state.content
        if state.committed < state.content and is_everywhere and self.is_fenced(state):
            done = state._replace(committed=state.content, shown=state.content, knows=True)
            is_early = state.is_pending and not left.is_member and state.age < LONG_TICKS
            yield ("overwrite {} is acked{}", state.content, " after the short lease" if is_early else ""), done

    def _raises(self, state: State) -> Steps:
        if state.raises == RAISES_MAX:
            return
        raised = state._replace(raises=state.raises + 1)
        kept = state.knows and not self.safeguards.told_of_its_version
        if state.left.is_member:
            out = state.left._replace(is_member=False)
            is_short = state.knows or (state.is_pending and state.is_short)
            yield (
                ("a raise leaves B out; A tells: {}", "overwritten" if state.knows else "nothing"),
                raised._replace(left=out, is_pending=True, is_short=is_short, knows=kept),
            )
            return
        is_short = state.is_short and not self.safeguards.forget_when_made_anew
        for how, has_seen in (("as it is", state.left.has_seen), ("made anew", False)):
            back = Left(content=state.content, has_seen=has_seen)
            yield (
                ("a raise takes B in again, its replica {}", how),
                raised._replace(left=back, committed=state.content, is_short=is_short, knows=kept),
            )


def _renewal(state: State) -> Steps:
    """Every renewal carries the exclusion, which takes effect first. Rule 5."""
    told = state.left._replace(is_excluded=state.left.is_excluded or not state.left.is_member)
    renewed = state._replace(left=told, age=0, is_pending=False)
    if renewed != state:
        yield ("the lease of B is renewed",), renewed


def _read(state: State) -> Steps:
    """B answers while its lease lasts; what is not known to be committed it does not show."""
    left = state.left
    if left.is_excluded or state.age >= (SHORT_TICKS if left.has_seen else LONG_TICKS):
        return
    if left.content > state.committed:
        return
    if left.content < state.shown:
        raise ViolationError(NEVER_OLDER, f"B shows overwrite {left.content} after overwrite {state.shown}")
    if left.content > state.shown:
        yield ("a read at B shows overwrite {}", left.content), state._replace(shown=left.content)


def _off(name: str, safeguard: str) -> Ablation:
    off: dict[str, bool] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)
    return Ablation(name, safeguard, lambda: Fence(safeguards))


FENCE = Part(
    "fence",
    (Configuration("a server left behind, two serving leases", Fence, is_short=True),),
    (
        _off("the short lease counts only if told", "short_fence_if_told"),
        _off("told of committed overwrites", "told_when_committed"),
        _off("told of its own version", "told_of_its_version"),
        _off("forgotten when made anew", "forget_when_made_anew"),
    ),
    reaches=(
        Reach(
            "an overwrite after the short lease",
            Fence,
            {"acked early": lambda label: "after the short" in str(label)},
            ("acked early",),
            is_short=True,
        ),
    ),
)
