"""Types for whoever uses the package: the marker ships, and a program with types is checked against them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, cwd=ROOT):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_the_wheel_says_that_it_has_types(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    assert "cairnfs/py.typed" in names
    assert not [name for name in names if not name.startswith(("cairnfs/", "cairnfs-"))]


@pytest.mark.parametrize("program", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_checked_strictly_by_mypy_and_runs(program, tmp_path):
    settings = tmp_path / "mypy.ini"
    settings.write_text(f"[mypy]\nstrict = true\ncache_dir = {tmp_path / 'cache'}\nfollow_untyped_imports = true\n")
    checked = run(sys.executable, "-m", "mypy", "--config-file", str(settings), str(program), cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    ended = run(sys.executable, str(program))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("writer-0: 25\nwriter-1: 25\n")


def test_a_wrong_use_is_found_by_mypy(tmp_path):
    """Goal: types reach a user's program. Method: a path that is none, a limit that is text, text taken for bytes."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import cairnfs\n\n"
        "def use(fs: cairnfs.Client) -> None:\n"
        "    fs.read_bytes(7)\n"
        "    fs.stat('/x', timeout='5')\n"
        "    data: bytes = fs.open('/x').read()\n"
        "    fs.with_timeout(5).upload('x', '/x', progress=len)\n"
    )
    settings = tmp_path / "mypy.ini"
    settings.write_text(f"[mypy]\nstrict = true\ncache_dir = {tmp_path / 'cache'}\nfollow_untyped_imports = true\n")
    checked = run(sys.executable, "-m", "mypy", "--config-file", str(settings), str(wrong), cwd=tmp_path)
    assert [line.split(":")[1] for line in checked.stdout.splitlines() if "error:" in line] == ["4", "5", "6", "7"]
