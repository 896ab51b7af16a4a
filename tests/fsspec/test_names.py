"""Names: what can be asked and changed about them, and names as odd as Linux allows."""

import errno
import os
import stat
from datetime import UTC, datetime, timedelta

import pytest

ODD = [
    "sp ace", " ", "#hash", "100%25", "star*", "**", "q?", "[1]", "[", "[!a]", "new\nline", "\udcff\udcfe", "a:b",
    "cairn::y", "-x", ".dot", "~", "\\", "{a,b}", "ä€😀", "n" * 255,
]  # fmt: skip


def raw(name):
    return name.encode("utf-8", "surrogateescape")


@pytest.fixture
def odd(fs, root):
    """A folder of files with odd names, each holding its name; and beside them a folder that a pattern would find."""
    fs.pipe({f"{root}/odd/{name}": raw(name) for name in ODD})
    return f"{root}/odd"


def test_odd_names_are_listed_as_they_are(fs, odd):
    expected = sorted((f"{odd}/{name}" for name in ODD), key=raw)
    assert fs.ls(odd, detail=False) == expected
    assert sorted(fs.find(odd), key=raw) == expected
    assert sorted(fs.glob(f"{odd}/*"), key=raw) == expected
    assert sorted(name for _, _, names in fs.walk(odd) for name in names) == sorted(ODD)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_taken_as_it_is(fs, odd, name, tmp_path):
    path = f"{odd}/{name}"
    assert fs.exists(path)
    assert fs.isfile(path)
    assert fs.info(path)["name"] == path
    assert fs.cat(path) == raw(name)
    with fs.open(path) as file:
        assert file.read() == raw(name)
    fs.get(path, str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == raw(name)
    fs.cp(path, f"{odd}-copy")
    assert fs.cat(f"{odd}-copy") == raw(name)
    fs.mv(path, f"{odd}-moved")
    assert fs.cat(f"{odd}-moved") == raw(name)
    fs.mv(f"{odd}-moved", path)
    fs.rm(path)
    assert sorted(fs.ls(odd, detail=False)) == sorted(f"{odd}/{other}" for other in ODD if other != name)


def test_a_folder_with_an_odd_name_is_copied_whole(fs, root, tmp_path):
    fs.pipe({f"{root}/d[1]*/x": b"x", f"{root}/d[1]*/e?/y": b"y", f"{root}/d1/z": b"z"})
    fs.get(f"{root}/d[1]*", str(tmp_path / "new"), recursive=True)
    assert (tmp_path / "new" / "e?" / "y").read_bytes() == b"y"
    assert sorted(os.listdir(tmp_path / "new")) == ["e?", "x"]
    fs.mkdir(f"{root}/there")
    fs.cp(f"{root}/d[1]*", f"{root}/there", recursive=True)
    assert fs.find(f"{root}/there") == [f"{root}/there/d[1]*/e?/y", f"{root}/there/d[1]*/x"]
    fs.rm(f"{root}/d[1]*", recursive=True)
    assert fs.ls(root, detail=False) == [f"{root}/d1", f"{root}/there"]


def test_patterns_find_odd_names(fs, odd):
    assert fs.glob(f"{odd}/[[]1]") == [f"{odd}/[1]"]
    assert fs.glob(f"{odd}/*line") == [f"{odd}/new\nline"]
    assert fs.glob(f"{odd}/star[*]") == [f"{odd}/star*"]
    assert fs.glob(f"{odd}/[#-%]*") == [f"{odd}/#hash"]
    assert fs.glob(f"{odd}/no*") == []
    assert len(fs.glob(f"{odd}/**")) == len(ODD) + 1


def test_what_was_found_can_be_given_back(fs, odd):
    """Goal: a list from `find` names files, not patterns: nothing more and nothing less is read or deleted."""
    found = fs.find(odd)
    assert fs.cat(found) == {path: raw(path.rpartition("/")[2]) for path in found}
    fs.rm([path for path in found if path != f"{odd}/-x"])
    assert fs.find(odd) == [f"{odd}/-x"]


@pytest.mark.parametrize("call", ["info", "cat_file", "open", "touch", "mkdir"])
def test_a_name_that_is_too_long_says_so(fs, root, call):
    with pytest.raises(OSError, match="over 255 bytes") as raised:
        getattr(fs, call)(f"{root}/{'n' * 256}")
    assert raised.value.errno == errno.ENAMETOOLONG
    assert not fs.exists(f"{root}/{'n' * 256}")


# ---------------------------------------------------------------------- asking


def test_info_tells_what_local_files_tell(fs, root, cluster, tmp_path):
    began = datetime.now(UTC)
    fs.pipe_file(f"{root}/a", b"12345")
    cluster.chmod(f"{root}/a", 0o640)
    info = fs.info(f"{root}/a")
    truth = cluster.stat(f"{root}/a")
    (tmp_path / "local").write_bytes(b"")
    from fsspec.implementations.local import LocalFileSystem

    assert set(LocalFileSystem().info(str(tmp_path / "local"))) <= set(info)
    assert (info["name"], info["size"], info["type"], info["ino"]) == (f"{root}/a", 5, "file", truth.inode)
    assert (info["uid"], info["gid"], info["nlink"], info["islink"]) == (truth.uid, truth.gid, 1, False)
    assert (stat.S_ISREG(info["mode"]), stat.S_IMODE(info["mode"])) == (True, 0o640)
    assert fs.ls(f"{root}/a") == fs.ls(root) == [info]
    assert abs(fs.modified(f"{root}/a") - began) < timedelta(minutes=1)
    assert abs(fs.created(f"{root}/a") - began) < timedelta(minutes=1)
    assert fs.info(root)["type"] == "directory"
    assert fs.info("/")["name"] == "/"


def test_a_symlink_is_what_it_leads_to(fs, root, cluster):
    fs.pipe_file(f"{root}/d/file", b"123")
    cluster.symlink("d/file", f"{root}/to-file")
    cluster.symlink("d", f"{root}/to-folder")
    cluster.symlink("nothing", f"{root}/to-nothing")
    link = fs.info(f"{root}/to-file")
    assert (link["type"], link["size"], link["islink"], link["destination"]) == ("file", 3, True, "d/file")
    assert fs.info(f"{root}/to-folder")["type"] == "directory"
    assert fs.cat(f"{root}/to-folder/file") == b"123"
    kinds = {info["name"].rpartition("/")[2]: info["type"] for info in fs.ls(root)}
    assert kinds == {"d": "directory", "to-file": "file", "to-folder": "link", "to-nothing": "link"}
    assert not fs.exists(f"{root}/to-nothing")
    assert fs.lexists(f"{root}/to-nothing")


def test_writing_through_a_symlink_replaces_what_it_leads_to(fs, root, cluster):
    fs.pipe_file(f"{root}/d/file", b"old")
    cluster.symlink("d/file", f"{root}/link")
    fs.pipe_file(f"{root}/link", b"new")
    assert cluster.islink(f"{root}/link")
    assert fs.cat(f"{root}/d/file") == b"new"


def test_a_walk_does_not_go_in_circles(fs, root, cluster):
    cluster.symlink(".", f"{root}/loop")
    assert fs.find(root) == [f"{root}/loop"]


def test_sums_and_depths(fs, root):
    fs.pipe({f"{root}/a": b"1", f"{root}/d/b": b"22", f"{root}/d/e/c": b"333"})
    assert fs.du(root) == 6
    assert fs.du(root, total=False) == {f"{root}/a": 1, f"{root}/d/b": 2, f"{root}/d/e/c": 3}
    assert fs.du(root, maxdepth=1) == 1
    assert fs.find(root, maxdepth=2) == [f"{root}/a", f"{root}/d/b"]
    assert fs.find(f"{root}/a", detail=True) == {f"{root}/a": fs.info(f"{root}/a")}
    assert fs.expand_path(f"{root}/*") == [f"{root}/a", f"{root}/d"]
    assert fs.expand_path(f"{root}/d", recursive=True) == [
        f"{root}/d", f"{root}/d/b", f"{root}/d/e", f"{root}/d/e/c"
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError):
        fs.expand_path([f"{root}/x*", f"{root}/y*"])


def test_ukey_changes_with_the_content(fs, root, cluster):
    path = f"{root}/a"
    fs.pipe_file(path, b"12345")
    keys = [fs.ukey(path)]
    assert fs.ukey(path) == keys[0]
    fs.pipe_file(path, b"54321")
    keys.append(fs.ukey(path))
    with cluster.open(path, "r+b") as file:
        file.write(b"abcde")
    keys.append(fs.ukey(path))
    assert len(set(keys)) == 3
    assert fs.checksum(path) == int(keys[-1], 16)


def test_nothing_there(fs, root):
    fs.pipe_file(f"{root}/file", b"")
    for path in (f"{root}/no", f"{root}/file/below"):
        assert not fs.exists(path)
        assert not fs.isfile(path)
        assert not fs.isdir(path)
        assert fs.glob(path) == fs.find(path) == []
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{root}/no")
    with pytest.raises(NotADirectoryError):
        fs.ls(f"{root}/file/below")
    with pytest.raises(IsADirectoryError):
        fs.cat_file(root)


# ---------------------------------------------------------------------- changing


def test_folders(fs, root):
    fs.mkdir(f"{root}/a/b")
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{root}/x/y", create_parents=False)
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{root}/a")
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{root}/a")
    fs.makedirs(f"{root}/a", exist_ok=True)
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{root}/a")
    fs.rmdir(f"{root}/a/b")
    assert fs.ls(f"{root}/a") == []


def test_rm(fs, root):
    fs.pipe({f"{root}/{name}": b"" for name in ("a1", "a2", "b", "d/x", "d/e/y")})
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{root}/d")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{root}/no")
    fs.rm(f"{root}/a*")
    assert fs.find(root) == [f"{root}/b", f"{root}/d/e/y", f"{root}/d/x"]
    fs.rm(f"{root}/d", recursive=True, maxdepth=1)
    assert fs.find(root) == [f"{root}/b", f"{root}/d/e/y"]
    fs.rm([f"{root}/d", f"{root}/b"], recursive=True)
    assert fs.ls(root) == []


