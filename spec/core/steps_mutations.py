"""Versions at work: opening, orders, acks, sync. Rules 2, 6, 7, 10, 11 and 14."""

from collections.abc import Iterator

from spec.core.checks import check_open, check_sync, settle, show_append, show_cell
from spec.core.state import (
    APPENDS,
    LOGGED,
    MEMBERS,
    NAMES,
    OPEN,
    Operation,
    Replica,
    Shown,
    State,
    Version,
    appended,
    cell_of,
    put,
)
from spec.core.steps_world import flushed_at_once, is_at_work
from spec.core.view import View
from spec.explore import Label

Steps = Iterator[tuple[Label, State]]


def mutation_steps(view: View, state: State) -> Steps:
    """What every version's primary and members may do."""
    for number, version in enumerate(state.versions):
        if version.phase == LOGGED:
            yield from _open(view, state, number, version)
        if not is_at_work(version):
            continue
        primary = state.replicas[version.primary]
        if view.takes_orders(primary, number) and primary.unbroken:
            for place, name in enumerate(view.bounds.mutations):
                yield from _request(view, state, number, (place, name))
            yield from _sync(view, state, number, version)
        yield from _apply(view, state, number, version)
        yield from _commit(view, state, number, version)
        yield from _late_ack(view, state, number, version)


def _open(view: View, state: State, number: int, version: Version) -> Steps:
    """The primary takes its role: it is at exactly that version, in the boot that the grant names."""
    primary = state.replicas[version.primary]
    if not view.takes_orders(primary, number) or not (primary.unbroken or not view.safeguards.grant_bound_to_boot):
        return
    after = state._replace(versions=put(state.versions, number, version._replace(phase=OPEN)))
    check_open(number, after, view.bounds, state.replicas)
    yield ("v{} opens at its primary {}", number, NAMES[version.primary]), after


# ---- a request reaches the primary


def _request(view: View, state: State, number: int, what: tuple[int, str]) -> Steps:
    (place, name), version = what, state.versions[number]
    primary, operation = state.replicas[version.primary], state.operations[place]
    if view.safeguards.filter_repeats and name in primary.data[primary.forgotten :]:
        yield from _answer_repeat(view, state, number, what)
        return
    if not _may_try(view, state, name, operation):
        return
    is_plain = name not in APPENDS
    if is_plain and view.safeguards.fence_before_serial and not version.fence_done and view.overwrites(primary):
        return
    applied = _applied(view, primary, name)
    history = put(version.applied, version.primary, max(version.applied[version.primary], applied.serial))
    tried = Operation(operation.tries + 1, operation.acked, operation.since or number)
    after = state._replace(
        replicas=put(state.replicas, version.primary, applied),
        versions=put(state.versions, number, version._replace(log=version.log + name, applied=history)),
        operations=put(state.operations, place, tried),
    )
    yield ("primary {} applies {} at v{}", NAMES[version.primary], name, number), after


def _may_try(view: View, state: State, name: str, operation: Operation) -> bool:
    safe = view.safeguards
    if operation.tries >= view.bounds.tries or (operation.acked and safe.filter_repeats):
        return False
    is_lost = operation.tries and state.broken_at > operation.since
    return name in APPENDS or not (is_lost and safe.lost_is_not_repeated)


def _applied(view: View, replica: Replica, names: str) -> Replica:
    data = replica.data + names
    return replica._replace(serial=replica.serial + len(names), data=data, flushed=flushed_at_once(view, replica, data))


def _answer_repeat(view: View, state: State, number: int, what: tuple[int, str]) -> Steps:
    """The filter knows the sequence: its first result is the answer, once that may be shown (rule 6)."""
    (place, name), version = what, state.versions[number]
    primary = state.replicas[version.primary]
    found = primary.data.index(name, primary.forgotten)
    if state.operations[place].acked or found >= view.certain(primary, version):
        return
    shown, acked_at = state.shown, state.acked_at
    if name in APPENDS:
        shown = show_append(shown, len(appended(primary.data[:found])), name, "ack of")
    else:
        acked_at = number if name == "W" else acked_at
        if cell_of(primary.data) == name:
            shown = show_cell(shown, name)
    after = state._replace(operations=settle(state.operations, place), shown=shown, acked_at=acked_at)
    yield ("{} is acked at v{} as a repeat", name, number), after


