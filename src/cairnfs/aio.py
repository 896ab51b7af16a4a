"""The names of `cairnfs` with await.

    async with await cairnfs.aio.connect("cairn://127.0.0.1:7400") as fs:
        await fs.write_text("/hello.txt", "hi")

It runs on whatever loop its caller runs.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from cairnfs import client_config
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.client.records import Record
from cairnfs.client.stats import DirEntry, Stat
from cairnfs.client.textfile import TextFile
from cairnfs.config import ClientConfig
from cairnfs.env import Env

if TYPE_CHECKING:
    from cairnfs.cluster.in_process import InProcessCluster

__all__ = ["Client", "DirEntry", "File", "LocalClient", "Record", "Stat", "TextFile", "connect", "local"]


async def connect(
    url_or_address: str | None = None,
    *,
    timeout: float | None = None,
    **settings: Any,  # noqa: ANN401
) -> Client:
    """Return a client of a cluster, connected. Arguments and errors are those of `cairnfs.connect`."""
    from cairnfs.client.blocking import owner, world

    uid, gid = owner()
    client = Client(world(), client_config(url_or_address, timeout=timeout, **settings), uid=uid, gid=gid)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(client.close)
        await client.connect()
        undo.pop_all()
    return client


class LocalClient(Client):
    """A client whose `close` also stops the cluster that was started for it."""

    def __init__(self, env: Env, config: ClientConfig, cluster: "InProcessCluster") -> None:
        super().__init__(env, config)
        self.cluster = cluster

    async def close(self) -> None:
        """End all connections and stop the cluster."""
        await super().close()
        await asyncio.get_running_loop().run_in_executor(None, self.cluster.stop)


async def local(chunkservers: int = 3, folder: str | None = None) -> LocalClient:
    """Start a whole cluster inside this process, on a thread of its own, and return a client of it.

    Without `folder` everything is in a temporary one and gone afterwards.
    """
    from cairnfs.client.blocking import abandon_at_exit, world
    from cairnfs.cluster.in_process import InProcessCluster

    cluster = InProcessCluster(folder, chunkservers)
    await asyncio.get_running_loop().run_in_executor(None, cluster.start)
    abandon_at_exit(cluster)
    client = LocalClient(world(), ClientConfig(master=(cluster.master_address,)), cluster)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(client.close)
        await client.connect()
        undo.pop_all()
    return client
