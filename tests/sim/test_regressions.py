"""What simulations have found once is played again.

Each text in `regressions` is: a scene of `scenes.found` and its seeds, and why. Each JSON file is a storm that failed
once, as `cairn sim run --save` keeps it, with the options and faults of that day.
"""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from cairnfs.sim.cluster import QUICK
from cairnfs.sim.run import Report, run_seed
from cairnfs.sim.scenes.found import FOUND
from cairnfs.sim.stage import Stage

CONFIG = replace(QUICK, serving_lease_quiet_s=10.0)
FOLDER = Path(__file__).parent / "regressions"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_what_was_found_once_stays_mended(file: Path) -> None:
    """Goal and method: see the file."""
    name, *seeds = file.read_text().splitlines()[0].split()
    for seed in map(int, seeds):
        with Stage(seed, chunkservers=4, config=CONFIG) as stage:
            stage.play(FOUND[name])


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_a_storm_that_failed_once_does_not_fail_again(file: Path) -> None:
    """Goal: a failing seed stays a test when the drawing of options and schedules changes. Method: see `run`."""
    kept = msgspec.json.decode(file.read_bytes(), type=Report)
    report = run_seed(kept.seed, options=kept.options, schedule=kept.schedule)
    assert not report.failure, "\n".join([report.failure, *report.told])
