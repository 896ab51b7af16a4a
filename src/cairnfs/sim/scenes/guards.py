"""One scene per safeguard: with all on it passes, without that one something is seen to be wrong.

Each scene is told by its docstring as Goal and Method; `cairn sim ablate` and the tests play every scene both ways.
"""

from dataclasses import dataclass, field
from typing import Any

from cairnfs.sim.scenes import belonging, care, disks, keeping, orders, quotas, raises, reads
from cairnfs.sim.stage import Scene

SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        orders.ack_by_all,
        orders.exact_version,
        orders.serial_order,
        orders.grant_bound_to_boot,
        orders.refuse_lower_epoch,
        orders.reconcile_before_result,
        orders.restart_leaves_set,
        orders.filter_repeats,
        reads.serving_lease,
        belonging.compare_digests,
        reads.fence_before_overwrite,
        reads.short_fence_if_told,
        reads.exclusions_before_renewal,
        reads.pending_ranges,
        reads.length_by_round,
        keeping.flush_before_append_ack,
        keeping.redo_before_overwrite,
        keeping.verify_before_merge,
        keeping.exact_delete,
        keeping.keep_last_copy,
        keeping.verify_alone,
        orders.records_at_end,
        keeping.safe_start,
        belonging.cluster_identity,
        belonging.refuse_twin,
        raises.refuse_lower_version,
        raises.incomplete_is_no_source,
        reads.map_barrier,
        reads.lease_from_question,
        reads.hold_adopted,
        raises.enough_copies,
        raises.durable_epoch,
        belonging.notice_rollback,
        disks.trash_before_unlink,
        belonging.remember_results,
        quotas.hold_quotas,
        disks.tell_lost_writes,
        disks.verify_on_read,
        disks.place_tag,
        disks.first_error_fails_disk,
        care.scrub_mends,
        care.last_copy_first,
        care.copy_before_move,
        care.drained_is_needless,
    )
}
"""Each by the name of its safeguard."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a scene needs besides three chunkservers and the usual settings."""

    chunkservers: int = 3
    master: dict[str, Any] = field(default_factory=dict)
    scrub_period_s: float = 0.0


NEEDS = {
    # Without repair, which would soon make the replica current again.
    "exclusions_before_renewal": Needs(master={"repairs_max": 0}),
    "short_fence_if_told": Needs(master={"serving_lease_quiet_s": 60.0}),
    "scrub_mends": Needs(chunkservers=4, scrub_period_s=10.0),
    "last_copy_first": Needs(chunkservers=6, master={"repairs_max": 2, "repair_grace_s": 2.0}),
    "copy_before_move": Needs(chunkservers=3, master={"balance_spread": 1e-9}),
    "drained_is_needless": Needs(chunkservers=4),
}
