"""Data folders as a server starts: locked, known or fresh, of this server and cluster.

Rule 25: a foreign folder is never adopted.

Every folder is locked and its DISK read and checked before anything is written to any of them.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cairnfs.chunkserver.disks import DataDisk, Policy, close_folder, read_disk_file, write_disk_file
from cairnfs.chunkserver.format import DISK_NAME, DiskFile, make_disk_file
from cairnfs.chunkserver.lifecycle import restore_replica
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


async def open_folders(env: Env, paths: Sequence[str]) -> list[Folder]:
    """Lock all folders and read what they are.

    Raises:
        FolderInUseError, FormatError, DiskFailedError: none of them is locked any more, nothing was written.
    """
    folders: list[Folder] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_all, folders)
        for path in paths:
            disk = env.open_disk(path)
            folders.append(Folder(disk, path, None))
            if not disk.files.lock():
                raise FolderInUseError(where=path)
        for folder in folders:
            folder.content = await _read_content(folder)
        stack.pop_all()
    return folders


async def _read_content(folder: Folder) -> DiskFile | None:
    try:
        return await folder.disk.run(lambda: read_disk_file(folder.disk.files))
    except OSError as error:
        raise DiskFailedError(where=folder.path, why=str(error)) from error


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


async def serve_folder(folder: Folder, policy: Policy, *, wall_ns: int) -> tuple[DataDisk, Recovered]:
    """Recover a formatted folder and begin a new journal segment.

    Raises:
        DiskFailedError: recovery failed; it can be repeated.
    """
    assert folder.content is not None, folder.path
    content = folder.content
    disk = DataDisk(folder.disk, folder.path, content, policy)
    checks_place = policy.safeguards.place_tag
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
