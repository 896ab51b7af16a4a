"""docs/PYTHON.md works word for word: each block in order, in one process, and it prints what the page says."""

import subprocess
import sys
from pathlib import Path

from tests.support import page

ROOT = Path(__file__).parents[1]


def test_the_page_prints_what_it_says():
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.page", "docs/PYTHON.md"], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_page_that_is_wrong_is_found_out(tmp_path):
    wrong = tmp_path / "page.md"
    wrong.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n\n```python\nprint(3)\n```\n")
    faults = page.run(wrong)
    assert [line.rpartition(":")[0] for line in faults if "prints" in line] == [f"{wrong}:2", f"{wrong}:10"]
    assert {"-2", "+1", "+3"} <= set(faults)
