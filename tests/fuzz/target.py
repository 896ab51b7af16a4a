"""What the fuzzer needs to know of a decoder."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder.

    `valid(chance)` returns valid encodings; `decode(data, chance)` returns True if it decoded, False if it refused with
    its documented error, and raises anything else; it asserts that what was decoded survives another round.
    """

    name: str
    inputs: int
    valid: Callable
    decode: Callable


def same_again(value, encode, decode):
    """Assert that a decoded value is encoded, and decoded again, to itself. Bytes are compared: NaN is not itself."""
    first = encode(value)
    assert encode(decode(first)) == first, value
    return True


def refused(error):
    """Assert that a refusal says something; an error whose text cannot be made raises here. Returns False."""
    assert str(error), type(error)
    return False
