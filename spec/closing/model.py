"""The steps of the closing model, and its properties."""

from collections.abc import Iterator
from dataclasses import replace

from spec.closing.state import BOTH, NAMES, NODES, Bounds, Record, Role, Safeguards, Server, State, Try
from spec.explore import Label, Property, ViolationError

NEVER_OLDER = Property("reads never go back", "contracts 3 and 4", "what was shown or acked is never followed by older")
LENGTH_IS_TRUE = Property("the length is true", "rules 7 and 18", "no length below what was acked or told")
CLOSED_IS_SYNCED = Property(
    "closed is synced", "contract 5", "a close is logged when every member has flushed all of it"
)
ACKED_STAYS = Property("acknowledged stays", "contract 5", "a version opens with every acked mutation")

Steps = Iterator[tuple[Label, State]]


def put_server(state: State, node: int, server: Server) -> State:
    """Return the state with one server changed."""
    first, second = state.servers
    return state._replace(servers=(server, second) if node == 0 else (first, server))


def put_try(tries: tuple[Try, ...], place: int, value: Try) -> tuple[Try, ...]:
    """Return the tries with one changed."""
    return (*tries[:place], value, *tries[place + 1 :])


def show(state: State, data: str) -> State:
    """A read or an ack shows the content. Raises ViolationError: it was superseded before."""
    value, shown = data[-1:], state.shown
    if value == shown[-1:]:
        return state
    if not value or value in shown:
        raise ViolationError(NEVER_OLDER, f"{value or 'nothing'} is shown after {shown[-1]}")
    return state._replace(shown=shown + value)


def tell_length(state: State, length: int) -> State:
    """A length is told. Raises ViolationError: it was longer before."""
    if length < state.length:
        raise ViolationError(LENGTH_IS_TRUE, f"length {length} is told after {state.length}")
    return state._replace(length=length)


