"""Masters: takeover, exclusions and fences, raises. Rules 1 to 3, 6 and 12; docs/decisions/0002-one-long-raise.md."""

from collections.abc import Iterator

from spec.core.safeguards import Bounds
from spec.core.state import (
    ALL,
    BOOK_TICKS,
    LOGGED,
    MEMBERS,
    NAMES,
    NO_RESULT,
    SETS,
    Master,
    Raise,
    Replica,
    Shown,
    State,
    Version,
    put,
)
from spec.core.view import View
from spec.explore import Label

Steps = Iterator[tuple[Label, State]]


def master_steps(view: View, state: State) -> Steps:
    """What the master and the deposed one may do."""
    if view.bounds.takeover and state.epoch == 1:
        yield ("a successor is elected",), _taken_over(view, state)
    for place, master in enumerate(state.masters):
        if master is None:
            continue
        yield from _fence(view, state, place, master)
        yield from _begin(view, state, place, master)
        for number, one in enumerate(master.raises):
            yield from _promise(view, state, (place, master), (number, one))
            yield from _reconcile(view, state, (place, master), (number, one))
            yield from _result(view, state, (place, master), (number, one))


def may_commit(view: View, state: State, place: int) -> bool:
    """True if this master's transactions pass. Rule 1."""
    return place + 1 == state.epoch or not view.safeguards.conditional_commit


def _taken_over(view: View, state: State) -> State:
    safe, old = view.safeguards, state.masters[0]
    assert old is not None
    issued = view.bounds.versions if safe.numbers_used_once else old.version
    book = (BOOK_TICKS,) * 3 if safe.successor_assumes_leases or not view.bounds.clocks else (0, 0, 0)
    new = Master(version=old.version, issued=issued, raises=(), book=book, members=old.members)
    return state._replace(masters=(old, new), epoch=2)


# ---- exclusions and the fence


def _fence(view: View, state: State, place: int, master: Master) -> Steps:
    """Rule 6: who is outside confirms, or its serving lease surely ends; then the fence is done."""
    version = state.versions[master.version]
    if version.fence_done or version.phase == NO_RESULT:
        return
    is_done = True
    for node in MEMBERS[ALL & ~master.members]:
        replica = state.replicas[node]
        if replica.excluded >= master.version:
            continue
        if not view.safeguards.refuse_lower_epoch or replica.epoch <= place + 1:
            told = replica._replace(excluded=master.version, epoch=max(place + 1, replica.epoch))
            after = state._replace(replicas=put(state.replicas, node, told))
            yield (
                ("{} confirms to master {} that it is excluded below v{}", NAMES[node], place + 1, master.version),
                after,
            )
        if master.book[node] and not view.bounds.wrong_clocks:
            is_done = False
    if is_done:
        fenced = put(state.versions, master.version, version._replace(fence_done=True))
        yield ("master {}: the fence of v{} is done", place + 1, master.version), state._replace(versions=fenced)


# ---- raises


def _begin(view: View, state: State, place: int, master: Master) -> Steps:
    safe, bounds = view.safeguards, view.bounds
    top = bounds.versions if place == 0 or not safe.numbers_used_once else bounds.version_count - 1
    if master.issued >= top or not (may_commit(view, state, place) or (safe.numbers_used_once and bounds.takeover)):
        return
    number = master.issued + 1
    for targets in bounds.sets:
        if targets & bounds.silent:
            continue
        candidates = _candidates(view, state, master, targets)
        primaries = MEMBERS[targets] if bounds.any_primary else MEMBERS[candidates][:1]
        for primary in primaries if candidates else ():
            begun = Raise(number, targets, primary, 0, -1, 0, candidates)
            raises = (*_still_heard(master.raises, state.replicas, number), begun)
            after = _with_master(state, place, master._replace(issued=number, raises=raises))
            yield (
                (
                    "master {} begins the raise v{} {{{}}} with primary {}",
                    place + 1,
                    number,
                    SETS[targets],
                    NAMES[primary],
                ),
                after,
            )


def _candidates(view: View, state: State, master: Master, targets: int) -> int:
    """Return the mask of those who may be the source. Rule 2: by the record, never by the version that they report."""
    if view.safeguards.current_by_record:
        return targets & master.members
    return sum(1 << node for node in MEMBERS[targets] if state.replicas[node].promised >= master.version)


