"""`cairn sim`: whole clusters in a simulated world, each decided by one seed."""

import click

from cairnfs.cli.lazy import Lazy, LazyGroup

_RUN = "cairnfs.cli.sim_run"
COMMANDS = {
    "run": Lazy(_RUN, "run", "run many seeds on all cores and report what was found"),
    "replay": Lazy(_RUN, "replay", "run one seed again, event by event"),
    "ablate": Lazy("cairnfs.cli.sim_ablate", "ablate", "switch safeguards off and see that it is noticed"),
    "story": Lazy("cairnfs.cli.sim_story", "story", "play a directed scene and tell it as a time line"),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def sim() -> None:
    """Simulate whole clusters, each decided by one seed.

    The servers and clients are the real ones; time, network, disks and chance are not. docs/TESTING.md explains it.
    """
