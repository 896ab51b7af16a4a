"""A few storms of `chaos`. `python -m tests.sim.chaos FIRST LAST` runs more; what it finds goes into `regressions`."""

import pytest
from tests.sim import chaos


@pytest.mark.parametrize("seed", [1, 2])
def test_every_promise_is_kept_in_a_storm(seed: int) -> None:
    """Goal: contracts 1 to 5 of the whole cluster at once. Method: see `chaos`; odd seeds have two troubles at once."""
    chaos.run(seed)
