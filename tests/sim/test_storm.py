"""Storms: clusters under users and faults of chance. `cairn sim run` plays more of them, `make soak` many."""

import os
import subprocess
import sys

import pytest

from cairnfs.sim.options import Mode, Options
from cairnfs.sim.run import all_but, run_seed
from cairnfs.sim.schedule import KINDS
from cairnfs.sim.swarm import shrink


@pytest.mark.parametrize("seed", range(6))
def test_every_promise_is_kept_in_a_storm(seed):
    """Goal: contracts 1 to 5 and the invariants of the servers, all at once. Method: see `cairnfs.sim.run`."""
    report = run_seed(seed)
    assert not report.failure, "\n".join([report.failure, *report.told])
    assert sum(report.operations.values()) > 50
    assert report.looks > 80


@pytest.mark.parametrize("seed", range(2))
def test_acknowledged_data_is_safe_with_wrong_clocks(seed):
    """Goal: contract 6. Method: clocks run up to ten times too fast or slow; only freshness is not asked for."""
    report = run_seed(seed, mode=Mode.CLOCKS)
    assert not report.failure, "\n".join([report.failure, *report.told])


@pytest.mark.parametrize("seed", [0, 5])
def test_what_is_lost_beyond_the_promises_is_said_to_be_lost(seed):
    """Goal: nothing wrong is read, and the status tells of what is missing. Method: lost disks, rot on any host."""
    report = run_seed(seed, mode=Mode.BEYOND)
    assert not report.failure, "\n".join([report.failure, *report.told])
    assert bool(report.losses) == (seed == 0), report.losses


def test_a_storm_is_the_same_run_under_every_hash_seed():
    """Invariant 38: the order of sets and dicts decides nothing."""
    code = "from cairnfs.sim.run import run_seed; print(run_seed(3).hash)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }  # fmt: skip
    assert len(hashes) == 1, hashes
    assert len(hashes.pop()) == 32


def test_a_failing_storm_is_shrunk_to_faults_that_it_needs():
    """Goal: what is shown to a person is short, and still fails. Method: a storm without a safeguard."""
    off = all_but("flush_before_append_ack")
    options = Options(faults=("everybody", "wall clock"), duration_s=25.0)
    failing = next(report for seed in range(20) if (report := run_seed(seed, options=options, safeguards=off)).failure)
    short = shrink(failing, tries=8, safeguards=off)
    assert short.failure
    assert len(short.schedule) < len(failing.schedule)
    again = run_seed(failing.seed, options=options, safeguards=off, schedule=short.schedule)
    assert again.hash == short.hash, "the same schedule is the same run"


def test_each_kind_of_fault_can_be_carried_out():
    """Goal: no kind is only a name. Method: short runs, each with one kind."""
    for kind in KINDS:
        options = Options(faults=(kind,), duration_s=4.0, users=1, fault_gap_s=1.0)
        report = run_seed(5, options=options)
        assert report.faults.get(kind), kind
        assert not report.failure, (kind, report.failure)
