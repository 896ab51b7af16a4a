"""The modes of Python's `open`, taken apart. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """What may be done with an open file."""

    text: str
    """As Python shows it: "rb", "r+b", ..."""
    reads: bool
    writes: bool
    appends: bool
    creates: bool
    truncates: bool
    exclusive: bool
    is_text: bool

    @property
    def binary(self) -> str:
        """The mode without text, as a raw file shows it."""
        return self.text if "b" in self.text else self.text.replace("t", "") + "b"


def parse_mode(mode: str) -> Mode:
    """Return what a mode string means: one of r w x a, with + and b or t as wanted.

    Raises:
        ValueError: as Python's open does.
    """
    base = [letter for letter in mode if letter in "rwxa"]
    rest = [letter for letter in mode if letter not in "rwxa"]
    if len(base) != 1 or len(set(rest)) != len(rest) or any(letter not in "+bt" for letter in rest):
        raise ValueError(f"invalid mode: {mode!r}")
    if "b" in rest and "t" in rest:
        raise ValueError("can't have text and binary mode at once")
    kind, plus = base[0], "+" in rest
    return Mode(
        text=mode,
        reads=kind == "r" or plus,
        writes=kind != "r" or plus,
        appends=kind == "a",
        creates=kind != "r",
        truncates=kind == "w",
        exclusive=kind == "x",
        is_text="b" not in rest,
    )
