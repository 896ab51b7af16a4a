"""Golden bytes of everything a chunkserver writes. Changing one is a decision, in its own commit; docs/FORMATS.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.chunkserver.storage.world import CLUSTER, HANDLE

from cairnfs.chunkserver.format import (
    HEADER_BYTES,
    ReplicaState,
    Slot,
    data_name,
    decode_disk_file,
    encode_disk_file,
    make_disk_file,
    pack_header,
    pack_slot,
    parse_handle,
    sum_name,
    unpack_header,
    unpack_slot,
)
from cairnfs.chunkserver.records import (
    CUT,
    EPOCH,
    GONE,
    HEADER,
    SLOTS,
    WRITE,
    frame,
    pack_cut_record,
    pack_epoch_record,
    pack_gone_record,
    pack_header_record,
    pack_segment_head,
    pack_slots_record,
    pack_write_record,
    read_segment,
    segment_name,
)
from cairnfs.errors import FormatError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, DiskId, Epoch, ServerId
from cairnfs.limits import Geometry

STATE = ReplicaState(
    handle=HANDLE,
    version=ChunkVersion(Epoch(3), 4),
    promised=ChunkVersion(Epoch(5), 6),
    epoch=Epoch(7),
    closed=True,
    closed_length=1234,
    plain_writes=True,
)
DISK = DiskId(0x1122334455667788)


def test_header_has_golden_bytes():
    packed = pack_header(STATE, cluster=CLUSTER, sequence=9)
    assert packed.hex() == (
        "434149524e53554d" "01000000" "05000000" "00112233445566778899aabbccddeeff" "efcdab8967452301"
        "0300000000000000" "0400000000000000" "0500000000000000" "0600000000000000" "0700000000000000"
        "d204000000000000" "0900000000000000" "e49a9661"
    )  # fmt: skip
    assert len(packed) == HEADER_BYTES
    assert unpack_header(packed) == (STATE, CLUSTER, 9)


def test_slot_has_golden_bytes():
    packed = pack_slot(HANDLE, 5, Slot(0xAABBCCDD, 1000, 42))
    assert packed.hex() == "ddccbbaae80300002a0000006bf9703e"
    assert unpack_slot(HANDLE, 5, packed) == Slot(0xAABBCCDD, 1000, 42)


def test_disk_file_has_golden_bytes():
    content = make_disk_file(CLUSTER, ServerId(0xABC), DISK, Geometry())
    assert encode_disk_file(content) == (
        b'{\n  "format": 1,\n  "cluster": "00112233445566778899aabbccddeeff",\n  "server": "0000000000000abc",\n'
        b'  "disk": "1122334455667788",\n  "chunk_bytes": 67108864,\n  "block_bytes": 65536\n}\n'
    )
    assert decode_disk_file(encode_disk_file(content), where="x") == content


def segment_of(records) -> bytes:
    head = pack_segment_head(7, DISK)
    content, chain = head, int.from_bytes(head[-4:], "little")
    for parts in records:
        record_head, chain = frame(parts, chain)
        content += record_head + b"".join(parts)
    return content


ALL_RECORDS = [
    pack_epoch_record(Epoch(3)),
    pack_header_record(STATE, cluster=CLUSTER, sequence=9),
    pack_write_record(HANDLE, 10, [b"he", b"llo"], stamp=2, slots=[(0, Slot(1, 15, 2))]),
    pack_slots_record(HANDLE, [(0, Slot(1, 15, 2)), (1, Slot(3, 4, 5))]),
    pack_cut_record(HANDLE, 11, stamp=6, crc=7),
    pack_gone_record(HANDLE),
]


def test_journal_segment_has_golden_bytes():
    content = segment_of([ALL_RECORDS[0], ALL_RECORDS[2], ALL_RECORDS[4]])
    assert content.hex() == (
        "434149524e4a4e4c" "01000000" "00000000" "0700000000000000" "8877665544332211" "e926c558"
        "09000000" "931f0170" "06" "0300000000000000"
        "2e000000" "e89f1b2f" "02" "efcdab8967452301" "0a00000000000000" "02000000" "01000000"
        "00000000" "01000000" "0f000000" "02000000" "68656c6c6f"
        "19000000" "c42c39b9" "04" "efcdab8967452301" "0b00000000000000" "06000000" "07000000"
    )  # fmt: skip


def test_every_kind_of_record_comes_back():
    records = list(read_segment(memoryview(segment_of(ALL_RECORDS)), number=7, disk=DISK))
    assert [record.kind for record in records] == [EPOCH, HEADER, WRITE, SLOTS, CUT, GONE]
    assert records[0].epoch == 3
    assert records[1].header == (STATE, CLUSTER, 9)
    assert (records[2].offset, bytes(records[2].data), records[2].stamp) == (10, b"hello", 2)
    assert records[3].slots == [(0, Slot(1, 15, 2)), (1, Slot(3, 4, 5))]
    assert (records[4].offset, records[4].stamp, records[4].crc) == (11, 6, 7)
    assert all(record.handle == HANDLE for record in records[1:])


@given(st.integers(0, 400), st.integers(0, 7))
def test_a_damaged_segment_yields_only_records_before_the_damage(place, bit):
    content = bytearray(segment_of(ALL_RECORDS))
    place %= len(content)
    content[place] ^= 1 << bit
    whole = list(read_segment(memoryview(segment_of(ALL_RECORDS)), number=7, disk=DISK))
    found = list(read_segment(memoryview(bytes(content)), number=7, disk=DISK))
    assert found == whole[: len(found)]
    assert len(found) < len(whole)


@given(st.binary(max_size=300))
def test_no_input_is_a_journal_by_chance(noise):
    assert list(read_segment(memoryview(noise), number=7, disk=DISK)) == []
    assert len(list(read_segment(memoryview(segment_of(ALL_RECORDS) + noise), number=7, disk=DISK))) == 6


def test_a_segment_of_another_disk_or_number_is_not_read():
    content = memoryview(segment_of(ALL_RECORDS))
    assert list(read_segment(content, number=8, disk=DISK)) == []
    assert list(read_segment(content, number=7, disk=DiskId(1))) == []


@given(st.integers(0, HEADER_BYTES * 8 - 1))
def test_a_header_with_any_flipped_bit_is_none(bit):
    packed = bytearray(pack_header(STATE, cluster=CLUSTER, sequence=9))
    packed[bit // 8] ^= 1 << bit % 8
    assert unpack_header(packed) is None


def test_a_slot_at_another_place_is_none():
    packed = pack_slot(HANDLE, 5, Slot(1, 2, 3))
    assert unpack_slot(HANDLE, 6, packed) is None
    assert unpack_slot(ChunkHandle(HANDLE + 1), 5, packed) is None
    assert unpack_slot(HANDLE, 5, bytes(16)) is None


@pytest.mark.parametrize(
    "text, why",
    [
        (b'{"format": 2}', "newer format 2"),
        (b'{"format": 0}', "older format 0"),
        (b"nonsense", "not a DISK file"),
        (b'{"format": 1}', "not a DISK file"),
        (
            b'{"format":1,"cluster":"xy","server":"1","disk":"1","chunk_bytes":1024,"block_bytes":512}',
            "not a DISK file",
        ),
        (
            b'{"format":1,"cluster":"' + b"00" * 16 + b'","server":"1","disk":"1","chunk_bytes":5,"block_bytes":512}',
            "not",
        ),
    ],
)
def test_a_disk_file_of_another_format_is_refused(text, why):
    with pytest.raises(FormatError, match=why):
        decode_disk_file(text, where="DISK")


def test_names():
    assert data_name(HANDLE) == "cairn/ef/cd/0123456789abcdef.dat"
    assert sum_name(HANDLE) == "cairn/ef/cd/0123456789abcdef.sum"
    assert parse_handle("0123456789abcdef.sum") == HANDLE
    assert parse_handle("0123456789ABCDEF.sum") is None
    assert parse_handle("notes.txt") is None
    assert segment_name(7) == "cairn/journal-0000000000000007"


def test_cluster_of_a_header_is_told():
    other = ClusterId("ff" * 16)
    assert unpack_header(pack_header(STATE, cluster=other, sequence=1))[1] == other
