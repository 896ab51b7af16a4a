"""The push of data, apart from control. Rules 10, 11 and 16.

One write W of two parts by one client, to a primary and one secondary. Each try pushes both parts under new names; a
part arrives at any member at any time, again, or never, and a buffer drops what it likes. The order names the parts.
At most one raise makes the secondary primary; it adopts or drops what the old primary has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from spec.configuration import Ablation, Configuration, Part, Progress
from spec.explore import Label, Property, ViolationError

ONCE = Property("applied once", "contract 3, rule 11", "a mutation is never applied a second time")
WHOLE = Property("applied whole", "contract 3, rule 10", "no member applies some parts of a mutation, or changed bytes")
AGREE = Property("members agree", "contract 3", "what is acked is the same on every member")

Steps = Iterator[tuple[Label, "State"]]
NAMES = "AB"
PARTS = (1, 2)
Name = tuple[int, int]
"""Name of pushed data: which try, which part. A negative part: its bytes were changed on the way."""


class Member(NamedTuple):
    """One server: its buffer, the tries that it has applied, and what its filter of repeats knows."""

    buffer: tuple[Name, ...] = ()
    applied: tuple[int, ...] = ()
    """Tries whose bytes are in the replica, in order; 0: not whole, or changed."""
    known: bool = False
    """The filter knows the sequence of W."""


class State(NamedTuple):
    """All of it."""

    members: tuple[Member, Member] = (Member(), Member())
    primary: int = 0
    tries: int = 0
    """Tries pushed so far."""
    requested: tuple[int, ...] = ()
    """Tries whose request is under way to the primary."""
    order: int = 0
    """The try that the primary has ordered and that is not answered yet; its bytes are kept until then."""
    is_acked: bool = False
    raises: int = 1


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    verify_on_arrival: bool = True
    """Rule 16: changed bytes are not kept."""
    all_parts_first: bool = True
    """Rule 10: nothing is applied before all its bytes are there."""
    filter_repeats: bool = True
    """Rule 11: a sequence that is applied or under way is not carried out again, whatever data it names."""
    filter_travels: bool = True
    """Rule 11: members and the next primary know it too."""
    ack_by_all: bool = True
    """Rule 2: the secondary has answered before the ack."""
    serial_once: bool = True
    """Rule 11: a member applies each serial once."""


class Push:
    """One configuration; a `spec.explore.Model`."""

    def __init__(self, *, tries: int = 2, safeguards: Safeguards | None = None) -> None:
        self.tries = tries
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """Nothing was pushed."""
        return State()

    def check(self, state: State) -> None:
        """What every member has applied is W, whole, and once."""
        for name, member in zip(NAMES, state.members, strict=True):
            if 0 in member.applied:
                raise ViolationError(WHOLE, f"{name} has applied bytes that are not those of W")
            if len(member.applied) > 1:
                raise ViolationError(ONCE, f"{name} has applied W {len(member.applied)} times")
        if state.is_acked and not all(member.applied for member in state.members):
            raise ViolationError(AGREE, "W is acked, but a member lacks it")

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        if state.tries < self.tries and not state.is_acked:
            number = state.tries + 1
            yield (
                ("the client pushes W as data {}, and asks", number),
                state._replace(tries=number, requested=(*state.requested, number)),
            )
        for node in (0, 1):
            yield from self._arrivals(state, node)
        yield from self._requests(state)
        yield from self._order(state)
        yield from self._raise(state)

    def _arrivals(self, state: State, node: int) -> Steps:
        member = state.members[node]
        names = [(number, part) for number in range(1, state.tries + 1) for part in PARTS]
        if not self.safeguards.verify_on_arrival:
            names += [(number, -part) for number, part in names]
        for name in names:
            if name not in member.buffer:
                kept = tuple(sorted((*member.buffer, name)))
                how = "arrives" if name[1] > 0 else "arrives changed"
                yield (
                    ("part {} of data {} {} at {}", abs(name[1]), name[0], how, NAMES[node]),
                    _with(state, node, member._replace(buffer=kept)),
                )
        for name in member.buffer:
            kept = tuple(other for other in member.buffer if other != name)
            yield (
                ("{} drops part {} of data {}", NAMES[node], abs(name[1]), name[0]),
                _with(state, node, member._replace(buffer=kept)),
            )

    def _requests(self, state: State) -> Steps:
        """A request reaches the primary: a repeat is answered, the rest needs its data."""
        node, member = state.primary, state.members[state.primary]
        for number in state.requested:
            others = tuple(other for other in state.requested if other != number)
            if member.known and self.safeguards.filter_repeats:
                if not state.order:
                    yield (
                        ("request {} is answered as a repeat", number),
                        state._replace(requested=others, is_acked=True),
                    )
                continue
            if state.order:
                continue
            taken = self._taken(member, number)
            if taken is not None:
                # The client did not hear the answer, so the same request may come again.
                yield (
                    ("primary {} applies W with data {}", NAMES[node], number),
                    _with(state, node, taken)._replace(order=number),
                )

    def _taken(self, member: Member, number: int) -> Member | None:
        """Return the member after it has applied a try from its buffer; None: data is missing."""
        mine = [name for name in member.buffer if name[0] == number]
        parts = sorted(abs(name[1]) for name in mine)
        is_complete = sorted(set(parts)) == list(PARTS)
        if not mine or (not is_complete and self.safeguards.all_parts_first):
            return None
        is_right = is_complete and all(name[1] > 0 for name in mine)
        kept = tuple(name for name in member.buffer if name[0] != number)
        return Member(kept, (*member.applied, number if is_right else 0), known=True)

    def _order(self, state: State) -> Steps:
        """The secondary takes the order, or is given the data once more; then the ack."""
        if not state.order:
            return
        node = 1 - state.primary
        member = state.members[node]
        is_done = bool(member.applied) and self.safeguards.serial_once
        taken = self._taken(member, state.order)
        if not is_done and taken is not None:
            known = self.safeguards.filter_travels
            yield (
                ("{} applies the order with data {}", NAMES[node], state.order),
                _with(state, node, taken._replace(known=known)),
            )
        if not is_done:
            missing = tuple((state.order, part) for part in PARTS)
            if not all(name in member.buffer for name in missing):
                buffer = tuple(sorted({*member.buffer, *missing}))
                yield (
                    ("the primary pushes data {} to {} again", state.order, NAMES[node]),
                    _with(state, node, member._replace(buffer=buffer)),
                )
        if member.applied or not self.safeguards.ack_by_all:
            yield ("W is acked",), state._replace(order=0, is_acked=True)

    def _raise(self, state: State) -> Steps:
        """The secondary becomes primary; both become equal to the one or the other, if nothing was acked."""
        if not state.raises:
            return
        for source in (0, 1):
            origin = state.members[source]
            members = tuple(
                member._replace(
                    applied=origin.applied,
                    known=origin.known if self.safeguards.filter_travels else member.known and bool(origin.applied),
                )
                for member in state.members
            )
            yield (
                ("a raise makes both equal to {}; {} is primary", NAMES[source], NAMES[1 - state.primary]),
                (state._replace(members=(members[0], members[1]), primary=1 - state.primary, raises=0, order=0)),
            )


def _with(state: State, node: int, member: Member) -> State:
    first, second = state.members
    return state._replace(members=(member, second) if node == 0 else (first, member))


def _off(name: str, safeguard: str, *, tries: int = 2) -> Ablation:
    off: dict[str, bool] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)
    return Ablation(name, safeguard, lambda: Push(tries=tries, safeguards=safeguards))


PUSH = Part(
    "push",
    (
        Configuration("one write, two tries, a raise", lambda: Push(tries=2), is_short=True),
        Configuration("one write, three tries, a raise", lambda: Push(tries=3)),
    ),
    (
        _off("data is verified on arrival", "verify_on_arrival"),
        _off("all parts before the first byte", "all_parts_first"),
        _off("filter of repeats", "filter_repeats"),
        _off("the filter travels", "filter_travels"),
        _off("ack by all", "ack_by_all"),
        _off("each serial once", "serial_once"),
    ),
    progress=(
        Progress(
            "the write can always be acked",
            lambda: Push(tries=2),
            lambda state: state.is_acked,
            lambda state: False,
            is_short=True,
        ),
    ),
)
