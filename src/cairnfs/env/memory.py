"""A world in memory: nothing of it survives the process, everything else is as real. Used by tests and `cairnfs.local`.

A `MemoryMachine` keeps what outlives a role: the folders. Roles that share one can be closed and opened anew.
"""

import random

from cairnfs.env import Disk, Env, MetaStore
from cairnfs.env.clock import RealClock
from cairnfs.env.memory_files import MemoryDisk, MemoryFiles, MemoryTree
from cairnfs.env.memory_network import MemoryNetwork
from cairnfs.env.memory_store import MemoryRecord, MemoryStore
from cairnfs.env.solo import SoloCoordinator

__all__ = ["MemoryMachine", "memory_env"]


class MemoryMachine:
    """Folders, and a network for all who live here."""

    def __init__(self, *, makes_folders: bool = True) -> None:
        """`makes_folders`: a folder that is opened is made, so that nobody need think of it."""
        self.network = MemoryNetwork()
        self._makes_folders = makes_folders
        self._trees: dict[str, MemoryTree] = {}
        self._records: dict[str, MemoryRecord] = {}

    def make_folder(self, folder: str) -> None:
        """Make an empty folder."""
        self._trees[folder] = MemoryTree(folder)
        self._records[folder] = MemoryRecord(folder)

    def open_disk(self, folder: str) -> Disk:
        """Raises FileNotFoundError."""
        self._find(folder)
        return MemoryDisk(MemoryFiles(self._trees[folder]))

    def open_store(self, folder: str) -> MetaStore:
        """Raises FileNotFoundError, FolderInUseError."""
        self._find(folder)
        return MemoryStore(self._records[folder])

    def _find(self, folder: str) -> None:
        if folder not in self._trees:
            if not self._makes_folders:
                raise FileNotFoundError(2, "no such folder", folder)
            self.make_folder(folder)


def memory_env(seed: int, *, machine: MemoryMachine | None = None) -> Env:
    """Return a world in memory; those who share `machine` share its folders and its network."""
    machine = machine or MemoryMachine()
    return Env(
        clock=RealClock(),
        network=machine.network,
        random=random.Random(seed),  # noqa: S311 - repeatable on purpose
        open_disk=machine.open_disk,
        open_store=machine.open_store,
        open_coordinator=SoloCoordinator,
    )
