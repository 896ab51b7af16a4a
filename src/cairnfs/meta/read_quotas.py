"""Queries about quotas: limits beside usage. Pure. docs/QUOTAS.md."""

from collections.abc import Iterable, Iterator

from cairnfs.ids import InodeId
from cairnfs.limits import LIST_PAGE_MAX
from cairnfs.meta.quotas import QuotaRow, UsageRow, counted_from, each_quota, get_quota, get_usage
from cairnfs.meta.read import LIST_BYTES_MAX, path_of, resolve
from cairnfs.meta.views import MetaRead
from cairnfs.paths import show
from cairnfs.wire.common import Kind
from cairnfs.wire.quotas import FolderQuota, Quotas

WARNINGS_MAX = 10
"""Folders above a soft limit that a picture of the cluster names."""


def shown(inode: InodeId, path: bytes, quota: QuotaRow, usage: UsageRow) -> FolderQuota:
    """Return a quota as the wire shows it."""
    return FolderQuota(
        path=path,
        inode=inode,
        used_files=usage.files,
        used_bytes=usage.size_bytes,
        files=quota.files,
        size_bytes=quota.size_bytes,
        soft_files=quota.soft_files,
        soft_bytes=quota.soft_bytes,
    )


def quotas(view: MetaRead, *, after: int = 0, limit: int = LIST_PAGE_MAX) -> Quotas:
    """Answer GetQuotas of the whole tree; folders in the trash are left out."""
    limit = max(1, min(limit, LIST_PAGE_MAX))
    found: list[FolderQuota] = []
    room = LIST_BYTES_MAX
    for one in _in_tree(view, each_quota(view, after)):
        if len(found) == limit or room < 0:
            return Quotas(quotas=found, more=True)
        found.append(one)
        room -= 128 + len(one.path)
    return Quotas(quotas=found)


def quotas_at(view: MetaRead, path: bytes) -> Quotas:
    """Answer GetQuotas of a path: the limits that hold for it, its own first.

    Raises:
        NotFoundError, NotFolderError, BadNameError, LoopError: as their names say.
    """
    place = resolve(view, path)
    folder = place.inode if place.row.kind is Kind.FOLDER else place.row.parent
    limited = ((one, quota) for one, _ in counted_from(view, folder) if (quota := get_quota(view, one)) is not None)
    return Quotas(quotas=list(_in_tree(view, limited)))


def warnings(view: MetaRead) -> list[str]:
    """Return which folders are above a soft limit, for people."""
    found: list[str] = []
    for one in _in_tree(view, each_quota(view)):
        for what, used, soft in ("files", one.used_files, one.soft_files), ("bytes", one.used_bytes, one.soft_bytes):
            if soft is not None and used > soft:
                found.append(f"{show(one.path)} holds {used} {what}, more than its soft quota of {soft}")
    if len(found) > WARNINGS_MAX:
        more = f"{len(found) - WARNINGS_MAX} more soft quotas are exceeded, see `cairn quota show`"
        return [*found[:WARNINGS_MAX], more]
    return found


def _in_tree(view: MetaRead, limited: Iterable[tuple[InodeId, QuotaRow]]) -> Iterator[FolderQuota]:
    for inode, quota in limited:
        usage = get_usage(view, inode)
        path = path_of(view, inode)
        if path is not None and usage is not None:
            yield shown(inode, path, quota, usage)
