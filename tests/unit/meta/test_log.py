import pytest
from tests.unit.meta.support import EPOCH, GEOMETRY, NOW_NS, Caller, DictStore

from cairnfs.errors import FormatError
from cairnfs.limits import Geometry
from cairnfs.meta import log, tables
from cairnfs.meta.records import HandleTaken, InodeMade
from cairnfs.units import SECOND_NS
from cairnfs.wire.namespace import CreateFile, MakeFolder


@pytest.fixture
def caller():
    caller = Caller()
    for number in range(5):
        caller.do(MakeFolder, path=b"/%d" % number)
    return caller


def key(index):
    return index.to_bytes(8, "big")


def test_a_command_is_one_row_with_its_epoch_and_time(caller):
    caller.do(CreateFile, path=b"/x/y/f", parents=True)
    entries = list(log.read_from(caller.store, 6))
    assert [(one.index, one.epoch, one.now_ns) for one in entries] == [(6, EPOCH, caller.now_ns)]
    assert [type(record).__name__ for record in entries[0].records] == ["InodeMade"] * 3 + ["ResultKept"]
    assert isinstance(entries[0].records[0], InodeMade)


def test_append_counts_from_one_without_gaps(caller):
    assert log.append(caller.store, [HandleTaken(handle=1)], epoch=EPOCH, now_ns=NOW_NS) == 6
    assert [one.index for one in log.read_from(caller.store, 0)] == [1, 2, 3, 4, 5, 6]
    assert log.verify(caller.store) == []


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_changed_row_breaks_the_chain(caller, place):
    row = bytearray(caller.store.get("log", key(3)))
    row[place] ^= 1
    caller.store.put("log", key(3), bytes(row))
    assert log.verify(caller.store) == ["log: row 3 breaks the chain"]


def test_a_lost_row_is_seen(caller):
    caller.store.delete("log", key(3))
    assert log.verify(caller.store) == ["log: row 4 where 3 should be"]
    caller.store.delete("log", key(4))
    caller.store.delete("log", key(5))
    assert "ends at 3" in log.verify(caller.store)[0]


def test_trim_removes_the_oldest_by_size_and_by_age(caller):
    size = len(caller.store.get("log", key(1)))
    assert log.trim(caller.store, caller.now_ns) == 0
    assert log.trim(caller.store, caller.now_ns, keep_bytes=size * 3) == 2
    assert log.verify(caller.store) == []
    assert next(log.read_from(caller.store, 1)).index == 3
    assert log.trim(caller.store, caller.now_ns + 1 * SECOND_NS, keep_s=0.5) == 3
    assert log.verify(caller.store) == []
    caller.do(MakeFolder, path=b"/after")
    assert [one.index for one in log.read_from(caller.store, 1)] == [6]
    assert log.verify(caller.store) == []


def test_identity_is_what_the_store_was_made_for(caller):
    identity = tables.read_identity(caller.store)
    assert (identity.cluster, identity.geometry, identity.copies_min) == ("c" * 32, GEOMETRY, 2)
    assert identity.geometry == Geometry(1024, 256)
    assert tables.read_identity(DictStore()) is None


@pytest.mark.parametrize("other", [tables.FORMAT - 1, tables.FORMAT + 1])
def test_another_format_is_refused_with_both_numbers(caller, other):
    row = tables.encode([other, "whatever", "came", "later"])
    caller.store.put("meta", b"identity", row)
    with pytest.raises(FormatError, match=f"format {other}, but this version of CairnFS has {tables.FORMAT}"):
        tables.read_identity(caller.store)


def test_a_damaged_identity_is_a_format_error(caller):
    for row in (b"\xc1", b"\x90", tables.encode([tables.FORMAT, 5])):
        caller.store.put("meta", b"identity", row)
        with pytest.raises(FormatError):
            tables.read_identity(caller.store)
