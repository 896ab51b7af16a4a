"""The world of a client: clocks, sockets and chance, without disks and stores. Used by `client.blocking` and `aio`."""

import random

from cairnfs.env import Disk, Env, MetaStore
from cairnfs.env.clock import RealClock
from cairnfs.env.sockets import SocketNetwork
from cairnfs.env.solo import SoloCoordinator


def client_env(*, seed: int | None = None) -> Env:
    """Return a world without disks and stores: importing LMDB would cost every program that only opens a file."""
    return Env(
        clock=RealClock(),
        network=SocketNetwork(),
        random=random.Random(seed),  # noqa: S311 - ids, not secrets
        open_disk=_no_disk,
        open_store=_no_store,
        open_coordinator=SoloCoordinator,
    )


def _no_disk(folder: str) -> Disk:
    raise AssertionError(f"a client opens no disk: {folder}")


def _no_store(folder: str) -> MetaStore:
    raise AssertionError(f"a client opens no store: {folder}")
