"""URLs, options and paths as people give them, taken apart. Pure but for the settings of the machine.

cairn://host:port[,host2:port2]/path    a path in the cluster of these masters
cairn:///path                           in the configured cluster
/path                                   in the cluster of the filesystem object; names are taken as they are
"""

import os
from typing import Any

from cairnfs import client_config
from cairnfs.client.urls import parse_url
from cairnfs.config import ClientConfig
from cairnfs.errors import BadRequestError, SettingError

SCHEME = "cairn://"
CHAINED = "cairn::"
"""How fsspec writes a filesystem that another one lies on."""


def path_of(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return the absolute path in normal form of a URL or path; odd bytes become surrogate escapes.

    What does not begin with / is meant from the root: there is no present folder.

    Raises:
        BadRequestError: a URL of another scheme, or with a wrong address.
    """
    text = os.fsdecode(path).removeprefix(CHAINED)
    if not text.startswith("/") and "://" in text:
        _, text = parse_url(text)
    names: list[str] = []
    for name in text.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def masters_of(url: str) -> str:
    """Return the addresses in a URL, joined by commas; "" if it names none.

    Raises:
        BadRequestError: as `path_of`.
    """
    text = url.removeprefix(CHAINED)
    if not text.startswith(SCHEME):
        return ""
    masters, _ = parse_url(text)
    return ",".join(masters)


def config_of(
    host: str | None, port: int | str | None, masters: str | list[str] | tuple[str, ...] | None, **settings: Any
) -> ClientConfig:
    """Return the settings that storage options mean; what they leave out is as `cairnfs.connect()` finds it.

    Raises:
        SettingError: an unknown option, or two that contradict each other. BadRequestError: a wrong address.
    """
    given = masters if isinstance(masters, str | None) else ",".join(masters)
    if port is not None and host is None:
        raise SettingError(what=f"storage option port={port!r} without host")
    if host is not None:
        address = host if port is None else f"{host}:{port}"
        if given and parse_url(given)[0] != parse_url(address)[0]:
            raise SettingError(what=f"two clusters are named: host {address!r} and masters {given!r}; give one of them")
        given = address
    if given is not None and "/" in given.removeprefix(SCHEME):
        raise BadRequestError(what=f"not an address of a cluster: {given!r}; expected host:port")
    return client_config(given, **settings)
