"""The base class of all errors, and how an error crosses the wire."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

from cairnfs.ids import ChunkVersion

_PEER_ERROR = 1004


class Retry(StrEnum):
    """What the caller should do next."""

    NEVER = "never"  # the same request fails the same way
    REFRESH = "refresh"  # forget what was cached, ask the master, then at once
    LATER = "later"  # the same request may succeed after a pause


@dataclass(eq=False, kw_only=True)
class CairnError(Exception):
    """Base class. Fields carry the facts; `str()` says them to a person."""

    code: ClassVar[int] = 1000
    retry: ClassVar[Retry] = Retry.NEVER
    may_have_happened: ClassVar[bool] = False
    hint: ClassVar[str] = ""
    """What a person can do about it; the command line prints it on a second line."""
    by_code: ClassVar[dict[int, type["CairnError"]]] = {}

    def __init_subclass__(cls) -> None:
        assert cls.code not in CairnError.by_code, f"{cls.__name__} reuses {cls.code}"
        CairnError.by_code[cls.code] = cls

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.code, asdict(self))


def _rebuild(code: int, fields: dict[str, Any]) -> CairnError:
    return decode_error(code, fields)


def encode_error(error: CairnError) -> tuple[int, dict[str, Any]]:
    """Return what crosses the wire: the number and the fields by name."""
    return error.code, asdict(error)


def decode_error(code: int, fields: dict[str, Any]) -> CairnError:
    """Return the error a peer sent; an unknown number or odd fields become a `PeerError`."""
    kind = CairnError.by_code.get(code)
    try:
        if kind is not None:
            return kind(**{name: _as_version(value) for name, value in fields.items()})
    except TypeError:
        pass
    unknown: Callable[..., CairnError] = CairnError.by_code[_PEER_ERROR]
    return unknown(what=f"error {code} with fields {sorted(fields)}", peer="")


def _as_version(value: object) -> object:
    return ChunkVersion(*value) if isinstance(value, list | tuple) and len(value) == 2 else value
