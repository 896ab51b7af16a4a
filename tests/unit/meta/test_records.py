"""Golden bytes of every record and row. Changing one is a new FORMAT (meta/tables.py), in a commit of its own."""

import pathlib
from typing import get_args

import msgspec
import pytest

from cairnfs.meta import quotas as q
from cairnfs.meta import records as r
from cairnfs.meta import servers as s
from cairnfs.meta import tables as t
from cairnfs.wire.common import Kind

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "meta_records.txt"
MEMBERS = [(0x11, 0x12), (0x21, 0x22)]

SAMPLES = [
    r.InodeMade(
        inode=5, parent=1, name=b"f\xff", kind=Kind.FILE, mode=0o644, uid=1, gid=2, replicas=3, now_ns=1_000, target=b""
    ),
    r.EntryMoved(inode=5, parent=2, name=b"g", now_ns=1_000),
    r.AttributesSet(inode=5, now_ns=1_000, mode=0o600, xattrs={"user.a": b"1"}),
    r.ReplicasSet(inode=5, replicas=2, recursive=True, now_ns=1_000),
    r.LengthSet(inode=5, length=1 << 40, mtime_ns=900, ctime_ns=1_000),
    r.SnapshotTaken(source=2, parent=1, name=b"s", first=6, count=3, now_ns=1_000),
    r.Trashed(inode=5, path=b"/f", now_ns=1_000),
    r.Untrashed(inode=5, deleted_ns=1_000, parent=1, name=b"f", now_ns=2_000),
    r.Doomed(rows=[(1_000, 5), (1_001, 6)]),
    r.Purged(inode=5, now_ns=1_000),
    r.ChunkAdded(inode=5, index=1, handle=9, version=(7, 1), members=MEMBERS, primary=0x11, goal=3),
    r.ChunkOpened(handle=9, version=(7, 2), members=MEMBERS, primary=0x11, base_length=10, broken_at=(0, 0)),
    r.ChunkClosed(handle=9, version=(7, 2), members=MEMBERS, length=10, broken_at=(7, 2)),
    r.MemberAdded(handle=9, member=(0x31, 0x32)),
    r.MemberRemoved(handle=9, server=0x31),
    r.HandleTaken(handle=10),
    r.ChunkCopied(
        inode=5, index=1, old=9, new=10, version=(7, 3), members=MEMBERS, length=10, barrier=(7, 4), goal=3
    ),
    r.ChunksDropped(inode=5, first=1, now_ns=1_000, barrier=(7, 5)),
    r.PurgedForgotten(handles=[9, 10]),
    r.ServerSeen(server=0x11, boot=0x12, address="a:1", rack="r", disks=[0x41], now_ns=1_000),
    r.ResultKept(client=0x51, sequence=4, lowest=3, now_ns=1_000, result=b"\0\x91\xcd\x01\x00"),
    r.ClientForgotten(client=0x51, removed=False),
    r.ServerOrdered(server=0x11, draining=True, draining_disks=[0x41], maintenance_until_ns=9_000),
    r.ServerForgotten(server=0x11),
    r.Tuned(repair_bytes_s=50_000_000, cluster_bytes_s=0, balance_bytes_s=1),
    r.Restored(taken_ns=1_000, now_ns=2_000, epoch=1 << 21, next_inode=1 << 22, next_handle=1 << 23),
    r.RestoreAccepted(now_ns=3_000),
    r.QuotaSet(inode=2, files=1_000, size_bytes=1 << 40, soft_files=900, soft_bytes=None),
    r.QuotaCleared(inode=2),
    r.FoldersCounted(folders=[(3, 1, 10), (2, 3, 1 << 33)]),
    r.FoldersUncounted(folders=[2, 3]),
    t.Identity(
        format=1, cluster="0123456789abcdef" * 2, chunk_bytes=1 << 26, block_bytes=1 << 16, copies_min=2, made_ns=1
    ),
    t.Counters(next_inode=6, next_handle=11, max_version=(7, 5), files=1, folders=2, symlinks=3),
    t.InodeRow(
        kind=Kind.SYMLINK, parent=1, name=b"l", mode=0o777, uid=1, gid=2, mtime_ns=3, ctime_ns=4, replicas=3, links=1,
        length=5, chunks=6, entries=7, target=b"t", xattrs={"user.a": b"1"},
    ),
    t.ChunkRow(
        version=(7, 2), members=MEMBERS, primary=0x11, closed=False, length=10, references=1, goal=3, inode=5, index=1,
        broken_at=(7, 1), barrier=(7, 2), base_length=10, is_new=True,
    ),
    t.TrashRow(path=b"/f", kind=Kind.FILE),
    t.PurgedRow(version=(7, 2), purged_ns=1_000, members=MEMBERS, barrier=(7, 4)),
    t.ClientRow(lowest=3, highest=4, heard_ns=1_000),
    s.ServerRow(boot=0x12, address="a:1", rack="r", disks=[0x41], seen_ns=1_000, draining=True),
    s.TuningRow(repair_bytes_s=7),
    t.RestoredRow(
        taken_ns=1_000, restored_ns=2_000, epoch=1 << 21, next_inode=6, next_handle=11, log_index=5, accepted_ns=3_000
    ),
    q.QuotaRow(files=1_000, size_bytes=1 << 40, soft_files=None, soft_bytes=1 << 39),
    q.UsageRow(files=7, size_bytes=1 << 33),
    t.LogState(first=1, next=3, size_bytes=100, base_chain=0, chain=0xAABBCCDD),
]  # fmt: skip


def golden_text():
    return "".join(f"{type(sample).__name__} {t.encode(sample).hex()}\n" for sample in SAMPLES)


def test_bytes_of_every_record_and_row_are_golden():
    assert golden_text() == GOLDEN.read_text()


def test_every_record_has_a_sample_and_a_number_of_its_own():
    kinds = get_args(r.Record)
    assert [type(sample) for sample in SAMPLES[: len(kinds)]] == list(kinds)
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len({*tags}) == len(kinds)
    assert tags == sorted(tags)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_what_is_decoded_is_what_was_encoded(sample):
    kind = r.Record if isinstance(sample, get_args(r.Record)) else type(sample)
    assert msgspec.msgpack.decode(t.encode(sample), type=kind) == sample


def test_keys_sort_as_their_numbers_do():
    numbers = [0, 1, 255, 256, 2**32, 2**63 - 1]
    assert sorted(numbers) == [int.from_bytes(raw, "big") for raw in sorted(t.key(number) for number in numbers)]
    assert t.entry_key(1, b"z" * 255) < t.entry_key(2, b"") <= t.range_of(1)[1]
