"""S31: every one-way cut. Writes go on or fail cleanly, and all heals."""

import asyncio
import itertools
from contextlib import suppress

import pytest
from msgspec.structs import replace
from tests.sim.scenarios.playing import CONFIG, play

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.loop import SimError
from cairnfs.sim.stage import Stage

Links = list[tuple[str, str]]
SHORT = replace(CONFIG, serving_lease_s=3.0, serving_lease_quiet_s=3.0)
"""So that an overwrite that waits for a fence is done, or not, within a few seconds."""


def cut_links(links: Links, *, breaks: bool):
    """Return a scene: these directions are cut while somebody writes and others read."""

    async def scene(stage: Stage) -> None:
        await stage.make(1)
        writer = await stage.writer()
        await writer.write(2)
        places = {"P": stage.primary, "S": stage.others[0], "T": stage.others[1], "M": MASTER, "C": "writer"}
        readers = [await stage.reader(name) for name in stage.others]
        for source, target in links:
            stage.world.cut(places[source], places[target], one_way=True)
        with suppress(CairnError, TimeoutError):
            async with asyncio.timeout(6):
                await writer.write(3)
        for reader in readers:
            shown = await reader.try_to_show(0.5)
            assert shown is None or writer.acked <= shown <= 3, f"I16: {shown}, {writer.acked} was acked"
        stage.world.heal(breaks=breaks)
        other = await stage.writer("other")
        await other.write(9)
        for reader in readers:
            assert await reader.show() == 9, "I31"

    return scene


def all_links(nodes: str) -> Links:
    return list(itertools.permutations(nodes, 2))


def subsets(links: Links) -> list[Links]:
    return [
        [link for position, link in enumerate(links) if number >> position & 1] for number in range(1, 1 << len(links))
    ]


@pytest.mark.parametrize(("nodes", "step"), [("PSM", 1), ("PST", 4)])
def test_s31_one_way_cuts_of_three_nodes(nodes: str, step: int) -> None:
    """Goal: I11, I16, I31; rules 2, 5, 6 and 20.

    Method: each of the 63 sets of one-way cuts between a primary, a secondary and the master; of those between three
    replicas one in four.
    """
    for number, links in enumerate(subsets(all_links(nodes))[::step]):
        try:
            play(cut_links(links, breaks=number % 2 == 0), [number], rests=False, config=SHORT)
        except (AssertionError, CairnError, SimError) as error:
            error.add_note(f"cut: {links}")
            raise


def test_s31_one_way_cuts_of_five_nodes() -> None:
    """Goal: I11, I16, I27, I31. Method: seeded sets of one-way cuts between client, master and three replicas."""
    links = all_links("PSTMC")
    for seed in range(8):

        async def scene(stage: Stage, seed: int = seed) -> None:
            some = [link for link in links if stage.world.random.random() < 0.25]
            await cut_links(some, breaks=seed % 2 == 0)(stage)

        play(scene, [seed], config=SHORT)


def test_s31_needs_an_ack_by_all() -> None:
    """Goal: the cuts above are noticed. Method: of the sets of three nodes some must fail if a lone ack is enough."""
    for number, links in enumerate(subsets(all_links("PST"))):
        try:
            play(cut_links(links, breaks=True), [number], missing="ack_by_all", rests=False, config=SHORT)
        except (AssertionError, CairnError, SimError):
            return
    pytest.fail("nothing was noticed")
