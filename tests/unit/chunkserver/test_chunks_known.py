"""What a chunkserver remembers of chunks: bounded, and little of those whose replicas are gone."""

import tracemalloc

from cairnfs.chunkserver.roles import _GONE_S, Chunks
from cairnfs.ids import ChunkVersion
from cairnfs.wire.common import Lease


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def make_and_drop(chunks, handles):
    for handle in handles:
        chunk = chunks.ensure(handle)
        chunk.promised = chunk.opened = ChunkVersion(3, handle)
        chunks.drop(handle)


def test_a_promise_outlives_its_replica():
    chunks = Chunks(Clock())
    make_and_drop(chunks, range(1, 100_000))
    assert len(chunks) == 99_999
    for handle in (1, 50_000, 99_999):
        assert chunks.find(handle).promised == chunks.ensure(handle).opened == ChunkVersion(3, handle)
    assert len(chunks) == 99_999


def test_it_is_forgotten_when_no_lease_can_name_it_any_more():
    clock = Clock()
    chunks = Chunks(clock)
    make_and_drop(chunks, range(1, 1001))
    clock.now += _GONE_S - 1
    make_and_drop(chunks, range(1001, 2001))
    assert len(chunks) == 2000
    clock.now += 1
    make_and_drop(chunks, range(2001, 3001))
    assert len(chunks) == 2000
    assert chunks.find(1000) is None
    assert chunks.find(1001).promised == ChunkVersion(3, 1001)


def test_a_long_lease_is_outlived():
    clock = Clock()
    chunks = Chunks(clock)
    lease = Lease(
        handle=1, version=ChunkVersion(3, 1), epoch=3, members=[], primary=1, base_length=0, lease_s=600.0,
        anchor_s=0.0, fence_done=True, broken_at=ChunkVersion(0, 0), is_new=True,
    )  # fmt: skip
    chunks.ensure(1).lease = lease
    make_and_drop(chunks, [1])
    clock.now += 2 * lease.lease_s
    make_and_drop(chunks, [2, 3])
    assert chunks.find(1).opened == ChunkVersion(3, 1)


def test_a_deleted_replica_costs_a_few_hundred_bytes():
    chunks = Chunks(Clock())
    tracemalloc.start()
    try:
        make_and_drop(chunks, range(1, 10_001))
        assert tracemalloc.get_traced_memory()[0] < 10_000 * 450
    finally:
        tracemalloc.stop()
