"""What fsck says of chunk tables."""

import pytest

from cairnfs.cli.findings import Checkup, Kind
from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, ServerId
from cairnfs.wire.status import ChunkStatus, ReplicaStatus

NOW, OLD = ChunkVersion(1, 7), ChunkVersion(1, 6)
RACKS = {"a:1": "north", "b:1": "north", "c:1": "south", "d:1": ""}


def replica(address, *, version=NOW, current=True, live=True):
    return ReplicaStatus(
        server=ServerId(ord(address[0])), address=address, version=version, current=current, live=live, boot=BootId(1)
    )  # fmt: skip


def chunk(*replicas, closed=True, length=100, goal=3):
    return ChunkStatus(
        index=2, handle=ChunkHandle(26), version=NOW, closed=closed, length=length, goal=goal, references=1,
        primary=ServerId(0), lease_left_s=0.0, replicas=list(replicas),
    )  # fmt: skip


def look(*chunks):
    checkup = Checkup(racks=RACKS)
    checkup.look("/f", chunks)
    return checkup


@pytest.mark.parametrize(
    ("replicas", "kinds", "exit_code"),
    [
        ([replica("a:1"), replica("b:1"), replica("c:1")], [], 0),
        ([replica("a:1"), replica("b:1")], [Kind.TOO_FEW], 1),
        ([replica("a:1"), replica("b:1", live=False), replica("c:1")], [Kind.TOO_FEW], 1),
        ([replica("a:1")], [Kind.ONE_COPY], 2),
        ([], [Kind.LOST], 2),
        ([replica("a:1", live=False), replica("b:1", live=False)], [Kind.LOST], 2),
        ([replica(f"{name}:1") for name in "abc"] + [replica("d:1", version=OLD, current=False)], [Kind.STALE], 0),
        ([replica("a:1", version=OLD, current=False)], [Kind.LOST, Kind.STALE], 2),
    ],
)
def test_what_is_missing_is_told_and_how_bad_it_is(replicas, kinds, exit_code):
    checkup = look(chunk(*replicas))
    assert [one.kind for one in checkup.findings] == kinds
    assert checkup.exit_code == exit_code
    assert all((one.path, one.chunk, one.handle) == ("/f", 2, f"{26:016x}") for one in checkup.findings)


def test_one_wanted_copy_is_enough():
    assert look(chunk(replica("a:1"), goal=1)).exit_code == 0


def test_an_open_chunk_that_nobody_wrote_has_nothing_to_lose():
    checkup = look(chunk(closed=False, length=0))
    assert (checkup.exit_code, checkup.open_chunks) == (0, 1)


def test_who_would_take_what_along():
    checkup = look(
        chunk(replica("a:1")),
        chunk(replica("a:1"), replica("b:1")),
        chunk(replica("a:1"), replica("c:1")),
        chunk(replica("d:1"), replica("d:1", current=False)),
    )
    assert dict(checkup.only_on_server) == {"a:1": 1, "d:1": 1}
    assert dict(checkup.only_in_rack) == {"north": 2}, "a server without a rack is in none"
