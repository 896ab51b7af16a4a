"""The base class of all errors, and how an error crosses the wire."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

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


def _rebuild(code: int, values: dict[str, Any]) -> CairnError:
    return decode_error(code, values)


def encode_error(error: CairnError) -> tuple[int, dict[str, Any]]:
    """Return what crosses the wire: the number and the fields by name."""
    return error.code, asdict(error)


def decode_error(code: int, values: dict[str, Any]) -> CairnError:
    """Return the error a peer sent; an unknown number or odd fields become a `PeerError`.

    The types are checked here because `str()` of an error relies on them, wherever it is called.
    """
    kind = CairnError.by_code.get(code)
    try:
        if kind is not None:
            types = {field.name: field.type for field in fields(kind)}
            return kind(**{name: msgspec.convert(value, types.get(name, Any)) for name, value in values.items()})
    except (TypeError, msgspec.ValidationError):
        pass
    unknown: Callable[..., CairnError] = CairnError.by_code[_PEER_ERROR]
    return unknown(what=f"error {code} with fields {sorted(values)}", peer="")
