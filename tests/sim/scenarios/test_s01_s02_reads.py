"""S1 and S2: what a reader with a warm cache may see."""

import pytest
from tests.sim.scenarios.playing import notice, play

from cairnfs.sim.cluster import MASTER
from cairnfs.sim.scenes.reads import pending_ranges
from cairnfs.sim.stage import SIZE, Stage


async def behind_the_master_s_back(stage: Stage) -> None:
    """The reader and its server lose the master; the writer overwrites and extends with the others."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    behind = stage.others[0]
    reader = await stage.reader(behind)
    stage.world.partition([behind, reader.host], [MASTER, "writer", *(one for one in stage.members if one != behind)])
    acked = SIZE
    for number in range(3, 9):
        before = writer.acked
        shown = await reader.try_to_show(0.5)
        assert shown is None or shown >= before, f"I16, I33: stale, {shown} after {before}"
        await writer.write(number)
        await writer.do(writer.file.pwrite(b"tail", acked))
        acked += 4
        shown = await reader.try_to_show(0.5)
        assert shown is None or shown >= number, f"I16, I33: stale, {shown} after {number}"
    stage.world.heal()
    assert len(await reader.read(2 * SIZE)) == acked, "an early end of file"


def test_s01_stale_read_through_a_cached_location() -> None:
    """Goal: I16, I33; contract 4, rules 5 and 6. GFS paper, section 2.7.1.

    Method: a replica that was left behind is asked by a reader that has cached where it is, while others overwrite and
    extend the file.
    """
    play(behind_the_master_s_back)


@pytest.mark.parametrize("missing", ["serving_lease", "fence_before_overwrite"])
def test_s01_needs(missing: str) -> None:
    notice(behind_the_master_s_back, missing)


async def append_that_is_not_everywhere(stage: Stage) -> None:
    """An extension has reached one secondary and not the other; then the one that has it is asked first."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    near, far = stage.others
    first, second = await stage.reader(near), await stage.reader(far)
    stage.world.cut(stage.primary, far)
    write = stage.later(writer.do(writer.file.pwrite(b"more", SIZE)))
    await stage.pause(0.1)
    seen = len(await first.read(2 * SIZE))
    assert len(await second.read(2 * SIZE)) >= seen, "I9: readers saw more, and later less"
    await write
    assert len(await second.read(2 * SIZE)) == SIZE + 4


def test_s02_a_read_never_goes_back() -> None:
    """Goal: I9; rule 7. Method: an extension and an overwrite are on some members only; readers ask those first."""
    play(append_that_is_not_everywhere)
    play(pending_ranges)


def test_s02_needs_pending_ranges() -> None:
    notice(pending_ranges, "pending_ranges")
