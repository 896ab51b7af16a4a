"""Quotas of folders: what counts, what is refused, and that the usage is exact after every record. docs/QUOTAS.md."""

import errno

import pytest
from tests.unit.meta.support import GEOMETRY, Caller

from cairnfs.errors import BadRequestError, NotCountedError, NotFolderError, QuotaError
from cairnfs.meta import read, read_quotas
from cairnfs.meta.check import check
from cairnfs.meta.commands import (
    AddChunk,
    CloseChunk,
    CountFolders,
    DropEmptyChunk,
    ExpireTrash,
    UncountFolders,
)
from cairnfs.meta.quotas import get_usage
from cairnfs.wire.namespace import (
    CreateFile,
    Delete,
    MakeFolder,
    MakeSymlink,
    Purge,
    Rename,
    SetLength,
    Snapshot,
    Truncate,
    Undelete,
)
from cairnfs.wire.quotas import ClearQuota, SetQuota

CHUNK = GEOMETRY.chunk_bytes


class Tree(Caller):
    """A caller with a folder /q; after every look the tables are checked."""

    def __init__(self):
        super().__init__()
        self.do(MakeFolder, path=b"/q")

    def used(self, path=b"/q"):
        """Return (files, bytes) of a folder."""
        assert check(self.store) == []
        usage = get_usage(self.store, read.resolve(self.store, path).inode)
        return usage and (usage.files, usage.size_bytes)

    def file(self, path, length=0, **fields):
        """Make a file whose one chunk is closed with `length` bytes."""
        made = self.do(CreateFile, placement=self.placement(1, 2), path=path, with_chunk=length > 0, **fields)
        if length:
            self.ask(CloseChunk(handle=made.first.handle, version=made.first.version, length=length))
        return made.attributes.inode

    def refused(self, kind, placement=None, **fields):
        """Return the refusal of a request; nothing but its result was written."""
        before = self.store.dump("results", "clients", "log", "meta")
        error = self.result(kind(once=self.once(), **fields), placement)
        assert isinstance(error, QuotaError), error
        assert self.store.dump("results", "clients", "log", "meta") == before
        return error


@pytest.fixture
def tree():
    return Tree()


def test_usage_counts_files_folders_and_symlinks_below_and_the_bytes_of_files(tree):
    tree.counted(SetQuota, path=b"/q", files=100)
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)
    tree.do(MakeSymlink, path=b"/q/a/l", target=b"/q/f")
    tree.file(b"/q/a/b/f", 100)
    tree.file(b"/q/g", 11)
    tree.file(b"/h", 7)
    assert tree.used() == (5, 111)
    assert tree.used(b"/q/a") == (3, 100)
    assert tree.used(b"/") is None


def test_a_tree_that_is_there_already_is_counted_step_by_step(tree):
    tree.do(MakeFolder, path=b"/q/a/b/c", parents=True)
    for number in range(5):
        tree.file(b"/q/a/%d" % number, 1)
        tree.file(b"/q/a/b/c/%d" % number, 10)
    with pytest.raises(NotCountedError):
        tree.do(SetQuota, path=b"/q", files=100)
    steps = 1
    while tree.ask(CountFolders(top=2, limit=1)).more:
        steps += 1
        assert check(tree.store) == []
        tree.file(b"/q/a/b/c/more%d" % steps, 100)
    assert steps == 4
    tree.do(SetQuota, path=b"/q", files=100)
    assert tree.used() == (3 + 10 + 3, 55 + 300)


def test_a_folder_with_more_entries_than_a_step_has_room_for_is_counted(tree):
    for number in range(10):
        tree.file(b"/q/%d" % number)
    tree.do(MakeFolder, path=b"/q/z")
    while tree.ask(CountFolders(top=2, limit=1)).more:
        pass
    assert tree.used() == (11, 0)


def test_the_last_file_fits_and_the_next_is_refused_with_all_that_helps(tree):
    tree.counted(SetQuota, path=b"/q", files=2)
    tree.file(b"/q/1")
    tree.file(b"/q/2")
    error = tree.refused(CreateFile, path=b"/q/3")
    assert error.errno == errno.EDQUOT
    assert isinstance(error, OSError)
    assert str(error) == "quota exceeded: /q may hold 2 files, holds 2, and 1 more were asked for"
    assert "cairn quota set" in error.hint
    for kind, fields in (MakeFolder, {"path": b"/q/d"}), (MakeSymlink, {"path": b"/q/l", "target": b"/"}):
        tree.refused(kind, **fields)
    # What is there may be opened, and what makes no inode goes on.
    assert not tree.do(CreateFile, path=b"/q/1").created
    tree.do(Rename, old=b"/q/1", new=b"/q/one")
    tree.do(Delete, path=b"/q/one")
    tree.file(b"/q/3")


