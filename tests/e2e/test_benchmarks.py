"""The benchmark scripts run, say what they cannot do, and write what was asked for. No speed is tested here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = {
    "appends.py": ("--producers", "2", "--seconds", "0.2"),
    "metadata.py": ("--callers", "2", "--seconds", "0.1", "--tree", "20", "--only", "stat,rename,write 4 KiB"),
    "streaming.py": ("--clients", "1", "--size", "16M"),
}


def script(name, *arguments):
    command = [sys.executable, BENCHMARKS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", QUICK)
def test_each_prints_a_table_and_writes_its_rounds(name, tmp_path):
    out = tmp_path / "rounds.json"
    ended = script(name, *QUICK[name], "--rounds", 1, "--place", "disk", "--json", out)
    assert ended.returncode == 0, ended.stderr
    assert "ratio" in ended.stdout
    rows = json.loads(out.read_text())
    assert rows
    assert all(row["here"][0] > 0 for row in rows), rows


def test_what_they_cannot_measure_they_refuse():
    ended = script("metadata.py", "--only", "stat,fly")
    assert ended.returncode == 2
    assert "--only takes stat, list" in ended.stderr
