"""Decoders of what chunkservers keep: headers, slots, the DISK file, journal segments, and whole folders of them."""

from functools import cache

from tests.fuzz.mutate import mutated
from tests.fuzz.target import Target, refused, same_again

from cairnfs.checksum import crc32c
from cairnfs.chunkserver import format as layout
from cairnfs.chunkserver import records
from cairnfs.chunkserver.recovery import recover
from cairnfs.env.memory_files import MemoryFiles, MemoryTree
from cairnfs.errors import FormatError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, DiskId, Epoch, ServerId
from cairnfs.limits import Geometry

CLUSTER = ClusterId("00112233445566778899aabbccddeeff")
HANDLE = ChunkHandle(0x0123456789ABCDEF)
DISK = DiskId(77)
SMALL = Geometry(chunk_bytes=4096, block_bytes=256)
SEGMENT = 5


def state(chance, handle=HANDLE):
    length = chance.randrange(1000)
    version = ChunkVersion(Epoch(chance.randrange(2**40)), chance.randrange(2**40))
    return layout.ReplicaState(
        handle, version, version, Epoch(3), closed=chance.random() < 0.5, incomplete=chance.random() < 0.3,
        closed_length=length, plain_writes=chance.random() < 0.5,
    )  # fmt: skip


def slot(chance):
    return layout.Slot(chance.randrange(2**32), chance.randint(1, 256), chance.randrange(2**32))


# ---- headers and slots


def headers(chance):
    return [layout.pack_header(state(chance), cluster=CLUSTER, sequence=number) for number in range(20)]


def decode_header(data, chance):
    if chance.random() < 0.5:
        # What stands before the checksum is believed once that fits: it must still be bounded.
        fields = data[: layout.HEADER_BYTES - 4].ljust(layout.HEADER_BYTES - 4, b"\0")
        data = fields + crc32c(fields).to_bytes(4, "little")
    found = layout.unpack_header(data)
    if found is not None:
        assert len(data) >= layout.HEADER_BYTES
        assert data[layout.HEADER_BYTES - 4 :][:4] == crc32c(data[: layout.HEADER_BYTES - 4]).to_bytes(4, "little")
    return found is not None and same_again(found, pack_again, layout.unpack_header)


def pack_again(found):
    state, cluster, sequence = found
    return layout.pack_header(state, cluster=cluster, sequence=sequence)


def slots(chance):
    return [layout.pack_slot(HANDLE, chance.randrange(4), slot(chance)) for _ in range(40)]


def decode_slot(data, chance):
    block = chance.randrange(4)
    data = data[: layout.SLOT_BYTES].ljust(layout.SLOT_BYTES, b"\0")  # the caller cuts files into whole slots
    if chance.random() < 0.2:
        crc, length, stamp = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
        tag = layout.place_tag(HANDLE, block, layout.Slot(crc, length, stamp))
        data = data[:12] + tag.to_bytes(4, "little")
    found = layout.unpack_slot(HANDLE, block, data)
    if found is None:
        return False
    assert layout.pack_slot(HANDLE, block, found) == data
    return True


# ---- the DISK file


def disk_files(chance):
    contents = [
        layout.make_disk_file(CLUSTER, ServerId(chance.randrange(2**63)), DiskId(chance.randrange(2**63)), SMALL)
        for _ in range(5)
    ]
    deep = [b"[" * 60_000, b'{"format":1,"x":' + b'{"a":' * 10_000]
    return [*map(layout.encode_disk_file, contents), *deep]


def decode_disk(data, _chance):
    try:
        content = layout.decode_disk_file(data, where="x/cairn/DISK")
    except FormatError as error:
        return refused(error)
    assert content.server_id >= 0
    assert content.disk_id >= 0
    return same_again(content, layout.encode_disk_file, lambda one: layout.decode_disk_file(one, where="x"))


# ---- the journal


def journal_records(chance):
    handles = (HANDLE, ChunkHandle(1), ChunkHandle(2))
    made = [records.pack_epoch_record(Epoch(3))]
    for handle in handles:
        some = [(block, slot(chance)) for block in range(chance.randrange(4))]
        made += [
            records.pack_header_record(state(chance, handle), cluster=CLUSTER, sequence=1),
            records.pack_write_record(handle, 100, [chance.randbytes(50), b"more"], stamp=4, slots=some),
            records.pack_slots_record(handle, some),
            records.pack_cut_record(handle, 99, stamp=5, crc=6),
            records.pack_gone_record(handle),
        ]
    return [b"".join(map(bytes, parts)) for parts in made]


def segment(payloads):
    content = records.pack_segment_head(SEGMENT, DISK)
    chain = int.from_bytes(content[-4:], "little")
    for payload in payloads:
        head, chain = records.frame([payload], chain)
        content += head + payload
    return content


