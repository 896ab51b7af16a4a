"""Where each numbered rule of docs/CONSISTENCY.md is kept: found in the tree, written into the page.

`python -m tests.support.rules` writes the table anew; tests/test_rules.py checks it.
"""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/CONSISTENCY.md"
RULES = range(1, 29)
BEGIN, END = "<!-- rules:begin -->\n", "<!-- rules:end -->\n"

_MENTION = re.compile(r"\b[Rr]ules?\s+((?:\d+(?:\s*(?:,|and|to|or)\s*)?)+)")
_RANGE = re.compile(r"(\d+)\s+to\s+(\d+)")


def rules_of(text: str) -> set[int]:
    """Return the rules that a text names: "Rule 7", "rules 2, 3 and 12", "rules 5 to 8"."""
    found: set[int] = set()
    for mention in _MENTION.findall(text):
        for first, last in _RANGE.findall(mention):
            found.update(range(int(first), int(last) + 1))
        found.update(int(number) for number in re.findall(r"\d+", mention))
    return {rule for rule in found if rule in RULES}


def is_test(name: str) -> bool:
    """The simulator is shipped, but what it says of a rule is a test of it."""
    return name.startswith(("tests/", "src/cairnfs/sim/"))


@cache
def where(*, tests: bool) -> dict[int, list[str]]:
    """Return rule → files that name it, in order: the tests and the simulator, or everything else."""
    found: dict[int, list[str]] = {rule: [] for rule in RULES}
    for path in sorted([*(ROOT / "src/cairnfs").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]):
        name = str(path.relative_to(ROOT))
        if path.name in ("rules.py", "test_rules.py") or is_test(name) != tests:
            continue
        for rule in rules_of(path.read_text()):
            found[rule].append(name)
    return found


def table() -> str:
    code, tests = where(tests=False), where(tests=True)
    rows = ["| rule | kept in | tested in |\n", "|---|---|---|\n"]
    for rule in RULES:
        kept = ", ".join(f"`{name.removeprefix('src/cairnfs/')}`" for name in code[rule])
        tested = ", ".join(f"`{name.removeprefix('tests/').removeprefix('src/cairnfs/')}`" for name in tests[rule])
        rows.append(f"| {rule} | {kept} | {tested} |\n")
    return "".join(rows)


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")


if __name__ == "__main__":
    main()
