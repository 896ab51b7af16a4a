"""Commands about what is inside files: cat, head, tail."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import click

from cairnfs.cli.common import FileSystem, Options, common_options, document, remote
from cairnfs.units import KIB

TAIL_PIECE = 64 * KIB
FOLLOW_S = 5.0
"""How long `tail -f` waits at a file before it looks whether the path still leads there."""


@click.command()
@click.argument("paths", nargs=-1, required=True)
@common_options
def cat(paths: tuple[str, ...], *, options: Options) -> None:
    """Print files one after the other. With --json one object a line with path and text."""
    with options.connect(*paths) as fs:
        for path in paths:
            # What appends left at the ends of chunks is left out (rule 17).
            _emit(path, fs.cat(remote(path)), options)


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-n", "--lines", default=10, show_default=True, type=click.IntRange(0))
@click.option("-c", "--bytes", "count", type=click.IntRange(0), help="so many bytes instead of lines")
@common_options
def head(paths: tuple[str, ...], *, lines: int, count: int | None, options: Options) -> None:
    """Print the first lines of files."""
    with options.connect(*paths) as fs:
        for path in paths:
            with fs.open(remote(path), "rb") as file:
                part = [file.read(count)] if count is not None else _first_lines(file, lines)
                _emit(path, part, options)


@click.command()
@click.argument("path")
@click.option("-n", "--lines", default=10, show_default=True, type=click.IntRange(0))
@click.option("-c", "--bytes", "count", type=click.IntRange(0), help="so many bytes instead of lines")
@click.option("-f", "--follow", is_flag=True, help="print what is added, until Ctrl-C")
@common_options
def tail(path: str, *, lines: int, count: int | None, follow: bool, options: Options) -> None:
    """Print the last lines of a file."""
    with options.connect(path) as fs:
        with fs.open(remote(path), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(end - count, 0) if count is not None else _start_of_last_lines(file, end, lines)
        _emit(path, fs.cat(remote(path), start, end), options)
        if follow:
            sys.stdout.flush()
            _follow(fs, remote(path), end, options)


def _emit(path: str, pieces: Iterable[bytes], options: Options) -> None:
    if options.as_json:
        document({"path": remote(path), "text": b"".join(pieces)})
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)


def _first_lines(file: BinaryIO, count: int) -> Iterator[bytes]:
    for _ in range(count):
        text = file.readline()
        if not text:
            return
        yield text


def _start_of_last_lines(file: BinaryIO, end: int, count: int) -> int:
    """Return where the last `count` lines begin, reading backwards from `end`."""
    if count == 0:
        return end
    ends: deque[int] = deque(maxlen=count)  # of the lines before the one that we look for, nearest to `end` first
    start = end
    while start > 0:
        begin = max(start - TAIL_PIECE, 0)
        file.seek(begin)
        piece = file.read(start - begin)
        place = len(piece)
        while (place := piece.rfind(b"\n", 0, place)) >= 0:
            if begin + place == end - 1:
                continue  # it ends the last line and begins none
            ends.append(begin + place + 1)
            if len(ends) == count:
                return ends[-1]
        start = begin
    return 0


def _follow(fs: FileSystem, path: str, place: int, options: Options) -> None:
    """Print what is added, as it comes, until interrupted.

    The file is opened anew each time: one that takes its place by a rename, or was cut, is read from its beginning.
    """
    while True:
        with fs.open(path, "rb", buffering=0) as file:
            length = file.wait_longer(place, wait_s=FOLLOW_S)
        if length < place:
            place = 0
        if length > place:
            _emit(path, fs.cat(path, place, length), options)
            sys.stdout.flush()
            place = length
