"""Every safeguard is noticed when it is missing: the checks bite. `cairn sim ablate` does the same."""

import pytest

from cairnfs.errors import CairnError
from cairnfs.safeguards import Safeguards
from cairnfs.sim.ablation import play_scene
from cairnfs.sim.loop import SimError
from cairnfs.sim.scenes.guards import SCENES

SEEDS = range(4)


@pytest.mark.parametrize("name", SCENES)
def test_with_all_safeguards_nothing_is_wrong(name: str) -> None:
    """Goal: the scene itself breaks no promise. Method: play it for some seeds."""
    for seed in SEEDS:
        play_scene(name, seed, Safeguards())


@pytest.mark.parametrize("name", SCENES)
def test_a_missing_safeguard_is_noticed(name: str) -> None:
    """Goal: the scene needs this safeguard. Method: the same seeds without it; one of them must fail."""
    for seed in SEEDS:
        try:
            play_scene(name, seed, Safeguards(**{name: False}))
        except (AssertionError, CairnError, SimError):
            return
    raise AssertionError(f"nothing was noticed without {name}")
