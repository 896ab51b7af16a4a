"""Records of quotas: limits set and cleared, folders counted for the first time. docs/QUOTAS.md."""

from cairnfs.meta.quotas import QuotaRow, UsageRow, is_counted, put_usage
from cairnfs.meta.records import FoldersCounted, FoldersUncounted, QuotaCleared, QuotaSet
from cairnfs.meta.tables import QUOTAS, USAGE, encode, key
from cairnfs.meta.views import MetaWrite


def quota_set(txn: MetaWrite, record: QuotaSet) -> None:
    # Invariant 12.
    assert is_counted(txn, record.inode), record
    txn.put(QUOTAS, key(record.inode), encode(quota_row(record)))


def quota_row(record: QuotaSet) -> QuotaRow:
    """Return the row as it will be; deciding answers with it."""
    return QuotaRow(
        files=record.files,
        size_bytes=record.size_bytes,
        soft_files=record.soft_files,
        soft_bytes=record.soft_bytes,
    )


def quota_cleared(txn: MetaWrite, record: QuotaCleared) -> None:
    removed = txn.delete(QUOTAS, key(record.inode))
    assert removed, record


def folders_counted(txn: MetaWrite, record: FoldersCounted) -> None:
    for inode, files, size_bytes in record.folders:
        assert not is_counted(txn, inode), (inode, record)
        put_usage(txn, inode, UsageRow(files=files, size_bytes=size_bytes))


def folders_uncounted(txn: MetaWrite, record: FoldersUncounted) -> None:
    for inode in record.folders:
        removed = txn.delete(USAGE, key(inode))
        assert removed, (inode, record)
