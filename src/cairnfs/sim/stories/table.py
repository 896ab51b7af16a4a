"""All stories, in the order in which a person may want to read them."""

from cairnfs.sim.stories.disks import POWER_LOSS, ROTTEN_BLOCK
from cairnfs.sim.stories.masters import DEPOSED_MASTER, SNAPSHOT
from cairnfs.sim.stories.primaries import PRIMARY_DIES, TWO_PRIMARIES
from cairnfs.sim.stories.regions import UNDEFINED_REGION
from cairnfs.sim.stories.restarts import RESTART_IN_A_RAISE
from cairnfs.sim.stories.stale import STALE_READ, STALE_VERSION
from cairnfs.sim.stories.story import Story

STORIES: dict[str, Story] = {
    story.name: story
    for story in (
        STALE_READ,
        TWO_PRIMARIES,
        PRIMARY_DIES,
        UNDEFINED_REGION,
        STALE_VERSION,
        RESTART_IN_A_RAISE,
        SNAPSHOT,
        POWER_LOSS,
        ROTTEN_BLOCK,
        DEPOSED_MASTER,
    )
}
