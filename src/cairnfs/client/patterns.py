"""Shell patterns for paths, component by component; `**` stands for any number of folders. Pure."""

import fnmatch
import re

_MAGIC = re.compile(r"[*?\[]")


def has_magic(text: str) -> bool:
    """True if the text holds a pattern, not a plain name."""
    return _MAGIC.search(text) is not None


def split_pattern(pattern: str) -> list[str]:
    """Return the components of an absolute pattern."""
    return [part for part in pattern.split("/") if part not in ("", ".")]


def name_matches(name: str, pattern: str) -> bool:
    """True if one name fits one component; as in a shell, a leading dot must be named."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatch.fnmatchcase(name, pattern)
