"""Every safeguard of these paths is noticed when it is missing: the checks bite."""

import pytest
from msgspec.structs import replace

from cairnfs.config import MasterConfig
from cairnfs.errors import CairnError
from cairnfs.safeguards import Safeguards
from cairnfs.sim.cluster import QUICK
from cairnfs.sim.loop import SimError
from cairnfs.sim.scenes.guards import SCENES
from cairnfs.sim.stage import Stage

CONFIG: MasterConfig = replace(QUICK, serving_lease_quiet_s=10.0)
WITHOUT_REPAIR = replace(CONFIG, repairs_max=0)
QUIET = ("exclusions_before_renewal",)
"""Here a repair would soon make the replica current again."""
SEEDS = range(4)


def play(name: str, seed: int, safeguards: Safeguards) -> None:
    config = WITHOUT_REPAIR if name in QUIET else CONFIG
    with Stage(seed, safeguards=safeguards, config=config) as stage:
        stage.play(SCENES[name])


@pytest.mark.parametrize("name", SCENES)
def test_with_all_safeguards_nothing_is_wrong(name: str) -> None:
    """Goal: the scene itself breaks no promise. Method: play it for some seeds."""
    for seed in SEEDS:
        play(name, seed, Safeguards())


@pytest.mark.parametrize("name", SCENES)
def test_a_missing_safeguard_is_noticed(name: str) -> None:
    """Goal: the scene needs this safeguard. Method: the same seeds without it; one of them must fail."""
    for seed in SEEDS:
        try:
            play(name, seed, Safeguards(**{name: False}))
        except (AssertionError, CairnError, SimError):
            return
    raise AssertionError(f"nothing was noticed without {name}")
