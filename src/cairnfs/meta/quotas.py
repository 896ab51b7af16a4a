"""Quotas of folders: their rows, and how what is below a folder is counted. docs/QUOTAS.md; used by decide and apply.

    table     key           row
    quotas    folder u64    QuotaRow     the limits
    usage     folder u64    UsageRow     what is below: of folders with limits, and of all folders below those

A change goes up from its folder and stops at the first that is not counted. So it costs one look where there is no
quota, and the total of a counted tree is one row, however large the tree: it moves, or goes to the trash, at once.

Invariants (`check.check` looks for both; what is doomed is left out):
    12. Every folder below a counted one is counted, and every folder with limits is.
    13. `files` of a counted folder is the number of inodes below it, `size_bytes` the sum of `size_of` of its files.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from cairnfs.ids import InodeId
from cairnfs.meta.tables import QUOTAS, U64, USAGE, InodeRow, encode, key, put_inode, read_identity, the_inode
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.wire.base import Part
from cairnfs.wire.common import Kind


class QuotaRow(Part):
    """The limits of a folder; None: none."""

    files: int | None = None
    size_bytes: int | None = None
    soft_files: int | None = None
    soft_bytes: int | None = None


class UsageRow(Part):
    """What is below a folder, itself left out."""

    files: int = 0
    """Files, folders and symlinks."""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Amount:
    """What a thing adds to the usage of the folders above it."""

    files: int
    size_bytes: int


decode_quota = msgspec.msgpack.Decoder(QuotaRow).decode
decode_usage = msgspec.msgpack.Decoder(UsageRow).decode


def get_quota(view: MetaRead, folder: InodeId) -> QuotaRow | None:
    raw = view.get(QUOTAS, key(folder))
    return None if raw is None else decode_quota(raw)


def each_quota(view: MetaRead, after: int = 0) -> Iterator[tuple[InodeId, QuotaRow]]:
    """Yield all limits of folders with a number above `after`, in order; also of those in the trash."""
    for raw, value in view.scan(QUOTAS, key(after + 1)):
        yield InodeId(U64.unpack(raw)[0]), decode_quota(value)


def get_usage(view: MetaRead, folder: InodeId) -> UsageRow | None:
    """Return what is below a folder; None if it is not counted."""
    raw = view.get(USAGE, key(folder))
    return None if raw is None else decode_usage(raw)


def put_usage(txn: MetaWrite, folder: InodeId, row: UsageRow) -> None:
    txn.put(USAGE, key(folder), encode(row))


def counted_from(view: MetaRead, folder: InodeId) -> Iterator[tuple[InodeId, UsageRow]]:
    """Yield a folder and those above it as far as they are counted. Ends: no folder is below itself."""
    while (usage := get_usage(view, folder)) is not None:
        yield folder, usage
        folder = the_inode(view, folder).parent


def is_counted(view: MetaRead, folder: InodeId) -> bool:
    return view.get(USAGE, key(folder)) is not None


def chunk_bytes(view: MetaRead) -> int:
    identity = read_identity(view)
    assert identity is not None
    return identity.chunk_bytes


def size_of(row: InodeRow, chunk: int) -> int:
    """Return what a file counts for: its length as last heard, and at least all chunks before its last one.

    What is written into an open chunk is known to its primary only, until it is synced; but a writer that asks for the
    next chunk has filled, or skipped, those before. `chunk`: bytes of one.
    """
    return max(row.length, (row.chunks - 1) * chunk) if row.kind is Kind.FILE else 0


def amount_of(view: MetaRead, inode: InodeId, row: InodeRow) -> Amount | None:
    """Return what an inode counts for with all below it; None for a folder that is not counted."""
    if row.kind is not Kind.FOLDER:
        return Amount(1, size_of(row, chunk_bytes(view)) if row.kind is Kind.FILE else 0)
    usage = get_usage(view, inode)
    return None if usage is None else Amount(usage.files + 1, usage.size_bytes)


# ------------------------------------------------------------------ for `apply` only


def count(txn: MetaWrite, folder: InodeId, *, files: int = 0, size_bytes: int = 0) -> None:
    """Add to the usage of a folder and of all above it."""
    if not files and not size_bytes:
        return
    for inode, usage in counted_from(txn, folder):
        after = UsageRow(files=usage.files + files, size_bytes=usage.size_bytes + size_bytes)
        assert after.files >= 0, (inode, after)
        assert after.size_bytes >= 0, (inode, after)
        put_usage(txn, inode, after)


def put_file(txn: MetaWrite, inode: InodeId, *, old: InodeRow, new: InodeRow) -> None:
    """Put the row of a file whose length or map has changed, and count by how much it grew."""
    put_inode(txn, inode, new)
    if is_counted(txn, new.parent):
        chunk = chunk_bytes(txn)
        count(txn, new.parent, size_bytes=size_of(new, chunk) - size_of(old, chunk))


def link_amount(txn: MetaWrite, parent: InodeId, amount: Amount | None) -> None:
    """Count what came into a folder, as `amount_of` says. Invariant 12: into a counted one only what is counted."""
    if amount is None:
        assert not is_counted(txn, parent), parent
        return
    count(txn, parent, files=amount.files, size_bytes=amount.size_bytes)


def unlink_amount(txn: MetaWrite, parent: InodeId, amount: Amount | None) -> None:
    """Count what left a folder."""
    if amount is not None:
        count(txn, parent, files=-amount.files, size_bytes=-amount.size_bytes)
