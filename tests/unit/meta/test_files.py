import pytest
from tests.unit.meta.support import GEOMETRY, Caller

from cairnfs.errors import ExistsError, IsFolderError, NotFoundError, StaleVersionError, TooFewCopiesError
from cairnfs.meta import read
from cairnfs.meta.check import check
from cairnfs.meta.commands import AddChunk, CloseChunk, OpenChunk
from cairnfs.wire.namespace import CreateFile, IfExists, MakeFolder, SetLength, SetReplicas, Truncate

CHUNK = GEOMETRY.chunk_bytes


@pytest.fixture
def caller():
    return Caller()


def file_with_chunks(caller, *lengths, path=b"/f"):
    """Make a file of closed chunks; None is a hole."""
    inode = caller.do(CreateFile, path=path).attributes.inode
    for index, length in enumerate(lengths):
        if length is not None:
            added = caller.ask(AddChunk(inode=inode, index=index), caller.placement(1, 2, 3))
            caller.ask(CloseChunk(handle=added.handle, version=added.row.version, length=length))
    return inode


def test_create_with_chunk_gives_its_place_in_the_same_step(caller):
    created = caller.do(CreateFile, path=b"/f", with_chunk=True, placement=caller.placement(3, 1))
    place = created.first
    assert (created.created, created.attributes.chunks, place.index, place.handle) == (True, 1, 0, 1)
    assert [member.server for member in place.members] == [3, 1]
    assert (place.primary, place.closed, place.lease, place.version) == (3, False, None, (7, 1))
    row = read.chunk(caller.store, place.handle)
    assert (row.members, row.is_new, row.goal, row.references) == ([(3, 30), (1, 10)], True, 3, 1)
    assert read.status(caller.store, b"/f").attributes == created.attributes
    assert check(caller.store) == []


def test_create_with_chunk_but_no_place_makes_nothing_and_may_be_tried_again(caller):
    request = CreateFile(path=b"/f", with_chunk=True, once=caller.once())
    assert isinstance(caller.result(request), TooFewCopiesError)
    assert read.counts(caller.store).files == 0
    assert caller.ask(request, caller.placement(1, 2)).created


def test_create_opens_what_is_there_or_refuses(caller):
    first = caller.do(CreateFile, path=b"/f", mode=0o600)
    again = caller.do(CreateFile, path=b"/f", mode=0o644, with_chunk=True)
    assert (again.created, again.first, again.attributes) == (False, None, first.attributes)
    with pytest.raises(ExistsError):
        caller.do(CreateFile, path=b"/f", if_exists=IfExists.FAIL)
    with pytest.raises(IsFolderError):
        caller.do(CreateFile, path=b"/")


def test_new_files_inherit_the_copies_of_their_folder(caller):
    caller.do(MakeFolder, path=b"/a")
    caller.do(SetReplicas, path=b"/a", replicas=2)
    assert caller.do(CreateFile, path=b"/a/b/f", parents=True).attributes.replicas == 2
    assert caller.do(CreateFile, path=b"/a/g", replicas=5).attributes.replicas == 5
    assert read.status(caller.store, b"/a/b").attributes.replicas == 2


def test_truncate_drops_the_chunks_beyond_and_keeps_the_one_it_cuts(caller):
    inode = file_with_chunks(caller, CHUNK, CHUNK, 100)
    status = caller.do(Truncate, inode=inode, length=CHUNK + 1)
    assert (status.attributes.length, status.attributes.chunks, status.path) == (CHUNK + 1, 2, b"/f")
    assert [one.index for one in read.find_chunks(caller.store, inode, 0, 9)] == [0, 1]
    assert [handle for handle, _ in read.each_purged(caller.store)] == [3]
    assert status.attributes.mtime_ns == caller.now_ns
    assert check(caller.store) == []


def test_truncate_to_longer_leaves_a_hole(caller):
    inode = file_with_chunks(caller, 10)
    status = caller.do(Truncate, inode=inode, length=5 * CHUNK)
    assert (status.attributes.length, status.attributes.chunks) == (5 * CHUNK, 1)


def test_truncate_into_a_hole_ends_the_map_before_it(caller):
    inode = file_with_chunks(caller, 10, None, None, 10)
    status = caller.do(Truncate, inode=inode, length=3 * CHUNK)
    assert status.attributes.chunks == 1 == read.inode_row(caller.store, inode).chunks
    assert check(caller.store) == []


def test_truncate_is_for_files(caller):
    with pytest.raises(IsFolderError):
        caller.do(Truncate, inode=1, length=0)
    with pytest.raises(NotFoundError):
        caller.do(Truncate, inode=99, length=0)


def test_length_grows_with_closed_chunks_and_never_shrinks(caller):
    inode = file_with_chunks(caller, CHUNK, 10)
    assert read.inode_row(caller.store, inode).length == CHUNK + 10
    first = read.find_chunks(caller.store, inode, 0, 1)[0]
    opened = OpenChunk(handle=first.handle, version=caller.version(), members=[(1, 10)], primary=1, base_length=CHUNK)
    caller.ask(opened)
    caller.ask(CloseChunk(handle=first.handle, version=opened.version, length=5))
    assert read.inode_row(caller.store, inode).length == CHUNK + 10


def test_set_length_raises_the_length_and_closes_exactly_its_version(caller):
    inode = caller.do(CreateFile, path=b"/f").attributes.inode
    added = caller.ask(AddChunk(inode=inode, index=1), caller.placement(1, 2))
    told = {"inode": inode, "index": 1, "handle": added.handle, "version": added.row.version}
    caller.ask(SetLength(**told, length=50, mtime_ns=42))
    row = read.inode_row(caller.store, inode)
    assert (row.length, row.mtime_ns) == (CHUNK + 50, 42)
    caller.ask(SetLength(**told, length=20))
    assert read.inode_row(caller.store, inode).length == CHUNK + 50
    caller.ask(SetLength(**{**told, "version": (7, 999)}, length=60, closed=True))
    assert not read.chunk(caller.store, added.handle).closed
    caller.ask(SetLength(**told, length=60, closed=True))
    assert (read.chunk(caller.store, added.handle).closed, read.chunk(caller.store, added.handle).length) == (True, 60)


def test_set_length_of_a_chunk_that_left_the_file_changes_nothing(caller):
    inode = file_with_chunks(caller, CHUNK, 10)
    handle = read.find_chunks(caller.store, inode, 1, 1)[0].handle
    version = read.chunk(caller.store, handle).version
    caller.do(Truncate, inode=inode, length=0)
    caller.ask(SetLength(inode=inode, index=1, handle=handle, version=version, length=10))
    assert read.inode_row(caller.store, inode).length == 0


def test_a_chunk_is_added_once(caller):
    inode = file_with_chunks(caller, 10)
    with pytest.raises(ExistsError):
        caller.ask(AddChunk(inode=inode, index=0), caller.placement(1))
    with pytest.raises(TooFewCopiesError):
        caller.ask(AddChunk(inode=inode, index=1))
    with pytest.raises(IsFolderError):
        caller.ask(AddChunk(inode=1, index=0), caller.placement(1))
    with pytest.raises(OSError, match="too large"):
        caller.ask(AddChunk(inode=inode, index=2**60), caller.placement(1))


def test_close_of_another_version_is_refused(caller):
    inode = caller.do(CreateFile, path=b"/f").attributes.inode
    added = caller.ask(AddChunk(inode=inode, index=0), caller.placement(1, 2))
    with pytest.raises(StaleVersionError):
        caller.ask(CloseChunk(handle=added.handle, version=(7, 999), length=1))
