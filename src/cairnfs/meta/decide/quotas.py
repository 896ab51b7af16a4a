"""Deciding about quotas: limits, whether there is room, and counting what is below a folder. docs/QUOTAS.md."""

from collections.abc import Iterator
from dataclasses import dataclass

from cairnfs.errors import BadRequestError, NotCountedError, NotFolderError, QuotaError
from cairnfs.ids import ROOT_INODE, InodeId
from cairnfs.limits import QUOTAS_MAX
from cairnfs.meta.apply.quotas import quota_row
from cairnfs.meta.commands import Counted, CountFolders, UncountFolders
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.lookup import find_there
from cairnfs.meta.quotas import (
    Amount,
    QuotaRow,
    UsageRow,
    chunk_bytes,
    counted_from,
    get_quota,
    get_usage,
    is_counted,
    size_of,
)
from cairnfs.meta.read import path_of
from cairnfs.meta.read_quotas import shown
from cairnfs.meta.records import FoldersCounted, FoldersUncounted, QuotaCleared, QuotaSet
from cairnfs.meta.tables import ENTRIES, ENTRY, KINDS, QUOTAS, U64, USAGE, get_inode, key, range_of, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.meta.walk import children
from cairnfs.paths import show
from cairnfs.wire.base import Done
from cairnfs.wire.common import Kind
from cairnfs.wire.quotas import ClearQuota, Quotas, SetQuota

# ------------------------------------------------------------------ limits


def set_quota(view: MetaRead, command: SetQuota, _choice: Choice) -> Decision[Quotas]:
    place = find_there(view, command.path, follow=True)
    if place.kind is not Kind.FOLDER:
        raise NotFolderError(path=show(command.path))
    old = get_quota(view, place.inode)
    if old is None and view.count(QUOTAS) >= QUOTAS_MAX:
        raise BadRequestError(what=f"{QUOTAS_MAX} folders have a quota; more are not kept")
    old = old or QuotaRow()
    record = QuotaSet(
        inode=place.inode,
        files=old.files if command.files is None else command.files,
        size_bytes=old.size_bytes if command.size_bytes is None else command.size_bytes,
        soft_files=old.soft_files if command.soft_files is None else command.soft_files,
        soft_bytes=old.soft_bytes if command.soft_bytes is None else command.soft_bytes,
    )
    _check_limits(record)
    usage = get_usage(view, place.inode)
    if usage is None:
        raise NotCountedError(folder=place.inode)
    return Decision(Quotas(quotas=[shown(place.inode, place.path, quota_row(record), usage)]), [record])


def _check_limits(record: QuotaSet) -> None:
    pairs = (record.soft_files, record.files, "files"), (record.soft_bytes, record.size_bytes, "bytes")
    for soft, hard, what in pairs:
        if soft is not None and hard is not None and soft > hard:
            raise BadRequestError(what=f"a soft limit of {soft} {what} above the hard one of {hard}")
    if all(soft is None and hard is None for soft, hard, _ in pairs):
        raise BadRequestError(what="a quota without any limit")


def clear_quota(view: MetaRead, command: ClearQuota, _choice: Choice) -> Decision[Done]:
    inode = find_there(view, command.path, follow=True).inode
    return Decision(Done(), [] if get_quota(view, inode) is None else [QuotaCleared(inode=inode)])


# ------------------------------------------------------------------ room


class Growth:
    """By how much the folders with limits would grow, and whether they may."""

    def __init__(self, view: MetaRead) -> None:
        self._view = view
        self._grown: dict[InodeId, tuple[UsageRow, int, int]] = {}

    def add(self, folder: InodeId, *, files: int = 0, size_bytes: int = 0) -> None:
        """Something comes into a folder, or (negative) leaves it."""
        for inode, usage in counted_from(self._view, folder):
            _, more_files, more_bytes = self._grown.get(inode, (usage, 0, 0))
            self._grown[inode] = (usage, more_files + files, more_bytes + size_bytes)

    def check(self, choice: Choice) -> None:
        """Raises QuotaError: a folder would grow above a hard limit. What only shrinks or stays is never refused."""
        if not choice.holds_quotas:
            return
        for inode, (usage, files, size_bytes) in self._grown.items():
            quota = get_quota(self._view, inode)
            if quota is not None:
                self._check_one(inode, limit=quota.files, used=usage.files, more=files, what="files")
                self._check_one(inode, limit=quota.size_bytes, used=usage.size_bytes, more=size_bytes, what="bytes")

    def _check_one(self, inode: InodeId, *, limit: int | None, used: int, more: int, what: str) -> None:
        if limit is not None and more > 0 and used + more > limit:
            path = path_of(self._view, inode)
            named = show(path) if path is not None else f"inode {inode} in the trash"
            raise QuotaError(path=named, what=what, limit=limit, used=used, more=more)


