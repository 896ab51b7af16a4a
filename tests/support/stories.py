"""docs/STORIES.md holds what `cairn sim story` prints, so that the page can never say anything else.

`python -m tests.support.stories` writes the blocks anew; tests/sim/test_stories.py checks them.
"""

import re
from functools import cache
from pathlib import Path

from cairnfs.sim.stories.story import Told, play
from cairnfs.sim.stories.table import STORIES
from cairnfs.sim.stories.text import plain_text

PAGE = Path(__file__).parents[2] / "docs/STORIES.md"
PYTHON = (3, 11)
"""The order of asyncio's own callbacks, and so what a seed decides, belongs to one minor version."""
EVERY = [(name, guard) for name, story in STORIES.items() for guard in ("", *story.guards)]
"""What is on the page: each story with every guard, and without each of its own."""

_BLOCK = re.compile(r"(?<=\n)```text\n\$ cairn sim story (\S+)(?: --without (\S+))?\n.*?\n```\n", re.DOTALL)


@cache
def told(name: str, guard: str) -> Told:
    return play(STORIES[name], without=guard)


def block(name: str, guard: str) -> str:
    """Return a story as it stands on the page."""
    command = f"$ cairn sim story {name}" + (f" --without {guard}" if guard else "")
    return f"```text\n{command}\n{plain_text(told(name, guard))}```\n"


def on_page() -> dict[tuple[str, str], str]:
    """Return (story, guard) → its block on the page."""
    return {(found[1], found[2] or ""): found[0] for found in _BLOCK.finditer(PAGE.read_text())}


def main() -> None:
    PAGE.write_text(_BLOCK.sub(lambda found: block(found[1], found[2] or ""), PAGE.read_text()))


if __name__ == "__main__":
    main()
