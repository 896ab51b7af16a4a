"""The first five minutes of the README work word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.tools import environment

ROOT = Path(__file__).parents[2]


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_commands_of_the_readme_work_word_for_word(own_cluster, tmp_path):
    """Goal: each line that begins with cairn, or pipes into it, ends well. Method: one shell runs them in order."""
    shown = [line for block in blocks("console") for line in block.splitlines()]
    lines = [line for line in shown if re.match(r"(echo .*\| )?cairn (?!up\b)", line)]
    assert len(lines) > 10
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**environment(), "CAIRN_MASTER": own_cluster.address, "PATH": path}
    script = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    ended = subprocess.run(script, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    assert "first record\nsecond record\n" in ended.stdout
    assert (tmp_path / "logs-from-the-cluster").is_dir()


def test_the_python_of_the_readme_works_word_for_word(cluster):
    variables = {**environment(), "CAIRN_MASTER": cluster.address}
    for block in blocks("python"):
        ended = subprocess.run(
            [sys.executable, "-c", block], env=variables, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, ""), block
