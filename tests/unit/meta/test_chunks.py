import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import ChunkMissingError, NoCopyError, StaleVersionError
from cairnfs.ids import NO_VERSION
from cairnfs.meta import read, servers
from cairnfs.meta.check import check
from cairnfs.meta.commands import (
    AddChunk,
    AddMember,
    CloseChunk,
    CopyChunk,
    OpenChunk,
    PurgeDone,
    RemoveMember,
    SeeServer,
    TakeHandle,
)
from cairnfs.meta.tables import get_counters
from cairnfs.wire.namespace import CreateFile, Delete, SetReplicas, Snapshot, Truncate


class World(Caller):
    """A file with one chunk of three members."""

    def __init__(self):
        super().__init__()
        self.inode = self.do(CreateFile, path=b"/f").attributes.inode
        added = self.ask(AddChunk(inode=self.inode, index=0), self.placement(1, 2, 3))
        self.handle, self.first = added.handle, added.row.version

    @property
    def row(self):
        return read.chunk(self.store, self.handle)

    def close(self, length=10, **more):
        return self.ask(
            CloseChunk(handle=self.handle, version=more.pop("version", self.row.version), length=length, **more)
        )

    def open(self, version=None, **more):
        fields = {"members": [(1, 10), (2, 20)], "primary": 2, "base_length": 10, **more}
        return self.ask(OpenChunk(handle=self.handle, version=version or self.version(), **fields))

    def share(self):
        """Snapshot the file; return the copy's inode."""
        self.close()
        return self.do(Snapshot, source=b"/f", target=b"/s").attributes.inode

    def copy(self, inode, **more):
        new = self.ask(TakeHandle()).handle
        fields = {"new": new, "version": self.version(), "barrier": self.version(), "length": 10, **more}
        return self.ask(CopyChunk(inode=inode, index=0, old=self.handle, members=[(1, 11)], **fields))


@pytest.fixture
def world():
    return World()


def test_open_needs_a_version_above_the_last_result(world):
    opened = world.open()
    assert (opened.row, opened.row.is_new, opened.row.primary, opened.row.length) == (world.row, False, 2, 10)
    with pytest.raises(StaleVersionError) as caught:
        world.open(version=opened.row.version)
    assert caught.value.has == opened.row.version
    assert get_counters(world.store).max_version == opened.row.version


def test_continuity_once_broken_is_remembered(world):
    broken = world.version()
    world.open(version=broken, broken_at=broken)
    assert world.open().row.broken_at == broken
    assert world.close().row.broken_at == broken != NO_VERSION


def test_close_by_the_primary_names_exactly_the_version(world):
    closed = world.close()
    assert (closed.row.closed, closed.row.primary, closed.row.length, closed.row.is_new) == (True, 0, 10, True)
    before = world.store.dump()
    assert world.close(length=99).row == closed.row
    assert world.store.dump() == before
    with pytest.raises(StaleVersionError):
        world.close(version=world.version())


def test_close_by_a_raise_brings_version_and_members(world):
    version = world.version()
    closed = world.close(version=version, members=[(3, 31)], broken_at=version)
    assert (closed.row.version, closed.row.members, closed.row.broken_at) == (version, [(3, 31)], version)
    with pytest.raises(StaleVersionError):
        world.close(version=world.first, members=[(1, 10)])


def test_members_come_and_go_by_records_only_while_closed(world):
    add = {"handle": world.handle, "version": world.first, "member": (4, 40)}
    remove = {"handle": world.handle, "version": world.first, "server": 1}
    for command in (AddMember(**add), RemoveMember(**remove)):
        with pytest.raises(StaleVersionError):
            world.ask(command)
    world.close()
    assert world.ask(AddMember(**add)).row.members == [(1, 10), (2, 20), (3, 30), (4, 40)]
    assert world.ask(AddMember(**{**add, "member": (4, 41)})).row.members[-1] == (4, 41)
    assert world.ask(RemoveMember(**remove)).row.members == [(2, 20), (3, 30), (4, 41)] == world.row.members
    with pytest.raises(StaleVersionError):
        world.ask(AddMember(**{**add, "version": world.version()}))


