"""The safeguards of the core as switches: one off at a time shows that it is needed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on. The rule that wants it stands with each."""

    conditional_commit: bool = True
    """Rule 1: a deposed master logs nothing."""
    refuse_lower_epoch: bool = True
    """Rule 1: chunkservers refuse orders of a lower epoch."""
    proven_leader: bool = True
    """Rule 1: serving leases and answers about what is current rest on a proof."""
    numbers_used_once: bool = True
    """Rule 1: no version number is given twice."""
    ack_by_all: bool = True
    """Rule 2: an ack needs every member."""
    current_by_record: bool = True
    """Rule 2: current is who the last result names; off: who reports the highest version."""
    grant_bound_to_boot: bool = True
    """Rule 2: another boot of the primary takes no old grant."""
    result_after_reconciling: bool = True
    """Rule 3: the result is logged only when all targets hold the same bytes."""
    restart_leaves_set: bool = True
    """Rule 4: a restarted replica is out until a raise has reconciled it."""
    serving_lease: bool = True
    """Rule 5: no read without one, but by a round."""
    lease_from_heartbeat: bool = True
    """Rule 5: it counts from the heartbeat that asked for it."""
    renewal_carries_exclusions: bool = True
    """Rule 5: exclusions take effect before the renewal."""
    fence: bool = True
    """Rule 6: an overwrite waits until no server outside can be read."""
    fence_before_serial: bool = True
    """Rule 6: it gets no serial before that; off: only its ack waits."""
    adopted_wait_for_fence: bool = True
    """Rule 6: adopted overwrites are unreadable until then."""
    overwrite_by_moment: bool = True
    """Rule 6: what overwrites is told by the length of its moment; off: by that of the version's base."""
    successor_assumes_leases: bool = True
    """Rule 6: a new master takes every server outside for readable."""
    watermark: bool = True
    """Rule 7: what is not committed is not read."""
    end_by_round: bool = True
    """Rule 7: no end of file without a round; off: the primary alone."""
    round_of_all: bool = True
    """Rules 5 and 7: a round needs every member."""
    exact_version: bool = True
    """Rule 11: orders only at exactly the member's version."""
    serial_order: bool = True
    """Rule 11: serials without gaps."""
    filter_repeats: bool = True
    """Rule 11: a repeated sequence is not carried out again."""
    filter_is_reconciled: bool = True
    """Rule 11: the filter comes from the source; off: an equal replica keeps its own."""
    lost_is_not_repeated: bool = True
    """Rule 11: after broken continuity a plain write fails instead of being repeated."""
    reconcile: str = "copy"
    """Rule 12. Others: none, pad, lengths."""
    unbroken_source: bool = True
    """Rule 12: the source has not restarted, or all members have answered."""
    only_a_result_heals: bool = True
    """Rule 12: who restarted counts as unbroken again only by a result; off: by a reconciliation of a burnt raise."""
    sync_names_version: bool = True
    """Rule 14: sync fails if continuity was broken since the ack."""
    flush_before_append_ack: bool = True
    """Contract 2: every member has flushed an append before its ack."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a configuration is."""

    mutations: str = "X"
    versions: int = 3
    """Numbers that the first master may use; its successor has as many less one."""
    clocks: int = 0
    """Nodes whose serving lease ends; those of the others never do."""
    wrong_clocks: bool = False
    """A server's clock stands still, and the master does not wait: only loss and conflicts are checked."""
    takeover: bool = False
    restarts: int = 0
    power: bool = False
    """A restart loses what was not flushed."""
    tries: int = 1
    """How often a client sends a mutation."""
    sets: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    """Masks of targets that a raise may choose."""
    any_primary: bool = False
    any_source: bool = False
    """Any candidate may be the source; else the one with the highest version and serial."""
    sync: bool = False
    reads: bool = True
    is_empty: bool = False
    """The cell is beyond the chunk's end until it is first written."""
    silent: int = 0
    """Nodes that never take a step."""
    agreement: bool = True
    """Check that members agree; off to see how a reader would notice."""

    @property
    def version_count(self) -> int:
        """Return the size of the table of versions; 0 is not used."""
        return 2 * self.versions if self.takeover else self.versions + 1
