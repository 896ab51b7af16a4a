"""Files on their way into the cluster: written under a name of their own, named as wished when they are whole.

    begin ──▶ look at the target ──▶ write into folder/.cairn-*.part ──▶ finish (synced) ──▶ commit (renamed)
                                                                   └──▶ discard (deleted, not to the trash)

Whoever looks meanwhile sees the file of before or none. The new file keeps mode and number of copies of the one that it
replaces, which goes to the trash; a symlink stays and what it leads to is replaced. `ls` leaves out files under way; a
writer that dies leaves its one behind, in the folder where it was to be, for `cairn rm`.
"""

import contextlib
import os
from typing import Protocol

from cairnfs.checksum import Buffer
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.client.stats import Stat
from cairnfs.errors import CairnError, ExistsError, IsFolderError, NotFoundError

_PREFIX = ".cairn-"
_SUFFIX = ".part"


class Sink(Protocol):
    """Where the bytes of an open file go."""

    async def write(self, data: Buffer) -> None:
        """Take bytes; they are on their way when it returns."""
        ...

    async def flush(self) -> None:
        """Return when every replica has acked what was written."""
        ...

    async def finish(self) -> None:
        """Return when what was written survives the loss of power. Nothing may be written any more."""
        ...

    async def commit(self) -> None:
        """Give the finished file its name. Called again, or after `discard`, it does nothing."""
        ...

    async def discard(self) -> None:
        """Drop what is not committed."""
        ...


def is_under_way(name: str) -> bool:
    """True for the names of files that are being written."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def temporary_beside(path: str) -> str:
    """Return a new path in the same folder, short enough wherever the path itself is."""
    return f"{path.rpartition('/')[0]}/{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"


class Upload:
    """A new file in the place of whatever is at the path."""

    def __init__(self, client: Client, path: str, replaced: Stat | None, *, exclusive: bool, parents: bool) -> None:
        self._client = client
        self._path = path
        self._replaced = replaced
        self._exclusive = exclusive
        self._parents = parents
        self._temporary = temporary_beside(path)
        self._file: File | None = None
        self._is_made = False
        self._is_over = False

    @classmethod
    async def begin(cls, client: Client, path: str, *, exclusive: bool = False, parents: bool = True) -> "Upload":
        """Look at the target; nothing is made yet. `exclusive`: it must not exist. `parents`: make missing folders.

        Raises:
            ExistsError, IsFolderError, NotFolderError, BadNameError: the target cannot be written.
        """
        try:
            there: Stat | None = await client.stat(path, follow=False)
        except NotFoundError:
            there = None
        if there is not None and exclusive:
            raise ExistsError(path=path)
        if there is not None and there.is_symlink:
            path = await client.realpath(path)
            there = await client.stat(path)
        if there is not None and there.is_folder:
            raise IsFolderError(path=path)
        return cls(client, path, there, exclusive=exclusive, parents=parents)

    async def write(self, data: Buffer) -> None:
        """Take bytes. `data` of type bytes is kept without a copy."""
        if self._file is None:
            self._file = await self._open("xb")
        await self._file.write(data)

    async def _open(self, mode: str) -> File:
        old = self._replaced
        self._is_made = True
        return await self._client.open(
            self._temporary,
            mode,
            parents=self._parents,
            permissions=0o644 if old is None else old.mode,
            replicas=None if old is None else old.replicas,
        )

    async def flush(self) -> None:
        """Do nothing: nobody can see the bytes before the file has its name."""

    async def finish(self) -> None:
        """Sync and close the file."""
        if self._file is None:
            # A file that is made by appending gets no first chunk, which an empty one does not need.
            self._file = await self._open("ab")
        await self._file.close()

    async def copy_of(self, source: str) -> None:
        """Become a snapshot of `source` instead of written bytes. GFS paper, section 3.4.

        Raises:
            NotFoundError: no such source.
        """
        try:
            await self._client.snapshot(source, self._temporary)
        except NotFoundError:
            if not self._parents:
                raise
            await self._client.makedirs(self._temporary.rpartition("/")[0] or "/", exist_ok=True)
            await self._client.snapshot(source, self._temporary)
        self._is_made = True

    async def append_to_copy(self, source: str) -> None:
        """Become a snapshot of `source`, if there is one, to which what is written is appended."""
        if self._replaced is not None:
            await self.copy_of(source)
        self._file = await self._open("ab")

    async def commit(self) -> None:
        """Rename the file to its name.

        Raises:
            ExistsError: somebody else was first, and it was to be new. IsFolderError: it is a folder now. The file is
            discarded.
        """
        if self._is_over:
            return
        try:
            if self._exclusive:
                await self._client.rename(self._temporary, self._path)
            else:
                await self._client.replace(self._temporary, self._path)
        except CairnError:
            await self.discard()
            raise
        self._is_over = True

    async def discard(self) -> None:
        """Delete what was written, now and for good."""
        if self._is_over:
            return
        self._is_over = True
        if self._file is not None and not self._file.closed:
            self._file.discard()
        if self._is_made:
            with contextlib.suppress(NotFoundError):  # making it may have failed
                await self._client.remove(self._temporary, now=True)


class Appending:
    """Bytes for the end of a file in its place; they cannot be taken back."""

    def __init__(self, file: File) -> None:
        self._file = file

    async def write(self, data: Buffer) -> None:
        """Take bytes for the end of the file."""
        await self._file.write(data)

    async def flush(self) -> None:
        """Return when every replica has acked what was written: readers see it."""
        await self._file.flush()

    async def finish(self) -> None:
        """Sync and close the file."""
        await self._file.close()

    async def commit(self) -> None:
        """Do nothing: the file has its name."""

    async def discard(self) -> None:
        """Drop what was not sent yet."""
        if not self._file.closed:
            self._file.discard()


async def begin(client: Client, path: str, mode: str, *, deferred: bool, parents: bool) -> Sink:
    """Open `path` for writing in mode wb, xb or ab. `deferred`: nothing may be seen before the commit.

    Raises:
        ExistsError, IsFolderError, NotFolderError, BadNameError: as `Upload.begin`.
    """
    if mode == "ab" and not deferred:
        return Appending(await client.open(path, "ab", parents=parents))
    upload = await Upload.begin(client, path, exclusive=mode == "xb", parents=parents)
    if mode == "ab":
        await upload.append_to_copy(path)
    return upload
