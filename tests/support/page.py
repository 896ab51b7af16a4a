"""Run the Python of a page, block after block in one namespace, and compare what it prints with the `text` after it.

python -m tests.support.page PAGE
"""

import contextlib
import difflib
import io
import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run(page):
    """Return what differs, as lines to print; [] if the page tells the truth."""
    text = Path(page).read_text()
    blocks = [(found[1], found[2], text[: found.start()].count("\n") + 2) for found in _BLOCK.finditer(text)]
    names = {"__name__": "page"}
    faults = []
    for number, (kind, code, line) in enumerate(blocks):
        if kind != "python":
            continue
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        after = blocks[number + 1] if number + 1 < len(blocks) else ("", "", 0)
        expected = after[1] if after[0] == "text" else ""
        if said.getvalue() != expected:
            faults.append(f"{page}:{line}: prints something else")
            faults += difflib.unified_diff(
                expected.splitlines(), said.getvalue().splitlines(), "page", "run", lineterm="", n=1
            )
    return faults


if __name__ == "__main__":
    sys.exit("\n".join(run(sys.argv[1])) or 0)
