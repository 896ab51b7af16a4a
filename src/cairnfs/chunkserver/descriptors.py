"""A bounded number of open files. Used by `disks.py`; a file in use is never closed under its user. Rule 27."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from cairnfs.chunkserver.format import data_name, sum_name
from cairnfs.env import File, Files
from cairnfs.errors import ChunkCorruptError
from cairnfs.ids import ChunkHandle

OPEN_REPLICAS_MAX = 128
"""Two descriptors each: 256 of the 1,024 that a process usually may have."""


class OpenReplica:
    """Owner of the two files of one replica; they are opened by the first job that needs them."""

    def __init__(self, files: Files, handle: ChunkHandle) -> None:
        self.users = 0
        self.dropped = False
        self._files, self._handle = files, handle
        self._opened: dict[str, File] = {}

    def data(self) -> File:
        """Return the raw bytes. For jobs."""
        return self._get(data_name(self._handle))

    def sums(self) -> File:
        """Return the checksum file. For jobs."""
        return self._get(sum_name(self._handle))

    def read_old(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`; return how many bytes there were, 0 if they cannot be read. For jobs."""
        try:
            return self.data().read_into(offset, buffer)
        except ChunkCorruptError:
            raise
        except OSError:
            return 0

    def _get(self, name: str) -> File:
        found = self._opened.get(name)
        if found is None:
            try:
                opened = self._files.open(name)
            except FileNotFoundError as error:
                # Somebody removed it under us: this replica is damaged, not the disk.
                raise ChunkCorruptError(chunk=self._handle, block=0) from error
            # Two jobs may come here at once; setdefault is one step, and the second one's file is closed.
            found = self._opened.setdefault(name, opened)
            if found is not opened:
                opened.close()
        return found

    def close(self) -> None:
        """Close what is open. Nobody uses it any more."""
        opened, self._opened = self._opened, {}
        for file in opened.values():
            file.close()


class Descriptors:
    """The open files of one disk; least recently used ones are closed first."""

    def __init__(self, files: Files, *, replicas_max: int = OPEN_REPLICAS_MAX) -> None:
        self._files, self._max = files, replicas_max
        self._open: OrderedDict[ChunkHandle, OpenReplica] = OrderedDict()

    @contextmanager
    def lease(self, handle: ChunkHandle) -> Iterator[OpenReplica]:
        """Lend the files of a replica for one job."""
        owner = self._open.get(handle)
        if owner is None:
            owner = self._open[handle] = OpenReplica(self._files, handle)
            self._evict()
        self._open.move_to_end(handle)
        owner.users += 1
        try:
            yield owner
        finally:
            owner.users -= 1
            if owner.dropped and not owner.users:
                owner.close()
            elif not owner.users and len(self._open) > self._max:
                self.drop(handle)  # when it was opened all others were in use

    def drop(self, handle: ChunkHandle) -> None:
        """Close the files of a replica, as soon as nobody uses them."""
        owner = self._open.pop(handle, None)
        if owner is not None:
            owner.dropped = True
            if not owner.users:
                owner.close()

    def close(self) -> None:
        """Close all files."""
        for handle in list(self._open):
            self.drop(handle)

    def _evict(self) -> None:
        idle = [handle for handle, owner in self._open.items() if not owner.users]
        # The newest entry is the caller's: it has no user yet.
        for handle in idle[: max(0, min(len(self._open) - self._max, len(idle) - 1))]:
            self.drop(handle)
