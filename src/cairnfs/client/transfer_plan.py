"""What there is to copy, and under which names: the values of `transfer`, and the part that only looks."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from os import PathLike  # noqa: TID251 - the type only
from typing import TYPE_CHECKING, Literal

from cairnfs.client.stats import Stat
from cairnfs.env import local_files as local
from cairnfs.errors import BadRequestError, IsFolderError, NotFolderError
from cairnfs.paths import AnyPath, show
from cairnfs.tables import html_table
from cairnfs.units import format_size

if TYPE_CHECKING:
    from cairnfs.client.filesystem import Client

Sources = AnyPath | Sequence[AnyPath]
"""One path, or several."""
_NAME_BYTES = 230
"""Of a name of 255 bytes, so many are left in the name of its part."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file, folder or symlink to copy. `size` in bytes, 0 for what is no file."""

    kind: str
    source: str
    target: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a copy is; `jobs` is what has been copied once all of it is, else None."""

    done_bytes: int
    total_bytes: int
    jobs: tuple[Job, ...] | None = None


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a copy has copied."""

    jobs: tuple[Job, ...]

    def __repr__(self) -> str:
        folders = sum(job.kind == "folder" for job in self.jobs)
        return f"<Transferred files={len(self.jobs) - folders} folders={folders} size={format_size(self.size_bytes)}>"

    def _repr_html_(self) -> str:
        rows = [(job.kind, job.source, job.target, format_size(job.size)) for job in self.jobs]
        return html_table(("kind", "from", "to", "size"), rows)

    @property
    def size_bytes(self) -> int:
        return sum(job.size for job in self.jobs)


Advance = Callable[[int], None]
Direction = Literal["upload", "download", "copytree"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a program asks for."""

    sources: Sources
    target: AnyPath
    recursive: bool
    tag: int = 0
    """A number of its own for each copy, or two who copy to one place would mix their bytes."""

    def part_of(self, job: Job) -> str:
        """Return the name under which a file arrives."""
        return part_name(job.target, self.tag)


async def jobs_of(fs: "Client", source: str, target: str, *, recursive: bool) -> list[Job]:
    """Return what there is to copy of a path in the cluster.

    Raises:
        IsFolderError: a folder, and not `recursive`.
    """
    top = await fs.stat(source)
    if top.is_folder and not recursive:
        raise not_recursive(source)
    jobs = [_job(top, target)]
    if top.is_folder:
        base = source.rstrip("/")
        place = target.rstrip("/")
        jobs += [_job(entry, place + entry.path[len(base) :]) async for entry in below(fs, source)]
    return jobs


async def below(fs: "Client", folder: str) -> AsyncIterator[Stat]:
    """Yield what is below a folder, each folder before its contents; symlinks are not followed."""
    waiting = [folder]
    while waiting:  # ends because every folder is listed once
        async for entry in fs.scandir(waiting.pop()):
            yield entry.stat
            if entry.is_dir():
                waiting.append(entry.path)


def _job(found: Stat, target: str) -> Job:
    size = found.size if found.is_file else 0
    return Job(str(found.kind), found.path, target, size, found.mode & 0o7777, found.mtime_ns, found.target)


def part_name(target: str, number: int) -> str:
    """Return `.<name>.<number>.part` beside the target; of a long name only the start."""
    folder, slash, name = target.rpartition("/")
    short = name.encode("utf-8", "surrogateescape")[:_NAME_BYTES].decode("utf-8", "surrogateescape")
    return f"{folder}{slash}.{short}.{number:08x}.part"


def child(folder: str, name: str) -> str:
    return folder.rstrip("/") + "/" + name


def listed(sources: Sources) -> list[AnyPath]:
    """Return sources as a list.

    Raises:
        BadRequestError: none at all.
    """
    paths: list[AnyPath] = [sources] if isinstance(sources, str | bytes | PathLike) else list(sources)
    if not paths:
        raise BadRequestError(what="nothing to copy: the list of sources is empty")
    return paths


def show_local(path: AnyPath) -> str:
    """Return a path of this machine as `os.fsdecode` does.

    Raises:
        TypeError: neither str, bytes nor PathLike.
    """
    return show(local.as_bytes(path))


def ends_with_slash(path: AnyPath) -> bool:
    return local.as_bytes(path).endswith(b"/")


def not_recursive(path: str) -> IsFolderError:
    error = IsFolderError(path=path)
    error.add_note("recursive=True copies a folder with all that is in it")
    return error


def check_several(sources: Sequence[str], target: str, *, inside: bool) -> None:
    """Raises NotFolderError if several sources would go to one name."""
    if len(sources) > 1 and not inside:
        error = NotFolderError(path=target)
        error.add_note(f"there are {len(sources)} sources, so the target must be a folder")
        raise error
