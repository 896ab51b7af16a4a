"""Data folders as a server starts: locked, known or fresh, of this server and cluster.

Rule 25: a foreign folder is never adopted.

Every folder is locked and its DISK read and checked before anything is written to any of them.
"""

import errno
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cairnfs.chunkserver.disks import DataDisk, DiskUsage, Policy, close_folder, read_disk_file, write_disk_file
from cairnfs.chunkserver.format import DISK_NAME, DiskFile, make_disk_file
from cairnfs.chunkserver.lifecycle import restore_replica
from cairnfs.chunkserver.read_only import look
from cairnfs.chunkserver.records import segment_name
from cairnfs.chunkserver.recovery import Recovered, recover
from cairnfs.env import Disk, Env
from cairnfs.errors import DiskFailedError, FolderInUseError, FormatError, WrongClusterError
from cairnfs.ids import ClusterId, DiskId, ServerId
from cairnfs.limits import Geometry


@dataclass(slots=True)
class Folder:
    """A locked folder; `content` is None while it is not formatted."""

    disk: Disk
    path: str
    content: DiskFile | None


async def open_folders(env: Env, paths: Sequence[str]) -> tuple[list[Folder], list[DiskFailedError]]:
    """Lock all folders and read what they are. Of several, those that cannot be read or written are left out, unlocked.

    Raises:
        FolderInUseError, FormatError: none of them is locked any more, nothing was written. DiskFailedError: nor can
            any of them be read.
    """
    folders: list[Folder] = []
    broken: list[DiskFailedError] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_all, folders)
        for path in paths:
            folder = Folder(env.open_disk(path), path, None)
            folders.append(folder)
            try:
                if not folder.disk.files.lock():
                    raise FolderInUseError(where=path)
                folder.content = await folder.disk.run(lambda folder=folder: read_disk_file(folder.disk.files))  # type: ignore[misc]
                if folder.content is None and folder.disk.files.is_read_only():
                    raise OSError(errno.EROFS, "read-only, and no data folder yet")
            except OSError as error:
                broken.append(DiskFailedError(where=path, why=str(error)))
                await close_folder(folders.pop().disk)
        if not folders:
            raise broken[0]
        stack.pop_all()
    return folders, broken


def out_of_use(error: DiskFailedError) -> DiskUsage:
    """Return how a folder stands that could not be served at all."""
    return DiskUsage(
        disk_id=DiskId(0),
        folder=error.where,
        free=0,
        total=0,
        replicas=0,
        failed=error.why,
        latency_s=0.0,
        is_leaving=False,
        is_read_only=False,
    )


async def close_all(folders: Sequence[Folder]) -> None:
    """Give the folders back."""
    for folder in folders:
        await close_folder(folder.disk)


def agree(
    folders: Sequence[Folder], cluster: ClusterId | None, geometry: Geometry | None
) -> tuple[ServerId | None, ClusterId | None, Geometry | None]:
    """Return whose folders these are: server, cluster and geometry of the formatted ones, else what was given.

    Raises:
        WrongClusterError, FormatError: they differ from one another or from what was given.
    """
    server: ServerId | None = None
    for folder in folders:
        content = folder.content
        if content is None:
            continue
        where = f"{folder.path}/{DISK_NAME}"
        if cluster is not None and content.cluster != cluster:
            raise WrongClusterError(what=where, expected=cluster, found=content.cluster)
        if geometry is not None and content.geometry != geometry:
            raise FormatError(where=where, why=f"made with {content.geometry}, but {geometry} is expected")
        if server is not None and content.server_id != server:
            raise FormatError(where=where, why=f"belongs to server {content.server}, the others to {server:016x}")
        server, cluster, geometry = content.server_id, ClusterId(content.cluster), content.geometry
    known = [folder.content.disk for folder in folders if folder.content is not None]
    if len(dict.fromkeys(known)) < len(known):
        raise FormatError(where=folders[0].path, why="two of the folders are copies of one disk")
    return server, cluster, geometry


async def format_folder(folder: Folder, content: DiskFile) -> None:
    """Make a fresh folder ours, durably."""
    try:
        await folder.disk.run(lambda: write_disk_file(folder.disk.files, content))
    except OSError as error:
        raise DiskFailedError(where=folder.path, why=str(error)) from error
    folder.content = content


def fresh_content(cluster: ClusterId, server: ServerId, disk_id: int, geometry: Geometry) -> DiskFile:
    """Return DISK of a folder that is formatted now."""
    return make_disk_file(cluster, server, DiskId(disk_id), geometry)


async def _serve_read_only(disk: DataDisk, *, checks_place: bool) -> Recovered:
    try:
        recovered = await disk.run_reading(lambda: look(disk.files, disk.content, checks_place=checks_place))
    except OSError as error:
        raise DiskFailedError(where=disk.folder, why=str(error)) from error
    disk.become_read_only()
    for found in recovered.replicas:
        disk.replicas[found.state.handle] = restore_replica(disk, found)
    return recovered


async def serve_folder(folder: Folder, policy: Policy, *, wall_ns: int) -> tuple[DataDisk, Recovered]:
    """Recover a formatted folder and begin a new journal segment; of one that can only be read, see what it has.

    Raises:
        DiskFailedError: recovery failed; it can be repeated.
    """
    assert folder.content is not None, folder.path
    content = folder.content
    disk = DataDisk(folder.disk, folder.path, content, policy)
    checks_place = policy.safeguards.place_tag
    if disk.files.is_read_only():
        return disk, await _serve_read_only(disk, checks_place=checks_place)
    recovered = await disk.run(lambda: recover(disk.files, content, wall_ns=wall_ns, checks_place=checks_place))
    for found in recovered.replicas:
        disk.replicas[found.state.handle] = restore_replica(disk, found)
    await disk.run(lambda: disk.check_space(0))
    disk.journal.epoch = recovered.epoch
    # The new segment first: it carries the epoch on.
    await disk.journal.begin(max(recovered.segments, default=0) + 1)

    def remove() -> None:
        for number in recovered.segments:
            disk.files.unlink(segment_name(number))
        disk.files.sync_folder("cairn")

    await disk.run(remove)
    return disk, recovered
