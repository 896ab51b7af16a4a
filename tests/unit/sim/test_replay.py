"""One seed is one run: whatever the hash seed, the process or what ran before in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.sim.echo import run_echo_world

ROOT = Path(__file__).parents[3]


def in_new_process(seed, hash_seed):
    code = f"from tests.unit.sim.echo import run_echo_world; print(run_echo_world({seed}))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}/src"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_seed_gives_the_same_trace_under_two_hash_seeds_in_two_processes():
    first, second = in_new_process(7, "1"), in_new_process(7, "2")
    assert first == second
    assert run_echo_world(7) == first, "and in a process where other things ran before"


def test_another_seed_gives_another_trace():
    assert len({run_echo_world(seed) for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", range(10))
def test_a_run_with_crashes_and_cuts_is_repeatable(seed):
    assert run_echo_world(seed) == run_echo_world(seed)
