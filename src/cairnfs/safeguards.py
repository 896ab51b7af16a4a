"""The protocol's safeguards as switches that only a simulation can turn off.

Each is one of the numbered rules of docs/CONSISTENCY.md. Production code gets `Safeguards()`, all on; no file, flag or
environment variable reaches this module (tests/test_tidy.py says so). The simulator builds others to show that it
notices each missing one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguards:
    """All on. Each field names what is checked, and its rule."""

    ack_by_all: bool = True
    """Rule 2: an ack needs every member of the set."""
    exact_version: bool = True
    """Rule 11: a member takes orders only at exactly its version."""
    serial_order: bool = True
    """Rule 11: serials without gaps, each once."""
    refuse_lower_epoch: bool = True
    """Rule 1: orders of a deposed master are refused."""
    serving_lease: bool = True
    """Rule 5: no read without a live session (or a round of the members)."""
    exclusions_before_renewal: bool = True
    """Rule 5: a renewal carries unconfirmed exclusions."""
    compare_digests: bool = True
    """Rule 5: what a server told before counts again only if its digest is equal."""
    fence_before_overwrite: bool = True
    """Rule 6: no serial for an overwrite before the fence is done."""
    short_fence_if_told: bool = True
    """Rule 6: the fence counts on the short serving lease only of servers known to have seen an overwrite."""
    pending_ranges: bool = True
    """Rule 7: bytes that are not committed are not read."""
    length_by_round: bool = True
    """Rule 7: a length is told after a round of the members."""
    restart_leaves_set: bool = True
    """Rule 4: a restarted replica of an open chunk serves nothing until it is reconciled."""
    grant_bound_to_boot: bool = True
    """Rule 2: a grant for another boot is no grant."""
    reconcile_before_result: bool = True
    """Rule 3: the result is logged when all targets hold the same bytes."""
    filter_repeats: bool = True
    """Rule 11: a repeated (client, sequence) gets its first result."""
    flush_before_append_ack: bool = True
    """Contract 2: an append is flushed on every member before its ack."""
    redo_before_overwrite: bool = True
    """Rule 15: flushed bytes are overwritten only after a flushed redo record."""
    verify_before_merge: bool = True
    """Rule 16: old bytes beside new ones are verified before they get a new checksum."""
    exact_delete: bool = True
    """Rule 22: a replica is deleted only by exact handle, version and current epoch."""
    keep_last_copy: bool = True
    """Rule 23: no path removes the last valid copy."""
    scrub_mends: bool = True
    """Rule 16: what a scrub finds to be damaged is put away, so that it is made anew while there are other copies."""
    last_copy_first: bool = True
    """GFS paper, 4.3: chunks are repaired by how far they are from their goal, those with one copy left first."""
    copy_before_move: bool = True
    """Rule 23: a moved replica leaves its old server after the new one is verified and registered."""
    drained_is_needless: bool = True
    """Rule 23: a server counts as drained when the goal of all that it holds is met elsewhere."""
    verify_alone: bool = True
    """Rule 23: a replica is read through before it alone stays in the record and the others are given up."""
    records_at_end: bool = True
    """Rule 17: a chunk that another one follows is opened without the right to take records."""
    safe_start: bool = True
    """Rule 22: a master that has just started orders no deletion."""
    cluster_identity: bool = True
    """Every first message, disk and header names its cluster; another cluster's is refused."""
    refuse_twin: bool = True
    """A server id lives at one address: the copy of a disk begins no session while the first one answers."""
    refuse_lower_version: bool = True
    """Rule 3: what is below a promise is refused, under the same turn as the durable write."""
    incomplete_is_no_source: bool = True
    """Rules 12 and 13: a half-filled replica is nobody's source."""
    map_barrier: bool = True
    """Rule 9: when a file's map changes, readers of the old chunk are barred."""
    lease_from_question: bool = True
    """Rule 5: a serving lease counts from the heartbeat that the answer echoes, not from the answer."""
    hold_adopted: bool = True
    """Rule 6: an adopted overwrite is neither shown nor acked before its fence is done."""
    enough_copies: bool = True
    """Rule 19: no ack with fewer members than `copies_min`."""
    durable_epoch: bool = True
    """Rule 1: the highest epoch seen outlives the process that saw it."""
    notice_rollback: bool = True
    """Rule 22: a master whose metadata are older than the cluster deletes nothing."""
    trash_before_unlink: bool = True
    """Rule 22: a deleted replica lies in the trash for a while."""
    remember_results: bool = True
    """Contract 1: a retried request gets the first result."""
    hold_quotas: bool = True
    """docs/QUOTAS.md: a folder with a hard limit does not grow above it."""
    tell_lost_writes: bool = True
    """Contract 5: the record of a chunk says since when unsynced writes may be gone, and a sync from before fails."""
    verify_on_read: bool = True
    """Rule 16: bytes that do not fit their checksum are not answered."""
    place_tag: bool = True
    """Rule 24: a checksum counts only at the place it was written for."""
    first_error_fails_disk: bool = True
    """Rule 25: after a failed flush nothing on that disk is trusted or tried again."""


ALL_ON = Safeguards()
