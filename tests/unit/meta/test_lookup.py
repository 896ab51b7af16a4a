import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import BadNameError, LoopError, NotFolderError, NotFoundError
from cairnfs.meta import read
from cairnfs.meta.lookup import find
from cairnfs.wire.namespace import CreateFile, IfExists, MakeFolder, MakeSymlink


@pytest.fixture
def caller():
    caller = Caller()
    caller.do(MakeFolder, path=b"/a/b", parents=True)
    caller.do(CreateFile, path=b"/a/b/f")
    return caller


@pytest.mark.parametrize(
    "target, path",
    [
        (b"a/b", b"/l/f"),
        (b"/a/b", b"/l/f"),
        (b"./a//b/../b/", b"/l/f"),
        (b"../../a/b/f", b"/l"),
        (b"a/b/../../a", b"/l/b/f"),
    ],
)
def test_symlinks_lead_where_posix_says(caller, target, path):
    caller.do(MakeSymlink, path=b"/l", target=target)
    assert read.resolve(caller.store, path).path == b"/a/b/f"


def test_relative_symlinks_start_at_their_own_folder(caller):
    caller.do(MakeSymlink, path=b"/a/l", target=b"b/f")
    assert read.resolve(caller.store, b"/a/l").path == b"/a/b/f"


def test_a_symlink_as_last_name_is_itself_unless_followed(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"nowhere")
    assert read.status(caller.store, b"/l", follow=False).attributes.target == b"nowhere"
    with pytest.raises(NotFoundError):
        read.status(caller.store, b"/l")


def test_symlinks_in_a_circle_are_a_loop(caller):
    caller.do(MakeSymlink, path=b"/x", target=b"y")
    caller.do(MakeSymlink, path=b"/y", target=b"x")
    with pytest.raises(LoopError):
        find(caller.store, b"/x/z", follow=True)


def test_forty_symlinks_are_followed_and_no_more(caller):
    for number in range(41):
        target = b"/a" if number == 0 else b"/l%d" % (number - 1)
        caller.do(MakeSymlink, path=b"/l%d" % number, target=target)
    assert read.resolve(caller.store, b"/l39").path == b"/a"
    with pytest.raises(LoopError):
        read.resolve(caller.store, b"/l40")


def test_a_file_is_no_folder_on_the_way(caller):
    for path in (b"/a/b/f/x", b"/a/b/f/x/y"):
        with pytest.raises(NotFolderError):
            find(caller.store, path, follow=True)
    caller.do(MakeSymlink, path=b"/l", target=b"a/b/f/..")
    with pytest.raises(NotFolderError):
        find(caller.store, b"/l", follow=True)


def test_a_symlink_to_a_name_longer_than_any_is_refused(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"n" * 600)
    with pytest.raises(BadNameError):
        find(caller.store, b"/l", follow=True)


def test_create_follows_a_symlink_to_nothing_unless_it_must_be_new(caller):
    caller.do(MakeSymlink, path=b"/l", target=b"/a/new")
    with pytest.raises(FileExistsError):
        caller.do(CreateFile, path=b"/l", if_exists=IfExists.FAIL)
    assert caller.do(CreateFile, path=b"/l").created
    assert read.resolve(caller.store, b"/l").path == b"/a/new"


def test_names_of_any_bytes_are_kept_and_shown_in_errors(caller):
    caller.do(CreateFile, path=b"/\xff\xfe")
    assert [entry.name for entry in read.listing(caller.store, b"/").entries] == [b"a", b"\xff\xfe"]
    with pytest.raises(NotFoundError) as caught:
        read.status(caller.store, b"/\xff")
    assert caught.value.filename == "/\udcff"


def test_long_names_and_paths_are_refused(caller):
    caller.do(CreateFile, path=b"/" + b"n" * 255)
    with pytest.raises(BadNameError):
        caller.do(CreateFile, path=b"/" + b"n" * 256)
    with pytest.raises(BadNameError):
        caller.do(CreateFile, path=b"/n" * 2049)
