"""`cairn://host:port[,host2:port2]/path` taken apart. Pure."""

from cairnfs.env.addresses import split_address
from cairnfs.errors import BadRequestError

SCHEME = "cairn://"
PORT = 7400
"""Of a master, where an address names none."""


def parse_url(url: str) -> tuple[tuple[str, ...], str]:
    """Return (addresses of masters, path) of a URL or of host:port[,host:port...]; no addresses for `cairn:///path`.

    Raises:
        BadRequestError: not an address, or another scheme.
    """
    rest = url.removeprefix(SCHEME)
    if "://" in rest:
        raise BadRequestError(what=f"not an address of a cluster: {url!r}; expected cairn://host:port or host:port")
    hosts, slash, path = rest.partition("/")
    masters = tuple(_with_port(host.strip()) for host in hosts.split(",") if host.strip())
    return masters, slash + path


def _with_port(host: str) -> str:
    has_port = host.rpartition("]")[2].count(":") == 1
    address = host if has_port else f"{host}:{PORT}"
    split_address(address)
    return address
