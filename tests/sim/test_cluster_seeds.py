"""A whole cluster appends, loses a server and recovers, for 20 seeds; the same seed is the same run."""

import pytest
from tests.sim import crashes
from tests.sim.hash_seeds import run_in_process

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_acknowledged_records_survive_a_primary_crash(seed: int) -> None:
    """Goal: contract 2 and rules 2, 3, 4, 11, 12. GFS paper, section 3.3.

    Method: two writers append; at a moment that the seed picks the primary is killed; it returns later. Every
    acknowledged record is there once, and all copies become equal again.
    """
    crashes.run(seed)


@pytest.mark.parametrize("seed", range(5))
def test_acknowledged_records_survive_a_power_loss_of_the_primary(seed: int) -> None:
    crashes.run(100 + seed, power=True)


@pytest.mark.parametrize("seed", range(5))
def test_a_restarted_master_disturbs_no_writer(seed: int) -> None:
    crashes.run(200 + seed, victim="master")


def test_a_seed_is_the_same_run_under_every_hash_seed() -> None:
    """Invariant 38: the order of sets and dicts decides nothing."""
    hashes = {run_in_process("tests.sim.crashes", seed=7, hash_seed=hash_seed) for hash_seed in ("1", "2")}
    assert len(hashes) == 1, hashes
    assert len(hashes.pop()) == 32
