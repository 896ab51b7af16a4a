"""Records of many chunks at once are the records of each."""

from tests.unit.meta.support import new_store

from cairnfs.meta import sweep
from cairnfs.meta.tables import CHUNKS, key


def test_a_sweep_finds_what_single_looks_find():
    """Goal: dense, sparse and missing rows alike. Method: rows 10 to 29 but 20, asked for in many ways."""
    store = new_store()
    for handle in range(10, 30):
        if handle != 20:
            store.put(CHUNKS, key(handle), b"row %d" % handle)
    asked = [
        [], [10], [20], [9], [500], list(range(10, 20)), list(range(18, 24)), list(range(30)),
        [10, 11, 29], [1, 19, 20, 21], [12, 13, 15, 16, 18], [5, 9_000_000],
    ]  # fmt: skip
    for handles in asked:
        assert sweep.raw_chunks(store, handles) == [store.get(CHUNKS, key(handle)) for handle in handles], handles


def test_handles_that_lie_far_apart_cost_no_sweep():
    store = new_store()
    for handle in range(10, 30):
        store.put(CHUNKS, key(handle), b"row")
    asked = []
    page = store.page
    store.page = lambda table, start, count: asked.append(count) or page(table, start, count)
    sweep.raw_chunks(store, [10, 29])
    assert asked == []
    sweep.raw_chunks(store, [10, 11, 12, 14])
    assert asked == [5]
