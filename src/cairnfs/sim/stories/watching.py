"""What the roles of a story did by themselves, in plain words: found by looking at their state and in their logs."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from cairnfs.ids import ChunkHandle, ServerId
from cairnfs.meta.tables import ChunkRow
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.loop import CURRENT
from cairnfs.sim.stage import Stage
from cairnfs.sim.stories.narrator import Kind, Narrator

LOOK_S = 0.01
"""Between two looks; whoever tells something looks first, so that causes come before effects."""


class Fact(StrEnum):
    """What is watched at each chunkserver."""

    HOLDS = "holds a whole replica"
    EXCLUDED = "has been told that its replica is not current"
    FENCED = "holds overwrites back"
    SERVES = "has a serving lease"


def plural(names: list[str]) -> str:
    """Return "cs0, cs1 and cs2"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


class Watcher:
    """Compares master and chunkservers with what they were at the last look."""

    def __init__(self, stage: Stage, narrator: Narrator) -> None:
        self._stage = stage
        self._narrator = narrator
        self._names: dict[ServerId, str] = {}
        self._rows: dict[ChunkHandle, ChunkRow] = {}
        self._facts: dict[tuple[Fact, str, int], bool] = {}
        self.is_quiet = True
        """What changes is noted and not told."""
        self.hushed: tuple[Fact, ...] = ()
        """Facts that this story does not tell of."""

    async def watch(self) -> None:
        """Look again and again; ends by cancellation with the story."""
        while True:
            self.look()
            await self._stage.pause(LOOK_S)

    def look(self) -> None:
        """Tell what has changed since the last look."""
        for name, server in self._stage.cluster.servers.items():
            self._names[server.server_id] = name
        for handle in self._handles():
            self._look_at_record(handle)
            for name in self._stage.cluster.names:
                self._look_at_replica(name, handle)
        for name in self._stage.cluster.names:
            self._look_at_session(name)

    def name_of(self, server: ServerId) -> str:
        """Return the host of a chunkserver, up or not."""
        return self._names[server]

    def _handles(self) -> list[ChunkHandle]:
        servers = self._stage.cluster.servers.values()
        held = {handle: None for server in servers for handle in server.context.store.replicas}
        return sorted({**dict.fromkeys(self._rows), **held})

    def _tell(self, who: str, what: str) -> None:
        if not self.is_quiet:
            self._narrator.tell(who, what, Kind.ROLE)

    # ------------------------------------------------------------------ the master's record

    def _look_at_record(self, handle: ChunkHandle) -> None:
        master = self._stage.cluster.master
        row = master.reign.chunk(handle) if master is not None and master.reign.store.healthy else None
        if row is None:
            return
        before = self._rows.get(handle)
        self._rows[handle] = row
        if before is not None and self._is_news(handle, before, row):
            self._tell(MASTER, self._of_record(handle, before, row))

    def _is_news(self, handle: ChunkHandle, before: ChunkRow, row: ChunkRow) -> bool:
        """While a fence is waited for, a chunk may be raised again and again with the same set: that is told once."""
        if (before.closed, before.members, before.primary) != (row.closed, row.members, row.primary):
            return True
        waits = any(self._facts.get((Fact.FENCED, name, handle), False) for name in self._stage.cluster.names)
        return before.version != row.version and not waits

    def _members(self, row: ChunkRow) -> list[str]:
        return [self.name_of(server) for server, _ in row.members]

    def _of_record(self, handle: ChunkHandle, before: ChunkRow, row: ChunkRow) -> str:
        members = self._members(row)
        out = [name for name in self._members(before) if name not in members]
        left = f"; {plural(out)} left out" if out else ""
        if before.version == row.version:
            return f"chunk {handle} is now on {plural(members)}"
        if row.closed:
            return f"chunk {handle} is closed at version {row.version}: {row.length} bytes on {plural(members)}{left}"
        others = [name for name in members if name != self.name_of(row.primary)]
        return (
            f"raises chunk {handle} to {row.version}: promised by all; {self.name_of(row.primary)} is primary, with "
            f"{plural(others) if others else 'nobody'}{left}"
        )

    # ------------------------------------------------------------------ the chunkservers

    def _changed(self, what: Fact, name: str, number: int, *, now: bool, at_first: bool) -> bool:
        """Return True if this fact is another one than at the last look, and to be told."""
        key = (what, name, number)
        before = self._facts.get(key, at_first)
        self._facts[key] = now
        return before is not now and what not in self.hushed

    def _look_at_replica(self, name: str, handle: ChunkHandle) -> None:
        server = self._stage.cluster.servers.get(name)
        if server is None:
            for what in (Fact.EXCLUDED, Fact.FENCED):
                self._facts.pop((what, name, handle), None)
            return
        context = server.context
        replica, chunk = context.store.replicas.get(handle), context.chunks.find(handle)
        holds = replica is not None and (
            not replica.state.incomplete or self._facts.get((Fact.HOLDS, name, handle), False)
        )
        if self._changed(Fact.HOLDS, name, handle, now=holds, at_first=False):
            how = f"has a whole copy of chunk {handle}" if holds else f"has put its replica of chunk {handle} away"
            self._tell(name, how)
        excluded = replica is not None and context.exclusions.is_excluded(handle, replica.state.version)
        if (
            self._changed(Fact.EXCLUDED, name, handle, now=excluded, at_first=False)
            and excluded
            and replica is not None
        ):
            self._tell(name, f"hears that its replica of chunk {handle}, at {replica.state.version}, is not current")
        if chunk is None or chunk.primary is None:
            return
        if self._changed(Fact.FENCED, name, handle, now=not chunk.fence_done, at_first=False):
            if chunk.fence_done:
                self._tell(name, f"the fence of {chunk.opened} is done: nobody else can be read, overwrites go on")
            else:
                self._tell(name, "takes extensions; overwrites wait until nobody outside the set can be read")

    def _look_at_session(self, name: str) -> None:
        server = self._stage.cluster.servers.get(name)
        if server is None:
            self._facts.pop((Fact.SERVES, name, 0), None)
            return
        context = server.context
        serves = context.standing.may_serve(context.now_s(), quiet=False)
        if self._changed(Fact.SERVES, name, 0, now=serves, at_first=serves):
            so = ": it answers no read" if context.safeguards.serving_lease else ""
            self._tell(name, "has a serving lease again" if serves else f"its serving lease has run out{so}")

    # ------------------------------------------------------------------ the logs

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Bring telling lines of the roles' own logs into the time line."""
        logger, handler = logging.getLogger("cairnfs"), _Ear(self)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(handler)

    def hears(self, phrase: str, values: tuple[Any, ...]) -> None:
        """A role has logged something."""
        words, life = PHRASES.get(phrase), CURRENT.get()
        if words is None or life is None:
            return
        what = words(self, values)
        # What is tried again and again is told once.
        if all((line.who, line.what) != (life.host, what) for line in self._narrator.lines[-3:]):
            self.look()
            self._tell(life.host, what)