# ---- orders to the members


def _apply(view: View, state: State, number: int, version: Version) -> Steps:
    safe = view.safeguards
    for node in MEMBERS[version.members & ~(1 << version.primary)]:
        replica, done = state.replicas[node], version.applied[node]
        if done >= len(version.log) or (safe.restart_leaves_set and not replica.unbroken):
            continue
        if safe.exact_version and not view.takes_orders(replica, number):
            continue
        runs = [version.log[done]]
        if not safe.serial_order and done + 1 < len(version.log):
            runs.append(version.log[done + 1] + version.log[done])
        for run in runs:
            after = state._replace(
                replicas=put(state.replicas, node, _applied(view, replica, run)),
                versions=put(
                    state.versions, number, version._replace(applied=put(version.applied, node, done + len(run)))
                ),
            )
            yield ("{} applies {} at v{}", NAMES[node], run, number), after


def _commit(view: View, state: State, number: int, version: Version) -> Steps:
    """Every member has answered: committed, and acked."""
    primary = state.replicas[version.primary]
    if version.committed >= len(version.log) or primary.version != number or primary.serial <= version.committed:
        return
    answered = sum(version.applied[node] > version.committed for node in MEMBERS[version.members])
    needed = len(MEMBERS[version.members])
    if answered < (needed if view.safeguards.ack_by_all else min(2, needed)):
        return
    name = version.log[version.committed]
    place = view.bounds.mutations.index(name)
    is_acked = name in APPENDS or view.safeguards.fence_before_serial or version.fence_done
    shown, acked_at = state.shown, state.acked_at
    if name in APPENDS:
        base = len(primary.data) - primary.serial
        offset = len(appended(primary.data[: base + version.committed]))
        shown = show_append(shown, offset, name, "ack of")
    elif is_acked and not state.operations[place].acked:
        shown = _show_ack(state, name)
        acked_at = number if name == "W" else acked_at
    after = state._replace(
        versions=put(state.versions, number, version._replace(committed=version.committed + 1)),
        operations=settle(state.operations, place) if is_acked else state.operations,
        shown=shown,
        acked_at=acked_at,
    )
    yield ("{} is committed and acked at v{}" if is_acked else "{} is committed at v{}", name, number), after


def _show_ack(state: State, name: str) -> Shown:
    """An ack shows the write, unless a later one has taken its place already at the newest version."""
    master = state.masters[state.epoch - 1]
    assert master is not None
    newest = state.replicas[state.versions[master.version].primary]
    is_superseded = newest.version == master.version and name in newest.data and cell_of(newest.data) != name
    return state.shown if is_superseded else show_cell(state.shown, name)


def _late_ack(view: View, state: State, number: int, version: Version) -> Steps:
    """Without the safeguard, the ack of an overwrite waits for the fence instead of its serial."""
    name = cell_of(state.replicas[version.primary].data)
    if view.safeguards.fence_before_serial or not version.fence_done or name not in view.bounds.mutations:
        return
    place = view.bounds.mutations.index(name)
    if state.operations[place].acked or name not in version.log[: version.committed]:
        return
    after = state._replace(
        operations=settle(state.operations, place), shown=show_cell(state.shown, name), acked_at=number
    )
    yield ("{} is acked at v{}", name, number), after


# ---- sync


def _sync(view: View, state: State, number: int, version: Version) -> Steps:
    """Rule 14: all members have flushed everything, and continuity was not broken since the ack of W."""
    names, safe = view.bounds.mutations, view.safeguards
    if not view.bounds.sync or state.synced or "W" not in names or not state.operations[names.index("W")].acked:
        return
    for node in MEMBERS[version.members]:
        replica = state.replicas[node]
        is_member = view.takes_orders(replica, number) and (replica.unbroken or not safe.restart_leaves_set)
        if not is_member or replica.flushed != replica.data:
            return
    if state.acked_at < state.broken_at and safe.sync_names_version:
        return
    check_sync(number, state)
    yield ("a sync is acked at v{}", number), state._replace(synced=True)
