"""What simulations have found once is played again. Each file in `regressions` is: a story and its seeds, and why."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.sim import chaos

from cairnfs.sim.cluster import QUICK
from cairnfs.sim.scenes.found import FOUND
from cairnfs.sim.stage import Stage

CONFIG = replace(QUICK, serving_lease_quiet_s=10.0)
FILES = sorted((Path(__file__).parent / "regressions").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_was_found_once_stays_mended(file: Path) -> None:
    """Goal and method: see the file."""
    name, *seeds = file.read_text().splitlines()[0].split()
    for seed in map(int, seeds):
        if name == "chaos":
            chaos.run(seed)
            continue
        with Stage(seed, chunkservers=4, config=CONFIG) as stage:
            stage.play(FOUND[name])
