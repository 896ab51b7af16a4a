"""host:port as people write it, in one place for real, memory and simulated networks. Pure.

IPv6 hosts stand in brackets: "[::1]:7400".
"""

from cairnfs.errors import BadRequestError

PORT_MAX = 65_535
PORT_DIGITS_MAX = 5
"""Python refuses to turn thousands of digits into a number, with an error of its own."""


def split_address(address: str) -> tuple[str, int]:
    """Return (host, port) of "host:port" or "[v6]:port".

    Raises:
        BadRequestError: no port, no host, or a port outside 0 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadRequestError(what=f"not an address: {address!r}; an IPv6 host stands in brackets: [::1]:7400")
    is_number = port.isascii() and port.isdigit() and len(port) <= PORT_DIGITS_MAX
    if not (colon and host and is_number and int(port) <= PORT_MAX):
        raise BadRequestError(what=f"not an address: {address!r}; expected host:port")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """Return host:port, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
