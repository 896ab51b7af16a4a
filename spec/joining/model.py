"""The steps of the joining model, and its properties."""

from collections.abc import Iterator

from spec.explore import Label, Property, ViolationError
from spec.joining.state import BLOCKS, MEMBERS, NAMES, NODES, Bounds, Raise, Replica, Safeguards, State, names, put

WHOLE = Property("no half-filled replica is seen", "contract 3, rules 12 and 13", "a read shows whole mutations")
NEVER_OLDER = Property("reads never go back", "contract 4", "no read is older than what was shown or acked")
ACKED_STAYS = Property("acknowledged stays", "contract 3", "a version opens with every acked mutation, on every member")

Steps = Iterator[tuple[Label, State]]
JOINER = 2


class Joining:
    """One configuration; a `spec.explore.Model`."""

    def __init__(self, bounds: Bounds, safeguards: Safeguards | None = None) -> None:
        self.bounds = bounds
        self.safeguards = safeguards or Safeguards()

    def initial(self) -> State:
        """The members are equal; C holds an empty replica of no version, unless it is a member."""
        members = self.bounds.members
        replicas = tuple(Replica() if members >> node & 1 else Replica(0, 0, opened=0) for node in NODES)
        return State(replicas, members=members, restarts=self.bounds.restarts)

    def check(self, state: State) -> None:
        """Properties are checked by reads and openings."""

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        yield from self._writes(state)
        yield from self._background(state)
        yield from self._begin(state)
        if state.running is not None:
            yield from self._promises(state, state.running)
            yield from self._source(state, state.running)
            yield from self._reconciles(state, state.running)
            yield from self._result(state, state.running)
            yield ("the raise v{} is given up", state.running.version), state._replace(running=None)
        yield from self._reads(state)
        if state.restarts:
            for node in NODES:
                yield ("{} restarts", NAMES[node]), _restarted(state, node)

    # ---- mutations

    def _is_at_work(self, state: State, node: int) -> bool:
        replica = state.replicas[node]
        is_frozen = replica.promised > state.version and self.safeguards.promise_freezes
        return replica.opened == replica.version == state.version and not is_frozen and not replica.is_incomplete

    def _writes(self, state: State) -> Steps:
        """The primary applies to both blocks, then every member, then it is acked."""
        primary, number = MEMBERS[state.members][0], state.written
        if self._is_at_work(state, primary) and number == state.committed and number < self.bounds.writes:
            yield (
                ("{} applies mutation {}", NAMES[primary], number + 1),
                self._applied(state, primary)._replace(written=number + 1),
            )
        if number == state.committed:
            return
        for node in MEMBERS[state.members]:
            if state.replicas[node].blocks != (number,) * 2 and self._is_at_work(state, node):
                yield ("{} applies mutation {}", NAMES[node], number), self._applied(state, node, number)
        told = MEMBERS[state.members] if self.safeguards.join_by_raise else MEMBERS[self._ordered(state)]
        if all(state.replicas[node].blocks == (number,) * 2 for node in told) and self._is_at_work(state, primary):
            yield ("mutation {} is acked", number), state._replace(committed=number, shown=number)

    def _ordered(self, state: State) -> int:
        """Without the safeguard: the members that the primary knows, which are those of its version's opening."""
        return state.members & self.bounds.members

    def _applied(self, state: State, node: int, number: int = 0) -> State:
        replica = state.replicas[node]
        number = number or state.written + 1
        return _with(state, node, replica._replace(blocks=(number,) * 2))

    # ---- the copy in the background

    def _background(self, state: State) -> Steps:
        if state.members >> JOINER & 1 or state.replicas[JOINER].promised > state.version:
            return
        joiner = state.replicas[JOINER]
        if not joiner.is_incomplete and self.safeguards.mark_incomplete:
            yield ("C is marked as incomplete",), _with(state, JOINER, joiner._replace(is_incomplete=True))
            return
        for source in MEMBERS[state.members]:
            origin = state.replicas[source]
            if origin.version != state.version or origin.is_incomplete:
                continue
            for block in BLOCKS:
                blocks = put(joiner.blocks, block, origin.blocks[block])
                after = _with(state, JOINER, joiner._replace(blocks=blocks))
                after = after._replace(copied=state.copied | 1 << block)
                if after != state:
                    yield ("C copies block {} from {}", block, NAMES[source]), after
        if not self.safeguards.join_by_raise and state.copied == 0b11:
            joined = joiner._replace(version=state.version, opened=state.version, is_incomplete=False)
            yield ("C is recorded as a member",), _with(state, JOINER, joined)._replace(members=state.members | 0b100)

    # ---- raises

    def _begin(self, state: State) -> Steps:
        if state.running is None and state.issued < self.bounds.versions:
            for targets in self.bounds.sets:
                if targets & state.members:
                    version = state.issued + 1
                    yield (
                        ("the raise v{} {{{}}} begins", version, names(targets)),
                        state._replace(issued=version, running=Raise(version, targets)),
                    )

    def _promises(self, state: State, running: Raise) -> Steps:
        for node in MEMBERS[running.targets & ~running.promised]:
            replica = state.replicas[node]._replace(promised=running.version)
            after = _with(state, node, replica)
            yield (
                ("{} promises v{}", NAMES[node], running.version),
                after._replace(running=running._replace(promised=running.promised | 1 << node)),
            )

    def _source(self, state: State, running: Raise) -> Steps:
        if running.promised != running.targets or running.source >= 0:
            return
        named = [node for node in MEMBERS[running.targets & state.members] if self._may_lead(state, node)]
        unbroken = [node for node in named if state.replicas[node].unbroken]
        if not unbroken and not state.members & ~running.targets:
            unbroken = named if len(named) == state.members.bit_count() else []
        for node in unbroken:
            yield ("the source is {}", NAMES[node]), state._replace(running=running._replace(source=node))

    def _may_lead(self, state: State, node: int) -> bool:
        """It is named by the last result, complete, and not older than that result."""
        replica = state.replicas[node]
        is_complete = not replica.is_incomplete or not self.safeguards.incomplete_is_no_source
        return is_complete and replica.version >= state.version

    def _reconciles(self, state: State, running: Raise) -> Steps:
        """Each target copies what differs, marked as incomplete meanwhile; the source takes the version last."""
        if running.source < 0:
            return
        origin = state.replicas[running.source]
        others = running.targets & ~running.reconciled & ~(1 << running.source)
        for node in MEMBERS[others] or (running.source,):
            replica = state.replicas[node]
            if running.reconciled >> node & 1:
                continue
            is_equal = replica.blocks == origin.blocks or (
                node == JOINER and not self.safeguards.compare_at_raise and state.copied == 0b11
            )
            if is_equal:
                taken = Replica(running.version, running.version, replica.blocks, unbroken=replica.unbroken, opened=0)
                yield (
                    ("{} takes v{}", NAMES[node], running.version),
                    _with(state, node, taken)._replace(
                        running=running._replace(reconciled=running.reconciled | 1 << node)
                    ),
                )
            elif not replica.is_incomplete and self.safeguards.mark_incomplete:
                yield (
                    ("{} is marked as incomplete", NAMES[node]),
                    _with(state, node, replica._replace(is_incomplete=True)),
                )
            else:
                yield from _copies(state, (node, replica), (running.source, origin))

    def _result(self, state: State, running: Raise) -> Steps:
        is_equal = running.reconciled == running.targets or not self.safeguards.result_when_equal
        if running.source < 0 or not is_equal:
            return
        replicas = state.replicas
        for node in MEMBERS[running.targets]:
            taken = replicas[node]._replace(version=running.version, opened=running.version, unbroken=True)
            replicas = put(replicas, node, taken)
        base = replicas[running.source].blocks[0]
        if base < state.shown:
            raise ViolationError(ACKED_STAYS, f"v{running.version} opens with {base}, but {state.shown} was shown")
        yield (
            ("v{} {{{}}} is logged and opens", running.version, names(running.targets)),
            state._replace(
                replicas=replicas,
                version=running.version,
                members=running.targets,
                running=None,
                written=base,
                committed=base,
                copied=0,
            ),
        )

    # ---- reads

    def _reads(self, state: State) -> Steps:
        """A read of both blocks at each replica that serves: named by the last result, open, complete."""
        for node in MEMBERS[state.members]:
            replica = state.replicas[node]
            is_silent = replica.is_incomplete and self.safeguards.incomplete_is_silent
            if replica.opened != replica.version or replica.version != state.version or is_silent:
                continue
            first, second = replica.blocks
            if max(first, second) > state.committed and not replica.is_incomplete:
                continue  # pending here; what was copied over would not be known as such
            if first != second:
                raise ViolationError(WHOLE, f"a read at {NAMES[node]} shows mutation {first} beside {second}")
            if first < state.shown:
                raise ViolationError(NEVER_OLDER, f"a read at {NAMES[node]} shows {first} after {state.shown}")
            if first > state.shown:
                yield ("a read at {} shows {}", NAMES[node], first), state._replace(shown=first)


def _copies(state: State, target: tuple[int, Replica], source: tuple[int, Replica]) -> Steps:
    (node, replica), (origin, content) = target, source
    for block in BLOCKS:
        if replica.blocks[block] != content.blocks[block]:
            blocks = put(replica.blocks, block, content.blocks[block])
            yield (
                ("{} copies block {} from {}", NAMES[node], block, NAMES[origin]),
                _with(state, node, replica._replace(blocks=blocks)),
            )


def _with(state: State, node: int, replica: Replica) -> State:
    return state._replace(replicas=put(state.replicas, node, replica))


def _restarted(state: State, node: int) -> State:
    """Nothing durable is lost; a raise that has begun with the old boot is given up."""
    replica = state.replicas[node]._replace(opened=0, unbroken=False)
    running = state.running
    if running is not None and running.targets >> node & 1:
        running = None
    return _with(state, node, replica)._replace(restarts=state.restarts - 1, running=running)
