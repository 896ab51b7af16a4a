"""What the pages name is there: files, folders, links."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BASES = [ROOT, ROOT / "src/cairnfs", ROOT / "tests", ROOT / "docs"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    named = {name for name in re.findall(r"`([\w./-]+)`", text) if re.fullmatch(r"[\w-]+(/[\w.-]+)+|[\w-]+\.py", name)}
    known = {path.name for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")}
    on_disks = {name for name in named if name.startswith("cairn/")}
    missing = [name for name in named - known - on_disks if not any((base / name).exists() for base in BASES)]
    assert not missing, f"{page.name} names what is not there: {sorted(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"
