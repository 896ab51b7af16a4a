"""Every invariant is broken on purpose: the check must say so."""

import pytest
from msgspec.structs import replace
from tests.unit.meta.support import Caller

from cairnfs.meta import quotas as q
from cairnfs.meta import read
from cairnfs.meta import tables as t
from cairnfs.meta.check import check
from cairnfs.meta.commands import CloseChunk
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import CreateFile, Delete, MakeFolder, Snapshot
from cairnfs.wire.quotas import SetQuota


@pytest.fixture
def store():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    for path in (b"/a/f", b"/a/g"):
        place = caller.do(CreateFile, path=path, with_chunk=True, placement=caller.placement(1, 2)).first
        caller.ask(CloseChunk(handle=place.handle, version=place.version, length=1))
    caller.do(Snapshot, source=b"/a/f", target=b"/s")
    caller.do(CreateFile, path=b"/x")
    caller.do(Delete, path=b"/x")
    caller.counted(SetQuota, path=b"/a", files=100)
    assert check(caller.store) == []
    return caller.store


def inode(store, path, **changes):
    number = read.resolve(store, path).inode
    t.put_inode(store, number, replace(t.the_inode(store, number), **changes))


def chunk(store, handle, **changes):
    t.put_chunk(store, handle, replace(t.the_chunk(store, handle), **changes))


def counters(store, **changes):
    t.put_counters(store, replace(t.get_counters(store), **changes))


BREAKS = {
    "1: entry names nothing": lambda store: t.put_entry(store, 1, b"y", 99, Kind.FILE),
    "1: second place": lambda store: t.put_entry(store, 1, b"y", 2, Kind.FOLDER),
    "1: no place": lambda store: store.delete("entries", t.entry_key(1, b"s")),
    "1: wrong kind": lambda store: t.put_entry(store, 1, b"s", read.resolve(store, b"/s").inode, Kind.FOLDER),
    "2: cycle": lambda store: inode(store, b"/a", parent=3),
    "3: entries": lambda store: inode(store, b"/a", entries=9),
    "3: links": lambda store: inode(store, b"/a", links=9),
    "4: chunks": lambda store: inode(store, b"/s", chunks=3),
    "4: chunks of a folder": lambda store: store.put("chunks_of", t.key2(2, 0), t.key(1)),
    "5: references": lambda store: chunk(store, 1, references=1),
    "5: missing chunk": lambda store: store.delete("chunks", t.key(2)),
    "6: owner": lambda store: chunk(store, 2, index=4),
    "6: shared list": lambda store: store.delete("shared", t.key3(1, read.resolve(store, b"/s").inode, 0)),
    "7: shared and open": lambda store: chunk(store, 1, closed=False),
    "8: purged": lambda store: store.put(
        "purged", t.key(1), t.encode(t.PurgedRow(version=(7, 1), purged_ns=0, members=[]))
    ),
    "8: handle": lambda store: counters(store, next_handle=1),
    "8: inode": lambda store: counters(store, next_inode=2),
    "9: version": lambda store: chunk(store, 1, version=(99, 1)),
    "9: members": lambda store: chunk(store, 2, members=[(1, 1), (1, 2)]),
    "10: counters": lambda store: counters(store, files=99),
    "log": lambda store: store.put("log", t.key(1), bytes(40)),
    "12: folder below is not counted": lambda store: store.delete("usage", t.key(3)),
    "12: folder with limits is not counted": lambda store: store.delete("usage", t.key(2)),
    "13: files": lambda store: q.put_usage(store, 2, replace(q.get_usage(store, 2), files=2)),
    "13: bytes": lambda store: q.put_usage(store, 2, replace(q.get_usage(store, 2), size_bytes=3)),
    "13: limits of nothing": lambda store: store.put("quotas", t.key(99), t.encode(q.QuotaRow(files=1))),
    "11: trash paths": lambda store: store.delete("trash_paths", store.keys["trash_paths"][0]),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_invariant_is_found(store, name):
    BREAKS[name](store)
    faults = check(store)
    number = name.split(":")[0]
    assert [fault for fault in faults if fault.split(":")[0] == number], faults