class Closing:
    """One configuration; a `spec.explore.Model`."""

    def __init__(self, bounds: Bounds, safeguards: Safeguards | None = None) -> None:
        self.bounds = bounds
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """Version 1 is open on both, with A as its primary."""
        return State(tries=tuple(Try() for _ in self.bounds.mutations), restarts=self.bounds.restarts)

    def check(self, state: State) -> None:
        """Properties are checked where something is shown, told or opened."""

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        yield from self._requests(state)
        yield from self._orders(state)
        yield from self._close(state)
        yield from self._reports(state)
        yield from self._raises(state)
        yield from self._seals(state)
        yield from self._reads(state)
        if state.restarts:
            for node in NODES:
                yield ("{} restarts", NAMES[node]), self._restarted(state, node)
        if self.bounds.power:
            for node in NODES:
                server = state.servers[node]
                if server.flushed != server.data:
                    yield ("{} flushes", NAMES[node]), put_server(state, node, server._replace(flushed=server.data))

    # ---- mutations

    def _is_primary(self, state: State) -> bool:
        """True while the primary may order: the version is open there, and the role is not over."""
        server = state.servers[state.role.node]
        is_over = server.is_closed and self.safeguards.closed_takes_no_order
        return server.opened == server.version == state.record.version and not is_over

    def _requests(self, state: State) -> Steps:
        role, server = state.role, state.servers[state.role.node]
        if not self._is_primary(state) or role.phase != "open":
            return
        for place, name in enumerate(self.bounds.mutations):
            one = state.tries[place]
            if name in server.data[server.forgotten :]:
                committed = self._committed_at(state, server)
                if not one.acked and name in committed[server.forgotten :]:
                    yield ("{} is acked as a repeat", name), self._acked(state, place, committed)
                continue
            is_forgotten = one.tries and state.record.broken_at > one.since
            if (
                one.acked
                or one.tries >= self.bounds.tries
                or (is_forgotten and self.safeguards.forgotten_is_not_repeated)
            ):
                continue
            data = server.data + name
            after = put_server(state, role.node, self._applied(server, data))
            tried = Try(one.tries + 1, False, one.since or server.version)
            applied = _counted(role, role.node)
            after = after._replace(
                role=role._replace(log=role.log + name, applied=applied), tries=put_try(state.tries, place, tried)
            )
            yield ("primary {} applies {} at v{}", NAMES[role.node], name, server.version), after

    def _applied(self, server: Server, data: str) -> Server:
        return server._replace(data=data, flushed=server.flushed if self.bounds.power else data)

    def _acked(self, state: State, place: int, committed: str) -> State:
        """An ack shows its mutation, unless a later one is committed already."""
        name = self.bounds.mutations[place]
        after = state._replace(tries=put_try(state.tries, place, state.tries[place]._replace(acked=True)))
        if committed[-1] == name:
            after = show(after, committed)
        return after._replace(length=max(after.length, committed.rindex(name) + 1))

    def _orders(self, state: State) -> Steps:
        """The other member applies; when both have, the mutation is committed and acked."""
        role, record = state.role, state.record
        node = 1 - role.node
        server = state.servers[node]
        is_member = record.members == BOTH and server.opened == server.version == record.version
        is_refused = server.is_closed and self.safeguards.closed_takes_no_order
        done = role.applied[node]
        if is_member and not is_refused and done < len(role.log) and role.phase != "over":
            after = put_server(state, node, self._applied(server, server.data + role.log[done]))
            yield (
                ("{} applies {} at v{}", NAMES[node], role.log[done], server.version),
                after._replace(role=role._replace(applied=_counted(role, node))),
            )
        primary = state.servers[role.node]
        needed = [role.applied[node] for node in NODES if record.members >> node & 1]
        if self._is_primary(state) and role.committed < min(needed) and role.phase != "over":
            data = primary.data[: role.base + role.committed + 1]
            after = state._replace(role=role._replace(committed=role.committed + 1))
            place = self.bounds.mutations.index(data[-1])
            yield ("{} is committed and acked", data[-1]), self._acked(after, place, data)

    # ---- closing

    def _close(self, state: State) -> Steps:
        role, safe = state.role, self.safeguards
        if role.phase == "over" or not self._is_primary(state):
            return
        if role.phase == "open":
            if role.committed == len(role.log) or not safe.close_names_length:
                yield (
                    ("primary {} begins to close", NAMES[role.node]),
                    state._replace(role=role._replace(phase="closing")),
                )
            return
        primary, length = state.servers[role.node], role.base + role.committed
        node = 1 - role.node
        other = state.servers[node]
        is_member = state.record.members >> node & 1
        is_ready = other.opened == other.version == primary.version
        is_equal = len(other.data) == length or not safe.close_names_length
        if is_member and not other.is_closed and is_ready and is_equal:
            yield (
                ("{} stores closed with {}", NAMES[node], length),
                put_server(state, node, self._closed(other, length)),
            )
        is_last = not is_member or (other.is_closed and other.version == primary.version)
        if is_last or not safe.primary_closes_last:
            after = put_server(state, role.node, self._closed(primary, length))
            reports = tuple(sorted({*state.reports, (primary.version, length)}))
            yield (
                ("primary {} stores closed with {} and reports it", NAMES[role.node], length),
                after._replace(
                    role=role._replace(phase="over" if safe.closed_takes_no_order else "open"), reports=reports
                ),
            )

    def _closed(self, server: Server, length: int) -> Server:
        flushed = server.data if self.safeguards.flush_before_closed else server.flushed
        return server._replace(closed_length=length, flushed=flushed)

    def _reports(self, state: State) -> Steps:
        """The master logs a close that was reported."""
        record = state.record
        for version, length in state.reports:
            is_named = version == record.version or not self.safeguards.report_names_version
            if is_named and not record.is_closed:
                self._check_flushed(state, version, length)
                after = state._replace(record=record._replace(is_closed=True, length=length))
                yield ("the master logs the close of v{} with {}", version, length), after

    def _check_flushed(self, state: State, version: int, length: int) -> None:
        for node in NODES:
            server = state.servers[node]
            is_member = state.record.members >> node & 1 and version == state.record.version
            if is_member and len(server.flushed) < length:
                raise ViolationError(CLOSED_IS_SYNCED, f"{NAMES[node]} has flushed {len(server.flushed)} of {length}")

    # ---- raises

    def _raises(self, state: State) -> Steps:
        """The chunk is raised: opened again, or sealed."""
        if state.record.version >= self.bounds.versions:
            return
        for targets in self.bounds.sets:
            for source in self._sources(state, targets):
                for primary in [node for node in NODES if targets >> node & 1]:
                    after = self._raised(state, targets, source, opens=True)
                    after = self._check_open(after, primary)
                    yield (
                        ("v{} opens with {} and primary {}", after.record.version, _names(targets), NAMES[primary]),
                        after,
                    )
                yield (
                    ("v{} is sealed with {}", state.record.version + 1, _names(targets)),
                    self._raised(state, targets, source, opens=False),
                )

    def _sources(self, state: State, targets: int) -> list[int]:
        record = state.record
        nodes = [
            node
            for node in NODES
            if targets >> node & 1 and record.members >> node & 1 and state.servers[node].version >= record.version
        ]
        if record.is_closed:
            if not self.safeguards.source_has_recorded_length:
                return nodes
            return [node for node in nodes if len(state.servers[node].data) == record.length]
        unbroken = [node for node in nodes if state.servers[node].unbroken or state.servers[node].is_closed]
        if unbroken:
            return unbroken
        return nodes if not record.members & ~targets and len(nodes) == record.members.bit_count() else []

    def _raised(self, state: State, targets: int, source: int, *, opens: bool) -> State:
        version, origin = state.record.version + 1, state.servers[source]
        is_broken = not state.record.is_closed and not origin.unbroken and not origin.is_closed
        after = state
        for node in NODES:
            server = state.servers[node]
            if not targets >> node & 1:
                continue
            is_equal = (server.version, server.data) == (origin.version, origin.data)
            keeps = is_equal and not self.safeguards.filter_is_reconciled
            on_disk = server.closed_length if opens and not self.safeguards.opening_clears_closed else -1
            server = server._replace(
                version=version,
                data=origin.data,
                flushed=origin.data,
                closed_length=-1,
                closed_on_disk=on_disk,
                opened=version if opens else 0,
                unbroken=True,
                forgotten=server.forgotten if keeps else origin.forgotten,
            )
            after = put_server(after, node, server)
        forgets = origin.forgotten > 0
        broken_at = version if is_broken or forgets else state.record.broken_at
        length = 0 if opens else len(origin.data)
        record = Record(version, targets, not opens, length, broken_at)
        role = Role(node=source, phase="open" if opens else "over", base=len(origin.data))
        after = after._replace(record=record, role=role, is_lossy=state.is_lossy or is_broken)
        return after._replace(shown="", length=0) if is_broken else after

    def _check_open(self, state: State, primary: int) -> State:
        state = state._replace(role=state.role._replace(node=primary))
        data = state.servers[primary].data
        for name, one in zip(self.bounds.mutations, state.tries, strict=True):
            if one.acked and name not in data and not state.is_lossy:
                raise ViolationError(ACKED_STAYS, f"v{state.record.version} opens without the acked {name}")
        return state

    def _seals(self, state: State) -> Steps:
        """A member that the record calls closed is told so, until it knows."""
        record = state.record
        for node in NODES:
            server = state.servers[node]
            is_named = record.is_closed and record.members >> node & 1 and server.version == record.version
            if is_named and not server.is_closed and len(server.data) == record.length:
                yield (
                    ("{} is sealed by the master", NAMES[node]),
                    put_server(state, node, self._closed(server, record.length)),
                )

    # ---- the world

    def _restarted(self, state: State, node: int) -> State:
        server = state.servers[node]
        data = server.flushed if self.bounds.power else server.data
        server = server._replace(closed_length=max(server.closed_length, server.closed_on_disk), closed_on_disk=-1)
        stays = server.is_closed or not self.safeguards.restart_leaves_open_version
        server = server._replace(
            data=data,
            flushed=data,
            opened=0 if self.safeguards.restart_leaves_open_version else server.opened,
            unbroken=server.unbroken and stays,
            forgotten=len(data),
        )
        after = put_server(state, node, server)._replace(restarts=state.restarts - 1)
        if node == state.role.node and state.role.phase != "over":
            after = after._replace(role=state.role._replace(phase="over"))
        return after

    def _reads(self, state: State) -> Steps:
        """Current replicas are read, and the master tells the length of a closed chunk."""
        record = state.record
        if record.is_closed:
            after = tell_length(state, record.length)
            if after != state:
                yield ("the master tells the length {}", record.length), after
        for node in NODES:
            server = state.servers[node]
            is_current = record.members >> node & 1 and server.version == record.version
            if not is_current or not (server.is_closed or server.opened == server.version):
                continue
            data = server.data[: server.closed_length] if server.is_closed else self._committed_at(state, server)
            after = show(state, data) if data or state.shown else state
            if after != state:
                yield ("a read at {} shows {}", NAMES[node], data[-1:]), after

    def _committed_at(self, state: State, server: Server) -> str:
        return server.data[: state.role.base + state.role.committed]


def _counted(role: Role, node: int) -> tuple[int, int]:
    first, second = role.applied
    return (first + 1, second) if node == 0 else (first, second + 1)


def _names(targets: int) -> str:
    return "".join(NAMES[node] for node in NODES if targets >> node & 1)


def without(safeguard: str) -> Safeguards:
    """Return the safeguards with one off."""
    off: dict[str, bool] = {safeguard: False}
    return replace(Safeguards(), **off)
