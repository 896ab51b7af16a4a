import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import BadRequestError, NotFoundError
from cairnfs.meta import read
from cairnfs.wire.namespace import CreateFile, MakeFolder, MakeSymlink, SetAttributes, SetReplicas


@pytest.fixture
def caller():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    caller.do(CreateFile, path=b"/a/b/f", with_chunk=True, placement=caller.placement(1))
    caller.do(MakeSymlink, path=b"/l", target=b"/a/b/f")
    return caller


def test_only_what_is_named_changes(caller):
    before = read.status(caller.store, b"/a/b/f").attributes
    status = caller.do(SetAttributes, path=b"/a/b/f", mode=0o107600, mtime_ns=5)
    after = read.status(caller.store, b"/a/b/f").attributes
    assert status.attributes == after
    assert (after.mode, after.mtime_ns, after.ctime_ns) == (0o7600, 5, caller.now_ns)
    assert (after.uid, after.gid, after.xattrs) == (before.uid, before.gid, {})


def test_xattrs_are_set_and_removed(caller):
    caller.do(SetAttributes, path=b"/l", xattrs={"user.b": b"2", "user.a": b"1"})
    status = caller.do(SetAttributes, path=b"/l", xattrs={"user.b": b"", "user.x": b"", "user.c": b"3"})
    assert status.path == b"/a/b/f"
    assert status.attributes.xattrs == {"user.a": b"1", "user.c": b"3"}
    with pytest.raises(BadRequestError):
        caller.do(SetAttributes, path=b"/l", xattrs={"user.big": bytes(64 * 1024)})


def test_a_symlink_itself_can_be_meant(caller):
    caller.do(SetAttributes, path=b"/l", uid=7, follow=False)
    assert read.status(caller.store, b"/l", follow=False).attributes.uid == 7
    assert read.status(caller.store, b"/l").attributes.uid == 0
    with pytest.raises(NotFoundError):
        caller.do(SetAttributes, path=b"/x", uid=7)


def test_copies_of_a_folder_are_for_what_comes_later_unless_recursive(caller):
    caller.do(SetReplicas, path=b"/a", replicas=2)
    assert read.status(caller.store, b"/a/b/f").attributes.replicas == 3
    assert read.chunk(caller.store, 1).goal == 3
    caller.do(SetReplicas, path=b"/a", replicas=2, recursive=True)
    assert read.status(caller.store, b"/a/b/f").attributes.replicas == 2
    caller.do(SetReplicas, path=b"/a", replicas=4, recursive=True)
    assert (read.status(caller.store, b"/a/b").attributes.replicas, read.chunk(caller.store, 1).goal) == (4, 4)
