"""A stream of whole new blocks takes short ways through the bookkeeping of blocks. They must lead to the same place."""

from hypothesis import given
from hypothesis import strategies as st

from cairnfs.checksum import block_spans, crc32c, piece_crcs
from cairnfs.chunkserver.blocks import cut_pieces, plan_effect
from cairnfs.chunkserver.format import NO_SLOT, Slot, pack_slot, pack_slots
from cairnfs.chunkserver.slots import SlotTable, pack_pairs
from cairnfs.ids import ChunkHandle

BLOCK = 16
HANDLE = ChunkHandle(0x77)


def table_of(data, *, stamp=1):
    table = SlotTable(HANDLE, BLOCK)
    table.change(list(enumerate(piece_crcs(data, BLOCK))), length=len(data), stamp=stamp)
    return table


def content(table):
    slots = [table.crcs, table.stamps, table.sides, table.flushed, list(table.dirty), table.length, table.last_stamp]
    return [*slots, table.unplaced]


@given(st.lists(st.binary(max_size=70), max_size=4), st.integers(0, 40))
def test_a_mutation_is_cut_at_the_same_places_however_its_buffers_lie(buffers, offset):
    data = b"".join(buffers)
    pieces = cut_pieces(buffers, offset, BLOCK)
    assert [piece[:3] for piece in pieces] == list(block_spans(offset, len(data), BLOCK))
    assert b"".join(bytes(part) for piece in pieces for part in piece.parts) == data
    assert all(sum(map(len, piece.parts)) == piece.length for piece in pieces)


@given(st.binary(min_size=1, max_size=100), st.integers(1, 6))
def test_new_blocks_are_the_same_added_at_once_or_one_by_one(data, old_blocks):
    start = bytes(old_blocks * BLOCK)
    crcs = list(enumerate(piece_crcs(data, BLOCK), old_blocks))
    at_once, one_by_one = table_of(start), table_of(start)
    at_once.change(iter(crcs), length=len(start) + len(data), stamp=2)
    for block, crc in crcs:
        # What lies in no block yet is set one by one if a block that is there comes first.
        one_by_one.change([(0, one_by_one.crcs[0]), (block, crc)], length=len(start) + len(data), stamp=2)
    one_by_one.stamps[0] = 1
    assert content(at_once) == content(one_by_one)


@given(st.integers(0, 5), st.binary(max_size=100))
def test_the_effect_of_whole_new_blocks_is_that_of_their_bytes(old_blocks, data):
    table = table_of(bytes(old_blocks * BLOCK))
    offset, crcs = table.length, piece_crcs(data, BLOCK)
    pieces = cut_pieces([data], offset, BLOCK)
    effect = plan_effect(table, offset, pieces, crcs, read=lambda *_: 1 / 0, verify=True)
    assert (effect.first, effect.crcs, effect.before, effect.after) == (old_blocks, crcs, b"", b"")


def test_bytes_in_the_middle_of_the_last_block_extend_its_checksum():
    table = table_of(b"x" * (BLOCK + 5))
    pieces = cut_pieces([b"yz"], BLOCK + 5, BLOCK)
    effect = plan_effect(table, BLOCK + 5, pieces, [crc32c(b"yz")], read=lambda *_: 1 / 0, verify=True)
    assert (effect.first, effect.crcs) == (1, [crc32c(b"xxxxxyz")])


@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), max_size=5), st.integers(0, 1000))
def test_many_slots_are_packed_as_one(fields, first):
    slots = [Slot(*each) for each in fields]
    packed = pack_slots(HANDLE, enumerate(slots, first))
    assert packed == {block: pack_slot(HANDLE, block, slot) for block, slot in enumerate(slots, first)}


@given(st.binary(min_size=1, max_size=100), st.data())
def test_pairs_hold_the_flushed_state_beside_the_newest(data, draw):
    """Goal: `pairs` and `pack_pairs` agree with slots packed one by one. Method: flush some, change some again."""
    table = table_of(data)
    blocks = list(range(len(table.crcs)))
    some = draw.draw(st.lists(st.sampled_from(blocks), unique=True))
    table.mark_flushed(table.captured(some))
    again = sorted(draw.draw(st.lists(st.sampled_from(blocks), unique=True)))
    for block in again:
        table.change([(block, 9)], length=len(data), stamp=2)
    expected = b""
    for block in blocks:
        newest = pack_slot(HANDLE, block, table.newest(block))
        is_both = block in table.flushed
        kept = pack_slot(HANDLE, block, table.flushed[block]) if is_both else newest
        other = newest if is_both else NO_SLOT
        expected += other + kept if table.sides[block] else kept + other
    assert table.pairs(0, blocks[-1]) == expected
    assert table.pairs(0, blocks[-1] + 1) == expected + 2 * NO_SLOT
    newest = [table.newest(block) for block in blocks]
    on_disk = pack_pairs(HANDLE, 0, [(table.sides[block], None) for block in blocks], newest)
    assert on_disk == b"".join(
        pack_slot(HANDLE, block, slot) + NO_SLOT if table.sides[block] else NO_SLOT + pack_slot(HANDLE, block, slot)
        for block, slot in enumerate(newest)
    )


@given(st.binary(max_size=100))
def test_captured_blocks_are_the_newest_ones(data):
    table = table_of(data)
    blocks = range(len(table.crcs) + 2)
    assert table.captured(blocks) == [(block, table.newest(block)) for block in blocks if table.newest(block)]