def segments(chance):
    payloads = journal_records(chance)
    return [segment(payloads), segment(payloads[:3]), segment([]), *(segment([one]) for one in payloads)]


def decode_segment(data, _chance):
    found = list(records.read_segment(memoryview(data), number=SEGMENT, disk=DISK))
    assert not found or data.startswith(segment([b"".join(map(bytes, packed_again(one))) for one in found]))
    return bool(found)


def decode_record(payload, _chance):
    """A record whose checksum fits, whatever it says: what was read is what stands there, and no more."""
    if not payload:
        return False
    found = list(records.read_segment(memoryview(segment([payload])), number=SEGMENT, disk=DISK))
    assert all(payload.startswith(b"".join(map(bytes, packed_again(one)))) for one in found)
    return bool(found)


def packed_again(one):
    match one.kind:
        case records.HEADER:
            return records.pack_header_record(one.header[0], cluster=one.header[1], sequence=one.header[2])
        case records.WRITE:
            return records.pack_write_record(one.handle, one.offset, [one.data], stamp=one.stamp, slots=one.slots)
        case records.SLOTS:
            return records.pack_slots_record(one.handle, one.slots)
        case records.CUT:
            return records.pack_cut_record(one.handle, one.offset, stamp=one.stamp, crc=one.crc)
        case records.GONE:
            return records.pack_gone_record(one.handle)
    return records.pack_epoch_record(one.epoch)


# ---- a whole folder


@cache
def folder_files():
    """Content of a folder with a closed and an open chunk: name to bytes."""
    content = layout.make_disk_file(CLUSTER, ServerId(1), DISK, SMALL)
    found = {layout.DISK_NAME: layout.encode_disk_file(content)}
    for number, closed in ((1, True), (2, False)):
        handle, data = ChunkHandle(number), bytes(range(250)) * 2
        one = layout.ReplicaState(
            handle, ChunkVersion(Epoch(1), 1), ChunkVersion(Epoch(1), 1), Epoch(1), closed=closed, closed_length=500
        )
        header = layout.pack_header(one, cluster=CLUSTER, sequence=1).ljust(layout.SLOTS_START, b"\0")
        blocks = [data[at : at + 256] for at in range(0, 500, 256)]
        pairs = [
            layout.pack_slot(handle, block, layout.Slot(crc32c(piece), len(piece), 1)) + layout.NO_SLOT
            for block, piece in enumerate(blocks)
        ]
        found[layout.data_name(handle)], found[layout.sum_name(handle)] = data, header + b"".join(pairs)
    slots = [(0, layout.Slot(crc32c(b"new" * 50), 150, 2))]
    payloads = [
        records.pack_epoch_record(Epoch(3)),
        records.pack_header_record(state_of_three(), cluster=CLUSTER, sequence=1),
        records.pack_write_record(ChunkHandle(3), 0, [b"new" * 50], stamp=2, slots=slots),
    ]
    found[records.segment_name(SEGMENT)] = segment([b"".join(map(bytes, parts)) for parts in payloads])
    return found


def state_of_three():
    version = ChunkVersion(Epoch(1), 1)
    return layout.ReplicaState(ChunkHandle(3), version, version, Epoch(1))


def folders(_chance):
    return list(folder_files().values())


def recover_folder(data, chance):
    """One file of a folder is damaged: recovery keeps what is whole, moves away what is not, and is idempotent."""
    files = MemoryFiles(MemoryTree("disk"))
    assert files.lock()
    whole = folder_files()
    name = chance.choice([name for name in whole if name != layout.DISK_NAME])
    damaged = {**whole, name: mutated(chance, [whole[name]]) if chance.random() < 0.8 else data}
    for path, content in damaged.items():
        files.make_folder(path.rpartition("/")[0])
        file = files.open(path, create=True)
        file.write(0, [content])
        file.close()
    disk = layout.decode_disk_file(whole[layout.DISK_NAME], where="disk")
    first = recover(files, disk, wall_ns=1)
    assert {found.state.handle for found in first.replicas} <= {1, 2, 3}
    assert all(found.length <= SMALL.chunk_bytes for found in first.replicas)
    second = recover(files, disk, wall_ns=2)
    lengths = [{found.state.handle: found.length for found in each.replicas} for each in (first, second)]
    assert lengths[0] == lengths[1]
    return len(first.replicas) == 3


TARGETS = [
    Target("chunk headers", 24_000, headers, decode_header),
    Target("checksum slots", 24_000, slots, decode_slot),
    Target("DISK files", 18_000, disk_files, decode_disk),
    Target("journal segments", 24_000, segments, decode_segment),
    Target("journal records", 24_000, journal_records, decode_record),
    Target("data folders", 2_000, folders, recover_folder),
]
