"""Single faults on the whole cluster, told one by one (see `tales`), for some seeds each."""

import pytest
from msgspec.structs import replace

from cairnfs.sim.cluster import QUICK
from cairnfs.sim.scenes.tales import TALES
from cairnfs.sim.stage import Stage

CONFIG = replace(QUICK, serving_lease_quiet_s=10.0)
SEEDS = range(5)


@pytest.mark.parametrize("name", TALES)
def test_every_promise_is_kept(name: str) -> None:
    """Goal and method: see the tale's own words."""
    for seed in SEEDS:
        with Stage(seed, chunkservers=4, config=CONFIG) as stage:
            stage.play(TALES[name])