def test_missing_parents_count_before_they_are_made(tree):
    tree.counted(SetQuota, path=b"/q", files=2)
    assert tree.refused(MakeFolder, path=b"/q/a/b/c", parents=True).more == 3
    assert tree.refused(CreateFile, path=b"/q/a/b/f", parents=True).more == 3
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)


def test_every_folder_above_holds(tree):
    tree.do(MakeFolder, path=b"/q/in")
    tree.counted(SetQuota, path=b"/q", files=3)
    tree.counted(SetQuota, path=b"/q/in", files=5)
    tree.file(b"/q/in/1")
    tree.file(b"/q/in/2")
    assert tree.refused(CreateFile, path=b"/q/in/3").path == "/q"
    tree.do(SetQuota, path=b"/q", files=30)
    tree.do(SetQuota, path=b"/q/in", files=2)
    assert tree.refused(CreateFile, path=b"/q/in/3").path == "/q/in"


def test_the_next_chunk_is_refused_when_the_bytes_before_it_fill_the_quota(tree):
    tree.counted(SetQuota, path=b"/q", size_bytes=2 * CHUNK)
    made = tree.do(CreateFile, placement=tree.placement(1, 2), path=b"/q/f", with_chunk=True)
    inode = made.attributes.inode
    assert tree.used() == (1, 0)
    # The first chunk is open and nobody has told its length; who asks for the second has filled it.
    tree.ask(AddChunk(inode=inode, index=1), tree.placement(1, 2))
    assert tree.used() == (1, CHUNK)
    error = tree.result(AddChunk(inode=inode, index=2), tree.placement(1, 2))
    assert isinstance(error, QuotaError)
    assert (error.path, error.what, error.used, error.more) == ("/q", "bytes", CHUNK, CHUNK + 1)
    assert tree.used() == (1, CHUNK)


def test_lengths_that_are_told_are_facts_and_count_also_above_the_limit(tree):
    tree.counted(SetQuota, path=b"/q", size_bytes=10)
    first = tree.do(CreateFile, placement=tree.placement(1, 2), path=b"/q/f", with_chunk=True).first
    tell = SetLength(inode=3, index=0, handle=first.handle, version=first.version, length=500)
    tree.ask(tell)
    assert tree.used() == (1, 500)
    tree.ask(CloseChunk(handle=first.handle, version=first.version, length=900))
    assert tree.used() == (1, 900)
    assert tree.refused(CreateFile, placement=tree.placement(1), path=b"/q/g", with_chunk=True).what == "bytes"
    tree.file(b"/q/empty")


def test_truncating_longer_is_refused_and_shorter_counts_at_once(tree):
    tree.counted(SetQuota, path=b"/q", size_bytes=1000)
    inode = tree.file(b"/q/f", 600)
    assert tree.refused(Truncate, inode=inode, length=1001).more == 401
    tree.do(Truncate, inode=inode, length=1000)
    assert tree.used() == (1, 1000)
    tree.do(Truncate, inode=inode, length=0)
    assert tree.used() == (1, 0)


def test_a_chunk_that_was_made_ahead_and_taken_back_does_not_count(tree):
    tree.counted(SetQuota, path=b"/q", size_bytes=10 * CHUNK)
    inode = tree.file(b"/q/f", 100)
    ahead = tree.ask(AddChunk(inode=inode, index=1), tree.placement(1, 2))
    assert tree.used() == (1, CHUNK)
    tree.ask(CloseChunk(handle=ahead.handle, version=ahead.row.version, length=0))
    tree.ask(DropEmptyChunk(inode=inode, index=1, handle=ahead.handle, version=ahead.row.version))
    assert tree.used() == (1, 100)