class _Ear(logging.Handler):
    def __init__(self, watcher: Watcher) -> None:
        super().__init__(logging.INFO)
        self._watcher = watcher

    def emit(self, record: logging.LogRecord) -> None:
        # The constant phrase of a log line ends where its first `key=` begins.
        words = record.msg.split()
        phrase = " ".join(word for word in words if "=" not in word and "%" not in word)
        self._watcher.hears(phrase, record.args if isinstance(record.args, tuple) else ())


Words = Callable[[Watcher, tuple[Any, ...]], str]
PHRASES: dict[str, Words] = {
    "left out of a raise": lambda watcher, values: (
        f"{watcher.name_of(values[1])} does not promise: that number is burnt"
    ),
    "server is dead": lambda watcher, values: f"takes {watcher.name_of(values[0])} for dead",
    "master leads": lambda watcher, values: f"leads, with epoch {values[1]}: older orders are refused from now on",
    "replica quarantined": lambda watcher, values: "a checksum does not fit: the replica is quarantined and reported",
    "replica copied": lambda watcher, values: (
        f"lets {watcher.name_of(values[2])} copy chunk {values[0]} from {watcher.name_of(values[1])}"
    ),
    "continuity broken unsynced writes may be lost": lambda watcher, values: (
        f"nobody has an unbroken copy of chunk {values[0]}: what was not synced may be lost, and its writer is told"
    ),
    "unsynced writes are written again": lambda watcher, values: "writes again what was acknowledged but not synced",
}
"""By the constant phrase of a log line: what it means to somebody who does not know the code."""
