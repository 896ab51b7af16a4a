"""A real cluster of processes in one folder: `cairn up`, the demo, end-to-end tests, benchmarks.

    FOLDER/master        metadata            FOLDER/master.log
    FOLDER/chunkserver1  chunks, and so on   FOLDER/chunkserver1.log

Every child tells its address through a pipe when it listens, so that nobody guesses ports; a restart takes the same
address again, as a machine that comes back would. The kernel kills the children when this process ends, however it
ends; therefore start and restart from a thread that lives as long as the cluster.
"""

import asyncio
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import cairnfs
from cairnfs.cluster.waiting import wait_until
from cairnfs.config import ClusterConfig
from cairnfs.env.real import real_env
from cairnfs.errors import CairnError
from cairnfs.master.server import initialise
from cairnfs.wire.status import ClusterStatus

logger = logging.getLogger(__name__)

READY_S = 30.0
STOP_S = 12.0
"""A server is out 10 s after SIGTERM; then it is killed."""
MASTER = "master"
ANY_PORT = "127.0.0.1:0"


@dataclass(eq=False, kw_only=True)
class StartError(CairnError):
    """A child ended, or said nothing, instead of listening. Never crosses the wire."""

    code = 9001
    name: str
    why: str
    log: str

    @property
    def hint(self) -> str:  # type: ignore[override]
        return f"its log is {self.log}"

    def __str__(self) -> str:
        return f"{self.name} did not start: {self.why}"


