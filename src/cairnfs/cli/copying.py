"""put, get and cp: trees of files between this machine and the cluster, many files at once.

A file arrives under `.<name>.part` and is renamed when it is whole, on both sides: whoever looks meanwhile sees the old
file or the new one. Mode and time of change are kept. Symlinks are copied as symlinks.
"""

import contextlib
import os
import stat as modes
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from cairnfs.cli.common import FileSystem, Options, child, common_options, document, remote
from cairnfs.cli.entries import entries_below, entry_at
from cairnfs.cli.names import targets
from cairnfs.cli.progress import Progress, progress
from cairnfs.errors import CairnError
from cairnfs.units import MIB

AT_ONCE = 16
"""Files in flight: enough to hide the waits for commits, few enough for their buffers."""
PIECE = 1 * MIB


@dataclass(frozen=True, slots=True)
class Job:
    """One file, folder or symlink to copy."""

    kind: str
    source: str
    target: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def put(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy local SOURCES into the cluster. If TARGET is a folder, they go into it. `-` is standard input."""
    with options.connect(target) as fs:
        to = remote(target)
        if sources == ("-",):
            total = _put_stdin(fs, to)
            if options.as_json:
                document({"source": "-", "target": to, "size": total})
            return
        jobs: list[Job] = []
        inside = fs.isdir(to) or target.endswith("/")
        _check_many(sources, target, inside=inside)
        for source in sources:
            name = os.path.basename(os.path.abspath(source))  # noqa: PTH100, PTH119 - names may be any bytes
            jobs += _local_jobs(source, child(to, name) if inside else to, recursive=recursive)
        run(jobs, make_folder=lambda job: fs.makedirs(job.target, exist_ok=True),
            copy=lambda job, bar: put_one(fs, job, bar), finish_folder=lambda job: _keep_remote(fs, job),
            title="put", options=options)  # fmt: skip


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def get(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy SOURCES of the cluster to this machine. If the local TARGET is a folder, they go into it."""
    with options.connect(*sources) as fs:
        jobs: list[Job] = []
        inside = Path(target).is_dir() or target.endswith("/")
        _check_many(sources, target, inside=inside)
        for given in sources:
            source = remote(given)
            name = source.rpartition("/")[2]
            jobs += _remote_jobs(fs, source, os.path.join(target, name) if inside else target,  # noqa: PTH118
                                 recursive=recursive)  # fmt: skip
        run(jobs, make_folder=lambda job: Path(job.target).mkdir(parents=True, exist_ok=True),
            copy=lambda job, bar: get_one(fs, job, bar), finish_folder=_keep_local,
            title="get", options=options)  # fmt: skip


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def cp(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy inside the cluster: both sides are paths there. `put` and `get` copy to and from this machine."""
    with options.connect(*sources, target) as fs:
        jobs: list[Job] = []
        for source, to in targets(fs, sources, target):
            jobs += _remote_jobs(fs, source, to, recursive=recursive)
        run(jobs, make_folder=lambda job: fs.makedirs(job.target, exist_ok=True),
            copy=lambda job, bar: _copy_one(fs, job, bar), finish_folder=lambda job: _keep_remote(fs, job),
            title="copy", options=options)  # fmt: skip


def _check_many(sources: tuple[str, ...], target: str, *, inside: bool) -> None:
    if len(sources) > 1 and not inside:
        raise click.UsageError(f"{target} is no folder, and there are {len(sources)} sources")


# ------------------------------------------------------------------ what to copy


def _local_jobs(source: str, target: str, *, recursive: bool) -> Iterator[Job]:
    found = os.lstat(source)
    if modes.S_ISLNK(found.st_mode) and not recursive:
        found = os.stat(source)  # noqa: PTH116 - names may be any bytes
    kind = _kind(found.st_mode)
    if kind == "":
        raise click.UsageError(f"{source} is neither file, folder nor symlink")
    mode = modes.S_IMODE(found.st_mode)
    link = os.readlink(source) if kind == "symlink" else ""  # noqa: PTH115
    size = found.st_size if kind == "file" else 0
    yield Job(kind, source, target, size, mode, found.st_mtime_ns, link)
    if kind == "folder":
        if not recursive:
            raise click.UsageError(f"{source} is a folder; -r copies it with all that is in it")
        for name in sorted(os.listdir(source)):  # noqa: PTH208
            yield from _local_jobs(os.path.join(source, name), child(target, name), recursive=True)  # noqa: PTH118


def _kind(mode: int) -> str:
    kinds = ((modes.S_ISREG, "file"), (modes.S_ISDIR, "folder"), (modes.S_ISLNK, "symlink"))
    return next((name for test, name in kinds if test(mode)), "")


def _remote_jobs(fs: FileSystem, source: str, target: str, *, recursive: bool) -> Iterator[Job]:
    top = entry_at(fs, source)
    if top.is_folder and not recursive:
        raise click.UsageError(f"{source} is a folder; -r copies it with all that is in it")
    below = entries_below(fs, source) if top.is_folder else iter(())
    for entry in (top, *below):
        place = target + entry.path[len(top.path.rstrip("/")) :] if entry is not top else target
        yield Job(entry.kind, entry.path, place, entry.size if entry.kind == "file" else 0, entry.mode,
                  entry.mtime_ns, entry.target)  # fmt: skip


# ------------------------------------------------------------------ copying


def run(
    jobs: list[Job],
    *,
    make_folder: Callable[[Job], object],
    copy: Callable[[Job, Progress], None],
    finish_folder: Callable[[Job], None],
    title: str,
    options: Options,
) -> None:
    """Make the folders, copy the files `AT_ONCE`, then give the folders their times. The first error ends it."""
    folders = [job for job in jobs if job.kind == "folder"]
    others = [job for job in jobs if job.kind != "folder"]
    for job in folders:
        make_folder(job)
    stop = threading.Event()
    with progress(title) as bar, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy") as pool:
        bar.expect(sum(job.size for job in others))

        def one(job: Job) -> None:
            if not stop.is_set():
                copy(job, bar)

        tasks = [pool.submit(one, job) for job in others]
        try:
            wait(tasks, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for task in tasks:
        task.result()
    for job in reversed(folders):
        finish_folder(job)
    if options.as_json:
        for job in jobs:
            document({"source": job.source, "target": job.target, "kind": job.kind, "size": job.size})


def put_one(fs: FileSystem, job: Job, bar: Progress) -> None:
    """Copy one local file into the cluster; a failure leaves no `.part` behind."""
    if job.kind == "symlink":
        _replace_link(fs, job)
        return
    part = _part(job.target)
    try:
        with open(job.source, "rb") as source, fs.open(part, "wb") as target:  # noqa: PTH123
            _pour(source, target, bar)
        fs.set_attributes(part, mode=job.mode, mtime_ns=job.mtime_ns)
        fs.replace(part, job.target)
    except BaseException:
        _discard(fs, part)
        raise


def get_one(fs: FileSystem, job: Job, bar: Progress) -> None:
    """Copy one file of the cluster to this machine; a failure leaves no `.part` behind."""
    part = Path(_part(job.target))
    if job.kind == "symlink":
        part.unlink(missing_ok=True)
        part.symlink_to(job.link)
        part.rename(job.target)
        return
    try:
        with fs.open(job.source, "rb") as source, part.open("wb") as target:
            _pour(source, target, bar)
        part.chmod(job.mode)
        os.utime(part, ns=(job.mtime_ns, job.mtime_ns))
        part.rename(job.target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _copy_one(fs: FileSystem, job: Job, bar: Progress) -> None:
    if job.kind == "symlink":
        _replace_link(fs, job)
        return
    part = _part(job.target)
    try:
        fs.copy(job.source, part)
        fs.set_attributes(part, mode=job.mode, mtime_ns=job.mtime_ns)
        fs.replace(part, job.target)
    except BaseException:
        _discard(fs, part)
        raise
    bar.advance(job.size)


def _replace_link(fs: FileSystem, job: Job) -> None:
    part = _part(job.target)
    fs.symlink(job.link, part)
    fs.replace(part, job.target)


def _put_stdin(fs: FileSystem, target: str) -> int:
    part = _part(target)
    with progress("put") as bar, open(0, "rb", closefd=False) as source, fs.open(part, "wb") as file:
        total = _pour(source, file, bar)
    fs.replace(part, target)
    return total


def _discard(fs: FileSystem, path: str) -> None:
    """Remove what a failed copy left. If that fails as well, the first error is the one to tell."""
    with contextlib.suppress(CairnError):
        fs.remove(path, now=True)


def _pour(source: BinaryIO, target: BinaryIO, bar: Progress) -> int:
    total = 0
    while piece := source.read(PIECE):
        target.write(piece)
        total += len(piece)
        bar.advance(len(piece))
    return total


def _part(target: str) -> str:
    """Return the name under which a file arrives; of names that are as long as they may be, only the start."""
    folder, _, name = target.rpartition("/")
    short = os.fsdecode(os.fsencode(name)[:240])
    return f"{folder}/.{short}.part" if "/" in target else f".{short}.part"


def _keep_remote(fs: FileSystem, job: Job) -> None:
    fs.set_attributes(job.target, mode=job.mode, mtime_ns=job.mtime_ns)


def _keep_local(job: Job) -> None:
    Path(job.target).chmod(job.mode)
    os.utime(job.target, ns=(job.mtime_ns, job.mtime_ns))
