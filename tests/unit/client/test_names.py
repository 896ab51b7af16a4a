"""Names, records and sums through the asynchronous client."""

import asyncio

import pytest
from tests.support.fake_cluster import fake_cluster

from cairnfs.errors import NotEmptyError
from cairnfs.wire.mutations import AppendRecord


def run(claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(60), fake_cluster(**shape) as (cluster, fs):
            await claim(cluster, fs)

    asyncio.run(with_cluster())


def test_listings_are_paged_and_sorted():
    async def claim(cluster, fs):
        for number in range(7):
            await fs.touch(f"/file{number}")
        assert await fs.listdir("/") == [f"file{number}" for number in range(7)]
        assert [entry.path async for entry in fs.scandir("/")][:2] == ["/file0", "/file1"]

    run(claim)


def test_walk_goes_top_down():
    async def claim(cluster, fs):
        await fs.makedirs("/a/b")
        await fs.mkdir("/c")
        await fs.touch("/a/x")
        await fs.touch("/a/b/y")
        assert [step async for step in fs.walk("/")] == [
            ("/", ["a", "c"], []), ("/a", ["b"], ["x"]), ("/a/b", [], ["y"]), ("/c", [], []),
        ]  # fmt: skip

    run(claim)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/*", ["/a", "/x.txt"]),
        ("/a/*.txt", ["/a/y.txt"]),
        ("/**/*.txt", ["/a/b/z.txt", "/a/y.txt", "/x.txt"]),
        ("/a/**", ["/a", "/a/b", "/a/b/z.txt", "/a/y.txt"]),
        ("/a/[by]*", ["/a/b", "/a/y.txt"]),
        ("/x.txt", ["/x.txt"]),
        ("/none/*", []),
        ("/a/.h*", ["/a/.hidden"]),
    ],
)
def test_glob_finds(pattern, found):
    async def claim(cluster, fs):
        for path in ("/x.txt", "/a/y.txt", "/a/b/z.txt", "/a/.hidden"):
            await fs.write_bytes(path, b"1", parents=True)
        assert await fs.glob(pattern) == found

    run(claim)


def test_mkdir_is_as_in_pathlib():
    async def claim(cluster, fs):
        with pytest.raises(FileNotFoundError):
            await fs.mkdir("/a/b")
        await fs.mkdir("/a/b", parents=True)
        with pytest.raises(FileExistsError):
            await fs.mkdir("/a/b", parents=True)
        with pytest.raises(FileExistsError):
            await fs.mkdir("/a/b")
        await fs.makedirs("/a/b", exist_ok=True)
        await fs.mkdir("/a/b", exist_ok=True)
        await fs.touch("/file")
        with pytest.raises(FileExistsError):
            await fs.mkdir("/file", exist_ok=True)

    run(claim)


def test_deleting_says_what_python_says():
    async def claim(cluster, fs):
        await fs.write_bytes("/a/file", b"1", parents=True)
        with pytest.raises(IsADirectoryError):
            await fs.remove("/a")
        with pytest.raises(NotADirectoryError):
            await fs.rmdir("/a/file")
        with pytest.raises(NotEmptyError):
            await fs.rmdir("/a")
        with pytest.raises(FileNotFoundError):
            await fs.unlink("/none")
        await fs.unlink("/none", missing_ok=True)
        await fs.rmtree("/a")
        assert not await fs.exists("/a")
        assert [each.path async for each in fs.trash()] == ["/a/file", "/a"]
        await fs.undelete("/a/file", to="/back")
        assert await fs.read_bytes("/back") == b"1"

    run(claim)


def test_rename_replace_links_and_attributes():
    async def claim(cluster, fs):
        await fs.write_bytes("/a", b"1")
        await fs.write_bytes("/b", b"2")
        with pytest.raises(FileExistsError):
            await fs.rename("/a", "/b")
        await fs.replace("/a", "/b")
        assert await fs.read_bytes("/b") == b"1"
        await fs.symlink("/b", "/link")
        assert await fs.readlink("/link") == "/b"
        assert await fs.read_bytes("/link") == b"1"
        assert await fs.islink("/link")
        await fs.chmod("/b", 0o600)
        await fs.utime("/b", 5)
        status = await fs.set_attributes("/b", xattrs={"user.k": b"v"})
        assert (status.mode, status.mtime_ns, status.xattrs) == (0o600, 5, {"user.k": b"v"})

    run(claim)


def test_names_that_are_no_utf_8_go_both_ways():
    async def claim(cluster, fs):
        await fs.touch(b"/\xff\xfe")
        (name,) = await fs.listdir("/")
        assert await fs.exists("/" + name)

    run(claim)


def test_du_and_copy_add_up():
    async def claim(cluster, fs):
        await fs.write_bytes("/d/a", b"x" * 100, parents=True)
        assert await fs.copy("/d/a", "/d/b") == 100
        usage = await fs.du("/d")
        assert (usage.files, usage.folders, usage.size_bytes, usage.stored_bytes) == (2, 1, 200, 600)

    run(claim)


def test_each_record_is_read_once_although_appends_repeat_and_leave_holes():
    """Method: acks are lost behind the master's back, so that records are appended twice; chunks fill up."""

    async def claim(cluster, fs):
        writer = await fs.append_writer("/records")
        datas = [bytes([number]) * 50_000 for number in range(12)]
        for number, data in enumerate(datas):
            if number % 4 == 1:
                for chunk in cluster.chunks.values():
                    chunk.filter.clear()
                await fs.append("/records", b"no record at all" * number)
            await writer.append(data)
            if number % 3 == 0:
                await fs._core.appender.append(writer.inode, encode(writer, number + 1, data))
        assert [record.data async for record in fs.records("/records")] == datas
        assert sum(server.asked[AppendRecord] for server in cluster.servers) > len(datas)

    run(claim)


def encode(writer, sequence, data):
    from cairnfs.client.framing import encode_record

    return encode_record(writer.writer, sequence, data)


def test_text_files_with_await_decode_and_translate():
    async def claim(cluster, fs):
        async with await fs.open_text("/text", "w") as file:
            await file.write("erste\nzweite ü\n" * 1000)
        async with await fs.open_text("/text") as file:
            assert [line async for line in file] == ["erste\n", "zweite ü\n"] * 1000
        async with await fs.open_text("/text") as file:
            assert await file.read(3) == "ers"
            assert await file.readline() == "te\n"
            assert len(await file.read()) == len("erste\nzweite ü\n" * 1000) - 6
        await fs.write_bytes("/crlf", b"a\r\nb\r\n")
        async with await fs.open_text("/crlf") as file:
            assert await file.read() == "a\nb\n"

    run(claim)
