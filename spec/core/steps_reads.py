"""Reads of any replica, ends of file, and rounds of the members. Rules 5 to 8."""

from collections.abc import Iterator

from spec.core.checks import END_IS_TRUE, NEVER_OLDER, show_append, show_cell
from spec.core.state import MEMBERS, NAMES, NODES, OLD, OPEN, Replica, State, appended, cell_of
from spec.core.view import View
from spec.explore import Label, ViolationError

Steps = Iterator[tuple[Label, State]]
NO_ROUND = (0, 0)


def round_steps(view: View, state: State) -> Steps:
    """Ends of file asked at primaries; answers of a round that would confirm what is stale."""
    if view.bounds.reads and not view.bounds.wrong_clocks:
        for number, version in enumerate(state.versions):
            if version.phase == OPEN and view.takes_orders(state.replicas[version.primary], number):
                yield from _end_of_file(view, state, number)
    if state.round == NO_ROUND:
        return
    number, answered = state.round
    members = state.versions[number].members
    if answered == members or (not view.safeguards.round_of_all and len(MEMBERS[answered]) > 1):
        raise ViolationError(NEVER_OLDER, f"a round of version {number} confirms a stale read")
    if any(state.replicas[node].promised > number for node in MEMBERS[members]):
        yield ("the round fails",), state._replace(round=NO_ROUND)
    for node in MEMBERS[members & ~answered]:
        if state.replicas[node].promised == number:
            after = state._replace(round=(number, answered | 1 << node))
            yield ("{} answers the round of v{}", NAMES[node], number), after


def _end_of_file(view: View, state: State, number: int) -> Steps:
    """Somebody asks the primary where the chunk ends, after more than that was acked or shown."""
    node = state.versions[number].primary
    replica = state.replicas[node]
    end = view.readable(replica, state.versions[number])[1]
    is_short = end < len(state.shown.appends)
    if view.bounds.is_empty and state.shown.cell and cell_of(replica.data) == OLD:
        is_short = True
    if not is_short:
        return
    if not view.safeguards.end_by_round:
        if replica.lease:
            raise ViolationError(END_IS_TRUE, f"primary {NAMES[node]} of version {number} alone confirms a false end")
    elif state.round == NO_ROUND:
        yield ("an end of file is asked: {} begins a round of v{}", NAMES[node], number), _begun(state, number, node)
    for place, master in enumerate(state.masters):
        is_proven = place + 1 == state.epoch or not view.safeguards.proven_leader
        if master is not None and master.version == number and is_proven:
            raise ViolationError(END_IS_TRUE, f"master {place + 1} confirms a false end at version {number}")


def _begun(state: State, number: int, node: int) -> State:
    return state._replace(round=(number, 1 << node))


def read_steps(view: View, state: State) -> Steps:
    """A read at each replica that would answer."""
    if not view.bounds.reads or view.bounds.wrong_clocks:
        return
    safe = view.safeguards
    for node in NODES:
        replica = state.replicas[node]
        version = state.versions[replica.version]
        has_left = safe.restart_leaves_set and not replica.unbroken
        if replica.excluded > replica.version or has_left or not view.is_open(version):
            continue
        is_cell, count = view.readable(replica, version)
        if view.bounds.is_empty and cell_of(replica.data) == OLD:
            is_cell = False  # beyond its end: that is an end of file
        if safe.serving_lease and not replica.lease:
            if is_cell and state.round == NO_ROUND and version.members >> node & 1 and _is_stale(state, replica):
                yield (
                    ("a read without lease: {} begins a round of v{}", NAMES[node], replica.version),
                    _begun(state, replica.version, node),
                )
            continue
        yield from _reads(state, node, (is_cell, count))


def _is_stale(state: State, replica: Replica) -> bool:
    try:
        show_cell(state.shown, cell_of(replica.data))
    except ViolationError:
        return True
    return False


def _reads(state: State, node: int, readable: tuple[bool, int]) -> Steps:
    """The cell and the appends, each as a read of its own."""
    data = state.replicas[node].data
    if readable[0]:
        shown = show_cell(state.shown, cell_of(data))
        if shown != state.shown:
            yield ("a read at {} shows {}", NAMES[node], cell_of(data)), state._replace(shown=shown)
    shown = state.shown
    for offset, value in enumerate(appended(data)[: readable[1]]):
        shown = show_append(shown, offset, value, "read of")
    if shown != state.shown:
        yield ("a read at {} shows the appends", NAMES[node]), state._replace(shown=shown)
