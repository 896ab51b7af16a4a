"""`cairn deletions` against a master in this process, whose one chunkserver claims what a test needs."""

import asyncio
import json
from contextlib import asynccontextmanager

from tests.e2e.tools import run
from tests.support.fake_chunkserver import FakeChunkserver, Replica, World

from cairnfs.config import ClusterConfig, MasterConfig
from cairnfs.env.real import real_env
from cairnfs.ids import NO_VERSION, ChunkVersion
from cairnfs.master.server import Master, initialise
from cairnfs.meta.commands import TakeHandle

ANY = "127.0.0.1:0"


@asynccontextmanager
async def claiming(folder, count):
    """A real master, and a server that claims `count` replicas that no file ever used."""
    env = real_env()
    await initialise(env, str(folder), ClusterConfig(copies_min=1))
    config = MasterConfig(
        listen=(ANY,), data=str(folder), heartbeat_s=0.05, suspect_s=300.0, dead_s=600.0, safe_start_s=0.0
    )
    master = Master(env, config)
    await master.start()
    one = FakeChunkserver(env, World(), 0xABC, master.address)
    try:
        await one.start(address=ANY)
        await asyncio.gather(*[master.reign.execute(TakeHandle()) for _ in range(count)])
        for handle in range(1, count + 1):
            one.replicas[handle] = Replica(ChunkVersion(0, 1), NO_VERSION, b"", closed=True)
            one.gained.append(one.report(handle))
        await one.beat()
        yield master, one
    finally:
        await one.stop()
        await master.stop(grace_s=0)


async def until(one, is_so):
    async with asyncio.timeout(30):
        while not is_so():
            await one.beat()


def test_held_deletions_are_listed_and_released_by_address_or_id(tmp_path):
    """Goal: the table, the JSON, the exit codes and the mistakes of the command. Method: 1,150 orphans, 150 held."""

    async def go():
        async with claiming(tmp_path, 1150) as (master, one):

            async def cairn(*arguments):
                return await asyncio.to_thread(run, *arguments, CAIRN_MASTER=master.address)

            await until(one, lambda: len(one.replicas) == 150)
            shown = await cairn("deletions")
            assert shown.returncode == 1
            assert shown.stdout.split(b"\n")[1].split()[:5] == [
                b"0000000000000abc", one.address.encode(), b"150", b"0", b"0"
            ]  # fmt: skip
            assert b"cairn deletions" in (await cairn("status")).stdout
            wrong = await cairn("deletions", "--release", "elsewhere:1")
            assert (wrong.returncode, wrong.stdout) == (2, b"")
            assert b"no deletions wait on a server elsewhere:1" in wrong.stderr
            (as_json,) = json.loads((await cairn("deletions", "--json")).stdout)
            assert (as_json["server"], as_json["orphans"]) == ("0000000000000abc", 150)
            released = await cairn("deletions", "--release", "abc", "--json")
            assert (released.returncode, json.loads(released.stdout)) == (0, {"released": 150})
            await until(one, lambda: not one.replicas)
            await until(one, lambda: not master.reign.inventory.count(one.server))
            for arguments in ((), ("--release", "all")):
                nothing = await cairn("deletions", *arguments)
                assert (nothing.returncode, nothing.stdout) == (0, b"no deletions wait for an operator\n")

    asyncio.run(go())
