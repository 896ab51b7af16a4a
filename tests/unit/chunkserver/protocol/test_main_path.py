"""Push, write, append and read through three chunkservers."""

from tests.unit.chunkserver.protocol.cluster import MIB, run

from cairnfs.ids import DataId


def test_a_pushed_write_stands_on_every_member_and_is_read_back():
    async def story(cluster):
        lease = cluster.lease()
        data = bytes(range(256)) * (MIB // 256)
        await cluster.push(DataId(5), data, "abc")
        written = await cluster.write(lease, 0, data, pushed=DataId(5), shows=True)
        assert written.length == MIB
        assert written.version == lease.version
        cluster.assert_equal(1)
        for name in "abc":
            assert await cluster.read(name, lease, 0, MIB) == data
            assert await cluster.read(name, lease, 1000, 100) == data[1000:1100]
        assert await cluster.length(lease) == MIB

    run(story)


def test_appended_records_stand_where_the_ack_says():
    async def story(cluster):
        lease = cluster.lease()
        placed = []
        for number in range(20):
            record = bytes([number]) * (100 + number)
            appended = await cluster.append(lease, record, shows=True)
            placed.append((appended.offset, record))
        cluster.assert_equal(1)
        for offset, record in placed:
            for name in "abc":
                assert await cluster.read(name, lease, offset, len(record)) == record
        assert await cluster.length(lease) == sum(len(record) for _, record in placed)

    run(story)
