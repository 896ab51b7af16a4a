"""UPath: paths as objects, as `pathlib` has them."""

import pytest
from upath import UPath


@pytest.fixture
def folder(url):
    return UPath(url)


def test_a_path_reads_writes_and_lists(folder):
    file = folder / "a" / "b.txt"
    file.parent.mkdir()
    file.write_text("hällo")
    assert file.read_text() == "hällo"
    assert file.read_bytes() == "hällo".encode()
    assert file.exists()
    assert file.is_file()
    assert file.parent.is_dir()
    assert file.stat().st_size == 6
    assert (file.name, file.suffix, file.stem) == ("b.txt", ".txt", "b")
    assert [one.name for one in folder.iterdir()] == ["a"]
    assert [one.name for one in folder.glob("**/*.txt")] == ["b.txt"]


def test_a_path_is_opened_moved_and_removed(folder):
    file = folder / "x.bin"
    with file.open("wb") as out:
        out.write(b"123")
    moved = file.rename(folder / "y.bin")
    assert not file.exists()
    with moved.open("rb") as source:
        source.seek(1)
        assert source.read() == b"23"
    moved.unlink()
    assert list(folder.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        moved.read_bytes()


def test_odd_names_stay_what_they_are(folder):
    for name in ["with space", "100%", "a#b", "star*", "q?"]:
        (folder / name).write_text(name)
    assert sorted(one.name for one in folder.iterdir()) == sorted(["with space", "100%", "a#b", "star*", "q?"])
    assert all(one.read_text() == one.name for one in folder.iterdir())
