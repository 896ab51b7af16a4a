"""What a chunkserver remembers of chunks: bounded, and little of those whose replicas are gone."""

import tracemalloc

from cairnfs.chunkserver import roles
from cairnfs.chunkserver.roles import Chunks
from cairnfs.ids import ChunkVersion


def make_and_drop(chunks, handles, *, purged):
    for handle in handles:
        chunk = chunks.ensure(handle)
        chunk.promised = chunk.opened = ChunkVersion(3, handle)
        chunks.drop(handle, purged=purged)


def test_a_promise_outlives_its_replica():
    chunks = Chunks()
    make_and_drop(chunks, range(1, 100_000), purged=False)
    assert len(chunks) == 99_999
    for handle in (1, 50_000, 99_999):
        assert chunks.find(handle).promised == chunks.ensure(handle).opened == ChunkVersion(3, handle)
    assert len(chunks) == 99_999


def test_purged_chunks_are_forgotten_in_their_order():
    chunks = Chunks()
    make_and_drop(chunks, range(1, 100_000), purged=True)
    assert len(chunks) == roles._PURGED_MAX
    assert chunks.find(1) is None
    assert chunks.find(99_999).promised == ChunkVersion(3, 99_999)
    assert chunks.find(99_999) is chunks.ensure(99_999)


def test_a_deleted_replica_costs_a_few_hundred_bytes():
    chunks = Chunks()
    tracemalloc.start()
    try:
        make_and_drop(chunks, range(1, 10_001), purged=False)
        assert tracemalloc.get_traced_memory()[0] < 10_000 * 400
    finally:
        tracemalloc.stop()