@dataclass(slots=True)
class Server:
    """One child, running or not."""

    name: str
    log: Path
    arguments: list[str]
    address: str
    """Where to listen: any port before the first start, then the one it got."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None, self.name
        return self.process.pid


class ProcessCluster:
    """One master and N chunkservers. A context manager: started on entry, stopped on exit."""

    def __init__(  # noqa: PLR0913 - what a cluster may vary, each with a default
        self,
        folder: str | Path,
        *,
        chunkservers: int = 3,
        disks: int = 1,
        listen: str = ANY_PORT,
        cluster: ClusterConfig | None = None,
        master_settings: Mapping[str, object] | None = None,
        chunkserver_settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._disks = disks
        self._cluster = cluster or ClusterConfig(copies_min=min(2, chunkservers))
        self.chunkserver_settings = dict(chunkserver_settings or {})
        """Of the next start of each."""
        arguments = ["--data", str(self.folder / MASTER), *_pairs(master_settings or {})]
        self.servers = {MASTER: Server(MASTER, self.folder / "master.log", [MASTER, *arguments], listen)}
        for number in range(1, chunkservers + 1):
            name = f"chunkserver{number}"
            self.servers[name] = Server(name, self.folder / f"{name}.log", [], ANY_PORT)

    @property
    def address(self) -> str:
        """The master's host:port, after `start`."""
        return self.servers[MASTER].address

    @property
    def chunkservers(self) -> list[str]:
        """Their names, whether or not they run."""
        return [name for name in self.servers if name != MASTER]

    @property
    def addresses(self) -> dict[str, str]:
        return {name: server.address for name, server in self.servers.items()}

    def named(self, address: str) -> str:
        """Return the name of the server at `address`."""
        return next(name for name, server in self.servers.items() if server.address == address)

    # -------------------------------------------------------------- all of them

    def start(self) -> None:
        """Make the cluster if the folder has none, start everything, return when everything listens and is known.

        Raises:
            StartError: with the child's own words; the others have been stopped.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._initialise()
            self.restart(MASTER)
            started = [(self.servers[name], self._spawn(self.servers[name])) for name in self.chunkservers]
            for server, ready in started:
                self._await_address(server, ready)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything: SIGTERM, chunkservers first so that they can give their leases back, then SIGKILL."""
        for names in (self.chunkservers, [MASTER]):
            running = [self.servers[name] for name in names if self.servers[name].running]
            for server in running:
                server.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
                server.process.terminate()  # type: ignore[union-attr]
            deadline = time.monotonic() + STOP_S
            for server in running:
                _wait_or_kill(server, deadline - time.monotonic())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_ready(self, timeout_s: float = READY_S) -> ClusterStatus:
        """Return the status once the master has heard of every running chunkserver and of its replicas.

        Raises:
            StartError: not within `timeout_s`.
        """
        expected = sum(self.servers[name].running for name in self.chunkservers)
        with cairnfs.connect(self.address) as fs:
            status: ClusterStatus = fs.status()

            def known() -> bool:
                nonlocal status
                status = fs.status()
                return _live(status) >= expected and not status.safe_start

            if not wait_until(known, timeout_s):
                why = f"{_live(status)} of {expected} chunkservers live after {timeout_s:g} s"
                raise StartError(name="cluster", why=why, log=str(self.servers[MASTER].log))
            return status

    # -------------------------------------------------------------- one of them

    def kill(self, name: str) -> None:
        """SIGKILL: the machine's power is cut, as far as the server can tell."""
        server = self.servers[name]
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()  # type: ignore[union-attr]

    def terminate(self, name: str) -> int:
        """SIGTERM; return the exit code, or minus the signal that was needed after `STOP_S`."""
        server = self.servers[name]
        server.process.terminate()  # type: ignore[union-attr]
        return _wait_or_kill(server, STOP_S)

    def pause(self, name: str) -> None:
        """SIGSTOP: it holds its connections and says nothing."""
        os.kill(self.servers[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.servers[name].pid, signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Start a server that does not run, at the address it had; return when it listens.

        Raises:
            StartError: with the child's own words.
        """
        server = self.servers[name]
        assert not server.running, name
        self._await_address(server, self._spawn(server))

    def log(self, name: str) -> str:
        return self.servers[name].log.read_text(errors="replace")

    # -------------------------------------------------------------- inside

    def _initialise(self) -> None:
        folder = self.folder / MASTER
        if folder.exists():
            return
        folder.mkdir()

        async def make() -> None:
            await initialise(real_env(), str(folder), self._cluster)

        asyncio.run(make())

    def _arguments(self, server: Server) -> list[str]:
        if server.name == MASTER:
            return server.arguments
        folders = [part for folder in self.folders(server.name) for part in ("--data", str(folder))]
        return ["chunkserver", *folders, "--master", self.address, *_pairs(self.chunkserver_settings)]

    def folders(self, name: str) -> list[Path]:
        """Return the data folders of a chunkserver, one for each disk."""
        data = self.folder / name
        return [data] if self._disks == 1 else [data / f"disk{number}" for number in range(1, self._disks + 1)]

    def _spawn(self, server: Server) -> int:
        """Start the child; return the end of the pipe on which it will tell its address."""
        ready, its_end = os.pipe()
        command = [sys.executable, "-m", "cairnfs", *self._arguments(server), "--listen", server.address]
        command += ["--ready-fd", str(its_end), "--die-with", str(os.getpid())]
        try:
            with server.log.open("ab") as log:
                # A session of its own: Ctrl-C on the terminal is for the parent, which then stops them in order.
                server.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[its_end],
                    start_new_session=True,
                )
        finally:
            os.close(its_end)
        return ready

    def _await_address(self, server: Server, ready: int) -> None:
        """Read the address; the pipe closes without one if the child ends first."""
        try:
            told, _, _ = select.select([ready], [], [], READY_S)
            text = os.read(ready, 1024).decode().strip() if told else ""
        finally:
            os.close(ready)
        if not text:
            assert server.process is not None
            if not told:
                server.process.kill()
            server.process.wait()
            why = _last_words(server.log) or (f"nothing heard for {READY_S:g} s" if not told else "it ended")
            raise StartError(name=server.name, why=why, log=str(server.log))
        server.address = text
        logger.info("started server=%s address=%s pid=%d", server.name, server.address, server.pid)


def _live(status: ClusterStatus) -> int:
    return sum(server.state == "live" for server in status.servers)


def _pairs(settings: Mapping[str, object]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def _wait_or_kill(server: Server, timeout_s: float) -> int:
    assert server.process is not None
    try:
        return server.process.wait(max(timeout_s, 0.0))
    except subprocess.TimeoutExpired:
        server.process.kill()
        return server.process.wait()


def _last_words(log: Path) -> str:
    """Return the error of the command line at the end of a log."""
    lines = log.read_text(errors="replace").splitlines()
    said = [line.removeprefix("cairn: ") for line in lines if line.startswith("cairn: ")]
    return said[-1] if said else ""
