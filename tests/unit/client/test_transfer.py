"""upload, download and copytree: whole or not at all, told as they go, blocking and with await."""

import asyncio
import os
from pathlib import Path

import pytest

import cairnfs
from cairnfs.errors import IsFolderError, NotFolderError, NotFoundError
from cairnfs.units import MIB


@pytest.fixture(scope="module")
def fs():
    with cairnfs.local() as client:
        yield client


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    (top / "deep" / "empty").mkdir(parents=True)
    (top / "deep" / "large").write_bytes(os.urandom(3 * MIB + 7))
    (top / "small").write_text("small")
    (top / os.fsdecode(b"\xff.bin")).write_bytes(b"")
    (top / "link").symlink_to("small")
    (top / "small").chmod(0o600)
    os.utime(top / "deep", ns=(1, 10**18))
    return top


def picture(top):
    """All names below, with what a copy must keep."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            place = os.path.join(folder, name)
            status = os.lstat(place)
            is_file = os.path.isfile(place) and not os.path.islink(place)
            content = Path(place).read_bytes() if is_file else os.path.islink(place) and os.readlink(place)
            times = 0 if os.path.islink(place) else status.st_mtime_ns
            found[os.path.relpath(place, top)] = (content, status.st_mode, times)
    return found


def test_what_was_uploaded_comes_back_by_download(fs, tree, tmp_path):
    done = fs.upload(tree, "/there-and-back", recursive=True)
    assert done.size_bytes == 3 * MIB + 12
    fs.download("/there-and-back", tmp_path / "back", recursive=True)
    assert picture(tmp_path / "back") == picture(tree)


def test_copytree_copies_all_of_it_inside_the_cluster(fs, tree, tmp_path):
    fs.upload(tree, "/first", recursive=True)
    fs.copytree("/first", "/second")
    fs.rmtree("/first")
    fs.download("/second", tmp_path / "back", recursive=True)
    assert picture(tmp_path / "back") == picture(tree)


def test_await_copies_the_same_trees(tree, tmp_path):
    told = []

    async def claim():
        async with await cairnfs.aio.local(chunkservers=1) as fs:
            await fs.upload(str(tree), "/tree", recursive=True, progress=lambda *step: told.append(step))
            await fs.copytree("/tree", "/copy")
            await fs.download("/copy", str(tmp_path / "back"), recursive=True)

    asyncio.run(claim())
    assert picture(tmp_path / "back") == picture(tree)
    assert (told[0][0], told[-1]) == (0, (3 * MIB + 12, 3 * MIB + 12))


def test_a_folder_takes_sources_inside_and_other_targets_are_the_name(fs, tree, tmp_path):
    fs.makedirs("/box")
    fs.upload([tree / "small", tree / "deep" / "large"], "/box")
    assert fs.listdir("/box") == ["large", "small"]
    fs.upload(tree / "small", "/box/other")
    (tmp_path / "down").mkdir()
    fs.download(["/box/other", "/box/small"], tmp_path / "down")
    assert sorted(os.listdir(tmp_path / "down")) == ["other", "small"]


def test_progress_goes_from_nothing_to_all_in_the_callers_thread(fs, tree):
    """Method: the callable uses the client itself, which the thread of the loop could not."""
    told = []

    def tell(done_bytes, total_bytes):
        told.append((done_bytes, total_bytes, fs.exists("/")))

    fs.upload(tree / "deep" / "large", "/large", progress=tell)
    total = 3 * MIB + 7
    assert told[0] == (0, total, True)
    assert told[-1] == (total, total, True)
    assert [step[0] for step in told] == sorted(step[0] for step in told)


def parts(fs, folder):
    return [name for name in fs.listdir(folder) if name.endswith(".part")]


def test_a_progress_that_raises_ends_the_copy_and_leaves_no_part(fs, tree, tmp_path):
    fs.makedirs("/broken")
    fs.upload(tree / "deep" / "large", "/broken/source")

    def fail(done_bytes, total_bytes):
        if done_bytes:
            raise KeyError("of the caller")

    for copy, target in ((fs.upload, "/broken/new"), (fs.download, tmp_path / "new")):
        source = tree / "deep" / "large" if copy == fs.upload else "/broken/source"
        with pytest.raises(KeyError, match="of the caller"):
            copy(source, target, progress=fail)
    assert parts(fs, "/broken") == []
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []


def test_a_download_that_fails_leaves_what_was_there(tree, tmp_path):
    """Method: the chunk's only replica is gone before it is read."""
    target = tmp_path / "kept"
    target.write_text("as it was")
    with cairnfs.local(chunkservers=1, folder=str(tmp_path / "cluster")) as fs:
        fs.upload(tree / "deep" / "large", "/large")
        for place, _, names in os.walk(tmp_path / "cluster" / "chunkserver1"):
            for name in names:
                if os.path.getsize(os.path.join(place, name)) > MIB:
                    os.truncate(os.path.join(place, name), 5)
        with pytest.raises((cairnfs.CairnError, TimeoutError)):
            fs.download("/large", target, timeout=3)
    assert target.read_text() == "as it was"
    assert sorted(os.listdir(tmp_path)) == ["cluster", "kept", "tree"]


