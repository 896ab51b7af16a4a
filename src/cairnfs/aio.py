"""The names of `cairnfs` with await.

    async with await cairnfs.aio.connect("cairn://127.0.0.1:7400") as fs:
        await fs.write_text("/hello.txt", "hi")

It runs on whatever loop its caller runs.
"""

from contextlib import AsyncExitStack
from typing import Any

from cairnfs import client_config
from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.client.framing import Record
from cairnfs.client.stats import DirEntry, Stat
from cairnfs.client.textfile import TextFile

__all__ = ["Client", "DirEntry", "File", "Record", "Stat", "TextFile", "connect"]


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
