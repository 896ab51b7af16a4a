"""A cluster inside this process, on a thread with a loop of its own: `cairnfs.local()`, notebooks, tests of users.

It is the real thing (sockets on loopback, files, LMDB), only without processes; it ends with the process at the latest.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from cairnfs.chunkserver.server import Chunkserver
from cairnfs.config import ChunkserverConfig, ClusterConfig, MasterConfig
from cairnfs.env import Env
from cairnfs.env.real import real_env
from cairnfs.limits import REPLICAS_DEFAULT
from cairnfs.master.server import Master, initialise

ANY_PORT = ("127.0.0.1:0",)
START_S = 30.0
STOP_S = 15.0


class InProcessCluster:
    """A master and chunkservers in threads of this process.

    Without `folder` everything is kept in a temporary one that `stop` removes. `settings` are those of `MasterConfig`.
    """

    def __init__(self, folder: str | None = None, chunkservers: int = 3, **settings: object) -> None:
        assert chunkservers > 0, chunkservers
        self._given = folder
        self._count = chunkservers
        self._settings = {"replicas": min(REPLICAS_DEFAULT, chunkservers), **settings}
        self._folder = ""
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._asked: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.master_address = ""

    def start(self) -> None:
        """Start everything; return when the master listens and knows every chunkserver.

        Raises:
            CairnError: what went wrong; nothing is left running.
        """
        assert self._thread is None, "started twice"
        self._folder = self._given or tempfile.mkdtemp(prefix="cairnfs-")
        ready: Future[str] = Future()
        self._thread = threading.Thread(target=self._main, args=(ready,), name="cairnfs-local", daemon=True)
        self._thread.start()
        try:
            self.master_address = ready.result(START_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything; may be called again. A temporary folder is removed."""
        thread, self._thread = self._thread, None
        if thread is None or self._process != os.getpid():
            return  # a child that was forked has a copy of this object, but the cluster is its parent's
        if self._loop is not None and self._asked is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._asked.set)
        thread.join(STOP_S)
        if self._given is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def abandon(self) -> None:
        """Remove a temporary folder without stopping anything: the process ends, and the servers with it."""
        if self._thread is not None and self._process == os.getpid() and self._given is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -------------------------------------------------------------- in the thread

    def _main(self, ready: Future[str]) -> None:
        try:
            asyncio.run(self._run(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _run(self, ready: Future[str]) -> None:
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        env = real_env()
        running: list[Master | Chunkserver] = []
        try:
            master = await self._start_master(env)
            running.append(master)
            for number in range(1, self._count + 1):
                server = self._chunkserver(env, number, master.address)
                running.append(server)
                await server.start()
            ready.set_result(master.address)
            await self._asked.wait()
        finally:
            for role in reversed(running):
                await role.stop()

    async def _start_master(self, env: Env) -> Master:
        folder = Path(self._folder) / "master"
        if not folder.exists():
            folder.mkdir(parents=True)
            await initialise(env, str(folder), ClusterConfig(copies_min=min(2, self._count)))
        master = Master(env, msgspec.convert({"listen": ANY_PORT, "data": str(folder), **self._settings}, MasterConfig))
        await master.start()
        return master

    def _chunkserver(self, env: Env, number: int, master: str) -> Chunkserver:
        folder = Path(self._folder) / f"chunkserver{number}"
        folder.mkdir(exist_ok=True)
        # A notebook's disk may be small; whoever fills it with a local cluster sees DiskFullError from the system.
        return Chunkserver(
            env,
            ChunkserverConfig(
                listen=ANY_PORT, master=(master,), data=(str(folder),), reserve_bytes=0, reserve_fraction=0.0
            ),
        )
