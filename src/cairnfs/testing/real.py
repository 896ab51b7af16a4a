"""Machines that are processes of this computer, real in everything; what only a simulation can do skips the test.

The kernel keeps what a killed process has written, so a crash is real here and a power cut is not.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from cairnfs.client.blocking import PROCESS, Ground
from cairnfs.cluster.processes import ProcessCluster
from cairnfs.config import ClusterConfig
from cairnfs.limits import REPLICAS_DEFAULT
from cairnfs.testing.settings import OnlySimulatedError, Settings

QUICK = {"suspect_s": 4, "dead_s": 6, "repair_grace_s": 1, "safe_start_s": 5, "lease_s": 5}
"""Nobody wants to wait a minute for a dead server; on a busy computer heartbeats are seconds late."""
LINES_SHOWN = 10


class RealMachines:
    """See `machines.Machines`."""

    seed = None

    def __init__(self, settings: Settings, folder: Path) -> None:
        copies = {"replicas": min(REPLICAS_DEFAULT, settings.chunkservers)}
        self._cluster = ProcessCluster(
            folder,
            chunkservers=settings.chunkservers,
            cluster=ClusterConfig(
                chunk_bytes=settings.chunk_bytes,
                block_bytes=settings.block_bytes,
                copies_min=min(ClusterConfig().copies_min, settings.chunkservers),
            ),
            master_settings={**QUICK, **copies, **settings.master},
            # The disk of whoever runs tests may be nearly full.
            chunkserver_settings={"reserve_bytes": 0, "reserve_fraction": 0},
        )
        # The kernel kills a server with the thread that started it, so this one lives as long as the cluster.
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="cairn-cluster")
        self._timers: list[threading.Timer] = []
        self._happened: list[Future[object]] = []

    @property
    def chunkservers(self) -> Sequence[str]:
        return self._cluster.chunkservers

    @property
    def master_address(self) -> str:
        return self._cluster.address

    def start(self) -> None:
        self._cluster.start()

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self._hand.submit(self._cluster.stop).result()
        self._hand.shutdown()
        for future in self._happened:
            future.result()

    def is_up(self, server: str) -> bool:
        return self._cluster.servers[server].running

    def named(self, address: str) -> str:
        return next((name for name, known in self._cluster.addresses.items() if known == address), "")

    def ground(self, host: str) -> Ground:
        return PROCESS

    def close_files(self) -> None:
        """They are the process's, which closes them at its end."""

    def after(self, seconds: float, happening: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, lambda: self._happened.append(self._hand.submit(happening)))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def report(self) -> str:
        last = [
            f"{name}, the last of {server.log}:\n" + "".join(f"  {line}\n" for line in self._last_lines(name))
            for name, server in self._cluster.servers.items()
        ]
        return "real processes, which no seed decides\n" + "".join(last)

    def _last_lines(self, name: str) -> list[str]:
        return self._cluster.log(name).splitlines()[-LINES_SHOWN:] if self._cluster.servers[name].log.exists() else []

    # ------------------------------------------------------------------ what can happen

    def crash(self, server: str) -> None:
        self._cluster.kill(server)

    def restart(self, server: str) -> None:
        self._cluster.restart(server)

    def pause(self, server: str, seconds: float) -> None:
        pid = self._cluster.servers[server].pid
        self._cluster.pause(server)
        self.after(seconds, lambda: self._resume(server, pid))

    def _resume(self, server: str, pid: int) -> None:
        if self.is_up(server) and self._cluster.servers[server].pid == pid:
            self._cluster.resume(server)

    def power_cut(self, servers: Sequence[str]) -> None:
        raise OnlySimulatedError(
            "cutting the power of a process is not possible: the kernel keeps what it has written. "
            "Simulate (the default), or use crash, which is SIGKILL"
        )

    def cut(self, one: str, other: str, *, one_way: bool) -> None:
        raise OnlySimulatedError(
            "cutting the network between processes of one computer needs root. "
            "Simulate (the default), or use pause, which lets a server be silent"
        )

    def heal_network(self, one: str, other: str) -> None:
        """Nothing is ever cut here."""

    def slow_disk(self, server: str, delay_s: float) -> None:
        raise OnlySimulatedError(
            "slowing a real disk needs root. Simulate (the default), or use pause, which makes a whole server slow"
        )

    def heal_disks(self) -> None:
        """No disk is ever slow here."""
