"""Metadata from a backup: numbers leap, and the store says that what is newer is held. Rules 1, 21 to 23."""

import pytest
from tests.unit.meta.support import EPOCH, Caller

from cairnfs.errors import FormatError
from cairnfs.meta import log
from cairnfs.meta.apply import apply
from cairnfs.meta.backup import TAIL_BYTES, decode_tail, encode_tail, facts_of
from cairnfs.meta.check import check
from cairnfs.meta.commands import AcceptRestore
from cairnfs.meta.decide.restores import LEAP_BITS, leap, restored
from cairnfs.meta.tables import get_counters, get_restored
from cairnfs.units import SECOND_NS
from cairnfs.wire.namespace import CreateFile

TIMES = {"taken_ns": 10 * SECOND_NS, "now_ns": 20 * SECOND_NS}


def test_a_restore_leaps_over_all_that_can_have_been_given_out_since_and_is_marked():
    caller = Caller()
    caller.do(CreateFile, path=b"/f")
    before = get_counters(caller.store)
    record = restored(caller.store, EPOCH, **TIMES, drawn=5)
    apply(caller.store, record)
    log.append(caller.store, [record], epoch=record.epoch, now_ns=TIMES["now_ns"])
    after, row = get_counters(caller.store), get_restored(caller.store)
    assert after.next_handle - before.next_handle == after.next_inode - before.next_inode == (11 << LEAP_BITS) + 5
    assert (row.next_handle, row.next_inode, row.accepted_ns) == (before.next_handle, before.next_inode, 0)
    assert record.epoch > EPOCH
    assert check(caller.store) == []


@pytest.mark.parametrize("now_ns", [0, 10 * SECOND_NS])
def test_one_backup_restored_twice_gives_other_numbers_even_if_the_clock_stands_still(now_ns):
    first, second = (leap(7, taken_ns=10 * SECOND_NS, now_ns=now_ns, drawn=drawn) for drawn in (1, 2))
    assert first > 7 + (1 << LEAP_BITS)
    assert second != first


def test_a_restore_is_accepted_once():
    caller = Caller()
    caller.ask(AcceptRestore())
    assert get_restored(caller.store) is None
    apply(caller.store, restored(caller.store, EPOCH, **TIMES, drawn=0))
    caller.ask(AcceptRestore())
    first = get_restored(caller.store)
    assert first.accepted_ns
    caller.now_ns += 1
    caller.ask(AcceptRestore())
    assert get_restored(caller.store) == first


def test_a_changed_or_shortened_tail_is_refused():
    facts = facts_of(Caller().store, epoch=EPOCH, taken_ns=1, body_bytes=100, body_crc=2)
    tail, size = encode_tail(facts), 100 + TAIL_BYTES
    assert decode_tail(tail, size_bytes=size, where="b") == facts
    for place in range(0, TAIL_BYTES, 7):
        changed = tail[:place] + bytes([tail[place] ^ 1]) + tail[place + 1 :]
        with pytest.raises(FormatError):
            decode_tail(changed, size_bytes=size, where="b")
    for shorter in (tail[1:], tail[:-1], b""):
        with pytest.raises(FormatError):
            decode_tail(shorter, size_bytes=size, where="b")
    with pytest.raises(FormatError):
        decode_tail(tail, size_bytes=size + 1, where="b")
