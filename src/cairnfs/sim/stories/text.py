"""A played story as plain text: what is asked, what GFS does, the time line, the verdict."""

import textwrap
from collections.abc import Iterator

from cairnfs.sim.stories.narrator import Kind, Line
from cairnfs.sim.stories.story import RULES, Told

WIDTH = 112
_WHO = 10
_INDENT = " " * (9 + 2 + _WHO + 1)


def render(told: Told) -> Iterator[tuple[str, Kind]]:
    """Yield each line of text, and what kind it is of."""
    story = told.story
    yield f"{story.name}: {story.summary}", Kind.FRAME
    for line in [*textwrap.wrap(f"GFS paper, {story.gfs}", WIDTH), *textwrap.wrap(f"Ours: {story.ours}", WIDTH)]:
        yield line, Kind.FRAME
    guards = f"without the guard {told.without} ({RULES[told.without]})" if told.without else "with every guard"
    yield f"Played {guards}, seed {told.seed}.", Kind.FRAME
    yield "", Kind.FRAME
    for each in told.lines:
        for text in _wrapped(each):
            yield text, each.kind
    yield "", Kind.FRAME
    for text in textwrap.wrap(f"Verdict: {told.verdict}.", WIDTH):
        yield text, Kind.KEPT if told.is_kept else Kind.BROKEN


def plain_text(told: Told) -> str:
    """Return the whole story as it is printed where nobody watches."""
    return "".join(f"{text}\n" for text, _ in render(told))


def _wrapped(line: Line) -> list[str]:
    before = f"{line.at_s:7.3f} s  {line.who:<{_WHO}} "
    return textwrap.wrap(line.what, WIDTH, initial_indent=before, subsequent_indent=_INDENT)
