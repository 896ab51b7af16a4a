"""Several records in one request: `wire.mutations.AppendRecords`. Rules 10, 11, 16 and 17."""

import pytest
from tests.unit.chunkserver.protocol.cluster import NAMES, run

from cairnfs.checksum import crc32c
from cairnfs.errors import BadRequestError, ChecksumError, ChunkFullError, NotPrimaryError
from cairnfs.units import KIB
from cairnfs.wire.mutations import AppendRecords, RecordHead

SMALL = {"chunk_bytes": 256 * KIB, "block_bytes": 4 * KIB}


async def append_all(cluster, lease, datas, *, first=100, shows=False, **changed):
    heads = [
        RecordHead(sequence=first + number, length=len(data), crc=crc32c(data)) for number, data in enumerate(datas)
    ]
    fields = {
        "handle": lease.handle, "version": lease.version, "client": 1, "lowest": 0, "records": heads,
        "lease": lease if shows else None,
    }  # fmt: skip
    payload = changed.pop("payload", list(datas))
    return await cluster.call(cluster.primary(lease), AppendRecords(**{**fields, **changed}), payload)


def test_they_stand_in_their_order_on_every_member_whatever_their_sizes():
    async def story(cluster):
        lease = cluster.lease()
        records = [bytes([65 + number]) * size for number, size in enumerate((1, 5000, 64 * KIB, 1, 4096))]
        told = (await append_all(cluster, lease, records, shows=True)).offsets
        assert told == [0, 1, 5001, 5001 + 64 * KIB, 5002 + 64 * KIB]
        for name in NAMES:
            assert await cluster.read(name, lease, 0, 256 * KIB) == b"".join(records)

    run(story, **SMALL)


def test_repeated_sequences_get_their_first_offsets_and_the_others_are_appended():
    async def story(cluster):
        lease = await cluster.new_chunk()
        first = await append_all(cluster, lease, [b"a", b"b"])
        again = await append_all(cluster, lease, [b"a", b"b", b"c"])
        assert again.offsets == [*first.offsets, first.offsets[-1] + 1]
        assert (await cluster.read("b", lease, 0, 100)).endswith(b"abc")

    run(story)


def test_what_does_not_fit_is_told_and_a_repeat_goes_to_whoever_knows_the_first_result():
    async def story(cluster):
        lease = await cluster.new_chunk()
        records = [bytes([number]) * (60 * KIB) for number in range(6)]
        told = (await append_all(cluster, lease, records)).offsets
        assert [offset is None for offset in told] == [False] * 4 + [True] * 2
        assert (await append_all(cluster, lease, records[4:], first=104)).offsets == [None, None]
        with pytest.raises(NotPrimaryError):
            await append_all(cluster, lease, records)
        with pytest.raises(ChunkFullError):
            await cluster.append(lease, b"r" * (60 * KIB))

    run(story, **SMALL)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"payload": [b"abx"]}, ChecksumError),
        ({"payload": [b"ab"]}, BadRequestError),
        ({"payload": [b"abcd"]}, BadRequestError),
        ({"records": [RecordHead(sequence=7, length=0, crc=0)], "payload": []}, BadRequestError),
        ({"records": [RecordHead(sequence=7, length=1, crc=crc32c(b"a"))] * 2, "payload": [b"aa"]}, BadRequestError),
        ({"records": [RecordHead(sequence=7, length=65 * KIB, crc=0)], "payload": [bytes(65 * KIB)]}, BadRequestError),
    ],
)
def test_records_that_do_not_fit_their_bytes_are_refused_whole(changed, error):
    async def story(cluster):
        lease = await cluster.new_chunk()
        before = (await cluster.info("a", lease.handle)).length
        with pytest.raises(error):
            await append_all(cluster, lease, [b"a", b"b", b"c"], **changed)
        assert (await cluster.info("a", lease.handle)).length == before
        assert (await append_all(cluster, lease, [b"a", b"b", b"c"])).offsets == [before, before + 1, before + 2]

    run(story)
