"""Snapshot and copy-on-write: the map of a file leaves a handle whose replicas stay valid. Rule 9.

The client of W may not hear of it, and repeat it once the map names the copy (rule 11).

Replicas A (primary) and B of handle H. W is a write under way when the snapshot is taken, U a later one, which goes to
the copy under a new handle. Readers keep (H, version) in their caches. Only B's serving lease ends here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from spec.configuration import Ablation, Configuration, Part
from spec.explore import Label, Property, ViolationError

NEVER_OLDER = Property("reads never go back", "contract 4", "a cached location shows nothing older than what was acked")
ONCE = Property("applied once", "contract 3, rule 11", "a mutation is never applied a second time")
SNAPSHOT_STAYS = Property("a snapshot never changes", "contract 3, rule 9", "all its reads show the same")

Steps = Iterator[tuple[Label, "State"]]
BEFORE, FIRST, SECOND = 0, 1, 2
"""Contents: before W, W, U."""
CONTENTS = ("nothing", "W", "U")
LEASE_TICKS = 1
BOOK_TICKS = 2


class Replica(NamedTuple):
    """One replica of H."""

    has_first: bool = False
    is_frozen: bool = False
    """It has promised the version with which the snapshot seals."""
    has_barrier: bool = False
    """It refuses readers whose version is older."""


class State(NamedTuple):
    """All of it."""

    replicas: tuple[Replica, Replica] = (Replica(), Replica())
    is_acked: bool = False
    is_sealed: bool = False
    has_snapshot: bool = False
    is_copied: bool = False
    """The file's map names the copy."""
    has_second: bool = False
    lease: int = LEASE_TICKS
    """Serving lease of B."""
    book: int = BOOK_TICKS
    shown: int = BEFORE
    """By the file."""
    snapshot: int = -1
    """What a read of the snapshot has shown; -1: none yet."""


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on."""

    raise_before_snapshot: bool = True
    """The content is fixed by a raise and a seal before the snapshot is logged."""
    barrier_before_ack: bool = True
    """The first overwriting ack on the new map waits until no replica of the old handle answers older readers."""
    renewal_carries_barrier: bool = True
    """A renewal of the serving lease carries the barrier as it carries exclusions."""
    filter_goes_along: bool = True
    """Rule 11: the copy knows the sequences that its source knew."""


class Maps:
    """The only configuration; a `spec.explore.Model`."""

    def __init__(self, safeguards: Safeguards | None = None) -> None:
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """W was not sent yet."""
        return State()

    def check(self, state: State) -> None:
        """Properties are checked by reads."""

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        yield from self._clocks(state)
        yield from _write(state)
        yield from self._snapshot(state)
        yield from self._copy(state)
        for node in (0, 1):
            if node == 0 or state.lease:
                yield from _reads(state, node)

    def _clocks(self, state: State) -> Steps:
        if state.lease or state.book:
            yield ("a tick passes",), state._replace(lease=max(0, state.lease - 1), book=max(0, state.book - 1))
        renewed = state._replace(lease=LEASE_TICKS, book=BOOK_TICKS)
        if state.is_copied and self.safeguards.barrier_before_ack and self.safeguards.renewal_carries_barrier:
            renewed = _put(renewed, 1, state.replicas[1]._replace(has_barrier=True))
        if renewed != state:
            yield ("the lease of B is renewed",), renewed

    def _snapshot(self, state: State) -> Steps:
        for node in (0, 1):
            replica = state.replicas[node]
            if self.safeguards.raise_before_snapshot and not replica.is_frozen:
                yield ("{} promises", "AB"[node]), _put(state, node, replica._replace(is_frozen=True))
        first, second = state.replicas
        if first.is_frozen and second.is_frozen and not state.is_sealed:
            # The source is A: what it has is adopted.
            sealed = second._replace(has_first=first.has_first)
            yield ("both are reconciled and sealed",), _put(state, 1, sealed)._replace(is_sealed=True)
        if not state.has_snapshot and (state.is_sealed or not self.safeguards.raise_before_snapshot):
            yield ("the snapshot is logged",), state._replace(has_snapshot=True)

    def _copy(self, state: State) -> Steps:
        if state.has_snapshot and not state.is_copied:
            yield ("the file's map names a copy",), state._replace(is_copied=True)
        if not state.is_copied:
            return
        if self.safeguards.barrier_before_ack:
            for node in (0, 1):
                replica = state.replicas[node]
                if not replica.has_barrier:
                    yield (
                        ("{} refuses older readers", "AB"[node]),
                        _put(state, node, replica._replace(has_barrier=True)),
                    )
        first, second = state.replicas
        is_fenced = first.has_barrier and (second.has_barrier or not state.book)
        if not state.has_second and (is_fenced or not self.safeguards.barrier_before_ack):
            yield ("U is acked on the copy",), state._replace(has_second=True, shown=SECOND)
        if state.has_second and first.has_first and not state.is_acked and not self.safeguards.filter_goes_along:
            raise ViolationError(ONCE, "W is in the snapshot, and its repeat is applied to the copy after U")


def _write(state: State) -> Steps:
    first, second = state.replicas
    if not first.has_first and not first.is_frozen:
        yield ("A applies W",), _put(state, 0, first._replace(has_first=True))
    if first.has_first and not second.has_first and not second.is_frozen:
        yield ("B applies W",), _put(state, 1, second._replace(has_first=True))
    if first.has_first and second.has_first and not state.is_acked and not state.is_sealed:
        yield ("W is acked",), state._replace(is_acked=True, shown=max(state.shown, FIRST))


def _reads(state: State, node: int) -> Steps:
    """A reader with the cached location, and one of the snapshot. W is readable when acked or adopted."""
    replica = state.replicas[node]
    if replica.has_first and not (state.is_acked or state.is_sealed):
        return
    content = FIRST if replica.has_first else BEFORE
    if not replica.has_barrier:
        if content < state.shown:
            what = f"{'AB'[node]} shows {CONTENTS[content]} after {CONTENTS[state.shown]}"
            raise ViolationError(NEVER_OLDER, what)
        if content > state.shown:
            yield ("a read at {} shows W", "AB"[node]), state._replace(shown=content)
    if not state.has_snapshot:
        return
    if state.snapshot not in (-1, content):
        what = f"it showed {CONTENTS[state.snapshot]}, and now {CONTENTS[content]}"
        raise ViolationError(SNAPSHOT_STAYS, what)
    if state.snapshot == -1:
        yield ("a read of the snapshot at {} shows {}", "AB"[node], CONTENTS[content]), state._replace(snapshot=content)


def _put(state: State, node: int, replica: Replica) -> State:
    first, second = state.replicas
    return state._replace(replicas=(replica, second) if node == 0 else (first, replica))


def _off(name: str, safeguard: str) -> Ablation:
    off: dict[str, bool] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)
    return Ablation(name, safeguard, lambda: Maps(safeguards))


MAPS = Part(
    "maps",
    (Configuration("snapshot and copy-on-write", Maps, is_short=True),),
    (
        _off("raise before the snapshot", "raise_before_snapshot"),
        _off("barrier before the first ack", "barrier_before_ack"),
        _off("renewals carry the barrier", "renewal_carries_barrier"),
        _off("the filter goes along with the copy", "filter_goes_along"),
    ),
)
