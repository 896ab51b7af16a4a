"""What both kinds of cluster offer to `cluster.CairnCluster`: the machines, and what can happen to them.

Everything that happens is a plain call that returns at once, so that it can be done from a test, from a coroutine on
the cluster's loop and at a set time alike.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from cairnfs.client.blocking import Ground

MASTER = "master"
CLIENT = "client"
"""The host of clients that ask for no other."""


class Machines(Protocol):
    """A master and chunkservers by name, and hosts for clients."""

    @property
    def seed(self) -> int | None:
        """What decides a simulation; None for what is real."""
        ...

    @property
    def chunkservers(self) -> Sequence[str]: ...

    @property
    def master_address(self) -> str: ...

    def start(self) -> None:
        """Return when everything listens and the master knows every chunkserver."""
        ...

    def stop(self) -> None:
        """End everything. Raises what went wrong in something that `after` was to do."""
        ...

    def is_up(self, server: str) -> bool: ...

    def named(self, address: str) -> str:
        """Return the name of the server at `address`; "" if there is none."""
        ...

    def ground(self, host: str) -> Ground:
        """Return what a client on that host stands on."""
        ...

    def close_files(self) -> None:
        """Close what clients left open, if the machines end before the process does."""
        ...

    def after(self, seconds: float, happening: Callable[[], object]) -> None:
        """Call `happening` when so much time has passed, whatever else goes on then."""
        ...

    def report(self) -> str:
        """Say what a person needs who looks into a failure."""
        ...

    # ------------------------------------------------------------------ what can happen

    def crash(self, server: str) -> None: ...

    def restart(self, server: str) -> None: ...

    def pause(self, server: str, seconds: float) -> None: ...

    def power_cut(self, servers: Sequence[str]) -> None: ...

    def cut(self, one: str, other: str, *, one_way: bool) -> None: ...

    def heal_network(self, one: str, other: str) -> None:
        """Undo the cut between two hosts, or every cut if they are ""."""
        ...

    def slow_disk(self, server: str, delay_s: float) -> None: ...

    def heal_disks(self) -> None: ...