def test_the_last_member_stays(world):
    world.close()
    for server in (1, 2):
        world.ask(RemoveMember(handle=world.handle, version=world.first, server=server))
    with pytest.raises(NoCopyError):
        world.ask(RemoveMember(handle=world.handle, version=world.first, server=3))
    assert world.row.members == [(3, 30)]


def test_a_shared_chunk_is_copied_and_never_opened(world):
    copy = world.share()
    with pytest.raises(StaleVersionError):
        world.open()
    copied = world.copy(world.inode)
    assert (copied.row.closed, copied.row.length, copied.row.members, copied.row.references) == (True, 10, [(1, 11)], 1)
    assert read.uses_of(world.store, copied.handle) == [(world.inode, 0)]
    assert read.uses_of(world.store, world.handle) == [(copy, 0)]
    assert world.row.barrier == get_counters(world.store).max_version
    assert check(world.store) == []
    world.open()


def test_a_copy_that_came_too_late_is_refused(world):
    copy = world.share()
    handle = world.ask(TakeHandle()).handle
    world.do(Truncate, inode=copy, length=0)
    with pytest.raises(StaleVersionError):
        world.copy(world.inode, new=handle)


@pytest.mark.parametrize("wrong", ["used", "never taken"])
def test_a_copy_gets_a_handle_taken_for_it(world, wrong):
    world.share()
    with pytest.raises(StaleVersionError):
        world.copy(world.inode, new=world.handle if wrong == "used" else 999)


def test_handles_are_never_given_twice(world):
    taken = [world.ask(TakeHandle()).handle for _ in range(3)]
    added = world.ask(AddChunk(inode=world.inode, index=1), world.placement(1)).handle
    assert [*taken, added] == [2, 3, 4, 5]


def test_a_chunk_that_no_file_uses_is_purged_until_its_replicas_are_gone(world):
    copy = world.share()
    barrier = world.version()
    world.do(Truncate, inode=world.inode, length=0, barrier=barrier)
    assert (world.row.references, world.row.barrier, world.row.inode) == (1, barrier, copy)
    world.do(Truncate, inode=copy, length=0)
    purged = read.purged(world.store, world.handle)
    assert (purged.version, purged.members, purged.barrier) == (world.first, [(1, 10), (2, 20), (3, 30)], barrier)
    assert world.row is None
    for late in (world.close, world.open):
        with pytest.raises((ChunkMissingError, AttributeError)):
            late(version=world.version())
    world.ask(PurgeDone(handles=[world.handle, 77]))
    assert list(read.each_purged(world.store)) == []
    assert check(world.store) == []


def test_the_goal_of_a_shared_chunk_is_the_most_that_anyone_wants(world):
    world.share()
    world.do(SetReplicas, path=b"/s", replicas=5)
    assert world.row.goal == 5
    world.do(SetReplicas, path=b"/f", replicas=2)
    assert world.row.goal == 5
    world.do(Delete, path=b"/s")
    assert read.files_of(world.store, world.handle) == [b"/f"]


def test_chunks_are_walked_in_order_of_their_handles(world):
    for index in (1, 2, 3):
        world.ask(AddChunk(inode=world.inode, index=index), world.placement(1))
    assert [handle for handle, _ in read.each_chunk(world.store, 2)] == [3, 4]
    assert [one.index for one in read.find_chunks(world.store, world.inode, 1, 2)] == [1, 2]
    assert read.tail(world.store, world.inode, read.inode_row(world.store, world.inode)).index == 3


def test_a_server_is_written_down_only_when_it_changed(world):
    seen = SeeServer(server=1, boot=10, address="a:1", rack="r", disks=[5])
    world.ask(seen)
    before = world.store.dump()
    world.ask(seen)
    assert world.store.dump() == before
    assert [(server, row.address) for server, row in servers.servers(world.store)] == [(1, "a:1")]
