"""The pool of buffers: exact sizes, reuse, and a bound."""

from hypothesis import given
from hypothesis import strategies as st

from cairnfs.limits import PAYLOAD_BYTES_MAX
from cairnfs.rpc.payload import _LOOK_AFTER, NO_PAYLOAD, Buffers

KIB = 1024
MIB = 1024 * KIB


@given(st.lists(st.integers(0, PAYLOAD_BYTES_MAX), max_size=20))
def test_a_taken_buffer_has_exactly_the_size_and_nobody_else_has_it(sizes):
    pool = Buffers(idle_bytes_max=8 * 1024 * KIB)
    taken = [pool.take(size) for size in sizes]
    assert [view.nbytes for view in taken] == sizes
    assert len({id(view.obj) for view in taken}) == len(taken)
    for view in taken:
        pool.give(view)
    assert pool.idle_bytes <= 8 * 1024 * KIB
    again = [pool.take(size) for size in sizes]
    assert len({id(view.obj) for view in again}) == len(again)


def test_a_buffer_given_back_is_used_again():
    pool = Buffers()
    first = pool.take(100 * KIB)
    whole = first.obj
    pool.give(first)
    assert pool.take(70 * KIB).obj is whole


def test_small_and_foreign_buffers_are_not_kept():
    pool = Buffers()
    pool.give(pool.take(100))
    pool.give(memoryview(bytearray(100_001)))
    assert pool.idle_bytes == 0


def test_no_payload_can_be_kept_and_released_by_everybody():
    for _ in range(3):
        NO_PAYLOAD.keep()
        NO_PAYLOAD.release()
        NO_PAYLOAD.drop()
    assert NO_PAYLOAD.size == NO_PAYLOAD.received == 0


def test_buffers_of_a_rare_rush_are_not_kept_for_ever():
    pool = Buffers()
    for view in [pool.take(MIB) for _ in range(20)]:
        pool.give(view)
    assert pool.idle_bytes == 20 * MIB
    for _ in range(3 * _LOOK_AFTER):
        first, second = pool.take(MIB), pool.take(MIB)
        pool.give(first)
        pool.give(second)
    assert pool.idle_bytes == 2 * MIB