def test_moving_in_counts_the_whole_tree_and_moving_out_gives_it_back(tree):
    tree.do(MakeFolder, path=b"/t/u", parents=True)
    tree.file(b"/t/f", 10)
    tree.file(b"/t/u/g", 20)
    tree.counted(SetQuota, path=b"/q", files=4, size_bytes=29)
    with pytest.raises(NotCountedError):
        tree.do(Rename, old=b"/t", new=b"/q/t")
    with pytest.raises(QuotaError, match="may hold 29 bytes, holds 0, and 30 more"):
        tree.counted(Rename, old=b"/t", new=b"/q/t")
    tree.do(SetQuota, path=b"/q", size_bytes=30)
    tree.counted(Rename, old=b"/t", new=b"/q/t")
    assert tree.used() == (4, 30)
    tree.do(Rename, old=b"/q/t/u", new=b"/u")
    assert tree.used() == (2, 10)
    tree.file(b"/u/h", 5)
    assert tree.used(b"/u") == (2, 25)
    assert tree.refused(Rename, old=b"/u", new=b"/q/u").more == 3
    tree.do(SetQuota, path=b"/q", files=5, size_bytes=35)
    tree.do(Rename, old=b"/u", new=b"/q/u")
    assert tree.used() == (5, 35)


def test_moving_between_two_folders_of_a_full_quota_is_free(tree):
    tree.do(MakeFolder, path=b"/q/a")
    tree.do(MakeFolder, path=b"/q/b")
    tree.file(b"/q/a/f", 10)
    tree.counted(SetQuota, path=b"/q", files=3, size_bytes=10)
    tree.do(Rename, old=b"/q/a/f", new=b"/q/b/f")
    assert (tree.used(), tree.used(b"/q/a"), tree.used(b"/q/b")) == ((3, 10), (0, 0), (1, 10))


def test_what_a_rename_replaces_makes_room_for_what_comes(tree):
    tree.file(b"/new", 10)
    tree.file(b"/q/old", 10)
    tree.counted(SetQuota, path=b"/q", files=1, size_bytes=10)
    tree.do(Rename, old=b"/new", new=b"/q/old")
    assert tree.used() == (1, 10)


def test_the_trash_does_not_count_and_what_comes_back_must_have_room(tree):
    tree.do(MakeFolder, path=b"/q/a")
    tree.file(b"/q/a/f", 10)
    tree.counted(SetQuota, path=b"/q", files=2)
    tree.do(Delete, path=b"/q/a", recursive=True)
    assert tree.used() == (0, 0)
    tree.file(b"/q/1")
    assert tree.refused(Undelete, path=b"/q/a").more == 2
    tree.do(Delete, path=b"/q/1", now=True)
    tree.do(Undelete, path=b"/q/a")
    assert tree.used() == (2, 10)


def test_a_file_that_grows_in_the_trash_comes_back_as_it_is(tree):
    tree.do(MakeFolder, path=b"/q/a")
    first = tree.do(CreateFile, placement=tree.placement(1, 2), path=b"/q/a/f", with_chunk=True).first
    tree.counted(SetQuota, path=b"/q", files=10)
    tree.do(Delete, path=b"/q/a", recursive=True)
    tree.ask(CloseChunk(handle=first.handle, version=first.version, length=77))
    assert tree.used() == (0, 0)
    tree.do(Undelete, path=b"/q/a")
    assert tree.used() == (2, 77)


def test_what_was_deleted_before_the_quota_is_counted_when_it_comes_back(tree):
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)
    tree.file(b"/q/a/b/f", 10)
    tree.do(Delete, path=b"/q/a", recursive=True)
    tree.counted(SetQuota, path=b"/q", files=10)
    tree.counted(Undelete, path=b"/q/a")
    assert tree.used() == (3, 10)


def test_freeing_what_was_deleted_leaves_no_rows(tree):
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)
    tree.file(b"/q/a/b/f", 10)
    tree.counted(SetQuota, path=b"/q/a", files=10)
    for path, now in (b"/q/a/b", True), (b"/q/a", False):
        tree.do(Delete, path=path, recursive=True, now=now)
        assert check(tree.store) == []
    tree.do(Purge, path=b"/")
    while tree.ask(ExpireTrash(before_ns=0, limit=1)).more:
        assert check(tree.store) == []
    assert (tree.store.count("usage"), tree.store.count("quotas")) == (0, 0)


def test_a_snapshot_counts_in_full_where_it_is_put(tree):
    tree.do(MakeFolder, path=b"/t")
    tree.file(b"/t/f", 10)
    tree.counted(SetQuota, path=b"/q", files=4)
    tree.counted(Snapshot, source=b"/t", target=b"/q/one")
    tree.counted(Snapshot, source=b"/q/one", target=b"/q/two")
    assert tree.used() == (4, 20)
    assert tree.refused(Snapshot, source=b"/q/two/f", target=b"/q/g").what == "files"