def test_a_source_that_is_missing_is_told_before_anything_is_made(fs, tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such"):
        fs.upload([tree, tree / "no-such"], "/never/", recursive=True)
    assert not fs.exists("/never")
    with pytest.raises(NotFoundError, match="/no-such"):
        fs.download("/no-such", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_without_recursive_is_refused_and_says_what_to_do(fs, tree, tmp_path):
    fs.makedirs("/folder/inside")
    for copy in (
        lambda: fs.upload(tree, "/x"),
        lambda: fs.download("/folder", tmp_path / "x"),
        lambda: fs.copytree("/folder", "/x", recursive=False),
    ):
        with pytest.raises(IsFolderError) as caught:
            copy()
        assert "recursive=True" in caught.value.__notes__[0]


def test_a_download_onto_a_folder_of_the_same_name_is_refused(fs, tree, tmp_path):
    fs.upload(tree / "small", "/taken")
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        fs.download("/taken", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["taken", "tree"]


def test_several_sources_need_a_folder(fs, tree):
    with pytest.raises(NotFolderError) as caught:
        fs.upload([tree / "small", tree / "link"], "/one-name")
    assert "2 sources" in caught.value.__notes__[0]


@pytest.mark.parametrize("bad", [3, None, object()])
def test_what_is_no_path_is_refused(fs, bad, tmp_path):
    with pytest.raises(TypeError):
        fs.upload(bad, "/x")
    with pytest.raises(TypeError):
        fs.download("/", bad)


def test_a_progress_that_is_neither_bool_nor_callable_is_refused(fs, tree):
    with pytest.raises(TypeError, match="True, False or a callable"):
        fs.upload(tree / "small", "/x", progress="yes")


def test_nothing_to_copy_is_refused(fs):
    with pytest.raises(ValueError, match="nothing to copy"):
        fs.upload([], "/x")


def test_a_pipe_is_refused_by_name(fs, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is neither file"):
        fs.upload(tmp_path / "pipe", "/x")


def test_two_uploads_to_one_place_leave_one_of_them_whole(fs, tmp_path):
    """Goal: their bytes are never mixed. Method: both at once, of equal letters each."""

    async def claim():
        for letter in "ab":
            (tmp_path / letter).write_text(letter * (4 * MIB))
        async with cairnfs.aio.Client(*await asyncio.to_thread(world, fs)) as client:
            await asyncio.gather(*(client.upload(str(tmp_path / letter), "/same") for letter in "ab"))
        text = await asyncio.to_thread(fs.read_text, "/same")
        assert text in ("a" * (4 * MIB), "b" * (4 * MIB))

    asyncio.run(claim())


def world(fs):
    from cairnfs.env.light import client_env

    return client_env(), fs.config
