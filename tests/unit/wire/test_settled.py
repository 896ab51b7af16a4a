"""Columns of settled replicas and their digests. Rule 5; docs/PROTOCOL.md, "Registration with a digest"."""

from itertools import pairwise
from random import Random

import pytest
from msgspec.structs import replace

from cairnfs.errors import BadRequestError
from cairnfs.ids import ChunkHandle
from cairnfs.limits import CHUNK_BYTES
from cairnfs.wire.settled import SettledReplicas, by_bucket, digest_of, pack, unpack_columns

TOP = 2**63 - 1
ROWS = [(1, 1, 5, 0), (2, 1, 7, 100), (4, 2, 1, CHUNK_BYTES), (TOP, TOP, TOP, 1)]


def test_rows_come_back_as_they_were():
    columns = unpack_columns(pack(ROWS))
    assert [(handle, *version, length) for handle, version, length in columns.rows()] == ROWS
    assert list(unpack_columns(pack([])).rows()) == []


def test_any_change_of_any_replica_changes_the_digest():
    """Goal: rule 5. Method: each number of each row, one up or down; each row left out; each pair swaps a number."""
    digests = [digest_of(pack(ROWS))]
    for at, row in enumerate(ROWS):
        digests.append(digest_of(pack(ROWS[:at] + ROWS[at + 1 :])))
        for place in range(4):
            value = row[place] + (-1 if row[place] in (TOP, CHUNK_BYTES) or (at, place) == (0, 0) else 1)
            digests.append(digest_of(pack([*ROWS[:at], (*row[:place], value, *row[place + 1 :]), *ROWS[at + 1 :]])))
    for place in (1, 2, 3):
        for one, other in pairwise(range(4)):
            rows = [list(row) for row in ROWS]
            rows[one][place], rows[other][place] = rows[other][place], rows[one][place]
            if [tuple(row) for row in rows] != ROWS:
                digests.append(digest_of(pack([tuple(row) for row in rows])))
    assert len(set(digests)) == len(digests)
    assert all(0 <= digest <= TOP for digest in digests)


def test_digests_are_the_same_in_every_process():
    assert digest_of(pack(ROWS)) == 4485860657010539716


WORD, HALF = b"\x01" + bytes(7), b"\x01" + bytes(3)
GOOD = SettledReplicas(handles=WORD, epochs=WORD, counters=WORD, lengths=HALF)
HIGH = b"\xff" * 8


@pytest.mark.parametrize(
    "changes",
    [
        {"handles": WORD + b"\x00"},
        {"epochs": b""},
        {"counters": WORD + WORD},
        {"lengths": WORD},
        {"handles": HIGH},
        {"epochs": HIGH},
        {"counters": HIGH},
        {"lengths": HIGH[:4]},
        {"handles": b"\x02" + bytes(7) + WORD, "epochs": 2 * WORD, "counters": 2 * WORD, "lengths": 2 * HALF},
        {"handles": 2 * WORD, "epochs": 2 * WORD, "counters": 2 * WORD, "lengths": 2 * HALF},
    ],
    ids=str,
)
def test_columns_that_do_not_fit_are_refused(changes):
    assert len(unpack_columns(GOOD).handles) == 1
    with pytest.raises(BadRequestError):
        unpack_columns(replace(GOOD, **changes))


def test_no_bytes_do_anything_but_decode_or_be_refused():
    """Goal: rule 27. Method: columns of random sizes and bytes."""
    chance = Random(5)
    for _ in range(2000):
        count = chance.randrange(4)
        settled = SettledReplicas(*[], **{
            name: chance.randbytes(max(0, size * count + chance.choice([0, 0, 0, 1, -1])))
            for name, size in (("handles", 8), ("epochs", 8), ("counters", 8), ("lengths", 4))
        })  # fmt: skip
        try:
            columns = unpack_columns(settled)
        except BadRequestError:
            continue
        assert len(columns.handles) == len(columns.versions) == len(columns.lengths) == len(settled)


def test_handles_fall_into_buckets_in_order():
    handles = [ChunkHandle(one) for one in (0, 3, 4, 11, 12, 12000)]
    assert list(by_bucket(handles, 4)) == [(0, [0, 3]), (1, [4]), (2, [11]), (3, [12]), (3000, [12000])]
    assert list(by_bucket([], 4)) == []
