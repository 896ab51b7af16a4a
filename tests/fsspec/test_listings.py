"""Listings are asked for each time, or kept if one wishes so, and then never older than one's own changes."""

import fsspec
import pytest


@pytest.fixture
def keeping(address):
    return fsspec.filesystem("cairn", masters=address, use_listings_cache=True, skip_instance_cache=True)


def test_changes_of_others_are_seen_at_once(fs, cluster, root):
    assert fs.ls(root) == []
    cluster.write_bytes(f"{root}/a", b"1")
    assert fs.ls(root, detail=False) == [f"{root}/a"]


def test_kept_listings_are_given_out_until_refreshed(keeping, cluster, root):
    assert keeping.ls(root) == []
    cluster.write_bytes(f"{root}/a", b"1")
    assert keeping.ls(root) == []
    assert keeping.ls(root, refresh=True, detail=False) == [f"{root}/a"]
    cluster.write_bytes(f"{root}/b", b"1")
    keeping.invalidate_cache(root)
    assert keeping.ls(root, detail=False) == [f"{root}/a", f"{root}/b"]


CHANGES = {
    "pipe": lambda fs, root: fs.pipe_file(f"{root}/d/new", b"1"),
    "open": lambda fs, root: fs.open(f"{root}/d/new", "wb").close(),
    "append": lambda fs, root: append(fs, f"{root}/d/old"),
    "put": lambda fs, root: fs.put_file(__file__, f"{root}/d/new"),
    "cp": lambda fs, root: fs.cp(f"{root}/d/old", f"{root}/d/new"),
    "mv": lambda fs, root: fs.mv(f"{root}/d/old", f"{root}/new"),
    "mv folder": lambda fs, root: fs.mv(f"{root}/d", f"{root}/e"),
    "rm": lambda fs, root: fs.rm(f"{root}/d/old"),
    "rm folder": lambda fs, root: fs.rm(f"{root}/d", recursive=True),
    "rm depth": lambda fs, root: fs.rm(f"{root}/d", recursive=True, maxdepth=1),
    "touch": lambda fs, root: fs.touch(f"{root}/d/new"),
    "mkdir": lambda fs, root: fs.mkdir(f"{root}/d/x/y"),
    "makedirs": lambda fs, root: fs.makedirs(f"{root}/d/x/y"),
    "rmdir": lambda fs, root: fs.rmdir(f"{root}/d/empty"),
    "transaction": lambda fs, root: in_transaction(fs, root),
}


def append(fs, path):
    with fs.open(path, "ab") as file:
        file.write(b"more")


def in_transaction(fs, root):
    with fs.transaction:
        fs.pipe_file(f"{root}/d/new", b"1")
        fs.open(f"{root}/d/new2", "wb").close()
        tree(fs, root)  # kept anew before the commit


def tree(fs, root):
    return {folder: fs.ls(folder) for folder in (root, f"{root}/d", f"{root}/d/empty", f"{root}/e") if fs.isdir(folder)}


@pytest.mark.parametrize("change", CHANGES)
def test_kept_listings_show_own_changes(keeping, fs, root, change):
    keeping.pipe({f"{root}/d/old": b"1"})
    keeping.mkdir(f"{root}/d/empty")
    tree(keeping, root)
    CHANGES[change](keeping, root)
    assert tree(keeping, root) == tree(fs, root)
