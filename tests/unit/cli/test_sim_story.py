"""`cairn sim story`: the list, a story, JSON, and what is said of wrong names."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from cairnfs.cli.main import run
from cairnfs.sim.stories.story import play
from cairnfs.sim.stories.table import STORIES
from cairnfs.sim.stories.text import plain_text

NAME = "deleted-by-a-deposed-master"


def cairn(capfd, *arguments: str) -> tuple[int, str, str]:
    code = run(["sim", "story", *arguments])
    out, err = capfd.readouterr()
    return code, out, err


def test_the_list_names_each_story_and_its_guards(capfd):
    code, out, _ = cairn(capfd)
    assert code == 0
    for story in STORIES.values():
        assert f"{story.name:<28}{story.summary}\n" in out
        assert f"--without {' or '.join(story.guards)}\n" in out


def test_the_list_as_json(capfd):
    code, out, _ = cairn(capfd, "--json")
    assert code == 0
    assert [each["name"] for each in json.loads(out)] == list(STORIES)


def test_a_story_is_plain_text_where_nobody_watches(capfd):
    code, out, err = cairn(capfd, NAME)
    assert (code, err) == (0, "")
    assert out == plain_text(play(STORIES[NAME]))


def test_without_a_guard_the_violation_is_what_is_to_be_shown(capfd):
    code, out, _ = cairn(capfd, NAME, "--without", "refuse_lower_epoch")
    assert code == 0
    assert "Verdict: broken" in out
    assert "rule 1" in out


def test_a_guard_that_is_not_missed_is_exit_code_1(capfd):
    code, out, _ = cairn(capfd, NAME, "--without", "filter_repeats")
    assert code == 1
    assert "Verdict: nothing was noticed without rule 11" in out


def test_json_has_lines_verdict_and_hash(capfd):
    code, out, _ = cairn(capfd, NAME, "--json", "--without", "exact_delete", "--seed", "3")
    found = json.loads(out)
    assert code == 0
    assert (found["story"], found["seed"], found["without"]) == (NAME, 3, "exact_delete")
    assert (found["kept"], found["as_expected"]) == (False, True)
    assert found["violations"][0] in found["verdict"]
    assert found["hash"] == play(STORIES[NAME], without="exact_delete", seed=3).hash
    assert {"at_s", "who", "what", "kind"} == set(found["lines"][0])


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["stale-reed"], "cairn: no story 'stale-reed'; did you mean 'stale-read'?"),
        (["zzz"], "cairn: no story 'zzz'; `cairn sim story` lists them"),
        (["stale-read", "--without", "serving_leas"], "cairn: no guard 'serving_leas'; did you mean 'serving_lease'?"),
        (
            ["stale-read", "--without", "zzz"],
            "cairn: no guard 'zzz'; stale-read needs serving_lease, fence_before_overwrite",
        ),
        (["--without", "serving_lease"], "cairn: --without needs the name of a story"),
    ],
)
def test_a_wrong_name_is_one_clear_line(capfd, arguments, said):
    code, out, err = cairn(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == said


def on_terminal(*arguments: str) -> str:
    """Return what the command shows where stdout is a terminal."""
    inside, outside = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "cairnfs", "sim", "story", *arguments]
    subprocess.run(command, stdout=outside, env={**clean, "TERM": "xterm"}, check=True)
    os.close(outside)
    shown = b""
    try:
        while piece := os.read(inside, 65536):
            shown += piece
    except OSError:  # how Linux says that the last writer has gone
        pass
    os.close(inside)
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_colours_and_the_same_words():
    """Goal: faults and the verdict stand out, and nothing else differs from what a pipe gets."""
    shown = on_terminal(NAME)
    assert "\x1b[1;32mVerdict: kept" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == plain_text(play(STORIES[NAME]))
