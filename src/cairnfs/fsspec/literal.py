"""Copies of things whose names look like patterns. Used by `filesystem` for `get` and `copy`.

fsspec takes a source with `*`, `?` or `[` in it for a pattern, and names what it finds after other rules than a plain
path. Where a source names something, it is that thing: both sides are worked out here by the rules for plain paths, and
fsspec is given two lists, which it takes as they are.
"""

from dataclasses import dataclass
from glob import has_magic
from typing import Any

from fsspec.utils import other_paths

from cairnfs.fsspec.names import NamesFileSystem


@dataclass(frozen=True, slots=True)
class Copies:
    """What goes where."""

    sources: list[str]
    targets: list[str]


async def is_literal(fs: NamesFileSystem, source: Any) -> bool:
    """True if `source` is one path that looks like a pattern, and names something."""
    return isinstance(source, str) and has_magic(source) and await fs._lexists(source)  # noqa: SLF001


async def literal_copies(
    fs: NamesFileSystem, source: str, target: str, *, recursive: bool, maxdepth: int | None, is_into: bool
) -> Copies:
    """Return what to copy.

    `is_into`: the target is a folder that is there, or was written with a / at its end.
    """
    names = await fs._expand_path(source, recursive=recursive, maxdepth=maxdepth)  # noqa: SLF001
    if not recursive or maxdepth is not None:
        names = [name for name in names if not await fs._isdir(name)]  # noqa: SLF001
    is_inside = is_into and not source.endswith("/")
    return Copies(names, other_paths(names, target, exists=is_inside) if names else [])
