"""What commands share: options, the connection, paths, and output that is safe for any name.

Names are strings by `os.fsdecode`, so that what is typed, listed and printed are the same bytes, UTF-8 or not.
"""

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

import cairnfs
from cairnfs.config import ClientConfig
from cairnfs.errors import BadNameError
from cairnfs.paths import parse_path, show

F = TypeVar("F", bound=Callable[..., Any])
SCHEME = "cairn://"
Json = Any
"""What JSON can say, and what `plain` turns into it."""
FileSystem = Any
"""The blocking client that `cairnfs.connect` returns."""


def common_options(command: F) -> F:
    """Add --json, --master and --config; the command gets them as one `options`."""

    @functools.wraps(command)
    def with_options(*args: object, as_json: bool, master: str | None, config: str | None, **rest: object) -> object:
        return command(*args, options=Options(as_json=as_json, master=master, config=config), **rest)

    for option in (
        click.option("--config", metavar="FILE", help="settings file, read before the others"),
        click.option("--master", metavar="HOST:PORT", help="address of the master"),
        click.option("--json", "as_json", is_flag=True, help="print JSON: one document, or one object a line"),
    ):
        with_options = option(with_options)
    return with_options  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Options:
    """What every command that talks to a cluster takes."""

    as_json: bool
    master: str | None
    config: str | None

    @contextmanager
    def connect(self, *paths: str) -> Iterator[FileSystem]:
        """Connect to the cluster that `paths` name, else to the configured one, and close it afterwards.

        Raises:
            UsageError: the paths are of several clusters.
        """
        from cairnfs.cli.settings import load

        named = sorted({address for address in map(address_of, paths) if address})
        if len(named) > 1:
            raise click.UsageError(f"paths of several clusters: {' and '.join(named)}")
        flags = {"master": named[0] if named else self.master}
        config = load(ClientConfig, flags=flags, config_file=self.config).config
        with cairnfs.connect(",".join(config.master), **client_options(config)) as fs:
            yield fs


def client_options(config: ClientConfig) -> dict[str, Any]:
    """Return what `cairnfs.connect` is told besides the address."""
    return {name: getattr(config, name) for name in config.__struct_fields__ if name != "master"}


def address_of(path: str) -> str:
    """Return the host:port[,host:port...] of a cairn:// URL; "" for a path, or `cairn:///path`."""
    return path.removeprefix(SCHEME).partition("/")[0] if path.startswith(SCHEME) else ""


def remote(path: str) -> str:
    """Return the path in the cluster of "/path" or "cairn://host/path", in normal form.

    Raises:
        BadNameError: relative, or no name a file can have.
    """
    inside = "/" + path.removeprefix(SCHEME).partition("/")[2] if path.startswith(SCHEME) else path
    if not inside.startswith("/"):
        raise BadNameError(path=path, why="a path in the cluster starts with / (or cairn://host:port/)")
    return show(parse_path(inside))


def child(folder: str, name: str) -> str:
    return folder.rstrip("/") + "/" + name


# ------------------------------------------------------------------ output


def line(text: str = "") -> None:
    """Print a line, whatever bytes the names inside stand for."""
    sys.stdout.buffer.write(os.fsencode(text) + b"\n")


def note(text: str) -> None:
    """Say something beside the result: to stderr."""
    sys.stderr.buffer.write(os.fsencode(text) + b"\n")
    sys.stderr.flush()


def document(value: object) -> None:
    """Print one JSON document on one line. Names that are not UTF-8 appear as Python's lone surrogates."""
    line(json.dumps(plain(value)))


def plain(value: Json) -> Json:
    """Return structs, dataclasses and tuples as what JSON has; bytes as `os.fsdecode` reads them."""
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_fields"):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return os.fsdecode(value) if isinstance(value, bytes) else value


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows under headings, in columns as wide as their widest cell; columns in `right` are numbers."""
    everything = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(headings))]
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for number, row in enumerate(everything):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        text = "  ".join(cells).rstrip()
        line(f"\x1b[1m{text}\x1b[0m" if bold and number == 0 else text)
