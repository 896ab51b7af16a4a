"""put, get and cp: trees of files to the cluster, from it, and inside it. `client.transfer` moves the bytes."""

import contextlib
from collections.abc import Callable, Iterator

import click

from cairnfs.cli.common import FileSystem, Options, common_options, document, remote
from cairnfs.cli.progress import progress
from cairnfs.client.transfer_plan import Transferred, part_name
from cairnfs.errors import CairnError, IsFolderError, NotFolderError
from cairnfs.units import MIB

PIECE = 1 * MIB


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def put(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy local SOURCES into the cluster. If TARGET is a folder, they go into it. `-` is standard input."""
    with options.connect(target) as fs:
        if sources == ("-",):
            to = remote(target)
            total = _put_stdin(fs, to)
            if options.as_json:
                document({"source": "-", "target": to, "size": total})
            return
        to = _folder_or_name(target)
        _run(lambda: fs.upload(sources, to, recursive=recursive, progress=True), sources, target, options)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def get(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy SOURCES of the cluster to this machine. If the local TARGET is a folder, they go into it."""
    with options.connect(*sources) as fs:
        paths = [remote(source) for source in sources]
        _run(lambda: fs.download(paths, target, recursive=recursive, progress=True), sources, target, options)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@common_options
def cp(sources: tuple[str, ...], target: str, *, recursive: bool, options: Options) -> None:
    """Copy inside the cluster: both sides are paths there. `put` and `get` copy to and from this machine."""
    with options.connect(*sources, target) as fs:
        paths, to = [remote(source) for source in sources], _folder_or_name(target)
        _run(lambda: fs.copytree(paths, to, recursive=recursive, progress=True), sources, target, options)


def _folder_or_name(target: str) -> str:
    """Return the path in the cluster; a `/` at the end, which says that it is a folder, stays."""
    path = remote(target)
    return path + "/" if target.endswith("/") and path != "/" else path


def _run(copy: Callable[[], Transferred], sources: tuple[str, ...], target: str, options: Options) -> None:
    with _own_words(sources, target):
        done = copy()
    if options.as_json:
        for job in done.jobs:
            document({"source": job.source, "target": job.target, "kind": job.kind, "size": job.size})


@contextlib.contextmanager
def _own_words(sources: tuple[str, ...], target: str) -> Iterator[None]:
    """Say with the command's options what the library says with its arguments."""
    try:
        yield
    except IsFolderError as error:
        if getattr(error, "__notes__", None):
            raise click.UsageError(f"{error.path} is a folder; -r copies it with all that is in it") from error
        raise
    except NotFolderError as error:
        if len(sources) > 1 and getattr(error, "__notes__", None):
            raise click.UsageError(f"{target} is no folder, and there are {len(sources)} sources") from error
        raise


def _put_stdin(fs: FileSystem, target: str) -> int:
    part = part_name(target, 0)
    try:
        with progress("put") as bar, open(0, "rb", closefd=False) as source, fs.open(part, "wb") as file:
            total = 0
            while piece := source.read(PIECE):
                file.write(piece)
                total += len(piece)
                bar.advance(len(piece))
        fs.replace(part, target)
    except BaseException:
        with contextlib.suppress(CairnError):  # the first error is the one to tell
            fs.remove(part, now=True)
        raise
    return total
