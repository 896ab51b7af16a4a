"""The benchmark of Figure 3 runs, or says why it does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "figure3.py"


def figure3(*arguments, **more):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False, **more
    )


def test_what_it_cannot_measure_it_refuses():
    ended = figure3("--only", "read,delete")
    assert ended.returncode == 2
    assert "--only takes read, write, append, not delete" in ended.stderr


def test_a_small_figure_is_measured_where_the_bed_can_be_made(tmp_path):
    """Goal: each point is there with its limit. Method: three servers, one client; else it says why and SKIPPED."""
    out = tmp_path / "points.json"
    ended = figure3(
        "--servers", 3, "--clients", 1, "--seconds", 1, "--set", "256M", "--json", out, "--folder", tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    if "SKIPPED" in ended.stdout:
        assert os.geteuid() != 0 or "netlab:" in ended.stdout
        return
    points = json.loads(out.read_text())
    assert [point["what"] for point in points] == ["read", "write", "append"]
    assert all(point["bare"] > 0 and point["ours"] > 0 for point in points)
