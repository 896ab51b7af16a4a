"""What end-to-end tests share: the real command, and real clusters with small chunks."""

import os
import subprocess
import sys

from cairnfs.cluster.processes import ProcessCluster
from cairnfs.config import ClusterConfig
from cairnfs.units import KIB, MIB

SMALL = ClusterConfig(chunk_bytes=1 * MIB, block_bytes=64 * KIB)
"""Chunk ends are met with little data."""
QUICK = {"suspect_s": 1.5, "dead_s": 2.5, "repair_grace_s": 1, "safe_start_s": 5, "lease_s": 5}
"""Nobody waits a minute for a dead server."""


def cluster_in(folder, **changes):
    given = {"chunkservers": 3, "cluster": SMALL, "master_settings": QUICK}
    return ProcessCluster(folder, **{**given, **changes})


def environment():
    """Nobody's variables but ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}


def command(*arguments):
    return [sys.executable, "-m", "cairnfs", *arguments]


def run(*arguments, stdin=b"", timeout_s=60, **variables):
    """Run `cairn` and return what it said, as bytes."""
    return subprocess.run(
        command(*arguments), input=stdin, capture_output=True, timeout=timeout_s, env={**environment(), **variables},
        check=False,
    )  # fmt: skip


def ok(cluster, *arguments, stdin=b""):
    """Run `cairn` against a cluster and return its output; anything on stderr or another exit code fails."""
    ended = run(*arguments, stdin=stdin, CAIRN_MASTER=cluster.address)
    assert (ended.returncode, ended.stderr) == (0, b""), (arguments, ended)
    return ended.stdout
