"""A simulation in a process of its own, under a given PYTHONHASHSEED."""

import os
import subprocess
import sys
from pathlib import Path


def run_in_process(module: str, *, seed: int, hash_seed: str) -> str:
    """Return what `python -m module seed` prints: a trace hash."""
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join((str(root), str(root / "src"))),
    }
    command = [sys.executable, "-m", module, str(seed)]
    return subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True).stdout.strip()
