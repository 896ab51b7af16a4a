"""Time, renewals of serving leases, flushes in the background, crashes with restart. Rules 4 and 5."""

from collections.abc import Iterator

from spec.core.state import (
    APPENDS,
    BOOK_TICKS,
    ENDED,
    LEASE_TICKS,
    LOGGED,
    MEMBERS,
    NAMES,
    NODES,
    OPEN,
    VOID,
    Master,
    Replica,
    State,
    Version,
    put,
)
from spec.core.view import View
from spec.explore import Label

Steps = Iterator[tuple[Label, State]]


def world_steps(view: View, state: State) -> Steps:
    """What happens without anybody's decision."""
    if view.bounds.clocks:
        yield from _tick(view, state)
        for place, master in enumerate(state.masters):
            if master is not None and (place + 1 == state.epoch or not view.safeguards.proven_leader):
                yield from _renewals(view, state, place, master)
        for node in MEMBERS[state.renewals]:
            replica = state.replicas[node]._replace(lease=LEASE_TICKS)
            after = state._replace(replicas=put(state.replicas, node, replica), renewals=state.renewals & ~(1 << node))
            yield ("a late renewal reaches {}", NAMES[node]), after
    if view.bounds.power:
        yield from _flushes(state)
    if state.restarts:
        for node in NODES:
            yield ("{} restarts", NAMES[node]), _restarted(view, state, node)


def _tick(view: View, state: State) -> Steps:
    """One tick of every clock that runs."""
    timed = MEMBERS[view.bounds.clocks]
    replicas, masters = state.replicas, state.masters
    for node in timed:
        replica = replicas[node]
        if replica.lease and not view.bounds.wrong_clocks:
            replicas = put(replicas, node, replica._replace(lease=replica.lease - 1))
    for place, master in enumerate(masters):
        if master is not None:
            book = master.book
            for node in timed:
                book = put(book, node, max(0, book[node] - 1))
            masters = put(masters, place, master._replace(book=book))
    after = state._replace(replicas=replicas, masters=masters)
    if after != state:
        yield ("a tick passes",), after


def _renewals(view: View, state: State, place: int, master: Master) -> Steps:
    for node in MEMBERS[view.bounds.clocks]:
        replica = state.replicas[node]
        if view.safeguards.refuse_lower_epoch and replica.epoch > place + 1:
            continue
        is_outside = not master.members >> node & 1
        excluded, renewals = replica.excluded, state.renewals
        if view.safeguards.renewal_carries_exclusions and is_outside:
            excluded = max(excluded, master.version)
        if view.safeguards.lease_from_heartbeat or is_outside:
            replica = replica._replace(lease=LEASE_TICKS, excluded=excluded, epoch=max(replica.epoch, place + 1))
        else:
            renewals |= 1 << node
        book = put(master.book, node, BOOK_TICKS)
        after = state._replace(
            replicas=put(state.replicas, node, replica),
            masters=put(state.masters, place, master._replace(book=book)),
            renewals=renewals,
        )
        if after != state:
            yield ("master {} renews the serving lease of {}", place + 1, NAMES[node]), after


def _flushes(state: State) -> Steps:
    for node in NODES:
        replica = state.replicas[node]
        if replica.flushed != replica.data:
            flushed = replica._replace(flushed=replica.data)
            yield ("{} flushes", NAMES[node]), state._replace(replicas=put(state.replicas, node, flushed))


def _restarted(view: View, state: State, node: int) -> State:
    """A crash and a restart: what was only in memory is gone, with `power` also what was not flushed."""
    replica = state.replicas[node]
    data = replica.flushed if view.bounds.power else replica.data
    leaves = view.safeguards.restart_leaves_set
    is_timed = view.bounds.clocks >> node & 1
    replica = replica._replace(
        data=data,
        flushed=data,
        excluded=0,
        lease=0 if is_timed else replica.lease,
        forgotten=len(data),
        certain=0 if leaves else min(replica.certain, len(data)),
        serial=0 if leaves else replica.serial,
        unbroken=replica.unbroken and not leaves,
        is_reconciled=replica.is_reconciled and not leaves,
    )
    versions = state.versions
    for number, version in enumerate(versions):
        if version.primary != node or version.phase not in (LOGGED, OPEN):
            continue
        if view.safeguards.grant_bound_to_boot:
            after = version._replace(phase=ENDED if version.phase == OPEN else VOID)
        elif version.phase == OPEN:
            # The grant is repeated and taken again: serials begin anew on a base that is not everywhere.
            after = version._replace(log="", committed=0)
            replica = replica._replace(serial=0, unbroken=True)
        else:
            continue
        versions = put(versions, number, after)
    return state._replace(replicas=put(state.replicas, node, replica), versions=versions, restarts=state.restarts - 1)


def flushed_at_once(view: View, replica: Replica, data: str) -> str:
    """Return what of `data` is flushed when its last mutation has been applied and answered."""
    if not view.bounds.power or (data[-1] in APPENDS and view.safeguards.flush_before_append_ack):
        return data
    return replica.flushed


def is_at_work(version: Version) -> bool:
    """True while the primary of a version may order."""
    return version.phase == OPEN
