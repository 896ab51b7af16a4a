import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import (
    BadNameError,
    ExistsError,
    IsFolderError,
    LoopError,
    NotEmptyError,
    NotFolderError,
    NotFoundError,
)
from cairnfs.limits import HEAD_BYTES_MAX
from cairnfs.meta import read
from cairnfs.meta.check import check
from cairnfs.wire.codec import encode_message
from cairnfs.wire.namespace import CreateFile, MakeFolder, MakeSymlink, Rename


@pytest.fixture
def caller():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    caller.do(MakeFolder, path=b"/e")
    caller.do(CreateFile, path=b"/a/f")
    caller.do(CreateFile, path=b"/g")
    return caller


def names(caller, path):
    return [entry.name for entry in read.listing(caller.store, path).entries]


def test_make_folder_counts_links_and_entries_of_its_parent(caller):
    root = read.status(caller.store, b"/").attributes
    assert (root.links, root.length, root.inode) == (4, 3, 1)
    assert read.status(caller.store, b"/a").attributes.links == 3


def test_make_folder_needs_its_parent_unless_told_to_make_it(caller):
    with pytest.raises(NotFoundError):
        caller.do(MakeFolder, path=b"/x/y")
    status = caller.do(MakeFolder, path=b"/x/y", mode=0o700, uid=5, gid=6, parents=True)
    assert status.path == b"/x/y"
    assert (status.attributes.mode, status.attributes.uid, status.attributes.gid) == (0o700, 5, 6)
    assert read.status(caller.store, b"/x").attributes.mode == 0o755
    assert read.status(caller.store, b"/x/y").attributes == status.attributes


def test_make_folder_over_something(caller):
    with pytest.raises(ExistsError):
        caller.do(MakeFolder, path=b"/a")
    assert caller.do(MakeFolder, path=b"/a", parents=True).attributes.inode == 2
    with pytest.raises(ExistsError):
        caller.do(MakeFolder, path=b"/g", parents=True)
    with pytest.raises(NotFolderError):
        caller.do(MakeFolder, path=b"/g/x", parents=True)


def test_make_folder_over_a_symlink(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"/a/b")
    caller.do(MakeSymlink, path=b"/dangling", target=b"/nowhere")
    assert caller.do(MakeFolder, path=b"/l", parents=True).path == b"/a/b"
    for path, parents in ((b"/l", False), (b"/dangling", False), (b"/dangling", True)):
        with pytest.raises(ExistsError):
            caller.do(MakeFolder, path=path, parents=parents)
    assert caller.do(MakeFolder, path=b"/l/new").path == b"/a/b/new"


def test_changes_of_a_folder_set_its_times(caller):
    before = read.status(caller.store, b"/a").attributes
    caller.do(CreateFile, path=b"/a/new")
    after = read.status(caller.store, b"/a").attributes
    assert after.mtime_ns == after.ctime_ns == caller.now_ns > before.mtime_ns


def test_rename_moves_a_folder_with_all_below_it(caller):
    status = caller.do(Rename, old=b"/a", new=b"/e/moved")
    assert (status.path, status.attributes.ctime_ns) == (b"/e/moved", caller.now_ns)
    assert names(caller, b"/e/moved") == [b"b", b"f"]
    assert read.status(caller.store, b"/e").attributes.links == 3
    assert read.path_of(caller.store, read.resolve(caller.store, b"/e/moved/f").inode) == b"/e/moved/f"
    assert check(caller.store) == []


def test_rename_replaces_a_file_and_keeps_it_in_the_trash(caller):
    old = read.resolve(caller.store, b"/g").inode
    moved = caller.do(Rename, old=b"/a/f", new=b"/g").attributes
    assert read.status(caller.store, b"/g").attributes == moved
    trash = read.trash_listing(caller.store, trash_s=1).entries
    assert [(one.path, one.inode) for one in trash] == [(b"/g", old)]
    assert check(caller.store) == []


def test_rename_replaces_an_empty_folder_only(caller):
    with pytest.raises(NotEmptyError):
        caller.do(Rename, old=b"/e", new=b"/a")
    caller.do(Rename, old=b"/a", new=b"/e")
    assert names(caller, b"/e") == [b"b", b"f"]


@pytest.mark.parametrize(
    "old, new, error",
    [
        (b"/a", b"/g", NotFolderError),
        (b"/g", b"/e", IsFolderError),
        (b"/a", b"/a/b/c", LoopError),
        (b"/a", b"/a/b", LoopError),
        (b"/a/b", b"/a", NotEmptyError),
        (b"/x", b"/y", NotFoundError),
        (b"/g", b"/x/y", NotFoundError),
        (b"/", b"/x", BadNameError),
        (b"/a", b"/", BadNameError),
    ],
)
def test_rename_refuses(caller, old, new, error):
    before = caller.store.dump("results", "clients", "log", "meta")
    with pytest.raises(error):
        caller.do(Rename, old=old, new=new)
    assert caller.store.dump("results", "clients", "log", "meta") == before


def test_rename_to_itself_does_nothing(caller):
    before = read.status(caller.store, b"/g")
    assert caller.do(Rename, old=b"/g", new=b"/g").attributes == before.attributes


def test_rename_without_replace(caller):
    with pytest.raises(ExistsError):
        caller.do(Rename, old=b"/a/f", new=b"/g", replace=False)


def test_rename_moves_a_symlink_and_not_what_it_leads_to(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"/g")
    caller.do(Rename, old=b"/l", new=b"/a/l")
    assert read.resolve(caller.store, b"/a/l").path == b"/g"


def test_listing_goes_on_where_it_stopped(caller):
    for number in range(5):
        caller.do(CreateFile, path=b"/e/%d" % number)
    first = read.listing(caller.store, b"/e", limit=2)
    assert ([one.name for one in first.entries], first.more) == ([b"0", b"1"], True)
    rest = read.listing(caller.store, b"/e", after=b"1", limit=3)
    assert ([one.name for one in rest.entries], rest.more) == ([b"2", b"3", b"4"], False)
    with pytest.raises(NotFolderError):
        read.listing(caller.store, b"/g")


def test_a_page_of_a_listing_fits_into_one_message(caller):
    for number in range(300):
        caller.do(MakeSymlink, path=b"/e/%03d" % number, target=b"t" * 4096)
    names, more = [], True
    while more:
        page = read.listing(caller.store, b"/e", after=names[-1] if names else b"")
        assert len(encode_message(page)) < HEAD_BYTES_MAX
        names += [entry.name for entry in page.entries]
        more = page.more
    assert names == [b"%03d" % number for number in range(300)]
