"""The core model: its first state, and all steps in a fixed order."""

from collections.abc import Iterator

from spec.core.checks import check_agreement
from spec.core.safeguards import Bounds, Safeguards
from spec.core.state import ALL, BOOK_TICKS, OPEN, Master, Operation, Replica, Shown, State, Version
from spec.core.steps_mutations import mutation_steps
from spec.core.steps_raises import master_steps
from spec.core.steps_reads import read_steps, round_steps
from spec.core.steps_world import world_steps
from spec.core.view import View
from spec.explore import Label


class Core:
    """One configuration of the core; a `spec.explore.Model`."""

    def __init__(self, bounds: Bounds, safeguards: Safeguards | None = None) -> None:
        self.view = View(bounds, safeguards or Safeguards())

    def initial(self) -> State:
        """Version 1 is open on all three, with A as its primary."""
        bounds = self.view.bounds
        versions = [Version() for _ in range(bounds.version_count)]
        versions[1] = Version(phase=OPEN, members=ALL, fence_done=True)
        return State(
            replicas=(Replica(), Replica(), Replica()),
            versions=tuple(versions),
            masters=(Master(version=1, issued=1, raises=(), book=(BOOK_TICKS,) * 3, members=ALL), None),
            epoch=1,
            operations=tuple(Operation() for _ in bounds.mutations),
            shown=Shown(),
            restarts=bounds.restarts,
        )

    def check(self, state: State) -> None:
        """Members agree."""
        if self.view.bounds.agreement:
            check_agreement(state)

    def steps(self, state: State) -> Iterator[tuple[Label, State]]:
        """Everything that may happen next."""
        silent = self.view.bounds.silent
        for group in (world_steps, master_steps, mutation_steps, round_steps, read_steps):
            for label, after in group(self.view, state):
                if not silent or not _takes_part(state, after, silent):
                    yield label, after


def _takes_part(before: State, after: State, silent: int) -> bool:
    """True if a node that is silent for ever would take a step."""
    return any(
        silent >> node & 1 and replica is not after.replicas[node] for node, replica in enumerate(before.replicas)
    )
