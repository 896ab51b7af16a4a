"""The scene of quotas: a folder does not grow above its hard limits. docs/QUOTAS.md; see `guards`."""

import asyncio

from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError, QuotaError
from cairnfs.meta.check import check
from cairnfs.sim.cluster import MASTER, SMALL
from cairnfs.sim.stage import Stage

FOLDER = "/limited"
FILES, CHUNKS = 5, 3


async def hold_quotas(stage: Stage) -> None:
    """Goal: hard limits hold, whoever is first and whatever the master goes through; the usage stays exact.

    Method: two clients make more files than may be, at once, while the master loses power and comes back; a writer
    writes more chunks than there is room for. What was refused works elsewhere, and here when there is room again.
    """
    one, two = await stage.client("one"), await stage.client("two")
    await stage.on("one", one.mkdir(FOLDER))
    await stage.on("one", one.set_quota(FOLDER, files=FILES, size_bytes=CHUNKS * SMALL.chunk_bytes))
    makers = [stage.later(stage.on(host, _make(client, host, FILES))) for host, client in (("one", one), ("two", two))]
    await stage.pause(stage.world.random.uniform(0.0, 0.05))
    stage.cluster.crash(MASTER, power=True)
    await stage.cluster.restart(MASTER)
    made = sum(await asyncio.gather(*makers))
    assert made == FILES, f"{made} files where {FILES} may be"
    names = await stage.on("one", one.listdir(FOLDER))
    assert await stage.on("one", _grow(one, f"{FOLDER}/{names[0]}")) <= CHUNKS
    for name in names:
        await stage.on("one", one.remove(f"{FOLDER}/{name}"))
    await stage.on("two", two.write_bytes(f"{FOLDER}/again", b"there is room"))
    quota = await stage.on("two", two.quota(FOLDER))
    assert quota is not None
    assert quota.used_files == 1, quota
    with stage.reign.store.read() as view:
        faults = check(view)
    assert faults == [], faults


async def _make(client: Client, host: str, count: int) -> int:
    """Make files until it is refused; return how many were made."""
    made = 0
    for number in range(count):
        try:
            await client.touch(f"{FOLDER}/{host}-{number}")
        except QuotaError:
            continue
        made += 1
    return made


async def _grow(client: Client, path: str) -> int:
    """Write twice as many chunks as may be; return how many were taken before the refusal."""
    taken = 0
    file = await client.open(path, "wb")
    try:
        for index in range(2 * CHUNKS):
            await file.pwrite(bytes(SMALL.chunk_bytes), index * SMALL.chunk_bytes)
            await file.sync()
            taken += 1
    except QuotaError:
        pass
    try:
        await file.close()
    except CairnError:
        return taken  # the bytes that were refused are told of once more
    return taken
