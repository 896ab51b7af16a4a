"""The world as it is. Used by whoever starts a process: `cli`, `cluster`, `client.blocking`."""

import random

from cairnfs.env import Env
from cairnfs.env.clock import RealClock
from cairnfs.env.files import PosixFiles
from cairnfs.env.lmdb_store import LmdbStore
from cairnfs.env.sockets import SocketNetwork
from cairnfs.env.solo import SoloCoordinator
from cairnfs.env.threads import ThreadedDisk


def real_env(*, seed: int | None = None) -> Env:
    """Return real clocks, sockets, disks and stores. Without `seed` chance comes from the system."""
    return Env(
        clock=RealClock(),
        network=SocketNetwork(),
        random=random.Random(seed),  # noqa: S311 - ids, not secrets
        open_disk=lambda folder: ThreadedDisk(PosixFiles(folder)),
        open_store=LmdbStore,
        open_coordinator=SoloCoordinator,
    )
