"""`cairn append`: bytes or lines of this machine become records at the end of a file. GFS paper, section 3.3."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader

import click

from cairnfs.cli.common import Options, common_options, document, remote
from cairnfs.cli.progress import Progress, progress
from cairnfs.units import MIB

PIECE = 1 * MIB
"""Read at a time, and the lines in it are appended together: a pipe gives what is there, and nobody waits for more."""
SHOW_AFTER_S = 1.0


@dataclass(slots=True)
class _Sums:
    """What was appended so far."""

    records: int = 0
    total_bytes: int = 0


@click.command()
@click.argument("path")
@click.argument("files", nargs=-1)
@click.option("--line", "by_line", is_flag=True, help="one record a line, each whole or not at all")
@click.option("--ordered", is_flag=True, help="with --line: wait for each line before the next one is sent")
@common_options
def append(path: str, files: tuple[str, ...], *, by_line: bool, ordered: bool, options: Options) -> None:
    """Append FILES, or standard input, to a file that is made if it is missing.

    Each record is one atomic append that others cannot split: a whole line with --line, else up to 16 MiB (a quarter
    of a chunk). A record that was acknowledged survives the power loss of every machine. A retry may repeat one (at
    least once).

    A line is appended with its newline, an empty line as a newline alone; a last line without a newline gets one, so
    that the next record of anybody does not continue it. Many lines are on their way at once. They keep their order
    unless a server fails meanwhile and some are sent again; --ordered keeps it always, and is much slower.
    """
    if ordered and not by_line:
        raise click.UsageError("--ordered goes with --line")
    sums = _Sums()
    with options.connect(path) as fs, fs.open(remote(path), "ab", buffering=0) as writer:
        limit = fs.info().chunk_bytes // 4
        with progress("append", after_s=SHOW_AFTER_S) as bar:

            def send(records: list[bytes]) -> None:
                for some in [[one] for one in records] if ordered else [records]:
                    writer.append_all(some)
                    _count(sums, some, bar)

            for name in files or ("-",):
                with _source(name) as source:
                    if name != "-":
                        bar.expect(os.fstat(source.fileno()).st_size)
                    _send_all(source, name, send, limit=limit, by_line=by_line)
    if options.as_json:
        document({"path": remote(path), "records": sums.records, "bytes": sums.total_bytes})


def _count(sums: _Sums, records: list[bytes], bar: Progress) -> None:
    size = sum(map(len, records))
    sums.records += len(records)
    sums.total_bytes += size
    bar.advance(size)


def _send_all(
    source: BufferedReader, name: str, send: Callable[[list[bytes]], None], *, limit: int, by_line: bool
) -> None:
    if not by_line:
        while piece := source.read(limit):
            send([piece])
        return
    for lines in line_batches(iter(lambda: source.read1(PIECE), b""), limit=limit, name=name):
        send(lines)


def line_batches(pieces: Iterable[bytes], *, limit: int, name: str) -> Iterator[list[bytes]]:
    """Yield the lines that each piece completes, newline included; what is left at the end gets its newline.

    Raises:
        ClickException: a line is longer than a record may be. All before it were given.
    """
    done = 0
    begun: list[bytes] = []
    begun_bytes = 0
    for piece in pieces:
        head, newline, rest = piece.rpartition(b"\n")
        if not newline:
            head, rest = b"", piece
        lines = [line + b"\n" for line in (b"".join([*begun, head])).split(b"\n")] if newline else []
        if newline:
            begun, begun_bytes = [], 0
        begun.append(rest)
        begun_bytes += len(rest)
        too_long = next((number for number, line in enumerate(lines) if len(line) > limit), None)
        if too_long is not None:
            if lines[:too_long]:
                yield lines[:too_long]
            raise _too_long(name, done + too_long + 1, len(lines[too_long]), limit)
        done += len(lines)
        if lines:
            yield lines
        if begun_bytes >= limit:  # with its newline it does not fit; the rest of it need not be read
            raise _too_long(name, done + 1, begun_bytes + 1, limit)
    if begun_bytes:
        yield [b"".join(begun) + b"\n"]


def _too_long(name: str, number: int, size: int, limit: int) -> click.ClickException:
    where = "standard input" if name == "-" else name
    return click.ClickException(
        f"line {number} of {where} has {size} bytes or more, and a record at most {limit}; "
        f"the {number - 1} lines before it were appended"
    )


def _source(name: str) -> BufferedReader:
    # Standard input is not ours to close; a duplicate is.
    return open(os.dup(0), "rb") if name == "-" else open(name, "rb")  # noqa: PTH123 - the caller closes it
