"""What a reported replica is worth. Rules 2, 4 and 5."""

import pytest
from msgspec.structs import replace

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, InodeId, ServerId
from cairnfs.master.comparing import Verdict, Worth, differing, judge
from cairnfs.meta.sweep import ChunkCore, decode_core
from cairnfs.meta.tables import ChunkRow, encode
from cairnfs.wire.membership import ReplicaReport

HANDLE = ChunkHandle(64)
VERSION = ChunkVersion(1, 158)
SERVER, BOOT, NEXT_BOOT = ServerId(1), BootId(10), BootId(11)


def row(*, closed=False):
    return ChunkRow(
        version=VERSION, members=[(SERVER, BOOT)], primary=SERVER, closed=closed, length=10, goal=3, references=1,
        inode=InodeId(1), index=0,
    )  # fmt: skip


def report(*, closed=False, version=VERSION, incomplete=False):
    return ReplicaReport(
        handle=HANDLE, version=version, promised=version, length=10, closed=closed, incomplete=incomplete,
        unbroken=True,
    )  # fmt: skip


def excluded(verdict):
    return [one.below for one in verdict.exclusions]


def test_an_open_replica_of_an_earlier_boot_is_excluded():
    verdict = judge(row(), None, report(), (SERVER, NEXT_BOOT))
    assert verdict.worth is Worth.RESTARTED
    assert excluded(verdict) == [ChunkVersion(1, 159)]


def test_one_that_its_primary_closed_is_not_although_the_record_is_not_told_yet():
    """Rule 4: a closed replica serves again after a restart; and when the record says closed, nothing lets it in."""
    verdict = judge(row(), None, report(closed=True), (SERVER, NEXT_BOOT))
    assert excluded(verdict) == []
    assert judge(row(closed=True), None, report(closed=True), (SERVER, NEXT_BOOT)).worth is Worth.CURRENT


@pytest.mark.parametrize(
    "replica", [report(closed=True, version=ChunkVersion(1, 157)), report(closed=True, incomplete=True)]
)
def test_closed_does_not_help_what_is_older_or_incomplete(replica):
    assert excluded(judge(row(), None, replica, (SERVER, NEXT_BOOT)))


def test_only_what_equals_its_record_needs_no_judgement():
    """Goal: the short way agrees with `judge`. Method: a closed member, then each thing that may differ, alone."""
    closed = row(closed=True)
    rows = [
        closed,
        None,
        row(),
        replace(closed, version=ChunkVersion(1, 159)),
        replace(closed, members=[(SERVER + 1, BOOT)]),
        replace(closed, barrier=ChunkVersion(1, 1)),
        replace(closed, members=[(SERVER + 1, BOOT), (SERVER, NEXT_BOOT)]),
    ]
    raw = [None if one is None else encode(one) for one in rows]
    found = differing(raw, [tuple(VERSION)] * len(rows), SERVER)
    assert found == [1, 2, 3, 4, 5]
    for at, one in enumerate(rows):
        verdict = judge(one, None, report(closed=True), (SERVER, BOOT))
        if at not in found:
            assert verdict == Verdict(Worth.CURRENT), at


def test_the_core_of_a_record_is_its_beginning():
    """Goal: `ChunkCore` reads what `ChunkRow` wrote. Method: names and values, in order."""
    names = ChunkCore.__struct_fields__
    assert names == ChunkRow.__struct_fields__[: len(names)]
    full = replace(row(closed=True), broken_at=ChunkVersion(1, 2), barrier=ChunkVersion(3, 4), base_length=5)
    core = decode_core(encode(full))
    assert [getattr(core, name) for name in names] == [getattr(full, name) for name in names]