def test_what_is_removed_can_be_undeleted_unless_it_is_removed_now(fs, root, cluster):
    fs.pipe({f"{root}/a": b"1", f"{root}/b": b"2"})
    fs.rm(f"{root}/a")
    fs.rm(f"{root}/b", now=True)
    cluster.undelete(f"{root}/a")
    assert fs.cat(f"{root}/a") == b"1"
    with pytest.raises(FileNotFoundError):
        cluster.undelete(f"{root}/b")


def test_mv_renames(fs, root):
    fs.pipe({f"{root}/a": b"1", f"{root}/b": b"2", f"{root}/d/c": b"3"})
    inode = fs.info(f"{root}/a")["ino"]
    fs.mv(f"{root}/a", f"{root}/b")
    assert (fs.cat(f"{root}/b"), fs.info(f"{root}/b")["ino"]) == (b"1", inode)
    fs.mv(f"{root}/b", f"{root}/new/b")
    fs.mv(f"{root}/new/b", f"{root}/d")
    fs.mv(f"{root}/d", f"{root}/f", recursive=True)
    assert fs.find(root) == [f"{root}/f/b", f"{root}/f/c"]
    fs.mv(f"{root}/f/*", f"{root}/new")
    assert fs.find(root) == [f"{root}/new/b", f"{root}/new/c"]
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{root}/no", f"{root}/x/y")
    assert not fs.exists(f"{root}/x")
    with pytest.raises(NotADirectoryError):
        fs.mv(f"{root}/new/*", f"{root}/one")


def test_cp_copies_without_moving_bytes(fs, root):
    fs.pipe_file(f"{root}/a", b"1" * 100_000)
    fs.cp(f"{root}/a", f"{root}/d/b")
    fs.pipe_file(f"{root}/a", b"2")
    assert fs.cat(f"{root}/d/b") == b"1" * 100_000
    fs.cp(f"{root}/a", f"{root}/d/b")
    assert fs.cat(f"{root}/d/b") == b"2"
    with pytest.raises(FileNotFoundError):
        fs.cp(f"{root}/no", f"{root}/x")


def test_touch(fs, root):
    fs.touch(f"{root}/a")
    assert fs.info(f"{root}/a")["size"] == 0
    fs.pipe_file(f"{root}/a", b"123")
    before = fs.modified(f"{root}/a")
    fs.touch(f"{root}/a", truncate=False)
    assert (fs.cat(f"{root}/a"), fs.modified(f"{root}/a") > before) == (b"123", True)
    fs.touch(f"{root}/a")
    assert fs.cat(f"{root}/a") == b""
    fs.touch(f"{root}/d/new", truncate=False)
    assert fs.isfile(f"{root}/d/new")