def _still_heard(raises: tuple[Raise, ...], replicas: tuple[Replica, ...], issued: int) -> tuple[Raise, ...]:
    """Return the raises whose messages may still change something; the burnt ones that nobody takes are forgotten."""
    return tuple(
        one
        for one in raises
        if one.version == issued
        or any(
            replicas[node].promised < one.version
            or (
                one.promised == one.targets
                and replicas[node].promised == one.version
                and not one.reconciled >> node & 1
            )
            for node in MEMBERS[one.targets]
        )
    )


def _with_master(state: State, place: int, master: Master) -> State:
    return state._replace(masters=put(state.masters, place, master))


def _with_raise(state: State, place: int, number: int, one: Raise) -> State:
    master = state.masters[place]
    assert master is not None
    return _with_master(state, place, master._replace(raises=put(master.raises, number, one)))


def _promise(view: View, state: State, where: tuple[int, Master], what: tuple[int, Raise]) -> Steps:
    (place, _), (number, one) = where, what
    for node in MEMBERS[one.targets & ~one.promised]:
        replica = state.replicas[node]
        if replica.promised > one.version or (view.safeguards.refuse_lower_epoch and replica.epoch > place + 1):
            continue
        replica = replica._replace(promised=one.version, epoch=max(place + 1, replica.epoch))
        after = _with_raise(state, place, number, one._replace(promised=one.promised | 1 << node))
        after = after._replace(replicas=put(state.replicas, node, replica))
        yield ("{} promises v{} to master {}", NAMES[node], one.version, place + 1), after


def _reconcile(view: View, state: State, where: tuple[int, Master], what: tuple[int, Raise]) -> Steps:
    """Every target becomes equal to the source; the source itself last, while nothing can change there any more."""
    (place, master), (number, one) = where, what
    if one.promised != one.targets:
        return
    sources, breaks = [one.source], one.breaks
    if one.source < 0:
        sources, breaks = view.sources(one.candidates, master.members, one.targets, state.replicas)
    for source in sources:
        origin = state.replicas[source]
        has_restarted = not origin.unbroken and not breaks and view.safeguards.unbroken_source
        if origin.promised != one.version or has_restarted:
            continue
        for node in _next_targets(one, source):
            if state.replicas[node].promised != one.version:
                continue
            equal = view.reconciled(state.replicas[node], origin, state.versions, one.version)
            done = one._replace(source=source, reconciled=one.reconciled | 1 << node, breaks=breaks)
            after = _with_raise(state, place, number, done)
            after = after._replace(replicas=put(state.replicas, node, equal))
            if breaks and node == source:
                after = _continuity_broken(after, one.version)
            yield ("{} is reconciled for v{} from {}", NAMES[node], one.version, NAMES[source]), after


def _next_targets(one: Raise, source: int) -> tuple[int, ...]:
    others = one.targets & ~one.reconciled & ~(1 << source)
    return MEMBERS[others] or ((source,) if not one.reconciled >> source & 1 else ())


def _continuity_broken(state: State, version: int) -> State:
    """Plain writes that were not synced may be forgotten, and what was shown of them with them (contract 5)."""
    shown = state.shown if state.synced else Shown("", state.shown.appends)
    return state._replace(shown=shown, broken_at=version)


def _result(view: View, state: State, where: tuple[int, Master], what: tuple[int, Raise]) -> Steps:
    (place, master), (number, one) = where, what
    is_ready = one.reconciled == one.targets or not view.safeguards.result_after_reconciling
    is_newest = one.version == master.issued and one.version > master.version
    if one.promised != one.targets or not is_ready or not is_newest or not may_commit(view, state, place):
        return
    fence_done = one.targets == ALL or not view.safeguards.fence
    version = Version(phase=LOGGED, members=one.targets, primary=one.primary, fence_done=fence_done)
    others = (*master.raises[:number], *master.raises[number + 1 :])
    raises = master.raises
    if view.safeguards.result_after_reconciling:
        raises = _still_heard(others, state.replicas, master.issued)
    after = _with_master(state, place, master._replace(version=one.version, raises=raises, members=one.targets))
    replicas = state.replicas
    for node in MEMBERS[one.targets]:
        # The result names the boots that promised.
        replicas = put(replicas, node, replicas[node]._replace(unbroken=replicas[node].is_reconciled))
    after = after._replace(versions=put(state.versions, one.version, version), replicas=replicas)
    yield ("master {} logs the result v{} {{{}}}", place + 1, one.version, SETS[one.targets]), after


def numbers_left(bounds: Bounds, state: State) -> bool:
    """True while the newest master may still raise."""
    return max(master.issued for master in state.masters if master is not None) < bounds.versions
