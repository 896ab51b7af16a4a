"""The client against a real master and real chunkservers, in one loop on loopback sockets and folders."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from cairnfs.client.filesystem import Client
from cairnfs.config import ChunkserverConfig, ClientConfig, ClusterConfig, MasterConfig

master_server = pytest.importorskip("cairnfs.master.server")
chunk_server = pytest.importorskip("cairnfs.chunkserver.server")

CHUNK = 256 * 1024
ANY = ("127.0.0.1:0",)


@asynccontextmanager
async def real_cluster(folder, servers=3, **settings):
    from cairnfs.env.real import real_env

    env = real_env()
    (folder / "master").mkdir()
    await master_server.initialise(env, str(folder / "master"), ClusterConfig(chunk_bytes=CHUNK, copies_min=2))
    master = master_server.Master(env, MasterConfig(listen=ANY, data=str(folder / "master"), **settings))
    await master.start()
    running = []
    for number in range(servers):
        (folder / str(number)).mkdir()
        config = ChunkserverConfig(
            listen=ANY, master=(master.address,), data=(str(folder / str(number)),), reserve_bytes=0,
            reserve_fraction=0.0,
        )  # fmt: skip
        running.append(chunk_server.Chunkserver(env, config))
        await running[-1].start()
    client = Client(env, ClientConfig(master=(master.address,)))
    try:
        yield running, client
    finally:
        await client.close()
        for server in running:
            await server.stop()
        await master.stop()


def run(folder, claim, **shape):
    async def with_cluster():
        async with asyncio.timeout(100), real_cluster(folder, **shape) as (servers, fs):
            await claim(servers, fs)

    asyncio.run(with_cluster())


def test_bytes_come_back_over_chunk_ends_and_holes(tmp_path):
    async def claim(servers, fs):
        data = os.urandom(3 * CHUNK + 777)
        await fs.write_bytes("/file", data)
        assert await fs.read_bytes("/file") == data
        async with await fs.open("/file", "r+b") as file:
            await file.seek(CHUNK - 3)
            await file.write(b"across")
            await file.seek(6 * CHUNK)
            await file.write(b"end")
        expected = data[: CHUNK - 3] + b"across" + data[CHUNK + 3 :]
        expected += bytes(6 * CHUNK - len(expected)) + b"end"
        assert await fs.read_bytes("/file") == expected
        assert (await fs.stat("/file")).size == 6 * CHUNK + 3
        await fs.truncate("/file", CHUNK + 1)
        assert await fs.read_bytes("/file") == expected[: CHUNK + 1]

    run(tmp_path, claim)


@pytest.mark.parametrize("whose", ["own append", "write of another client"])
def test_closing_a_file_that_was_made_and_not_written_takes_nobodys_bytes(tmp_path, whose):
    """Goal: the chunk that came with a new file goes only while it is empty. It went with acknowledged bytes."""

    async def main():
        async with real_cluster(tmp_path) as (_, client):
            async with await client.open("/f", "wb") as file:
                if whose == "own append":
                    await file.append(b"bytes")
                else:
                    await client.write_bytes("/f", b"bytes")
            assert await client.read_bytes("/f") == b"bytes"
            async with await client.open("/empty", "wb"):
                pass
            assert (await client.stat("/empty")).chunks == 0

    asyncio.run(main())


def test_records_of_two_writers_stand_once_and_whole(tmp_path):
    async def claim(servers, fs):
        other = Client(fs._core.connection.env, fs.config)
        writers = [await fs.append_writer("/log"), await other.append_writer("/log")]
        written = []
        for number in range(16):
            data = bytes([number]) * (1000 + 4000 * number)
            written.append(data)
            await writers[number % 2].append(data)
        assert [record.data async for record in fs.records("/log")] == written
        await other.close()

    run(tmp_path, claim)


def test_a_snapshot_keeps_the_bytes_of_its_moment(tmp_path):
    async def claim(servers, fs):
        await fs.write_bytes("/a", b"before" * 1000)
        await fs.snapshot("/a", "/b")
        async with await fs.open("/a", "r+b") as file:
            await file.write(b"AFTER!")
        assert await fs.read_bytes("/b") == b"before" * 1000
        assert (await fs.read_bytes("/a"))[:12] == b"AFTER!before"

    run(tmp_path, claim)


def test_work_goes_on_when_a_chunkserver_is_gone(tmp_path):
    """Goal: acknowledged bytes stay readable, and writes and appends go on with the members that are left."""

    async def claim(servers, fs):
        data = os.urandom(CHUNK + 5)
        await fs.write_bytes("/file", data)
        await fs.append("/log", b"one")
        file = await fs.open("/open", "wb")
        await file.write(b"begun ")
        await file.flush()
        await servers.pop().stop()
        assert await fs.read_bytes("/file") == data
        await fs.append("/log", b"two")
        await file.write(b"ended")
        await file.close()
        assert await fs.read_bytes("/open") == b"begun ended"
        assert await fs.read_bytes("/log") == b"onetwo"
        await fs.write_bytes("/new", data)
        assert await fs.read_bytes("/new") == data

    run(tmp_path, claim)
