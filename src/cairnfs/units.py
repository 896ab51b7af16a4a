"""Sizes and times as people write them. Pure; used by config and the command line."""

import re

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

SECOND_NS = 1_000_000_000
MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$", re.IGNORECASE)
_FACTOR = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_TIME = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$")
_SECONDS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}

_DIGITS_MAX = 30
"""Far more than any size or time has, far less than becomes infinite."""


def parse_size(text: str) -> int:
    """Return bytes for "64", "64K", "1.5 GiB"; units are powers of 1024.

    Raises:
        ValueError: `text` is not a number with an optional unit K, M, G or T.
    """
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"not a size: {text!r}; expected for example 512M or 1.5GiB")
    return int(_finite(found[1]) * _FACTOR[found[2].lower()])


def parse_time(text: str) -> float:
    """Return seconds for "10", "500ms", "3d".

    Raises:
        ValueError: `text` is not a number with an optional unit ms, s, m, h or d.
    """
    found = _TIME.match(text)
    if found is None:
        raise ValueError(f"not a time: {text!r}; expected for example 10s, 500ms or 3d")
    return _finite(found[1]) * _SECONDS[found[2]]


def _finite(digits: str) -> float:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"not a number of at most {_DIGITS_MAX} digits: {digits[:_DIGITS_MAX]}...")
    return float(digits)


def format_size(size_bytes: int) -> str:
    """Return at most three digits and a unit: "0 B", "9.8 KiB", "512 MiB"."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < KIB:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} TiB"


def format_time(seconds: float) -> str:
    """Return a duration as one unit: "0.3 s", "12 s", "4 min", "2.0 h", "3.0 d"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    if seconds < 2 * DAY_S:
        return f"{seconds / HOUR_S:.1f} h"
    return f"{seconds / DAY_S:.1f} d"
