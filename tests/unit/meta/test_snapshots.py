import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import BadNameError, ChunkOpenError, ExistsError, LoopError, NotFoundError
from cairnfs.meta import read
from cairnfs.meta.check import check
from cairnfs.meta.commands import AddChunk, CloseChunk
from cairnfs.wire.namespace import CreateFile, MakeFolder, MakeSymlink, SetAttributes, Snapshot


@pytest.fixture
def caller():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    created = caller.do(CreateFile, path=b"/a/b/f", with_chunk=True, placement=caller.placement(1, 2))
    caller.ask(AddChunk(inode=created.attributes.inode, index=2), caller.placement(1))
    caller.do(MakeSymlink, path=b"/a/l", target=b"b/f")
    caller.do(SetAttributes, path=b"/a/b/f", mode=0o640, xattrs={"user.k": b"v"})
    return caller


def seal(caller, handles):
    for handle in handles:
        caller.ask(CloseChunk(handle=handle, version=read.chunk(caller.store, handle).version, length=5))


def test_open_chunks_are_named_so_that_they_can_be_sealed_first(caller):
    request = Snapshot(source=b"/a", target=b"/s", once=caller.once())
    refused = caller.result(request)
    assert isinstance(refused, ChunkOpenError)
    assert refused.chunks == [1, 2]
    seal(caller, refused.chunks)
    assert caller.ask(request).path == b"/s"


def test_a_snapshot_copies_the_tree_and_shares_the_chunks(caller):
    seal(caller, [1, 2])
    status = caller.do(Snapshot, source=b"/a", target=b"/s")
    assert status == read.status(caller.store, b"/s")
    old, new = (read.status(caller.store, path + b"/b/f").attributes for path in (b"/a", b"/s"))
    assert (new.mode, new.length, new.chunks, new.xattrs, new.mtime_ns) == (
        0o640, old.length, 3, {"user.k": b"v"}, old.mtime_ns,
    )  # fmt: skip
    assert new.inode != old.inode
    assert read.resolve(caller.store, b"/s/l").path == b"/s/b/f"
    assert [one.handle for one in read.find_chunks(caller.store, new.inode, 0, 9)] == [1, 2]
    assert read.chunk(caller.store, 1).references == 2
    assert read.counts(caller.store).files == 2
    assert check(caller.store) == []


def test_a_snapshot_of_a_snapshot_shares_on(caller):
    seal(caller, [1, 2])
    for target in (b"/s", b"/t"):
        caller.do(Snapshot, source=b"/a", target=target)
    assert len(read.uses_of(caller.store, 1)) == 3
    assert check(caller.store) == []


@pytest.mark.parametrize(
    "source, target, error",
    [
        (b"/x", b"/s", NotFoundError),
        (b"/a", b"/x/y", NotFoundError),
        (b"/a", b"/a/b", ExistsError),
        (b"/a", b"/a/b/c", LoopError),
        (b"/", b"/s", BadNameError),
    ],
)
def test_a_snapshot_is_refused(caller, source, target, error):
    seal(caller, [1, 2])
    with pytest.raises(error):
        caller.do(Snapshot, source=source, target=target)
    assert read.counts(caller.store).files == 1
