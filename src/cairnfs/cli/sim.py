"""`cairn sim`: a whole cluster in a simulated world."""

import click

from cairnfs.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "story": Lazy("cairnfs.cli.sim_story", "story", "play a directed scene and tell it as a time line"),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def sim() -> None:
    """Simulate whole clusters, each decided by one seed."""
