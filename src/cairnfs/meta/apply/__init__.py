"""`apply(txn, record)`: the only function that changes durable state.

Total and deterministic: no clock, no chance, no errors but asserts. What could be refused was refused before the record
was written. The live master, shadows and `load` all come through here, so they cannot disagree.
"""

from collections.abc import Callable
from typing import Any, get_args

from cairnfs.meta import records
from cairnfs.meta.apply import attributes, chunks, clients, files, folders, quotas, restores, servers, snapshots, trash
from cairnfs.meta.views import MetaWrite

_APPLY: dict[type[records.Record], Callable[[MetaWrite, Any], None]] = {
    records.InodeMade: folders.inode_made,
    records.EntryMoved: folders.entry_moved,
    records.AttributesSet: attributes.attributes_set,
    records.ReplicasSet: attributes.replicas_set,
    records.LengthSet: files.length_set,
    records.SnapshotTaken: snapshots.snapshot_taken,
    records.Trashed: trash.trashed,
    records.Untrashed: trash.untrashed,
    records.Doomed: trash.doomed,
    records.Purged: trash.purged,
    records.ChunkAdded: chunks.chunk_added,
    records.ChunkOpened: chunks.chunk_opened,
    records.ChunkClosed: chunks.chunk_closed,
    records.MemberAdded: chunks.member_added,
    records.MemberRemoved: chunks.member_removed,
    records.HandleTaken: chunks.handle_taken,
    records.ChunkCopied: chunks.chunk_copied,
    records.ChunksDropped: files.chunks_dropped,
    records.PurgedForgotten: chunks.purged_forgotten,
    records.ServerSeen: servers.server_seen,
    records.ServerOrdered: servers.server_ordered,
    records.ServerForgotten: servers.server_forgotten,
    records.Tuned: servers.tuned,
    records.ResultKept: clients.result_kept,
    records.ClientForgotten: clients.client_forgotten,
    records.Restored: restores.restored,
    records.RestoreAccepted: restores.restore_accepted,
    records.QuotaSet: quotas.quota_set,
    records.QuotaCleared: quotas.quota_cleared,
    records.FoldersCounted: quotas.folders_counted,
    records.FoldersUncounted: quotas.folders_uncounted,
}
assert len(_APPLY) == len(get_args(records.Record)), "every kind of record has its function"


def apply(txn: MetaWrite, record: records.Record) -> None:
    """Change the tables by one decided fact."""
    _APPLY[type(record)](txn, record)
