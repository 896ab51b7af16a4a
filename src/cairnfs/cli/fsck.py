"""`cairn fsck`: are all copies of all files there, current and whole?"""

from collections import Counter
from collections.abc import Iterator

import click

from cairnfs.cli.common import FileSystem, Options, child, common_options, document, line, plain, remote
from cairnfs.cli.findings import WHAT_TO_DO, Checkup, Kind
from cairnfs.cli.progress import Progress, progress
from cairnfs.errors import CairnError, NotFoundError
from cairnfs.units import format_size
from cairnfs.wire.common import Kind as NodeKind
from cairnfs.wire.status import ChunkStatus

_AFTER_S = 1.0
_SHOWN_MAX = 50
"""Findings of one kind on a terminal; --json has all."""


@click.command()
@click.argument("path", default="/")
@click.option("--deep", is_flag=True, help="have every copy read through and compared with its checksums")
@common_options
def fsck(path: str, deep: bool, *, options: Options) -> int:
    """Look at every file below PATH: copies there and current, and what would be lost if a server or rack went.

    With --deep each chunkserver reads its closed replicas through, two at a time. A damaged one is set aside, and the
    cluster makes it again from another copy: run fsck once more to see that. Open chunks are left out.

    Exit code 0: all is well. 1: fewer copies than wanted, or a damaged one. 2: data is at risk or lost.
    """
    with options.connect(path) as fs, progress("fsck", after_s=_AFTER_S) as tell:
        checkup = Checkup(racks={one.address: one.rack for one in fs.status().servers})
        for file in _files(fs, remote(path), tell):
            try:
                chunks = list(fs.chunk_table(file))
            except NotFoundError:
                continue  # removed meanwhile
            checkup.look(file, chunks)
            for chunk in chunks if deep else ():
                _verify(fs, file, chunk, checkup)
            tell.advance(sum(chunk.length for chunk in chunks))
    if options.as_json:
        document({**plain(checkup), "exit_code": checkup.exit_code})
    else:
        _show(checkup, deep=deep)
    return checkup.exit_code


def _files(fs: FileSystem, path: str, tell: Progress) -> Iterator[str]:
    """Yield the files below a path, in order; the path itself if it is one."""
    if fs.stat(path).kind is not NodeKind.FOLDER:
        yield path
        return
    for entry in fs.scandir(path):
        name = child(path, entry.name)
        if entry.is_dir():
            yield from _files(fs, name, tell)
        elif entry.is_file():
            tell.expect(entry.stat.size)
            yield name


def _verify(fs: FileSystem, path: str, chunk: ChunkStatus, checkup: Checkup) -> None:
    for replica in chunk.replicas:
        if not (replica.live and replica.current and chunk.closed):
            checkup.left_out += 1
            continue
        try:
            found = fs.verify_replica(replica.address, chunk.handle)
        except CairnError as error:
            checkup.left_out += 1
            checkup.find(Kind.UNVERIFIED, path, chunk, f"the copy on {replica.address}: {error}")
            continue
        if found.damaged:
            checkup.find(Kind.DAMAGED, path, chunk, f"the copy on {replica.address}: {found.why}")
        elif found.why:
            checkup.left_out += 1
        else:
            checkup.verified += 1
            checkup.verified_bytes += found.length


def _show(checkup: Checkup, *, deep: bool) -> None:
    for kind in Kind:
        of_kind = [one for one in checkup.findings if one.kind is kind]
        for one in of_kind[:_SHOWN_MAX]:
            line(f"{kind}: {one.path} chunk {one.chunk} ({one.handle}): {one.text}")
        if len(of_kind) > _SHOWN_MAX:
            line(f"{kind}: and {len(of_kind) - _SHOWN_MAX} more; --json has all")
        if of_kind:
            line(f"  to do: {WHAT_TO_DO[kind]}")
    size = format_size(checkup.size_bytes)
    files, chunks = _counted(checkup.files, "file"), _counted(checkup.chunks, "chunk")
    line(f"{files}, {chunks} ({checkup.open_chunks} open), {size}: {_sentence(checkup)}")
    if deep:
        size = format_size(checkup.verified_bytes)
        line(f"{checkup.verified} copies read through, {size}; {checkup.left_out} left out (open, or changing)")
    _show_fate("server", checkup.only_on_server)
    if len(set(checkup.racks.values()) - {""}) > 1:
        _show_fate("rack", checkup.only_in_rack)


def _sentence(checkup: Checkup) -> str:
    counts = Counter(one.kind for one in checkup.findings)
    return ", ".join(f"{counts[kind]} {kind}" for kind in Kind if counts[kind]) or "all copies are there"


def _show_fate(what: str, only_on: Counter[str]) -> None:
    if not only_on:
        line(f"no single {what}'s loss would lose anything")
    for name, count in sorted(only_on.items()):
        line(f"if {what} {name} were lost, {_counted(count, 'chunk')} would be lost with it")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
