"""The users of one run: hosts with a client each, who do one operation after another until the party is over.

A user's host may die: what it was in the middle of never returns, and it starts again with a new client.
"""

import asyncio
import random
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol, TypeVar

from cairnfs.client.filesystem import Client
from cairnfs.config import ClientConfig
from cairnfs.errors import CairnError
from cairnfs.sim.cluster import MASTER_ADDRESS, SimCluster
from cairnfs.sim.options import Options

T = TypeVar("T")

HANDS = 2
"""Operations that one user has under way at a time."""


class User:
    """One life of one user's host."""

    def __init__(self, party: "Party", host: str, life: int, client: Client) -> None:
        self.party, self.host, self.client = party, host, client
        self.name = f"{host}/{life}"
        self.chance = party.stream(self.name)
        self.notes: dict[str, object] = {}
        """What parts keep for this life: open files and the like."""

    def now_s(self) -> float:
        """Return the world's time: what history is told in."""
        return self.party.cluster.world.now_s()

    async def attempt(self, what: str, job: Awaitable[T]) -> tuple[bool, T | None]:
        """Do one operation and count it; return (True, result), or (False, None) if it was refused or is in doubt."""
        done = self.party.done
        try:
            result = await job
        except CairnError:
            self.party.refused[what] = self.party.refused.get(what, 0) + 1
            return False, None
        done[what] = done.get(what, 0) + 1
        return True, result


class Part(Protocol):
    """One kind of work. See the package."""

    weight: int
    """How often it is chosen, against the others."""

    async def make(self, client: Client) -> None:
        """Prepare files, while nothing is wrong yet."""

    async def act(self, user: User) -> None:
        """Do one operation. Raises ViolationError: a promise was not kept."""

    async def check(self, client: Client) -> None:
        """Look at everything, when nothing is wrong any more. Raises ViolationError, CairnError: something is lost."""


class Party:
    """Everybody who uses the cluster in one run."""

    def __init__(self, cluster: SimCluster, options: Options, parts: list[Part]) -> None:
        self.cluster, self.options, self.parts = cluster, options, parts
        self.hosts = [f"user{number}" for number in range(options.users)]
        self.is_over = False
        self.done: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self._lives: dict[str, int] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def stream(self, name: str) -> random.Random:
        return self.cluster.world.stream(f"party:{name}")

    async def begin(self) -> None:
        """Make what the parts need and let every user begin."""

        async def make(client: Client) -> None:
            for part in self.parts:
                await part.make(client)

        await self.cluster.on_client(make)
        for host in self.hosts:
            self.start(host)

    def start(self, host: str) -> None:
        """Let a user's host begin a life."""
        if self.is_over:
            return
        life = self._lives[host] = self._lives.get(host, 0) + 1
        world = self.cluster.world
        # One who reads near a chosen server meets replicas that are left behind.
        near = self.cluster.names[(self.hosts.index(host) + life) % len(self.cluster.names)]
        config = ClientConfig(
            master=(MASTER_ADDRESS,),
            near=f"{near}:7410",
            readahead_bytes=0,
            location_cache_s=self.options.location_cache_s,
        )
        client = Client(world.env(host), config)
        user = User(self, host, life, client)
        self._tasks[host] = [self.watched(world.spawn(host, self._use(user), name=f"{host}"))]

    def watched(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Let an error end the run when it happens, not when somebody waits for the task."""
        loop = self.cluster.world.loop

        def note(ended: asyncio.Task[None]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                loop.call_exception_handler(
                    {"message": f"{ended.get_name()} failed", "exception": error, "task": ended}
                )

        task.add_done_callback(note)
        return task

    async def _use(self, user: User) -> None:
        loop = self.cluster.world.loop
        while not self.is_over:
            with suppress(CairnError):
                await user.client.connect()
                break
            await self.cluster.pause(0.5)
        hands = [self.watched(loop.create_task(self._work(user))) for _ in range(HANDS)]
        for hand in hands:
            await hand
        await user.client.close()

    async def _work(self, user: User) -> None:
        weights = [part.weight for part in self.parts]
        while not self.is_over:
            (part,) = user.chance.choices(self.parts, weights)
            await part.act(user)
            await self.cluster.pause(user.chance.uniform(0.0, 2 * self.options.operation_gap_s))

    async def end(self) -> None:
        """Tell everybody that it is over and wait until they have gone; the dead are not waited for.

        Raises:
            ViolationError: what a user saw was wrong.
        """
        self.is_over = True
        for host in self.hosts:
            for task in self._tasks[host]:
                while not task.done() and self.cluster.world.is_up(host):
                    await self.cluster.pause(0.1)
                if task.done():
                    task.result()
