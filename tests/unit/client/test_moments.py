"""Parts of one read: of one moment or torn, and where they are read anew."""

from dataclasses import dataclass

from cairnfs.client.moments import Moments


@dataclass(frozen=True)
class Part:
    index: int
    start: int
    length: int


PARTS = [Part(0, 0, 10), Part(0, 10, 10), Part(1, 0, 10)]


def test_answers_of_two_servers_do_not_fit_together():
    moments = Moments(PARTS)
    moments.note(0, "a", (1, 1), 7)
    assert moments.torn(PARTS) == []
    moments.note(0, "b", (1, 1), 7)
    moments.note(1, "b", (1, 1), 7)
    assert moments.torn(PARTS) == PARTS[:2]


def test_parts_read_anew_begin_where_the_quickest_answer_came_from():
    """Goal: a hedge that won for one part of a chunk does not tear the read again and again."""
    moments = Moments(PARTS)
    assert moments.with_favourite_first(0, ["a", "b", "c"]) == ["a", "b", "c"]
    moments.favour(0, "b")
    assert moments.with_favourite_first(0, ["a", "b", "c"]) == ["b", "a", "c"]
    assert moments.with_favourite_first(1, ["a", "b", "c"]) == ["a", "b", "c"], "another chunk"
