"""GFS paper, section 3.2, "Data Flow", on three real chunkservers."""

import asyncio

import pytest
from tests.unit.chunkserver.protocol.cluster import MIB, pass_time, run

from cairnfs.checksum import piece_crcs
from cairnfs.errors import BadRequestError, ChecksumError, ConnectError, DataMissingError
from cairnfs.ids import DataId
from cairnfs.limits import BLOCK_BYTES, PUSH_AGE_S
from cairnfs.wire.mutations import PushData


@pytest.mark.parametrize("chain", ["abc", "cab", "b", "ca"])
def test_data_is_pushed_along_a_chain_of_chunkservers(chain):
    """ "The data is pushed linearly along a chain of chunkservers rather than distributed in some other topology." """

    async def story(cluster):
        data = bytes(range(256)) * 4000
        await cluster.push(DataId(9), data, chain)
        for name in "abc":
            kept = DataId(9) in cluster.servers[name].context.pushed
            assert kept == (name in chain)
        for name in chain:
            (pushed,) = cluster.servers[name].context.pushed.take([DataId(9)], len(data))
            assert bytes(pushed.view) == data

    run(story)


def test_a_chunkserver_starts_forwarding_immediately_once_it_receives_some_data():
    """ "Once a chunkserver receives some data, it starts forwarding immediately." """

    async def story(cluster):
        started = asyncio.get_running_loop().time()
        await cluster.push(DataId(1), b"d" * MIB, "a")
        alone = asyncio.get_running_loop().time() - started
        started = asyncio.get_running_loop().time()
        await cluster.push(DataId(2), b"d" * MIB, "abc")
        chain = asyncio.get_running_loop().time() - started
        assert chain < 3 * alone + 0.05, (alone, chain)

    run(story)


def test_data_is_kept_until_it_is_used_or_aged_out():
    """ "Each chunkserver will store the data in an internal LRU buffer cache until the data is used or aged out." """

    async def story(cluster):
        lease = await cluster.new_chunk()
        for number in (1, 2):
            await cluster.push(DataId(number), b"d" * MIB, "abc")
        await cluster.write(lease, 0, b"d" * MIB, pushed=DataId(1))
        for name in "abc":
            assert cluster.servers[name].context.pushed.held_bytes == MIB
        await pass_time(PUSH_AGE_S + 2)
        for name in "abc":
            assert cluster.servers[name].context.pushed.held_bytes == 0
        with pytest.raises(DataMissingError):
            await cluster.write(lease, 0, b"d" * MIB, pushed=DataId(2))

    run(story, lease_s=300.0)


def test_the_buffer_is_bounded_and_drops_the_oldest_first():
    async def story(cluster):
        buffer = cluster.servers["a"].context.pushed
        buffer._limit_bytes = 3 * MIB
        for number in range(1, 6):
            await cluster.push(DataId(number), b"d" * MIB, "a")
        assert buffer.held_bytes == 3 * MIB
        assert [DataId(number) in buffer for number in range(1, 6)] == [False, False, True, True, True]

    run(story)


def test_an_error_names_the_server_that_could_not_be_reached():
    async def story(cluster):
        cluster.world.crash("c")
        with pytest.raises(ConnectError) as caught:
            await cluster.push(DataId(1), b"d" * MIB, "abc")
        assert caught.value.address == "c:7410"
        assert DataId(1) in cluster.servers["a"].context.pushed
        assert DataId(1) in cluster.servers["b"].context.pushed

    run(story)


def test_pushed_bytes_that_do_not_fit_their_checksums_are_kept_nowhere():
    async def story(cluster):
        good, bad = b"g" * MIB, b"g" * (MIB - 1) + b"b"
        request = PushData(data=1, size=MIB, crcs=piece_crcs(good, BLOCK_BYTES), chain=["b:7410"])
        with pytest.raises(ChecksumError):
            await cluster.call("a", request, [bad])
        with pytest.raises(BadRequestError):
            await cluster.call("a", request, [good[:100]])
        await cluster.settle()
        for name in "ab":
            assert cluster.servers[name].context.pushed.held_bytes == 0

    run(story)
