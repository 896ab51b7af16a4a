"""Records of a restore: the counters leap, what is newer is held until an operator says otherwise. Rules 21 to 23."""

from msgspec.structs import replace

from cairnfs.meta.records import RestoreAccepted, Restored
from cairnfs.meta.tables import (
    RestoredRow,
    get_counters,
    get_log_state,
    get_restored,
    put_counters,
    put_restored,
)
from cairnfs.meta.views import MetaWrite


def restored(txn: MetaWrite, record: Restored) -> None:
    counters = get_counters(txn)
    # Rule 21: the numbers of the backup were given out again and again after it; nobody remembers to whom.
    assert record.next_inode > counters.next_inode, (record, counters)
    assert record.next_handle > counters.next_handle, (record, counters)
    row = RestoredRow(
        taken_ns=record.taken_ns,
        restored_ns=record.now_ns,
        epoch=record.epoch,
        next_inode=counters.next_inode,
        next_handle=counters.next_handle,
        log_index=get_log_state(txn).next - 1,
    )
    put_restored(txn, row)
    put_counters(txn, replace(counters, next_inode=record.next_inode, next_handle=record.next_handle))


def restore_accepted(txn: MetaWrite, record: RestoreAccepted) -> None:
    row = get_restored(txn)
    assert row is not None, record
    put_restored(txn, replace(row, accepted_ns=record.now_ns))
