"""The steps of the deletion model, and its properties."""

from collections.abc import Iterator

from spec.deletion.state import (
    BRAKE_MAX,
    GOAL,
    NAMES,
    NODES,
    NONE,
    PURGED,
    TRASH,
    USED,
    Bounds,
    Copy,
    Master,
    Order,
    Record,
    Safeguards,
    Server,
    State,
    names,
    put,
)
from spec.explore import Label, Property, ViolationError

LAST_COPY = Property("the last copy stays", "rule 23", "no deletion takes the last current copy of a chunk in use")
BRAKED = Property("the brake holds", "rule 22", "no master orders more unexplained deletions than the brake lets pass")

Steps = Iterator[tuple[Label, State]]


class Deletion:
    """One configuration; a `spec.explore.Model`."""

    def __init__(self, bounds: Bounds, safeguards: Safeguards | None = None) -> None:
        self.bounds = bounds
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """The members hold version 1; whoever else holds something has version 1 as well."""
        bounds = self.bounds
        record = Record(version=1, members=bounds.members)
        copies = [Copy(1, node + 1) if bounds.holders >> node & 1 else NONE for node in NODES]
        servers = (Server(copies[0]), Server(copies[1]), Server(copies[2]))
        return State(
            record=record,
            servers=servers,
            masters=(Master(record, (NONE, NONE, NONE), heard=0), None),
            copies=len(NODES),
            failures=bounds.failures,
            raises=bounds.raises,
            changes=bounds.changes,
        )

    def check(self, state: State) -> None:
        """The brake holds."""
        for place, master in enumerate(state.masters):
            if master is not None and master.unexplained > BRAKE_MAX:
                raise ViolationError(BRAKED, f"master {place + 1} has ordered {master.unexplained} deletions")

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        yield from self._failures(state)
        if self.bounds.takeover and state.masters[1] is None:
            yield ("a successor is elected",), self._taken_over(state)
        if not (self.bounds.rollback and state.masters[1] is not None):
            yield from self._names(state)
            yield from self._raises(state)
            yield from self._clones(state)
        yield from self._excess(state)
        for place, master in enumerate(state.masters):
            if master is not None:
                yield from self._reports(state, place, master)
                yield from self._orders(state, place, master)
        yield from self._deletions(state)

    # ---- the world

    def _failures(self, state: State) -> Steps:
        if not state.failures:
            return
        for node in NODES:
            if state.servers[node].copy != NONE:
                after = _with_copy(state, node, NONE)
                yield ("{} loses its replica", NAMES[node]), after._replace(failures=state.failures - 1)

    def _taken_over(self, state: State) -> State:
        record = state.record
        if self.bounds.rollback:
            record = Record(version=1, members=self.bounds.members)
        return state._replace(masters=(state.masters[0], Master(record, (NONE, NONE, NONE), heard=0)))

    def _committed(self, state: State, record: Record) -> State:
        """The leader logs a record."""
        record = record._replace(position=record.position + 1)
        master = state.masters[state.leader]
        assert master is not None
        masters = put(state.masters, state.leader, master._replace(record=record))
        return state._replace(record=record, masters=masters)

    def _names(self, state: State) -> Steps:
        """Clients unlink, undelete; the trash is emptied. Rule 21."""
        if not state.changes:
            return
        after = state._replace(changes=state.changes - 1)
        status = state.record.status
        changes = {USED: (TRASH,), TRASH: (USED, PURGED), PURGED: ()}[status]
        for new in changes:
            yield ("the file is {}", new), self._committed(after, state.record._replace(status=new))

    # ---- what moves copies

    def _raises(self, state: State) -> Steps:
        """The chunk is raised to a new version with some servers, and sealed. The others are stale from then on."""
        if not state.raises or state.record.status == PURGED or not current(state):
            return
        version = state.record.version + 1
        for targets in range(1, 8):
            if not targets & current(state):
                continue
            after = state._replace(raises=state.raises - 1)
            for node in NODES:
                if targets >> node & 1:
                    number = after.servers[node].copy.number
                    if not number:
                        number = after.copies + 1
                        after = after._replace(copies=number)
                    after = _with_copy(after, node, Copy(version, number))
                    after = self._heard_of(after, node)
            record = state.record._replace(version=version, members=targets)
            yield ("the chunk is raised to v{} {{{}}}", version, names(targets)), self._committed(after, record)

    def _heard_of(self, state: State, node: int) -> State:
        """An order of the leader shows a server its epoch, and the position of its log once the record is there."""
        server = state.servers[node]
        server = server._replace(epoch=state.leader + 1, position=state.record.position + 1)
        return state._replace(servers=put(state.servers, node, server))

    def _clones(self, state: State) -> Steps:
        """Too few copies: a server that is not known to hold one copies it at the record's version, and is recorded."""
        master = state.masters[state.leader]
        assert master is not None
        if state.copies >= len(NODES) + self.bounds.copies or not current(state) or state.record.status == PURGED:
            return
        if confirmed(master).bit_count() >= GOAL:
            return
        for node in NODES:
            copy = state.servers[node].copy
            if master.record.members >> node & 1 or master.reported[node] != NONE or not master.heard >> node & 1:
                continue
            after = state
            if copy.version != state.record.version:
                copy = Copy(state.record.version, state.copies + 1)
                after = _with_copy(state, node, copy)._replace(copies=state.copies + 1)
            after = self._heard_of(after, node)
            after = self._committed(after, state.record._replace(members=state.record.members | 1 << node))
            yield ("{} copies the chunk at v{} and is a member", NAMES[node], copy.version), _known(after, node, copy)

    def _excess(self, state: State) -> Steps:
        """More copies than the goal: one leaves the record."""
        master = state.masters[state.leader]
        assert master is not None
        if confirmed(master).bit_count() <= GOAL or state.record != master.record:
            return
        for node in NODES:
            if confirmed(master) >> node & 1:
                record = state.record._replace(members=state.record.members & ~(1 << node))
                yield ("{} leaves the record: there are too many copies", NAMES[node]), self._committed(state, record)

    # ---- what deletes them

    def _reports(self, state: State, place: int, master: Master) -> Steps:
        """A server tells a master what it holds; it learns how far that master's log goes."""
        for node in NODES:
            server = state.servers[node]
            if server.epoch > place + 1 and self.safeguards.refuse_lower_epoch:
                continue
            told = master._replace(
                reported=put(master.reported, node, server.copy),
                heard=master.heard | 1 << node,
                is_rolled_back=master.is_rolled_back or self._is_newer(server, place, master),
            )
            seen = server._replace(
                epoch=max(server.epoch, place + 1), position=max(server.position, master.record.position)
            )
            after = state._replace(masters=put(state.masters, place, told), servers=put(state.servers, node, seen))
            if after != state:
                yield ("{} reports to master {}", NAMES[node], place + 1), after

    def _is_newer(self, server: Server, place: int, master: Master) -> bool:
        if self.safeguards.notice_by_log:
            return server.position > master.record.position
        # Versions begin with the epoch of the master that gave them: those of a predecessor are never above.
        return False

    def _orders(self, state: State, place: int, master: Master) -> Steps:
        safe = self.safeguards
        if (safe.safe_start and master.heard != 0b111) or (safe.safe_mode and master.is_rolled_back):
            return
        for node in NODES:
            copy = master.reported[node]
            if copy == NONE or not self._is_garbage(master, node):
                continue
            explained = master.record.status == PURGED
            order = Order(place + 1, node, copy, explained)
            is_braked = not explained and safe.brake and master.unexplained >= BRAKE_MAX
            if order in state.orders or is_braked:
                continue
            self._check_picture(master, node)
            ordered = master._replace(unexplained=master.unexplained + (not explained))
            after = state._replace(
                masters=put(state.masters, place, ordered), orders=tuple(sorted((*state.orders, order)))
            )
            yield ("master {} orders {} to delete v{}", place + 1, NAMES[node], copy.version), after

    def _check_picture(self, master: Master, node: int) -> None:
        """Rule 23, as far as a master can know: what it has been told shows another copy as good."""
        record = master.record
        others = [copy for other, copy in enumerate(master.reported) if other != node]
        is_good = master.reported[node].version >= record.version
        if record.status != PURGED and is_good and all(copy.version < record.version for copy in others):
            raise ViolationError(LAST_COPY, f"a master orders {NAMES[node]} to delete the last copy that it knows of")

    def _is_garbage(self, master: Master, node: int) -> bool:
        if master.record.status == PURGED:
            return True
        is_stale = not master.record.members >> node & 1
        is_enough = confirmed(master).bit_count() >= GOAL or not self.safeguards.keep_last_copy
        return is_stale and is_enough

    def _deletions(self, state: State) -> Steps:
        """An order arrives, early, late or again."""
        safe = self.safeguards
        for order in state.orders:
            server = state.servers[order.node]
            if server.copy == NONE or (safe.refuse_lower_epoch and server.epoch > order.epoch):
                continue
            if safe.exact_version and server.copy.version != order.copy.version:
                continue
            if safe.exact_copy and server.copy.number != order.copy.number:
                continue
            seen = server._replace(copy=NONE, epoch=max(server.epoch, order.epoch))
            after = state._replace(servers=put(state.servers, order.node, seen))
            if current(state) and not current(after) and state.record.status != PURGED:
                what = f"{NAMES[order.node]} deletes the last copy of v{state.record.version}"
                raise ViolationError(
                    LAST_COPY, f"{what}, by the order of master {order.epoch} for v{order.copy.version}"
                )
            yield ("{} deletes its replica, by an order of master {}", NAMES[order.node], order.epoch), after


def current(state: State) -> int:
    """Return the mask of servers that hold what the record names."""
    return sum(
        1 << node
        for node in NODES
        if state.record.members >> node & 1 and state.servers[node].copy.version >= state.record.version
    )


def confirmed(master: Master) -> int:
    """Return the mask of members that have reported a current copy to this master."""
    return sum(
        1 << node
        for node in NODES
        if master.record.members >> node & 1 and master.reported[node].version >= master.record.version
    )


def is_gone(state: State) -> bool:
    """True if nothing of a purged chunk is left."""
    return all(server.copy == NONE for server in state.servers)


def _with_copy(state: State, node: int, copy: Copy) -> State:
    return state._replace(servers=put(state.servers, node, state.servers[node]._replace(copy=copy)))


def _known(state: State, node: int, copy: Copy) -> State:
    master = state.masters[state.leader]
    assert master is not None
    told = master._replace(reported=put(master.reported, node, copy))
    return state._replace(masters=put(state.masters, state.leader, told))
