"""Safeguards switched off one by one: whether the simulator notices, and after how many seeds.

A missing safeguard that nothing notices means that the checks are blind there, or that the safeguard is needless.
"""

import gc
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec

from cairnfs.errors import CairnError
from cairnfs.safeguards import Safeguards
from cairnfs.sim.cluster import QUICK
from cairnfs.sim.loop import SimError
from cairnfs.sim.run import all_but, run_seed
from cairnfs.sim.scenes.guards import NEEDS, SCENES, Needs
from cairnfs.sim.stage import Stage
from cairnfs.sim.swarm import quiet


class Ablation(msgspec.Struct, kw_only=True):
    """Whether one missing safeguard was noticed, and after how many seeds."""

    guard: str
    scene_seeds: int = 0
    """Of its directed scene, until something was wrong; 0: never, or there is none."""
    scene_saw: str = ""
    storm_seeds: int = 0
    """Of undirected storms, until something was wrong; 0: never, or none was played."""
    storm_saw: str = ""

    @property
    def is_noticed(self) -> bool:
        return bool(self.scene_seeds or self.storm_seeds)


def play_scene(guard: str, seed: int, safeguards: Safeguards) -> None:
    """Play the scene that is about a safeguard.

    Raises:
        AssertionError, CairnError, SimError: something was wrong.
    """
    needs = NEEDS.get(guard, Needs())
    config = msgspec.structs.replace(QUICK, **({"serving_lease_quiet_s": 10.0} | needs.master))
    with Stage(
        seed,
        safeguards=safeguards,
        config=config,
        chunkservers=needs.chunkservers,
        scrub_period_s=needs.scrub_period_s,
    ) as stage:
        stage.play(SCENES[guard])


def ablate_one(guard: str, *, scenes: int, storms: int, first: int) -> Ablation:
    """Look for a seed that shows that the safeguard is missing."""
    off = all_but(guard)
    found = Ablation(guard=guard)
    for number in range(scenes if guard in SCENES else 0):
        gc.collect()
        try:
            play_scene(guard, first + number, off)
        except (AssertionError, CairnError, SimError) as error:
            found.scene_seeds, found.scene_saw = number + 1, _first_line(error)
            break
    for number in range(storms):
        gc.collect()
        report = run_seed(first + number, safeguards=off)
        if report.failure:
            found.storm_seeds, found.storm_saw = number + 1, report.failure.splitlines()[-1].strip()
            break
    return found


def _first_line(error: BaseException) -> str:
    """Return what an error says; of a bare assertion the claim that did not hold, with the line's words."""
    said = str(error).splitlines()
    if said and said[0]:
        return said[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line or "") if frames else type(error).__name__


def ablate_all(
    guards: Sequence[str], *, scenes: int, storms: int, first: int = 0, cores: int | None = None
) -> list[Ablation]:
    """Switch off each of them, side by side; in the order given."""
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=quiet) as pool:
        jobs = [pool.submit(ablate_one, guard, scenes=scenes, storms=storms, first=first) for guard in guards]
        return [job.result() for job in jobs]
