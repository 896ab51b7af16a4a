"""What a story is, and how it is played: one seed, every guard or all but one, a verdict."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from cairnfs.config import MasterConfig
from cairnfs.errors import CairnError
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.cluster import QUICK
from cairnfs.sim.loop import SimError
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.narrator import Line, Narrator
from cairnfs.sim.stories.people import Cast
from cairnfs.sim.stories.watching import Watcher

CONFIG = replace(QUICK, serving_lease_quiet_s=10.0)
"""Every serving lease lasts 10 s, as for chunks that are overwritten."""

RULES = {
    "ack_by_all": "rule 2: an ack needs every member of the set",
    "exact_version": "rule 11: a member takes orders at exactly its version only",
    "serial_order": "rule 11: orders are taken by serial, without gaps",
    "refuse_lower_epoch": "rule 1: orders of a deposed master are refused",
    "grant_bound_to_boot": "rule 2: a grant for another boot is no grant",
    "exclusions_before_renewal": "rule 5: a renewed serving lease carries what may not be served",
    "length_by_round": "rule 7: a length is told after every member has answered",
    "cluster_identity": "rule 24: messages and disks of another cluster are refused",
    "serving_lease": "rule 5: no read without a live session with the master",
    "compare_digests": "rule 5: what a server told before counts again only if its digest is equal",
    "fence_before_overwrite": "rule 6: no overwrite before nobody outside the set can be read",
    "short_fence_if_told": "rule 6: the short lease counts only for who is known to have seen an overwrite",
    "pending_ranges": "rule 7: bytes that are not applied by every member are not read",
    "restart_leaves_set": "rule 4: a replica that restarted serves nothing until it is reconciled",
    "reconcile_before_result": "rule 3: a version is opened only when all its members hold the same bytes",
    "filter_repeats": "rule 11: a repeated (client, sequence) gets its first result",
    "flush_before_append_ack": "contract 2: an append is flushed on every member before its ack",
    "redo_before_overwrite": "rule 15: flushed bytes are overwritten only after a flushed redo record",
    "verify_before_merge": "rule 16: old bytes are verified before they get a new checksum with others",
    "exact_delete": "rule 22: a replica is deleted only by its exact version and an order of this epoch",
    "keep_last_copy": "rule 23: no path removes the last valid copy",
    "verify_alone": "rule 23: a replica is read through before the others are given up for it",
    "records_at_end": "rule 17: records are appended to the last chunk only",
    "safe_start": "rule 22: a master that has just started orders no deletion",
    "refuse_twin": "rule 25: the copy of a disk is no second server of the same name",
    "refuse_lower_version": "rule 3: what is below a promise is refused",
    "incomplete_is_no_source": "rule 12: a half-filled replica is nobody's source",
    "map_barrier": "rule 9: readers that know an old map of the file are barred",
    "lease_from_question": "rule 5: a serving lease counts from the heartbeat, not from its answer",
    "hold_adopted": "rule 6: an adopted overwrite is neither shown nor acked before its fence is done",
    "enough_copies": "rule 19: no ack with too few members",
    "durable_epoch": "rule 1: the highest epoch seen outlives a restart",
    "notice_rollback": "rule 22: a master with old metadata deletes nothing",
    "trash_before_unlink": "rule 22: a deleted replica lies in the trash for a while",
    "remember_results": "contract 1: a retried request gets the first result",
    "tell_lost_writes": "contract 5: a sync fails if writes before it may be gone",
    "verify_on_read": "rule 16: bytes that do not fit their checksum are not answered",
    "place_tag": "rule 24: a checksum counts only at the place it was written for",
    "first_error_fails_disk": "rule 25: a disk whose flush failed is trusted no more",
    "scrub_mends": "rule 16: what a scrub finds to be damaged is made anew",
    "last_copy_first": "GFS paper, 4.3: chunks with one copy left are copied first",
    "copy_before_move": "rule 23: a moved replica leaves its old server when the new one is registered",
    "drained_is_needless": "rule 23: a server is drained when the goal of all it holds is met elsewhere",
    "hold_quotas": "docs/QUOTAS.md: nothing grows above a hard limit",
}
"""What each guard (a field of `safeguards.Safeguards`) forbids."""

Scene = Callable[[Stage, Cast], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Story:
    """A directed scene with what a person wants to know about it."""

    name: str
    summary: str
    """The question, in one line."""
    gfs: str
    """What the paper says of it; begins with the section."""
    ours: str
    """What is different here."""
    promise: str
    """What must hold, and does with every guard; a sentence that follows "kept: "."""
    guards: tuple[str, ...]
    """Without each of these the promise is seen to be broken."""
    scene: Scene
    chunkservers: int = 3
    config: MasterConfig = field(default=CONFIG)


@dataclass(frozen=True, slots=True)
class Told:
    """A story that was played."""

    story: Story
    seed: int
    without: str
    lines: list[Line]
    violations: list[str]
    hash: str
    """Of everything that happened in the simulated world."""

    @property
    def is_kept(self) -> bool:
        return not self.violations

    @property
    def is_as_expected(self) -> bool:
        """True if the promise was kept with every guard on, or seen to be broken without one."""
        return self.is_kept is (not self.without)

    @property
    def verdict(self) -> str:
        """One sentence; with the rule that forbids what was seen."""
        rule = RULES.get(self.without, "")
        if self.is_kept:
            return f"nothing was noticed without {rule}" if self.without else f"kept: {self.story.promise}"
        if self.without:
            return f"broken: {self.violations[0]}; forbidden by {rule}"
        return f"broken with every guard on, which is a bug of CairnFS: {self.violations[0]}"


def play(story: Story, *, without: str = "", seed: int = 0) -> Told:
    """Play a story in a world of its own, with every guard or all but one."""
    safeguards = Safeguards(**{without: False}) if without else ALL_ON
    with Stage(seed, chunkservers=story.chunkservers, safeguards=safeguards, config=story.config) as stage:
        narrator = Narrator(stage.world)
        watcher = Watcher(stage, narrator)
        cast = Cast(stage, narrator, watcher)

        async def scene(stage: Stage) -> None:
            watching = stage.later(watcher.watch())
            await story.scene(stage, cast)
            watcher.look()
            narrator.end()
            watching.cancel()

        with watcher.listening():
            try:
                stage.play(scene)
            except (AssertionError, CairnError, SimError) as error:
                narrator.breaks("simulator", str(error).partition("\n")[0] or type(error).__name__)
        return Told(story, seed, without, narrator.lines, narrator.violations, stage.world.trace.digest())
