"""A replica against a bytearray: the same bytes after any calls, also in a new process. Rules 8, 15 and 16."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.chunkserver.storage.world import HANDLE, SMALL, World, content, make, piece_crcs, put, run

from cairnfs.checksum import crc32c
from cairnfs.checksum import piece_crcs as block_crcs
from cairnfs.chunkserver.format import sum_name
from cairnfs.errors import ChecksumError, ChunkMissingError
from cairnfs.ids import ChunkHandle, Serial

CHUNK, BLOCK = SMALL.chunk_bytes, SMALL.block_bytes
OFFSETS = st.one_of(st.integers(0, CHUNK), st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]))
SIZES = st.one_of(st.integers(0, 200), st.sampled_from([BLOCK, BLOCK - 1, BLOCK + 1, 5 * BLOCK]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), OFFSETS, SIZES, st.booleans()),
        st.tuples(st.just("append"), st.just(0), SIZES, st.booleans()),
        st.tuples(st.just("truncate"), OFFSETS, st.just(0), st.just(False)),
        st.tuples(
            st.sampled_from(["flush", "kill", "power", "close", "clone"]), st.just(0), st.just(0), st.just(False)
        ),
    ),
    max_size=25,
)


class Bench:
    """A store, a replica and what it should hold."""

    def __init__(self, segment_bytes, durability):
        self.world, self.handle, self.number = World(), HANDLE, 0
        self.expected = bytearray()
        self.options = {"segment_bytes": segment_bytes, "durability": durability}

    async def start(self):
        self.store = await self.world.open(**self.options)
        self.replica = self.store.replicas.get(self.handle) or await make(self.store)

    async def step(self, kind, offset, size, durable):
        self.number += 1
        data = bytes((self.number * 7 + place) % 251 for place in range(size))
        store, replica, expected = self.store, self.replica, self.expected
        if kind in ("write", "append"):
            offset = len(expected) if kind == "append" else offset
            data = data[: CHUNK - offset]
            expected.extend(bytes(max(0, offset + len(data) - len(expected))) if data else b"")
            expected[offset : offset + len(data)] = data
            if data:
                half = len(data) // 3
                await put(store, replica, offset, data, durable=durable, buffers=[data[:half], memoryview(data)[half:]])
        elif kind == "truncate":
            del expected[offset:]
            expected.extend(bytes(offset - len(expected)))
            await store.truncate(replica, offset, serial=Serial(self.number))
        elif kind == "flush":
            await store.flush(replica)
        elif kind == "clone":
            self.handle = ChunkHandle(self.handle + 1)
            self.replica = await store.clone_local(replica, self.handle, version=(3, self.number), epoch=3)
            await store.trash(replica)
        else:
            await self.restart(kind)
        assert await content(self.store, self.replica) == expected
        assert self.replica.block_crcs() == expected_crcs(expected)

    async def restart(self, kind):
        if kind == "power" and self.options["durability"] == "disk":
            await self.store.flush(self.replica)
            await self.world.lose_power(self.store, self.number)
        elif kind == "close":
            await self.store.close()
        else:
            await self.world.kill(self.store)
        await self.start()


def expected_crcs(expected):
    crcs = block_crcs(expected, BLOCK)
    return [(crc, min(BLOCK, len(expected) - block * BLOCK)) for block, crc in enumerate(crcs)]


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([500, 5000, 1 << 20]), st.sampled_from(["disk", "disk", "memory"]))
def test_a_replica_is_like_a_bytearray(steps, segment_bytes, durability):
    async def main():
        bench = Bench(segment_bytes, durability)
        await bench.start()
        for step in steps:
            await bench.step(*step)
        digest = bench.replica.digest()
        await bench.store.close()
        await bench.start()
        assert bench.replica.digest() == digest
        assert await content(bench.store, bench.replica) == bench.expected
        await bench.store.close()

    run(main)


def test_data_that_does_not_fit_its_checksums_is_not_stored():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await put(store, replica, 0, b"a" * 1500, durable=True)
        data = b"b" * 2000
        crcs = piece_crcs(data, 500)
        for wrong in ([crcs[0] ^ 1, *crcs[1:]], [*crcs[:-1], crcs[-1] ^ 1], crcs[:-1], [*crcs, 0]):
            for durable in (True, False):
                with pytest.raises(ChecksumError):
                    await store.apply(replica, 500, [data], wrong, serial=Serial(2), durable=durable)
        assert await content(store, replica) == b"a" * 1500
        await store.close()

    run(main)


def test_appends_that_arrive_together_share_a_flush():
    async def main():
        world = World()
        store = await world.open()
        replicas = [await make(store, ChunkHandle(number)) for number in range(1, 21)]
        before = store.disks[replicas[0].disk_id].journal.commits
        jobs = [
            put(store, replica, place * 10, b"0123456789", durable=True) for place in range(20) for replica in replicas
        ]
        await asyncio.gather(*jobs)
        assert store.disks[replicas[0].disk_id].journal.commits - before < 50
        for replica in replicas:
            assert await content(store, replica) == b"0123456789" * 20
            assert replica.flushed_length == 200
            assert not replica.state.plain_writes
        await store.close()

    run(main)


def test_a_read_beside_overwrites_has_bytes_and_checksums_of_one_moment():
    async def main():
        world = World(1, uneven=True)
        store = await world.open()
        replica = await make(store)
        await put(store, replica, 0, b"0" * 4096, durable=True)

        async def overwrite():
            for number in range(40):
                await put(store, replica, (number * 331) % 3000, bytes([65 + number % 26]) * 1000, durable=False)

        async def read():
            for _ in range(60):
                buffer = bytearray(2048)
                count, touched = await store.read(replica, 1024, memoryview(buffer))
                assert count == 2048
                for block, crc, valid in touched:
                    assert crc32c(buffer[(block - 1) * 1024 : (block - 1) * 1024 + valid]) == crc
                await store.read_verified(replica, 100, 3000)

        await asyncio.gather(overwrite(), read(), read())
        await store.close()

    run(main)


def test_a_read_at_the_end_is_short_and_beyond_it_empty():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await put(store, replica, 0, b"a" * 1500, durable=False)
        buffer = memoryview(bytearray(4096))
        count, touched = await store.read(replica, 1024, buffer)
        assert (count, touched) == (476, [(1, crc32c(b"a" * 476), 476)])
        assert await store.read(replica, 1500, buffer) == (0, [])
        assert await store.read_verified(replica, 5000, 10) == b""
        await store.close()

    run(main)


def test_whole_blocks_fill_an_incomplete_replica():
    """Rules 12 and 13: from any state to that of the source, run of blocks by run, and by the length."""

    async def main():
        world = World()
        for before in (b"", b"x" * 100, b"x" * 2500, b"x" * 9000):
            store = await world.open()
            replica = await make(store, incomplete=True)
            await put(store, replica, 0, before, durable=True)
            source = bytes(range(256)) * 20
            for first, end in ((0, BLOCK), (2, 3 * BLOCK), (1, 2 * BLOCK), (4, 5 * BLOCK), (2, 4 * BLOCK), (3, 4596)):
                data = source[first * BLOCK : end]
                await store.write_blocks(replica, first, data, block_crcs(data, BLOCK))
            await store.flush(replica)
            await store.set_header(replica, incomplete=False)
            await world.lose_power(store, 1)
            store = await world.open()
            replica = store.replicas[HANDLE]
            assert await content(store, replica) == source[: 4096 + 500]
            assert not replica.state.incomplete
            await store.trash(replica)
            with pytest.raises(ChunkMissingError):
                await store.read_verified(replica, 0, 1)
            await store.close()

    run(main)


def test_header_changes_build_on_one_another():
    async def main():
        world = World()
        store = await world.open()
        replica = await make(store)
        await asyncio.gather(
            store.set_header(replica, promised=(3, 2)),
            store.set_header(replica, version=(3, 2), closed=True, closed_length=0),
            store.set_header(replica, incomplete=True),
        )
        for _ in range(2):
            state = replica.state
            assert (state.promised, state.version, state.closed, state.incomplete) == ((3, 2), (3, 2), True, True)
            await world.lose_power(store, 3)
            store = await world.open()
            replica = store.replicas[HANDLE]
        await store.close()

    run(main)


def test_the_journal_stays_bounded_and_is_brought_to_place():
    async def main():
        world = World()
        store = await world.open(segment_bytes=2000)
        replica = await make(store)
        for round_ in range(30):
            await put(store, replica, 0, bytes([round_]) * 900, durable=True)
            segments = [name for name in world.tree.find("cairn").entries if name.startswith("journal")]
            assert len(segments) <= 5
        await store.close()
        assert len(world.tree.find(sum_name(HANDLE)).data) == 8192 + 32
        assert [name for name in world.tree.find("cairn").entries if name.startswith("journal")] == [
            segments_after(world)
        ]

    run(main)


def segments_after(world):
    (name,) = [name for name in world.tree.find("cairn").entries if name.startswith("journal")]
    return name
