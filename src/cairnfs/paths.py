"""Paths as bytes: absolute, `/` between names, no `.` or `..`, no trailing `/` but for the root. Pure.

Names are bytes inside (wire, tables, order) and `os.fsdecode` strings at the Python edge, so that every name that Linux
can store can be stored here.
"""

import os

from cairnfs.errors import BadNameError, NameTooLongError
from cairnfs.limits import NAME_BYTES_MAX, PATH_BYTES_MAX

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""What people give as a path."""

ROOT = b"/"


def parse_path(path: AnyPath) -> bytes:
    """Return the normal form of an absolute path; `.`, `//` and `..` are folded as text.

    Raises:
        BadNameError: relative, NUL inside, lone surrogates. NameTooLongError: a name over 255 bytes, a path over 4096.
    """
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise BadNameError(path=ascii(path), why="not text, and not bytes that were read as text") from error
    if not raw.startswith(b"/"):
        raise BadNameError(path=show(raw), why="a path starts with /")
    names: list[bytes] = []
    for name in raw.split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in (b"", b"."):
            names.append(name)
    result = b"/" + b"/".join(names)
    check_path(result)
    return result


def check_path(path: bytes) -> None:
    """Refuse what is not in normal form. Servers call it on every path that crosses the wire.

    Raises:
        BadNameError: with the reason.
    """
    if len(path) > PATH_BYTES_MAX:
        raise NameTooLongError(path=show(path[:64]) + "...", why=f"path is over {PATH_BYTES_MAX} bytes")
    if not path.startswith(b"/"):
        raise BadNameError(path=show(path), why="a path starts with /")
    if path != ROOT:
        for name in path[1:].split(b"/"):
            check_name(name)


def check_name(name: bytes) -> None:
    """Refuse a name that no folder entry can have.

    Raises:
        BadNameError: with the reason.
    """
    if name in (b"", b".", b".."):
        raise BadNameError(path=show(name), why="not a name of a file or folder")
    if len(name) > NAME_BYTES_MAX:
        raise NameTooLongError(path=show(name[:64]) + "...", why=f"name is over {NAME_BYTES_MAX} bytes")
    if b"\0" in name or b"/" in name:
        raise BadNameError(path=show(name), why="a name has no NUL and no /")


def split_path(path: bytes) -> list[bytes]:
    """Return the names of a path in normal form; [] for the root."""
    return [] if path == ROOT else path[1:].split(b"/")


def parent_and_name(path: bytes) -> tuple[bytes, bytes]:
    """Return the folder's path and the last name; the root has the name b""."""
    folder, _, name = path.rpartition(b"/")
    return folder or ROOT, name


def join(folder: bytes, name: bytes) -> bytes:
    return folder + name if folder == ROOT else folder + b"/" + name


def show(path: bytes) -> str:
    """Return the string by which Python people know the path (surrogate escapes for odd bytes)."""
    return os.fsdecode(path)
