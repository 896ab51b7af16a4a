"""The question that this project began with: can a reader with a cached location get stale bytes? GFS paper, 2.7.1.

There a client that has cached a chunk's location may go on reading a replica that was left behind, until its cache
runs out or the file is opened again. Here it must not (contract 4; rules 5 and 6).
"""

import asyncio

import pytest
from msgspec.structs import replace

from cairnfs.errors import CairnError
from cairnfs.safeguards import Safeguards
from cairnfs.sim.cluster import MASTER, QUICK
from cairnfs.sim.stage import SIZE, Stage, content

CONFIG = replace(QUICK, serving_lease_quiet_s=10.0)
ONES = (Safeguards(serving_lease=False), Safeguards(fence_before_overwrite=False))


async def read_from_the_one_left_behind(stage: Stage) -> None:
    """A server loses the master, not its readers; the others go on; the reader never asks anybody but that server."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    behind = stage.others[0]
    reader = await stage.reader(behind)
    stage.world.partition([behind, reader.host], [MASTER, "writer", *(one for one in stage.members if one != behind)])
    writing = stage.later(write_on(stage, writer))
    end_s = stage.world.loop.time() + 40
    while stage.world.loop.time() < end_s:
        acked = writer.acked
        shown = await try_to_read(stage, reader)
        assert shown is None or shown >= acked, f"stale: {shown} was read, but {acked} was acknowledged before"
        await stage.pause(0.1)
    await writing
    assert writer.acked > 20, "the writer was held up for too long"


async def write_on(stage: Stage, writer) -> None:
    for number in range(3, 120):
        await writer.write(number)
        await stage.pause(0.2)


async def try_to_read(stage: Stage, reader) -> int | None:
    async def ask() -> int | None:
        try:
            async with asyncio.timeout(0.5):
                data = await reader.file.pread(SIZE, 0)
        except (CairnError, TimeoutError):
            return None
        assert data == content(data[0]), "a mixture"
        return data[0]

    return await reader.do(ask())


def play(seeds: range, safeguards: Safeguards) -> None:
    for seed in seeds:
        with Stage(seed, chunkservers=4, safeguards=safeguards, config=CONFIG) as stage:
            stage.play(read_from_the_one_left_behind)


@pytest.mark.parametrize("seed", range(5))
def test_a_cached_location_gives_no_stale_bytes(seed: int) -> None:
    """Goal: contract 4; rules 5 and 6. GFS paper, section 2.7.1.

    Method: a reader with a warm cache and one chunkserver are cut from everybody else, so that neither hears that the
    chunk has moved on; the writer goes on with the others. Each read begins after an ack and must not show less.
    """
    play(range(seed, seed + 1), Safeguards())


@pytest.mark.parametrize("safeguards", ONES, ids=("serving_lease", "fence_before_overwrite"))
def test_the_paper_s_window_is_open_without_the_safeguards(safeguards: Safeguards) -> None:
    """Goal: the test above can fail. Method: the same without the serving lease, or without waiting for it."""
    with pytest.raises(AssertionError, match="stale"):
        play(range(5), safeguards)