def test_a_limit_below_the_usage_stops_growth_only(tree):
    for name in b"ab":
        tree.file(b"/q/%c" % name, 10)
    tree.counted(SetQuota, path=b"/q", files=1, size_bytes=5)
    tree.refused(CreateFile, path=b"/q/c")
    tree.do(Rename, old=b"/q/a", new=b"/q/c")
    tree.do(Truncate, inode=read.resolve(tree.store, b"/q/b").inode, length=9)
    tree.do(Delete, path=b"/q/c")
    assert tree.used() == (1, 9)


def test_soft_limits_refuse_nothing_and_warn(tree):
    tree.counted(SetQuota, path=b"/q", soft_files=1, soft_bytes=100)
    tree.file(b"/q/1", 100)
    assert read_quotas.warnings(tree.store) == []
    tree.file(b"/q/2", 1)
    assert read_quotas.warnings(tree.store) == [
        "/q holds 2 files, more than its soft quota of 1",
        "/q holds 101 bytes, more than its soft quota of 100",
    ]


def test_limits_are_changed_one_by_one_and_cleared_together(tree):
    tree.counted(SetQuota, path=b"/q", files=5)
    (quota,) = tree.do(SetQuota, path=b"/q", soft_bytes=9).quotas
    assert (quota.path, quota.files, quota.size_bytes, quota.soft_files, quota.soft_bytes) == (b"/q", 5, None, None, 9)
    for limits in {"soft_files": 6}, {"size_bytes": 8}:
        with pytest.raises(BadRequestError, match="above the hard one"):
            tree.do(SetQuota, path=b"/q", **limits)
    tree.do(ClearQuota, path=b"/q")
    tree.do(ClearQuota, path=b"/q")
    assert read_quotas.quotas(tree.store).quotas == []
    with pytest.raises(BadRequestError, match="without any limit"):
        tree.do(SetQuota, path=b"/q")
    tree.file(b"/f")
    with pytest.raises(NotFolderError):
        tree.do(SetQuota, path=b"/f", files=1)


def test_quotas_are_listed_page_by_page_and_by_what_holds_at_a_path(tree):
    for path in (b"/q/a", b"/q/a/b", b"/r"):
        tree.do(MakeFolder, path=path)
    for path in (b"/", b"/q", b"/q/a/b", b"/r"):
        tree.counted(SetQuota, path=path, files=99)
    tree.file(b"/q/a/b/f", 3)
    first = read_quotas.quotas(tree.store, limit=2)
    rest = read_quotas.quotas(tree.store, after=first.quotas[-1].inode)
    assert [one.path for one in first.quotas + rest.quotas] == [b"/", b"/q", b"/q/a/b", b"/r"]
    assert (first.more, rest.more) == (True, False)
    at = read_quotas.quotas_at(tree.store, b"/q/a/b/f").quotas
    assert [(one.path, one.used_files, one.used_bytes) for one in at] == [
        (b"/q/a/b", 1, 3),
        (b"/q", 3, 3),
        (b"/", 5, 3),
    ]
    tree.do(Delete, path=b"/r")
    assert len(read_quotas.quotas(tree.store).quotas) == 3


def test_without_limits_above_nothing_stays_counted(tree):
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)
    tree.do(MakeFolder, path=b"/q/z/y", parents=True)
    tree.do(Rename, old=b"/q/a", new=b"/q/z/y/a")  # a folder with a lower number than the one above it
    tree.counted(SetQuota, path=b"/", files=99)
    tree.counted(SetQuota, path=b"/q/z/y", files=9)
    tree.do(ClearQuota, path=b"/")
    after = 0
    for _ in range(20):
        after = tree.ask(UncountFolders(after=after, limit=2)).last
        assert check(tree.store) == []
    assert (tree.used(b"/"), tree.used(), tree.used(b"/q/z"), tree.used(b"/q/z/y/a")) == (None, None, None, (1, 0))
    tree.do(ClearQuota, path=b"/q/z/y")
    for _ in range(20):
        after = tree.ask(UncountFolders(after=after, limit=2)).last
        assert check(tree.store) == []
    assert tree.store.count("usage") == 0


def test_what_is_in_the_trash_stays_counted_and_comes_back_at_once(tree):
    tree.do(MakeFolder, path=b"/q/a/b", parents=True)
    tree.counted(SetQuota, path=b"/q", files=9)
    tree.do(Delete, path=b"/q/a", recursive=True)
    tree.ask(UncountFolders())
    tree.do(Undelete, path=b"/q/a")
    assert tree.used() == (2, 0)
