"""Deleting to the trash and back. Rule 21. GFS paper, section 4.4."""

import pytest
from tests.unit.meta.support import NOW_NS, Caller

from cairnfs.errors import BadNameError, ExistsError, NotEmptyError, NotFoundError, NotTrashError
from cairnfs.meta import read
from cairnfs.meta.check import check
from cairnfs.meta.commands import AddChunk, ExpireTrash
from cairnfs.wire.namespace import CreateFile, Delete, MakeFolder, MakeSymlink, Purge, Undelete


@pytest.fixture
def caller():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    caller.do(CreateFile, path=b"/a/b/f", with_chunk=True, placement=caller.placement(1))
    caller.do(CreateFile, path=b"/g")
    return caller


def trash(caller):
    return [one.path for one in read.trash_listing(caller.store, trash_s=10).entries]


def sweep(caller, limit=100, before_ns=0):
    steps = 0
    while True:
        steps += 1
        swept = caller.ask(ExpireTrash(before_ns=before_ns, limit=limit))
        assert check(caller.store) == []
        if not swept.more:
            return steps


def test_delete_of_a_folder_detaches_it_whole(caller):
    rows = caller.store.count("inodes")
    with pytest.raises(NotEmptyError):
        caller.do(Delete, path=b"/a")
    caller.do(Delete, path=b"/a", recursive=True)
    assert caller.store.count("inodes") == rows
    assert trash(caller) == [b"/a"]
    with pytest.raises(NotFoundError):
        read.status(caller.store, b"/a/b/f")
    assert check(caller.store) == []


def test_a_deleted_file_stays_usable_by_number(caller):
    inode = read.resolve(caller.store, b"/g").inode
    caller.do(Delete, path=b"/g")
    assert read.status_inode(caller.store, inode).attributes.links == 0
    caller.ask(AddChunk(inode=inode, index=0), caller.placement(1))
    assert len(read.find_chunks(caller.store, inode, 0, 1)) == 1


def test_undelete_brings_back_the_whole_folder(caller):
    before = read.status(caller.store, b"/a/b/f")
    caller.do(Delete, path=b"/a", recursive=True)
    assert caller.do(Undelete, path=b"/a").path == b"/a"
    assert read.status(caller.store, b"/a/b/f") == before
    assert trash(caller) == []
    assert check(caller.store) == []


def test_undelete_takes_the_newest_or_the_one_that_is_meant(caller):
    inodes = []
    for _ in range(3):
        inodes.append(caller.do(CreateFile, path=b"/x").attributes.inode)
        caller.do(Delete, path=b"/x")
    assert caller.do(Undelete, path=b"/x").attributes.inode == inodes[2]
    assert caller.do(Undelete, path=b"/x", inode=inodes[0], to=b"/y").attributes.inode == inodes[0]
    with pytest.raises(ExistsError):
        caller.do(Undelete, path=b"/x")
    with pytest.raises(NotTrashError):
        caller.do(Undelete, path=b"/x", inode=inodes[0])
    assert trash(caller) == [b"/x"]


def test_undelete_makes_missing_parents(caller):
    caller.do(Delete, path=b"/a/b/f")
    caller.do(Delete, path=b"/a", recursive=True)
    caller.do(Undelete, path=b"/a/b/f")
    assert read.status(caller.store, b"/a/b/f").attributes.links == 1
    with pytest.raises(ExistsError):
        caller.do(Undelete, path=b"/a")
    assert caller.do(Undelete, path=b"/a", to=b"/p/q/r").path == b"/p/q/r"
    assert check(caller.store) == []


def test_undelete_finds_what_was_deleted_through_a_symlink(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"/a/b")
    caller.do(Delete, path=b"/l/f")
    assert trash(caller) == [b"/a/b/f"]
    assert caller.do(Undelete, path=b"/l/f").path == b"/a/b/f"


def test_delete_takes_the_symlink_and_not_what_it_leads_to(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"/g")
    caller.do(Delete, path=b"/l")
    assert read.status(caller.store, b"/g").attributes.links == 1
    with pytest.raises(BadNameError):
        caller.do(Delete, path=b"/", recursive=True)


def test_delete_now_cannot_be_undeleted(caller):
    inode = read.resolve(caller.store, b"/g").inode
    caller.do(Delete, path=b"/g", now=True)
    assert trash(caller) == []
    with pytest.raises(NotTrashError):
        caller.do(Undelete, path=b"/g")
    with pytest.raises(NotFoundError):
        read.status_inode(caller.store, inode)
    sweep(caller)
    assert read.counts(caller.store).files == 1


def test_purge_takes_a_path_and_what_was_below_it(caller):
    caller.do(CreateFile, path=b"/ab")
    for path in (b"/a/b/f", b"/ab", b"/g"):
        caller.do(Delete, path=path)
    caller.do(Delete, path=b"/a", recursive=True)
    caller.do(Purge, path=b"/a")
    assert trash(caller) == [b"/ab", b"/g"]
    caller.do(Purge, path=b"/")
    assert trash(caller) == []
    sweep(caller)
    counts = read.counts(caller.store)
    assert (counts.files, counts.folders, counts.doomed, counts.purged) == (0, 1, 0, 1)


def test_trash_expires_by_its_age(caller):
    caller.do(Delete, path=b"/g")
    deleted_ns = caller.now_ns
    caller.do(Delete, path=b"/a", recursive=True)
    assert read.trash_listing(caller.store, trash_s=10).entries[0].expires_ns == deleted_ns + 10**10
    sweep(caller, before_ns=deleted_ns)
    assert trash(caller) == [b"/g", b"/a"]
    sweep(caller, before_ns=deleted_ns + 1)
    assert trash(caller) == [b"/a"]
    assert deleted_ns > NOW_NS


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_tree_is_freed_in_small_steps(caller, limit):
    """Goal: no step frees more than its limit, and the steps end with nothing left.

    Method: a deep and a wide tree and a file of many chunks far apart; the tables are checked after every step.
    """
    caller.do(MakeFolder, path=b"/a/" + b"/".join([b"d"] * 20), parents=True)
    for number in range(10):
        caller.do(CreateFile, path=b"/a/%d" % number)
    inode = caller.do(CreateFile, path=b"/a/long").attributes.inode
    for index in range(12):
        caller.ask(AddChunk(inode=inode, index=index**9), caller.placement(1))
    caller.do(Delete, path=b"/a", recursive=True, now=True)
    before = read.counts(caller.store)
    assert sweep(caller, limit) >= 40 // limit
    counts = read.counts(caller.store)
    assert (counts.files, counts.folders, counts.doomed, counts.chunks) == (1, 1, 0, 0)
    assert counts.purged == before.chunks == 13


def test_the_trash_is_listed_in_pages(caller):
    for number in range(5):
        caller.do(CreateFile, path=b"/%d" % number)
        caller.do(Delete, path=b"/%d" % number)
    first = read.trash_listing(caller.store, limit=3, trash_s=1)
    last = first.entries[-1]
    rest = read.trash_listing(caller.store, after_ns=last.deleted_ns, after_inode=last.inode, limit=3, trash_s=1)
    assert ([one.path for one in rest.entries], first.more, rest.more) == ([b"/3", b"/4"], True, False)
