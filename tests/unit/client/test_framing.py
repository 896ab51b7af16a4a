"""Records survive padding, repeats and garbage."""

from hypothesis import given
from hypothesis import strategies as st

from cairnfs.client.framing import HEADER_BYTES, MAGIC, RecordDecoder, encode_record

DATA = st.binary(max_size=60)
JUNK = st.sampled_from([b"", bytes(5), b"CR", MAGIC, MAGIC + b"\xff" * 30, b"junk" * 20])
RECORDS = st.lists(DATA, max_size=8)


def frames(datas):
    return [encode_record(7, number, data) for number, data in enumerate(datas, start=1)]


def decode(raw, step):
    decoder = RecordDecoder()
    found = []
    for at in range(0, len(raw), step):
        found += decoder.feed(raw[at : at + step])
    return found + decoder.finish(), decoder


@given(RECORDS, st.integers(1, 50))
def test_whole_records_come_back_however_the_bytes_are_cut(datas, step):
    found, decoder = decode(b"".join(frames(datas)), step)
    assert [record.data for record in found] == datas
    assert decoder.skipped_bytes == 0


@given(st.lists(st.tuples(JUNK, DATA), max_size=8), st.integers(1, 50))
def test_padding_and_garbage_between_records_are_skipped(parts, step):
    all_frames = frames([data for _, data in parts])
    raw = b"".join(junk + frame for (junk, _), frame in zip(parts, all_frames, strict=True))
    found, decoder = decode(raw, step)
    assert [record.data for record in found] == [data for _, data in parts]
    assert decoder.skipped_bytes == sum(len(junk) for junk, _ in parts)


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=3, max_size=8), st.data())
def test_one_damaged_byte_costs_one_record(datas, chance):
    all_frames = frames(datas)
    victim = chance.draw(st.integers(0, len(datas) - 1))
    place = chance.draw(st.integers(0, len(all_frames[victim]) - 1))
    bad = bytearray(all_frames[victim])
    bad[place] ^= 0x10
    all_frames[victim] = bytes(bad)
    found, _ = decode(b"".join(all_frames), 37)
    assert [record.data for record in found] == datas[:victim] + datas[victim + 1 :]


@given(st.binary(max_size=200))
def test_any_bytes_can_be_decoded(raw):
    found, decoder = decode(raw, 13)
    assert decoder.skipped_bytes + sum(HEADER_BYTES + len(record.data) for record in found) == len(raw)


@given(RECORDS)
def test_offsets_name_the_frames(datas):
    raw = bytes(11) + b"".join(frames(datas))
    found, _ = decode(raw, 16)
    for record in found:
        assert raw[record.offset :].startswith(encode_record(record.writer, record.sequence, record.data))


def test_a_jump_leaves_a_torn_rest_behind():
    first, second = frames([b"a" * 20, b"b" * 20])
    decoder = RecordDecoder()
    found = decoder.feed(first + second[:30])
    found += decoder.jump(1000)
    found += decoder.feed(second)
    assert [(record.data, record.offset) for record in found] == [(b"a" * 20, 0), (b"b" * 20, 1000)]