def check_room(view: MetaRead, folder: InodeId, choice: Choice, *, files: int = 0, size_bytes: int = 0) -> None:
    """Raises QuotaError: a folder, or one above it, may not hold so much more."""
    growth = Growth(view)
    growth.add(folder, files=files, size_bytes=size_bytes)
    growth.check(choice)


def check_counted(view: MetaRead, inode: InodeId, amount: Amount | None, *, to: InodeId) -> Amount:
    """Return what is about to come into the folder `to`.

    Raises:
        NotCountedError: that folder is counted, and what comes is not yet. Invariant 12.
    """
    if amount is not None:
        return amount
    if is_counted(view, to):
        raise NotCountedError(folder=inode)
    return Amount(0, 0)  # nobody counts it


# ------------------------------------------------------------------ counting


def count_folders(view: MetaRead, command: CountFolders, _choice: Choice) -> Decision[Counted]:
    """Count folders, deepest first, until about `limit` inodes were looked at, but at least one folder."""
    row = get_inode(view, command.top)
    if row is None or row.kind is not Kind.FOLDER or is_counted(view, command.top):
        return Decision(Counted(folders=0, more=False))
    counting = _Counting(view, command.limit)
    more = not counting.count(command.top)
    folders = [(inode, usage.files, usage.size_bytes) for inode, usage in counting.found.items()]
    return Decision(Counted(folders=len(folders), more=more), [FoldersCounted(folders=folders)])


@dataclass(slots=True)
class _Counting:
    """Adds up what is below folders, those in them first."""

    view: MetaRead
    left: int
    found: dict[InodeId, UsageRow]
    chunk: int

    def __init__(self, view: MetaRead, limit: int) -> None:
        self.view, self.left, self.found, self.chunk = view, limit, {}, chunk_bytes(view)

    def count(self, top: InodeId) -> bool:
        """Return False if the budget ended before `top` was counted."""
        waiting = [(top, self._folders_in(top))]
        while waiting:
            # Ends: each turn goes down, or counts a folder; none is below itself.
            inode, rest = waiting[-1]
            child = next((one for one in rest if one not in self.found and not is_counted(self.view, one)), None)
            if child is not None:
                waiting.append((child, self._folders_in(child)))
                continue
            # Not before a folder is counted: one with more entries than the limit must get done, too.
            self.found[inode] = self._sum(inode)
            waiting.pop()
            if self.left <= 0 and waiting:
                return False
        return True

    def _folders_in(self, folder: InodeId) -> Iterator[InodeId]:
        for _, value in self.view.scan(ENTRIES, *range_of(folder)):
            inode, code = ENTRY.unpack(value)
            if KINDS[code] is Kind.FOLDER:
                yield inode

    def _sum(self, folder: InodeId) -> UsageRow:
        files = size_bytes = 0
        for _, inode in children(self.view, folder):
            row = the_inode(self.view, inode)
            usage = (self.found.get(inode) or get_usage(self.view, inode)) if row.kind is Kind.FOLDER else None
            files += 1 + (usage.files if usage is not None else 0)
            size_bytes += usage.size_bytes if usage is not None else size_of(row, self.chunk)
            self.left -= 1
        return UsageRow(files=files, size_bytes=size_bytes)


def uncount_folders(view: MetaRead, command: UncountFolders, _choice: Choice) -> Decision[Counted]:
    """Of the next `limit` counted folders, let go those without limits whose folder is not counted (any more).

    What is in the trash stays counted: it may come back. A pass that lets nothing go has found the end.
    """
    gone: dict[InodeId, None] = {}
    last = seen = 0
    for raw, _ in view.scan(USAGE, key(command.after + 1)):
        last, seen = U64.unpack(raw)[0], seen + 1
        inode = InodeId(last)
        row = the_inode(view, inode)
        is_top = inode == ROOT_INODE or (row.parent != 0 and not is_counted(view, row.parent))
        is_free = is_top or row.parent in gone
        if is_free and get_quota(view, inode) is None:
            gone[inode] = None
        if seen == command.limit:
            break
    more = seen == command.limit
    reply = Counted(folders=len(gone), more=more, last=InodeId(last if more else 0))
    return Decision(reply, [FoldersUncounted(folders=list(gone))] if gone else [])
