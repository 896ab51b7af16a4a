"""What the fixture `cairn_cluster` is: a cluster, clients of it, and whatever can go wrong with it.

    def test_the_log_survives(cairn_cluster):
        fs = cairn_cluster.fs                                   # a cairnfs.Client
        fs.append("/log", b"one")
        cairn_cluster.crash(cairn_cluster.primary_of("/log"))
        fs.append("/log", b"two")

Servers are called "master", "chunkserver1", "chunkserver2"..., the host of the client "client". A simulated cluster
does what its seed says; blocking calls run it, and between them its time stands still. In coroutines given to `run`,
`aio` has what takes time; what happens at once (`crash` and so on) is the same everywhere.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from cairnfs.client.blocking_client import Client
from cairnfs.config import ClientConfig
from cairnfs.errors import CairnError
from cairnfs.paths import AnyPath
from cairnfs.testing.aio import LIMIT_S, STEP_S, AioCluster, Chunk
from cairnfs.testing.machines import CLIENT, MASTER, Machines

T = TypeVar("T")
P = ParamSpec("P")

STRETCH_S = 600.0
"""Longest time that one run of the loop lets pass."""


class CairnCluster:
    """See the module. The names of its servers are in `servers`."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self.servers = [MASTER, *machines.chunkservers]
        self.aio = AioCluster(machines)
        self._clients: list[Client] = []
        self._began_s = self._machines.ground(CLIENT).monotonic_s()
        self._happenings: list[str] = []

    def __enter__(self) -> "CairnCluster":
        with ExitStack() as undo:
            undo.callback(self._machines.stop)
            self._machines.start()
            self.wait_until_healthy()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._machines.stop)
            self._machines.close_files()
            for client in self._clients:
                with suppress(CairnError, OSError):
                    client.close()
            with suppress(CairnError, OSError):
                self.run(self.aio.close())

    # ------------------------------------------------------------------ clients

    @property
    def fs(self) -> Client:
        """The client of the test, connected."""
        return self._clients[0] if self._clients else self.client()

    @property
    def seed(self) -> int | None:
        """What decides a simulated cluster; None for real processes."""
        return self._machines.seed

    @property
    def address(self) -> str:
        """The master's host:port."""
        return self._machines.master_address

    def client(self, host: str = CLIENT) -> Client:
        """Return another client, connected, on a host whose network can be cut by this name."""
        self.aio.note_host(host)
        client = Client(ClientConfig(master=(self.address,)), self._machines.ground(host))
        self._clients.append(client)
        client.connect()
        return client

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the cluster; return its result. `asyncio.sleep` takes the cluster's time."""
        return self._machines.ground(CLIENT).run(body)

    # ------------------------------------------------------------------ what happens at once

    def crash(self, server: str) -> None:
        """Kill a server's process; what it wrote stays on its machine."""
        self._check_up(server)
        self._note(f"crash {server}")
        self._machines.crash(server)

    def restart(self, *servers: str) -> None:
        """Start those servers, or all that are down. They take part some time later: `wait_until_healthy`."""
        down = [server for server in self.servers if not self._machines.is_up(server)]
        for server in servers or down:
            self._check_server(server)
            if server not in down:
                raise ValueError(f"{server} runs already")
            self._note(f"restart {server}")
            self.aio.expect_anew(server)
            self._machines.restart(server)

    def pause(self, server: str, seconds: float) -> None:
        """Stop a server's process for so long: it holds its connections and says nothing."""
        self._check_up(server)
        self._note(f"pause {server} for {seconds:g} s")
        self._machines.pause(server, seconds)

    def power_cut(self, *servers: str) -> None:
        """Cut the power of those machines, or of all at once: what they had not synced may be gone.

        Raises:
            OnlySimulatedError: these are real processes.
        """
        chosen = list(servers) or [server for server in self.servers if self._machines.is_up(server)]
        for server in chosen:
            self._check_up(server)
        self._note(f"power cut {' '.join(chosen)}")
        self._machines.power_cut(chosen)

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing through between two hosts, or only from `one` to `other`.

        Raises:
            OnlySimulatedError: these are real processes.
        """
        self._check_hosts(one, other)
        self._note(f"cut {one} {'->' if one_way else '--'} {other}")
        self._machines.cut(one, other, one_way=one_way)

    def partition(self, *sides: list[str]) -> None:
        """Cut every host of one side from every host of the others; hosts on no side reach everybody.

        Raises:
            OnlySimulatedError: these are real processes.
        """
        for number, side in enumerate(sides):
            for other_side in sides[number + 1 :]:
                for one in side:
                    for other in other_side:
                        self.cut(one, other)

    def slow_disk(self, server: str, delay_s: float = 1.0) -> None:
        """Let everything that a server asks of its disk take up to so long, and half of it at least.

        Raises:
            OnlySimulatedError: these are real processes.
        """
        self._check_server(server)
        self._note(f"slow disk {server} {delay_s:g} s")
        self._machines.slow_disk(server, delay_s)

    def heal(self, one: str = "", other: str = "") -> None:
        """Undo the cut between two hosts; without names every cut, and slow disks are fast again."""
        if one or other:
            self._check_hosts(one, other)
        self._note(f"heal {one} {other}".rstrip())
        self._machines.heal_network(one, other)
        if not one:
            self._machines.heal_disks()

    def after(self, seconds: float, happening: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Let one of the above happen when so much time has passed: in the middle of a call, for instance."""
        self._machines.after(seconds, lambda: happening(*args, **kwargs))

    # ------------------------------------------------------------------ what takes time

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass: virtual time if simulated."""
        while seconds > 0:
            stretch_s = min(seconds, STRETCH_S)
            self.run(asyncio.sleep(stretch_s))
            seconds -= stretch_s

    def until(self, claim: Callable[[], bool], *, limit_s: float = LIMIT_S) -> None:
        """Let the cluster go on until `claim()` is true.

        Raises:
            AssertionError: it was not within `limit_s`.
        """
        now_s = self._machines.ground(CLIENT).monotonic_s
        end_s = now_s() + limit_s
        while not claim():
            assert now_s() < end_s, f"did not come true within {limit_s:g} s"
            self.pass_time(STEP_S)

    def wait_until_healthy(self, *, limit_s: float = LIMIT_S) -> None:
        """Return once the master knows which servers run, and every chunk has as many copies as it should.

        Raises:
            AssertionError: not within `limit_s`.
        """
        self.run(self.aio.wait_until_healthy(limit_s=limit_s))

    def chunks(self, path: AnyPath) -> list[Chunk]:
        """Return the chunks of a file, as the master knows them."""
        return self.run(self.aio.chunks(path))

    def primary_of(self, path: AnyPath) -> str:
        """Return the name of the server that orders changes of the file's last chunk.

        Raises:
            LookupError: there is none now: the file was closed, or nobody wrote to it for a while.
        """
        return self.run(self.aio.primary_of(path))

    # ------------------------------------------------------------------ inside

    def report(self) -> str:
        """Say what was done to the cluster, and what a person needs who looks into a failure."""
        done = "".join(f"  {line}\n" for line in self._happenings or ["nothing"])
        return f"what was done to the cluster:\n{done}{self._machines.report()}"

    def _note(self, what: str) -> None:
        passed_s = self._machines.ground(CLIENT).monotonic_s() - self._began_s
        self._happenings.append(f"{passed_s:.6f} s  {what}")

    def _check_server(self, server: str) -> None:
        if server not in self.servers:
            raise ValueError(f"no server {server!r}; there are {', '.join(self.servers)}")

    def _check_hosts(self, *hosts: str) -> None:
        for host in hosts:
            if host not in (*self.servers, *self.aio.hosts):
                raise ValueError(f"no host {host!r}; there are {', '.join([*self.servers, *self.aio.hosts])}")

    def _check_up(self, server: str) -> None:
        self._check_server(server)
        if not self._machines.is_up(server):
            raise ValueError(f"{server} is down already")
