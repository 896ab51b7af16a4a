"""Every story keeps its promise with all guards, breaks it without each of its own, and docs/STORIES.md shows it so."""

import os
import subprocess
import sys
from dataclasses import fields

import pytest
from tests.support import stories

from cairnfs.safeguards import Safeguards
from cairnfs.sim.stories.story import RULES, play
from cairnfs.sim.stories.table import STORIES

LINES = range(12, 50)
"""A page of a book, with its frame."""
EVENTS_MAX = 35


@pytest.mark.parametrize("name, guard", stories.EVERY)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_story_is_about_its_guards(name: str, guard: str, seed: int) -> None:
    """Goal: the promise holds with every guard, and without one it is seen to break. Method: two more seeds."""
    told = play(STORIES[name], without=guard, seed=seed)
    assert told.is_as_expected, told.verdict
    assert told.is_kept is (guard == ""), told.violations
    if guard:
        assert RULES[guard] in told.verdict


@pytest.mark.parametrize("name, guard", stories.EVERY)
def test_a_story_can_be_read_at_one_sitting(name: str, guard: str) -> None:
    told = stories.told(name, guard)
    assert told.is_as_expected, told.verdict
    assert len(stories.plain_text(told).splitlines()) in LINES
    assert len(told.lines) <= EVENTS_MAX
    assert [line.at_s for line in told.lines] == sorted(line.at_s for line in told.lines)


@pytest.mark.skipif(sys.version_info[:2] != stories.PYTHON, reason="a seed belongs to one minor version of Python")
@pytest.mark.parametrize("name, guard", stories.EVERY)
def test_the_page_shows_what_the_command_prints(name: str, guard: str) -> None:
    assert stories.on_page().get((name, guard)) == stories.block(name, guard), (
        "write the page anew: python -m tests.support.stories"
    )


def test_the_page_has_no_story_that_there_is_not() -> None:
    assert [key for key in stories.on_page() if key not in stories.EVERY] == []


def test_every_guard_has_its_rule() -> None:
    assert sorted(RULES) == sorted(field.name for field in fields(Safeguards))


def test_a_story_is_the_same_in_every_process() -> None:
    """Goal: same seed, same text. Method: another process with another hash seed tells it again."""
    program = "from tests.support import stories; print(stories.block('restart-in-a-raise', ''), end='')"
    again = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=stories.PAGE.parents[1],
    )
    assert again.stdout == stories.block("restart-in-a-raise", "")
